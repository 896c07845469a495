// Package sketch finds the difference of two sets of short ids at a cost that
// follows the difference and not the sets. Each side keeps a Set; one sends a few
// coded symbols of its own, the other subtracts its own from them and peels off
// the ids that only one of the two holds.
//
// It is the rateless invertible Bloom lookup table of Yang, Gilad and Alizadeh,
// "Practical Rateless Set Reconciliation", SIGCOMM 2024. Symbol i adds up the ids
// that fall on it, which an id does with probability 1/(1+i/2): every id is in
// symbol 0, and the first m symbols tell of about m/1.4 differences, whatever m.
// Symbols are linear, so a Set keeps its first Standing ones up to date as ids come
// and go (some twelve additions each), and to send them is to copy them.
//
// # What it does not promise
//
// The mapping has no salt: a salt for each exchange would have every exchange go
// through the whole set. Ids are the first bytes of hashes, which a writer cannot
// choose but can try out. Who does so gets two ids that are one, ids that fall on
// the same symbols, or sums that look like an id. A caller therefore takes nothing
// for granted: an id it does not find, a difference that explains too little or a
// Decode that fails must lead to a comparison that does not rest on this package.
package sketch

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
)

// Standing is how many symbols a Set keeps, and so the most that can be sent.
const Standing = 512

// IDSize is the size of an id in bytes. Of an id only its last 8·IDSize bits count.
const IDSize = 6

// SymbolSize is the encoded size of a symbol in bytes: the sum of its ids, and the sum
// of their checks of 22 bits with their number modulo 4.
const SymbolSize = IDSize + 3

// Errors of Decode.
var (
	ErrMalformed   = errors.New("not a whole number of symbols, or too many")
	ErrUndecodable = errors.New("more differences than symbols can tell")
)

// A symbol adds up ids and checks by exclusive or.
type symbol struct {
	sum   uint64
	check uint32 // of 24 bits, of which the lowest countBits are not used
	count uint32 // modulo 4: all that matters is whether it is 0, 1 or -1
}

const (
	countBits = 2
	countMask = 1<<countBits - 1
	minusOne  = countMask
	idMask    = 1<<(8*IDSize) - 1
)

// A Set is what a peer keeps of a set of ids: symbols and parity. The zero Set is
// empty. Ids must be held once; one that is added twice makes every Decode fail
// that comes upon it, and is taken out by two removals.
type Set struct {
	symbols [Standing]symbol
	parity  Parity
}

// Add puts an id in.
func (s *Set) Add(id uint64) {
	id &= idMask
	s.parity.toggle(id)
	apply(s.symbols[:], id, 1)
}

// Remove takes an id out that was put in.
func (s *Set) Remove(id uint64) {
	id &= idMask
	s.parity.toggle(id)
	apply(s.symbols[:], id, minusOne)
}

// Parity returns what tells about how many ids two sets differ by.
func (s *Set) Parity() Parity { return s.parity }

// Symbols returns the encoding of the first n symbols, at most Standing.
func (s *Set) Symbols(n int) []byte {
	n = min(n, Standing)
	b := make([]byte, 0, n*SymbolSize)
	for i := range s.symbols[:n] {
		c := &s.symbols[i]
		b = AppendID(b, c.sum)
		last := c.check | c.count
		b = append(b, byte(last>>16), byte(last>>8), byte(last))
	}
	return b
}

// AppendID encodes an id in IDSize bytes.
func AppendID(b []byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(b, id<<(64-8*IDSize))[:len(b)+IDSize]
}

// ID reads what AppendID wrote, at the beginning of b.
func ID(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:IDSize]))
}

// Decode takes another set's symbols and returns, in order, the ids that only that
// set holds and those that only this one does. It returns ErrMalformed for bytes
// that no Set makes and ErrUndecodable if there are too few symbols for the
// difference. What it returns is right but for a chance of about 2^-22 a symbol,
// and but for what the package comment says of those who try.
func (s *Set) Decode(theirs []byte) (onlyTheirs, onlyMine []uint64, err error) {
	n := len(theirs) / SymbolSize
	if len(theirs)%SymbolSize != 0 || n > Standing {
		return nil, nil, ErrMalformed
	}
	left := make([]symbol, n)
	for i := range left {
		b, mine := theirs[i*SymbolSize:], &s.symbols[i]
		left[i].sum = ID(b) ^ mine.sum
		last := uint32(b[IDSize])<<16 | uint32(b[IDSize+1])<<8 | uint32(b[IDSize+2])
		left[i].check = last&^countMask ^ mine.check
		left[i].count = (last - mine.count) & countMask
	}
	return peel(left)
}

// peel takes out, one after the other, the ids that are alone in some symbol. Each
// takes a symbol to nothing, so there are at most as many as symbols; where sums
// were made up it may go round in circles, and is stopped there.
func peel(left []symbol) (plus, minus []uint64, err error) {
	pure := make([]int, 0, len(left))
	for i := range left {
		if left[i].isPure() {
			pure = append(pure, i)
		}
	}
	for peeled := 0; len(pure) > 0; {
		c := left[pure[len(pure)-1]]
		pure = pure[:len(pure)-1]
		if !c.isPure() {
			continue // its id was met elsewhere
		}
		if peeled++; peeled > len(left) {
			return nil, nil, ErrUndecodable
		}
		if c.count == 1 {
			plus = append(plus, c.sum)
		} else {
			minus = append(minus, c.sum)
		}
		check := checkOf(c.sum)
		for w := walkOf(c.sum); w.at < len(left); w.next() {
			at := &left[w.at]
			at.sum, at.check, at.count = at.sum^c.sum, at.check^check, (at.count-c.count)&countMask
			if at.isPure() {
				pure = append(pure, w.at)
			}
		}
	}
	for _, c := range left {
		if c != (symbol{}) {
			return nil, nil, ErrUndecodable
		}
	}
	slices.Sort(plus)
	slices.Sort(minus)
	if repeats(plus) || repeats(minus) {
		return nil, nil, ErrUndecodable
	}
	return plus, minus, nil
}

func (c *symbol) isPure() bool {
	return (c.count == 1 || c.count == minusOne) && c.check == checkOf(c.sum)
}

func repeats(sorted []uint64) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return true
		}
	}
	return false
}

// apply adds an id to the symbols that it falls on, count times.
func apply(symbols []symbol, id uint64, count uint32) {
	check := checkOf(id)
	for w := walkOf(id); w.at < len(symbols); w.next() {
		c := &symbols[w.at]
		c.sum, c.check, c.count = c.sum^id, c.check^check, (c.count+count)&countMask
	}
}

// A walk goes through the symbols that an id falls on, first to last.
type walk struct {
	at    int
	state uint64
	drawn uint64 // bits of state that are still to be used
	left  int    // how many times
}

// walkOf begins at symbol 0, on which every id falls.
func walkOf(id uint64) walk { return walk{state: id ^ walkSalt} }

// next goes on to the following symbol. The chance not to meet one from i+1 to j is
// the product of k/(k+2) over them, (i+1)(i+2) / (j+1)(j+2), so the next one is where
// that falls to a drawn u: the least j of at least (i+3/2)/sqrt(u) - 3/2.
func (w *walk) next() {
	if w.left == 0 {
		w.state += golden
		w.drawn, w.left = mix(w.state), 64/drawBits
	}
	far := uint64(2*w.at+3) * uint64(stretch[w.drawn%draws])
	w.at = int((far>>stretchBits - 1) / 2)
	w.drawn >>= drawBits
	w.left--
}

const (
	drawBits    = 12
	draws       = 1 << drawBits
	stretchBits = 16
)

// stretch is 1/sqrt(u) for each u that can be drawn, in fixed point, never whole. Root
// and division are rounded in one way on all machines; there is no sum to be fused.
var stretch = func() (t [draws]uint32) {
	for i := range t {
		t[i] = uint32((1<<stretchBits)/math.Sqrt((float64(i)+0.5)/draws)) | 1
	}
	return t
}()

// Each use of an id has its own bits of it.
const (
	walkSalt   = 0x7368_6f61_6c2f_7761
	checkSalt  = 0x7368_6f61_6c2f_6368
	paritySalt = 0x7368_6f61_6c2f_7061
	golden     = 0x9e37_79b9_7f4a_7c15
)

func checkOf(id uint64) uint32 { return uint32(mix(id^checkSalt)>>40) &^ countMask }

// mix is the finalizer of SplitMix64: Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", OOPSLA 2014.
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58_476d_1ce4_e5b9
	x = (x ^ x>>27) * 0x94d0_49bb_1331_11eb
	return x ^ x>>31
}
