package runtime

import (
	"cmp"
	"slices"

	"shoal/clock"
)

// Observe takes in a snapshot. One begun before the latest good one is ignored;
// a failed one changes no container, but ends the trust in the engine that errors
// are counted by.
func (r *Reconciler) Observe(now clock.Instant, sn Snapshot) {
	if sn.Err != "" {
		r.failing = true
		return
	}
	if r.seen && sn.Begun < r.begun {
		return
	}
	recovered := r.failing || r.Silent(now)
	r.seen, r.failing = true, false
	r.begun, r.answered = sn.Begun, max(r.answered, now)
	r.round++
	for _, o := range inOrder(sn.Containers) {
		if r.owns(o.Ref) {
			r.see(r.slot(o.Ref.Slot), o, sn.Begun, now)
		}
	}
	for _, s := range r.slots {
		r.miss(s, sn.Begun, now)
		if recovered {
			s.retryNow(now)
		}
	}
	r.touchAll()
}

// deafTo reports whether a snapshot says nothing of c: an action on c is under
// way, or ended when the snapshot had been begun. One begun in the very instant of
// the end counts as earlier: where time is coarse, it may have been.
func (s *slot) deafTo(c *container, begun clock.Instant) bool {
	return s.flight != nil && s.flight.c == c || c.asOf != 0 && begun <= c.asOf
}

// inOrder sorts by name without touching the caller's slice, so that chance is
// drawn in the same order however the engine lists.
func inOrder(list []Observed) []Observed {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Observed) int { return cmp.Compare(a.Container, b.Container) })
	return list
}

// see takes in one container of a snapshot.
func (r *Reconciler) see(s *slot, o Observed, begun, now clock.Instant) {
	c := s.container(o.Container, o.Ref)
	c.round = r.round
	if s.deafTo(c, begun) {
		return
	}
	was := *c
	c.Observed, c.unsure = o, false
	if o.State != StateRunning {
		c.seen, c.Address = false, ""
	} else {
		c.seen = true
		if was.State != StateRunning || restarted(was.Observed, o) {
			c.since = now
		}
	}
	if cl := s.owner(c); cl != nil && cl.active() && s.current(cl) == c {
		r.follow(cl, was, c, now)
	}
}

// restarted reports whether two sights of a running container are of two starts.
// After a start of ours the engine's time is not known yet, and none is new.
func restarted(was, is Observed) bool { return was.Starts != "" && was.Starts != is.Starts }

// follow moves a claim by what a snapshot says of its current container.
func (r *Reconciler) follow(cl *claim, was container, c *container, now clock.Instant) {
	running := was.State == StateRunning
	switch c.State {
	case StateRunning:
		if running && restarted(was.Observed, c.Observed) {
			cl.open = false // someone else started it again: that is a run of its own
		}
		if !running || !cl.open {
			cl.ran(now)
		}
		cl.unhealthy = cl.unhealthy || c.Health == Unhealthy
	case StateExited:
		if running || was.unsure && was.Starts != c.Starts {
			e := end{code: c.ExitCode}
			if c.OOM {
				e.why = exitText(c.ExitCode, true)
			}
			cl.ended(now, e, r.cfg.Rand)
		}
	case StateCreated:
		if running {
			cl.ended(now, end{why: "its container was replaced by one that never ran"}, r.cfg.Rand)
		}
	}
}

// miss takes in that the snapshot does not have some containers.
func (r *Reconciler) miss(s *slot, begun, now clock.Instant) {
	s.containers = slices.DeleteFunc(s.containers, func(c *container) bool {
		if c.round == r.round || s.deafTo(c, begun) {
			return false
		}
		running := c.State == StateRunning
		cl := s.owner(c)
		if cl != nil && running && cl.active() && s.current(cl) == c {
			cl.ended(now, end{why: "its container is gone from the engine"}, r.cfg.Rand)
		}
		return true
	})
}

// retryNow ends all waiting for an engine that has just come back.
func (s *slot) retryNow(now clock.Instant) {
	for _, cl := range s.claims {
		cl.retryAt = min(cl.retryAt, now)
	}
	for _, c := range s.containers {
		c.retry = min(c.retry, now)
	}
}

// Done takes in how an action ended. A result of no action in flight is ignored.
func (r *Reconciler) Done(now clock.Instant, res Result) {
	s := r.flights[res.ID]
	if s == nil {
		return
	}
	delete(r.flights, res.ID)
	f := s.flight
	s.flight, s.dirty = nil, true
	f.c.asOf = max(now, 1) // zero means no action yet
	cl := s.claim(f.key)
	if cl != nil && (!cl.active() || s.current(cl) != f.c) {
		cl = nil // what happened to the container no longer moves the claim
	}
	switch {
	case res.Err != "" && (f.op == OpCreate || f.op == OpStart):
		r.notUp(now, f, cl, res)
	case res.Err != "":
		f.c.tries++
		f.c.retry = after(now, backoff(r.cfg.Rand, MinBackoff, f.c.tries, MaxEngineBackoff))
	default:
		f.c.tries, f.c.retry = 0, 0
		r.worked(now, f, cl)
	}
}

// notUp takes in a failed create or start. Unless the driver says that nothing
// can come of it, the engine may have done it all the same.
func (r *Reconciler) notUp(now clock.Instant, f *flight, cl *claim, res Result) {
	f.c.unsure = !res.Permanent
	if cl == nil {
		return
	}
	if res.Permanent {
		cl.refused(res.Err)
		return
	}
	cl.troubled(now, res.Err, !r.failing, r.cfg.Rand)
}

// worked takes in an action that did what it should.
func (r *Reconciler) worked(now clock.Instant, f *flight, cl *claim) {
	c := f.c
	c.unsure = false
	switch f.op {
	case OpCreate:
		if c.State == 0 {
			c.State = StateCreated
		}
		if cl != nil {
			cl.err = ""
		}
	case OpStart:
		c.Observed = Observed{Container: c.Container, ID: c.ID, Ref: c.Ref, State: StateRunning}
		c.seen, c.since = false, now
		if cl != nil {
			cl.ran(now)
		}
	case OpStop:
		c.State, c.seen, c.Address = StateExited, false, ""
		if cl != nil {
			cl.ended(now, end{why: "it was stopped"}, r.cfg.Rand) // of an active claim only the unhealthy are
		}
	case OpRemove:
		c.State, c.seen = 0, false
	}
}
