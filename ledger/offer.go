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
	out, err := s.Merge(r)
	if err != nil {
		o := refusedAs(wire.FaultOf(err))
		if (o == OfferedDropped || o == OfferedRemoved) && !r.Verify(s.swarm, s.verify) {
			return OfferedForged // Merge looks at signatures last; whoever reads a file wants to know
		}
		return o
	}
	h, isHead := r.Value.(*Head)
	switch {
	case out == Known:
		return OfferedKnown
	case out == Beaten:
		return OfferedOlder
	case isHead && s.HeadRecord(h.Job) != r:
		return OfferedKept
	}
	return OfferedNew
}

// refusedAs tells a fault as whoever restores a file needs to know it.
func refusedAs(f wire.Fault) Offered {
	switch f {
	case wire.FaultReplayed:
		return OfferedDropped
	case wire.FaultRemoved:
		return OfferedRemoved
	case wire.FaultForged, wire.FaultDomain, wire.FaultSwarm:
		return OfferedForged
	default:
		return OfferedMalformed
	}
}
