package ledger

import (
	"shoal/wire"
)

// An Offered tells in a word what became of a record from a file.
type Offered uint8

// What became of it. From OfferedDropped on it was refused.
const (
	OfferedNew       Offered = iota // merged; it was not held
	OfferedKept                     // merged below a later head of its job, as history
	OfferedKnown                    // held already
	OfferedOlder                    // a later one with its key is held
	OfferedDropped                  // dropped here by a rule, since it is over
	OfferedRemoved                  // of a life of its job that was removed
	OfferedForged                   // its signature is not its issuer's for this swarm
	OfferedMalformed                // it does not decode, or contradicts itself
)

func (o Offered) String() string {
	return [...]string{"new", "kept as history", "known", "older", "dropped", "removed", "forged", "malformed"}[min(o, OfferedMalformed)]
}

// Refused reports whether nothing of it was taken.
func (o Offered) Refused() bool { return o >= OfferedDropped }

// Offer merges a record and tells what became of it, for people.
func (s *State) Offer(r *wire.Record) Offered {
	if Open(r) != nil {
		return OfferedMalformed
	}
	out, err := s.Merge(r)
	switch {
	case err != nil && wire.Judge(err) == wire.Reject:
		return OfferedForged
	case err != nil:
		if id, life, ok := lifeOf(r); ok && life <= s.removed[id] {
			return OfferedRemoved
		}
		return OfferedDropped
	case out == Known:
		return OfferedKnown
	case out == Beaten:
		return OfferedOlder
	}
	if h, ok := r.Value.(*Head); ok && s.HeadRecord(h.Job) != r {
		return OfferedKept
	}
	return OfferedNew
}
