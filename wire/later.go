package wire

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"strconv"
)

// What follows handles values that a later version wrote, with fields that this one
// does not know: as bytes, since a struct has no place for them.

// A pair is one field of a struct that is encoded as a map: slices of the encoding.
type pair struct {
	key   []byte
	value []byte
}

// number is the field's; ok is false for a key that is no number, which no version
// writes.
func (p pair) number() (n uint64, ok bool) {
	w := weigher{b: p.key}
	major, n, err := w.head()
	return n, err == nil && major == majorUint
}

// pairsOf takes a map apart; ok is false for anything else.
func pairsOf(b []byte) (out []pair, ok bool) {
	w := weigher{b: b}
	major, n, err := w.head()
	if err != nil || major != majorMap || n > uint64(len(w.b))/2 {
		return nil, false
	}
	out = make([]pair, 0, n)
	for range n {
		p := pair{}
		if p.key, ok = w.item(); !ok {
			return nil, false
		}
		if p.value, ok = w.item(); !ok {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}

// itemsOf takes an array apart; ok is false for anything else.
func itemsOf(b []byte) (out [][]byte, ok bool) {
	w := weigher{b: b}
	major, n, err := w.head()
	if err != nil || major != majorArray || n > uint64(len(w.b)) {
		return nil, false
	}
	out = make([][]byte, 0, n)
	for range n {
		item, ok := w.item()
		if !ok {
			return nil, false
		}
		out = append(out, item)
	}
	return out, true
}

// item passes over one item and returns its bytes.
func (w *weigher) item() ([]byte, bool) {
	before := w.b
	if w.skip(0) != nil {
		return nil, false
	}
	return before[:len(before)-len(w.b)], true
}

// joinPairs is a map of them, in the order of deterministic encoding.
func joinPairs(ps []pair) []byte {
	slices.SortFunc(ps, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	out := appendHead(nil, majorMap, uint64(len(ps)))
	for _, p := range ps {
		out = append(append(out, p.key...), p.value...)
	}
	return out
}

// appendHead appends the start of an item in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch major <<= 5; {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

// fieldOf is the shape of a field; nil for one that this version does not know.
func (s *Shape) fieldOf(p pair) *Shape {
	w := weigher{b: p.key}
	f, _ := w.field(s)
	return f
}

// IsKnown reports whether a number is that of a field of the shape.
func (s *Shape) IsKnown(field uint64) bool { return s.fields[strconv.FormatUint(field, 10)] != nil }

// Carry returns the encoding to of a value that was made from the one encoded in from,
// with the fields of from that this version does not know, at any depth: what it leaves
// alone stays as it is. Elements of a list are taken for the same if there are as many.
// Both must have been decoded before; bytes that were not are returned as they are.
func (s *Shape) Carry(from, to []byte) []byte {
	switch {
	case s.kind == reflect.Pointer:
		return s.elem.Carry(from, to)
	case s.kind == reflect.Slice:
		return s.carryItems(from, to)
	case s.kind != reflect.Struct || s.order != nil:
		return to
	}
	was, isMap := pairsOf(from)
	is, isMapToo := pairsOf(to)
	if !isMap || !isMapToo {
		return to
	}
	changed := false
	for _, old := range was {
		f := s.fieldOf(old)
		at := slices.IndexFunc(is, func(p pair) bool { return bytes.Equal(p.key, old.key) })
		switch {
		case at >= 0 && f != nil:
			value := f.Carry(old.value, is[at].value)
			changed = changed || !bytes.Equal(value, is[at].value)
			is[at].value = value
		case at < 0 && f == nil:
			is, changed = append(is, old), true
		case at < 0 && f.kind == reflect.Struct && f.order == nil: // left out, since all that this version knows of it is zero
			if rest := f.Carry(old.value, emptyMap); len(rest) > 1 {
				is, changed = append(is, pair{old.key, rest}), true
			}
		}
	}
	if !changed {
		return to
	}
	return joinPairs(is)
}

var emptyMap = []byte{majorMap << 5}

func (s *Shape) carryItems(from, to []byte) []byte {
	if s.elem.fields == nil && s.elem.kind != reflect.Pointer {
		return to
	}
	was, isList := itemsOf(from)
	is, isListToo := itemsOf(to)
	if !isList || !isListToo || len(was) != len(is) {
		return to
	}
	out := appendHead(make([]byte, 0, len(to)), majorArray, uint64(len(is)))
	for i := range is {
		out = append(out, s.elem.Carry(was[i], is[i])...)
	}
	return out
}

// Later returns the first field in an encoding that this version does not know and
// that is numbered below open, as its path in numbers: "13.4". It is empty for none.
func (s *Shape) Later(b []byte, open uint64) string {
	switch {
	case s.kind == reflect.Pointer:
		return s.elem.Later(b, open)
	case s.kind == reflect.Slice && (s.elem.fields != nil || s.elem.kind == reflect.Pointer):
		items, _ := itemsOf(b)
		for _, item := range items {
			if path := s.elem.Later(item, open); path != "" {
				return path
			}
		}
	case s.kind == reflect.Struct && s.order == nil:
		pairs, _ := pairsOf(b)
		for _, p := range pairs {
			if path := s.laterIn(p, open); path != "" {
				return path
			}
		}
	}
	return ""
}

func (s *Shape) laterIn(p pair, open uint64) string {
	n, isNumber := p.number()
	name := strconv.FormatUint(n, 10)
	f := s.fieldOf(p)
	switch {
	case f != nil:
		if path := f.Later(p.value, open); path != "" {
			return name + "." + path
		}
	case !isNumber:
		return "?"
	case n < open:
		return name
	}
	return ""
}

// Part returns the encoding of one field of a struct that is encoded as a map; nil if
// it is not there.
func Part(b []byte, field uint64) []byte {
	pairs, _ := pairsOf(b)
	for _, p := range pairs {
		if n, ok := p.number(); ok && n == field {
			return p.value
		}
	}
	return nil
}

// Parts returns the encodings of a list's elements; nil for what is no list.
func Parts(b []byte) [][]byte {
	items, _ := itemsOf(b)
	return items
}

// Without returns the encoding of a struct, a map, less the fields that drop names, as
// if they had never been set. Anything else is returned as it is.
func Without(b []byte, drop func(field uint64) bool) []byte {
	pairs, ok := pairsOf(b)
	if !ok {
		return b
	}
	kept := slices.DeleteFunc(pairs, func(p pair) bool {
		n, isNumber := p.number()
		return isNumber && drop(n)
	})
	return joinPairs(kept)
}
