package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"shoal/wire"
)

// stream returns the source of chance of one machine for one purpose. Streams do
// not depend on one another: a fault taken out of a plan shifts no other draw.
func stream(seed uint64, machine int, purpose string) *rand.Rand {
	h := streamHash(seed, machine, purpose)
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])))
}

func streamHash(seed uint64, machine int, purpose string) wire.Hash {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(machine))
	return wire.HashOf(append(b[:], purpose...))
}

// A span is a range of durations, both ends included.
type span struct{ from, to time.Duration }

// draw returns a duration of the span, every one equally likely.
func (s span) draw(r *rand.Rand) time.Duration {
	if s.to <= s.from {
		return s.from
	}
	return s.from + time.Duration(r.Int64N(int64(s.to-s.from)+1))
}

// chance reports true with probability p.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }
