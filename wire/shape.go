package wire

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Shape is how a type is encoded. With it bytes are looked at before they are
// decoded: one byte, the encoding of nothing, can stand for an element of hundreds, and
// each element of a wrong type makes an error of its own, so that a frame of a megabyte
// would otherwise cost a hundred. What a peer sends may make us set aside at most four
// times its length and 64 KiB.
type Shape struct {
	kind   reflect.Kind
	bits   int   // of integers
	size   int64 // of one value in memory
	elem   *Shape
	key    *Shape            // of maps
	fields map[string]*Shape // of structs encoded as maps, by key as written
	order  []*Shape          // of structs encoded as arrays
	widest int64             // the most that one byte of an encoding may set aside
}

// What decoding sets aside at most: a little less than the bound, since the decoder
// needs some for itself.
const (
	memoryPerByte = 4
	memoryAlways  = 56 << 10
)

// What parts cost beside what they hold.
const (
	costOfString  = 16
	costOfMap     = 512 // an empty map has room for eight entries
	costOfEntry   = 48
	costOfUnknown = 160 // the decoder notes a key it does not know
)

// ShapeOf returns the shape of the type that p points to. A type with parts of no
// fixed shape is a broken invariant of ours.
func ShapeOf(p any) *Shape { return shapeOf(reflect.TypeOf(p).Elem(), 0) }

func shapeOf(t reflect.Type, depth int) *Shape {
	if depth > 16 {
		panic(fmt.Sprintf("wire: %v has no end", t))
	}
	s := &Shape{kind: t.Kind(), size: int64(t.Size())}
	switch s.kind {
	case reflect.Bool, reflect.Interface: // of the latter nothing but null is taken
	case reflect.String:
		s.widest = costOfString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.bits = t.Bits()
	case reflect.Array:
		if t.Elem().Kind() != reflect.Uint8 {
			panic(fmt.Sprintf("wire: no shape for %v", t))
		}
	case reflect.Slice, reflect.Pointer:
		s.elem = shapeOf(t.Elem(), depth+1)
		s.widest = max(s.elem.size+costOfString, s.elem.widest)
	case reflect.Map:
		s.key, s.elem = shapeOf(t.Key(), depth+1), shapeOf(t.Elem(), depth+1)
		s.widest = costOfMap + 3*(s.key.size+s.elem.size) + costOfEntry
	case reflect.Struct:
		s.ofStruct(t, depth)
	default:
		panic(fmt.Sprintf("wire: no shape for %v", t))
	}
	return s
}

func (s *Shape) ofStruct(t reflect.Type, depth int) {
	asArray := false
	s.widest = costOfUnknown
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		if f.Name == "_" {
			asArray = strings.Contains(options, "toarray")
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		inner := shapeOf(f.Type, depth+1)
		s.widest = max(s.widest, inner.widest)
		switch {
		case asArray:
			s.order = append(s.order, inner)
			continue
		case name == "":
			name = f.Name
		}
		if s.fields == nil {
			s.fields = map[string]*Shape{}
		}
		if !strings.Contains(options, "keyasint") {
			name = "\"" + name
		}
		s.fields[name] = inner
	}
}

// Unmarshal is Unmarshal for values of this shape. It returns FaultOversized for bytes
// that are short and stand for much, FaultTruncated or FaultUndecodable for others
// that are no encoding of such a value.
func (s *Shape) Unmarshal(b []byte, v any) error {
	if err := s.Weigh(b); err != nil {
		return err
	}
	return Unmarshal(b, v)
}

// Weigh is the first half of Unmarshal, for those with a decoder of their own.
func (s *Shape) Weigh(b []byte) error {
	if int64(len(b))*max(s.widest, costOfUnknown) <= memoryAlways {
		return nil // however it is used
	}
	w := weigher{b: b, room: memoryPerByte*int64(len(b)) + memoryAlways}
	return w.value(s, 0)
}

// A weigher adds up what decoding would set aside.
type weigher struct {
	b    []byte
	room int64
}

// The major types of CBOR.
const (
	majorUint = iota
	majorInt
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

const maxDepth = 20 // above the decoder's own bound

// head reads the start of an item.
func (w *weigher) head() (major byte, n uint64, err error) {
	if len(w.b) == 0 {
		return 0, 0, FaultTruncated
	}
	major, n = w.b[0]>>5, uint64(w.b[0]&31)
	w.b = w.b[1:]
	if n < 24 {
		return major, n, nil
	}
	if n > 27 {
		return 0, 0, FaultUndecodable // of no fixed length, or reserved
	}
	size := 1 << (n - 24)
	if len(w.b) < size {
		return 0, 0, FaultTruncated
	}
	n = 0
	for _, c := range w.b[:size] {
		n = n<<8 | uint64(c)
	}
	w.b = w.b[size:]
	return major, n, nil
}

// take spends memory.
func (w *weigher) take(count uint64, each int64) error {
	if each > 0 && count > uint64(w.room/each) {
		return fmt.Errorf("%w: it stands for more than %d times its length", FaultOversized, memoryPerByte)
	}
	w.room -= int64(count) * each
	return nil
}

// next passes over the bytes of a string.
func (w *weigher) next(n uint64) ([]byte, error) {
	if n > uint64(len(w.b)) {
		return nil, FaultTruncated
	}
	b := w.b[:n]
	w.b = w.b[n:]
	return b, nil
}

// value weighs one item that is to become a value of a shape.
func (w *weigher) value(s *Shape, depth int) error {
	if depth > maxDepth {
		return FaultUndecodable
	}
	if len(w.b) > 0 && (w.b[0] == 0xf6 || w.b[0] == 0xf7) { // null leaves what is there
		w.b = w.b[1:]
		return nil
	}
	if s.kind == reflect.Pointer {
		if err := w.take(1, s.elem.size+costOfString); err != nil {
			return err
		}
		return w.value(s.elem, depth)
	}
	major, n, err := w.head()
	if err != nil {
		return err
	}
	switch {
	case s.bits > 0:
		return fits(s, major, n)
	case s.kind == reflect.Bool:
		return is(major == majorSimple && (n == 20 || n == 21))
	case s.kind == reflect.String:
		return w.text(major, n)
	case s.kind == reflect.Array:
		return w.bytes(major, n, 0)
	case s.kind == reflect.Slice && s.elem.kind == reflect.Uint8:
		return w.bytes(major, n, 1)
	case s.kind == reflect.Slice:
		return w.list(s, major, n, depth)
	case s.kind == reflect.Map:
		return w.entries(s, major, n, depth)
	case s.kind != reflect.Struct:
		return FaultUndecodable
	case s.order != nil:
		return w.tuple(s, major, n, depth)
	}
	return w.named(s, major, n, depth)
}

func is(ok bool) error {
	if !ok {
		return FaultUndecodable
	}
	return nil
}

// fits reports whether an integer can be a value of the shape.
func fits(s *Shape, major byte, n uint64) error {
	bits := s.bits
	if s.kind >= reflect.Int && s.kind <= reflect.Int64 {
		bits--
	} else if major == majorInt {
		return FaultUndecodable
	}
	return is(major <= majorInt && n>>(bits-1)>>1 == 0)
}

func (w *weigher) text(major byte, n uint64) error {
	b, err := w.next(n)
	if err != nil {
		return err
	}
	if major != majorText || !utf8.Valid(b) {
		return FaultUndecodable
	}
	return w.take(1, int64(n)+costOfString)
}

func (w *weigher) bytes(major byte, n uint64, each int64) error {
	if major != majorBytes {
		return FaultUndecodable
	}
	if _, err := w.next(n); err != nil {
		return err
	}
	return w.take(1, each*(int64(n)+costOfString))
}

func (w *weigher) list(s *Shape, major byte, n uint64, depth int) error {
	if major != majorArray {
		return FaultUndecodable
	}
	if n > uint64(len(w.b)) {
		return FaultTruncated
	}
	if err := w.take(n, s.elem.size+s.elem.size/8); err != nil { // room comes in sizes
		return err
	}
	for range n {
		if err := w.value(s.elem, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *weigher) tuple(s *Shape, major byte, n uint64, depth int) error {
	if major != majorArray || n != uint64(len(s.order)) {
		return FaultUndecodable
	}
	for _, f := range s.order {
		if err := w.value(f, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *weigher) entries(s *Shape, major byte, n uint64, depth int) error {
	if major != majorMap {
		return FaultUndecodable
	}
	if n > uint64(len(w.b)) {
		return FaultTruncated
	}
	if err := w.take(1, costOfMap); err != nil {
		return err
	}
	if err := w.take(n, 3*(s.key.size+s.elem.size)+costOfEntry); err != nil {
		return err
	}
	for range n {
		if err := w.value(s.key, depth+1); err != nil {
			return err
		}
		if err := w.value(s.elem, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// named weighs a struct that is encoded as a map of its fields.
func (w *weigher) named(s *Shape, major byte, n uint64, depth int) error {
	if major != majorMap {
		return FaultUndecodable
	}
	if err := w.take(1, costOfString); err != nil {
		return err
	}
	for range n {
		f, err := w.field(s)
		if err != nil {
			return err
		}
		if f == nil {
			if err = w.take(1, costOfUnknown); err == nil {
				err = w.skip(depth + 1)
			}
		} else {
			err = w.value(f, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// field reads a key; nil for one that this version does not know.
func (w *weigher) field(s *Shape) (*Shape, error) {
	before := w.b
	major, n, err := w.head()
	if err != nil {
		return nil, err
	}
	var buf [24]byte
	switch major {
	case majorUint:
		return s.fields[string(strconv.AppendUint(buf[:0], n, 10))], nil
	case majorText:
		b, err := w.next(n)
		if err != nil {
			return nil, err
		}
		if len(b) >= len(buf) {
			return nil, nil //nolint:nilnil // no field of ours, and no error
		}
		return s.fields[string(append(append(buf[:0], '"'), b...))], nil
	}
	w.b = before
	return nil, w.skip(0)
}

// skip passes over an item that is decoded into nothing.
func (w *weigher) skip(depth int) error {
	if depth > maxDepth {
		return FaultUndecodable
	}
	major, n, err := w.head()
	if err != nil {
		return err
	}
	switch major {
	case majorBytes, majorText:
		_, err = w.next(n)
		return err
	case majorMap:
		n *= 2
	case majorArray:
	default:
		return nil
	}
	if n > uint64(len(w.b)) {
		return FaultTruncated
	}
	for range n {
		if err := w.skip(depth + 1); err != nil {
			return err
		}
	}
	return nil
}
