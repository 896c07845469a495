package ledger

import (
	"shoal/job"
	"shoal/wire"
)

// IsFinal reports whether a claim has run its slot of a task to its end: completed, or
// failed as a batch run that is not to be repeated, be it that its policy says so or
// that its starts are used up.
func IsFinal(t *job.Task, c *Claim) bool {
	switch c.Phase {
	case Completed:
		return true
	case Failed:
		most := t.MaxStarts()
		return most > 0 && uint64(StartsWith(c)) >= uint64(most)
	default:
		return false
	}
}

// StartsWith counts the starts in vain of a slot up to a claim and with it, if it has
// failed. One that failed before anything ran, as for want of its image, counts as one:
// every retry has its bound.
func StartsWith(c *Claim) uint32 {
	if c.Phase != Failed {
		return c.Starts
	}
	if sum := c.Starts + max(1, c.Run); sum >= c.Starts {
		return sum
	}
	return ^uint32(0) // whatever a claim says, it counts up
}

// StartsOf counts the starts in vain of a slot in a life at a spec, as its claims tell:
// each carries those before it, so that it may be pruned when the next is known.
func (s *State) StartsOf(slot job.SlotID, life uint64, spec wire.Hash) (n uint32) {
	for _, r := range s.claimsOn(slot) {
		if c := r.Value.(*Claim); c.Life == life && c.Spec == spec {
			n = max(n, StartsWith(c))
		}
	}
	return n
}
