package sketch

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A Parity tells about how many ids two sets differ by, in ParitySize bytes. An id
// toggles one bit of one level: half of the ids are of level 0, a quarter of level
// 1, an eighth of each of the last two. Bits that differ come from ids that differ.
// After Flajolet and Martin, "Probabilistic counting", FOCS 1983, with parities so
// that ids can be taken out again.
type Parity [levels]uint64

const (
	levels    = 4
	levelBits = 48

	// ParitySize is the encoded size of a Parity in bytes.
	ParitySize = levels * levelBits / 8
)

func (p *Parity) toggle(id uint64) {
	h := mix(id ^ paritySalt)
	level := min(bits.TrailingZeros64(h), levels-1)
	p[level] ^= 1 << (h >> 32 * levelBits >> 32)
}

// Bytes encodes p.
func (p Parity) Bytes() []byte {
	b := make([]byte, 0, ParitySize+2)
	for _, level := range p {
		b = binary.BigEndian.AppendUint64(b, level<<(64-levelBits))[:len(b)+levelBits/8]
	}
	return b
}

// ParseParity reads what Bytes wrote; it reports false for any other length.
func ParseParity(b []byte) (p Parity, ok bool) {
	if len(b) != ParitySize {
		return Parity{}, false
	}
	for i := range p {
		var level [8]byte
		copy(level[:], b[i*levelBits/8:][:levelBits/8])
		p[i] = binary.BigEndian.Uint64(level[:]) >> (64 - levelBits)
	}
	return p, true
}

// Apart estimates the number of ids that are in one of two sets alone, within about
// a fifth. It reports false if there are so many, some 300, that it cannot tell.
//
// Of n such ids the chance that they leave a bit differing is (1-(1-2/w)^n)/2, where
// one of w ids toggles it. The n is taken for which the bits that differ are, level
// by level, closest to that, in shares of their variance. In integers, so that every
// machine comes to the same.
func (p Parity) Apart(q Parity) (n int, ok bool) {
	if p == q {
		return 0, true
	}
	var odd [levels]int64
	var even [levels]uint64 // the chance times 2 that n ids leave a bit as it was, less 1
	for i := range odd {
		odd[i] = int64(bits.OnesCount64(p[i] ^ q[i]))
		even[i] = one
	}
	least := int64(math.MaxInt64)
	for m := 1; m <= maxApart; m++ {
		far := int64(0)
		for i := range odd {
			even[i] = even[i] * keeps[i] / one
			far += distance(odd[i], even[i])
		}
		if far < least {
			least, n = far, m
		}
	}
	return n, n < maxApart
}

// one is 1 in the fixed point of Apart.
const one = 1 << 30

// keeps is 1-2/w of each level.
var keeps = [levels]uint64{
	one - 2*one/(2*levelBits), one - 2*one/(4*levelBits), one - 2*one/(8*levelBits), one - 2*one/(8*levelBits),
}

// distance is the square of how far odd is from what is to be expected, over its
// variance, times 2^14.
func distance(odd int64, even uint64) int64 {
	share := int64((one - even) / 2 >> 14)
	off := odd<<16 - levelBits*share
	return off * off / max(levelBits*share*(1<<16-share)>>18, 1)
}

// maxApart is the least difference that Apart takes for more than it can tell.
const maxApart = 320

// Enough returns how many symbols tell of n differences, as Apart estimates them, in
// 98 of a hundred cases. It may be more than Standing.
func Enough(n int) int { return 12 + n*2 }
