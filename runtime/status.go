package runtime

import (
	"cmp"
	"slices"
)

// Status returns how the claim of ref's slot, life and token stands; ok is false
// if it is not wanted.
func (r *Reconciler) Status(ref Ref) (st Status, ok bool) {
	i, ok := r.find(ref.Slot)
	if !ok {
		return Status{}, false
	}
	s := r.slots[i]
	cl := s.claim(keyOf(ref))
	if cl == nil {
		return Status{}, false
	}
	st = Status{Report: cl.report(s), Failures: cl.failures, Tries: cl.tries}
	if c := s.current(cl); c != nil && c.State == StateRunning {
		st.Since = c.since
	}
	if s.flight != nil {
		st.Busy = s.flight.op
	}
	return st, true
}

// Containers returns every container known to exist, by name.
func (r *Reconciler) Containers() []Container {
	var list []Container
	for _, s := range r.slots {
		for _, c := range s.containers {
			if c.State != 0 {
				list = append(list, s.show(c))
			}
		}
	}
	slices.SortFunc(list, func(a, b Container) int { return cmp.Compare(a.Container, b.Container) })
	return list
}

func (s *slot) show(c *container) Container {
	shown := Container{Observed: c.Observed}
	if cl := s.owner(c); cl != nil && s.current(cl) == c && !cl.want.Stop {
		shown.Wanted, shown.Run = true, cl.run
		shown.Serving = cl.phase == Serving && c.State == StateRunning
	}
	if s.flight != nil && s.flight.c == c {
		shown.Busy = s.flight.op
	}
	return shown
}

// InFlight returns how many actions are under way.
func (r *Reconciler) InFlight() int { return len(r.flights) }
