package runtime

import (
	"shoal/clock"
	"shoal/internal/mutant"
)

// A step is the next action of a slot. cl is the claim it is for; nil when c is
// to be stopped or removed.
type step struct {
	op Op
	c  *container
	cl *claim
}

// A fate is what is to become of a container.
type fate uint8

const (
	keep fate = iota
	halt      // stop it, but leave it there
	drop      // stop and remove it
)

// fate decides about c.
//
// An update keeps the old container until the new one has been created, so that
// a missing image costs no service; then stop-first stops the old one and starts
// the new one, and start-first starts the new one and stops the old one when the
// new one serves. If the new one fails for good the old one, should it still run,
// is left to the core, which may want it again.
func (r *Reconciler) fate(s *slot, c *container) fate {
	cl := s.owner(c)
	if cl == nil {
		if r.settled && !mutant.Is(mutant.KeepOrphans) {
			return drop
		}
		return keep
	}
	if cl.want.Stop {
		return drop
	}
	cur := s.current(cl)
	if c == cur {
		if cl.unhealthy || cl.want.Keep || cl.phase.Terminal() {
			return halt
		}
		return keep
	}
	if cl.want.Keep || !c.live() {
		return drop
	}
	if c.Container == cl.name && !cl.want.Hold {
		return drop // in the way of the new one, which can then not be made first
	}
	prepared := cur != nil && cur.State != 0
	if !prepared || cl.want.startFirst() && cl.phase != Serving && cl.phase != Completed {
		return keep
	}
	return drop
}

// plan returns the slot's next step: what must end is stopped first, since others
// may wait for its room or its volume; then claims move on; then the dead are
// removed.
func (r *Reconciler) plan(s *slot, now clock.Instant) (step, bool) {
	for _, c := range s.containers {
		if c.live() && c.retry <= now && r.fate(s, c) != keep {
			return step{op: OpStop, c: c}, true
		}
	}
	for _, cl := range s.claims {
		if st, ok := r.advance(s, cl, now); ok {
			return st, true
		}
	}
	for _, c := range s.containers {
		if !c.live() && !c.gone() && c.retry <= now && r.fate(s, c) == drop {
			return step{op: OpRemove, c: c}, true
		}
	}
	return step{}, false
}

// advance creates or starts the claim's current container, if it is time to.
func (r *Reconciler) advance(s *slot, cl *claim, now clock.Instant) (step, bool) {
	if !cl.active() || cl.want.Hold || cl.unhealthy || now < cl.startAt || now < cl.retryAt {
		return step{}, false
	}
	cur := s.current(cl)
	switch {
	case cur == nil:
		c := s.container(cl.name, cl.want.Ref)
		return step{op: OpCreate, c: c, cl: cl}, c.gone() // else another one has the name, and must go first
	case cur.State == 0:
		return step{op: OpCreate, c: cur, cl: cl}, true
	case cur.State == StateRunning && !cur.unsure, r.blocked(s, cur):
		return step{}, false
	}
	return step{op: OpStart, c: cur, cl: cl}, true
}

// blocked reports whether another container of the slot must end before cur may
// start. Of nobody's containers that counts even while they are left alone.
func (r *Reconciler) blocked(s *slot, cur *container) bool {
	for _, c := range s.containers {
		if c != cur && c.live() && (s.owner(c) == nil || r.fate(s, c) != keep) {
			return true
		}
	}
	return false
}

// settle moves the slot's claims by what is known and by time alone.
func (s *slot) settle(now clock.Instant, silent bool) {
	for _, cl := range s.claims {
		cur := s.current(cl)
		if cl.fresh && s.flight == nil {
			cl.adopt(now, cur)
		}
		for _, c := range s.containers {
			if keyOf(c.Ref) == cl.key {
				c.grace = cl.want.grace()
			}
		}
		if cl.want.Stop && s.empty(cl) { // what is in flight is of a container not known gone
			cl.phase, cl.open = Gone, false
		}
		if cl.want.Hold && cl.phase == 0 && !cl.fresh && cl.want.Phase <= Waiting {
			cl.phase = Waiting
		}
		if cl.active() && !silent {
			cl.judgeServing(now, cur)
		}
	}
}

// judgeServing sees whether the claim has begun to serve, or has not in time.
func (cl *claim) judgeServing(now clock.Instant, cur *container) {
	if at, ok := cl.servesAt(cur); ok && at <= now {
		cl.phase, cl.servedFrom = Serving, max(now, 1)
		cl.firstStart, cl.notServing = 0, false
	}
	if at := cl.lateAt(); at != 0 && at <= now {
		cl.notServing = true
	}
}

// servesAt returns when a starting claim will serve if nothing happens; ok is
// false when that waits for a snapshot: one that shows it running or, with a
// health check, one that shows it healthy.
func (cl *claim) servesAt(cur *container) (at clock.Instant, ok bool) {
	switch {
	case cl.phase != Starting || !cl.started || cl.unhealthy:
	case cur == nil || cur.State != StateRunning || !cur.seen:
	case hasCheck(cl.want.Task) || cur.Health != HealthNone:
		return cur.since, cur.Health == Healthy
	default:
		return after(cur.since, cl.want.Task.Monitor()), true
	}
	return 0, false
}

// lateAt returns when NotServing is to be reported, 0 if it is not.
func (cl *claim) lateAt() clock.Instant {
	if cl.firstStart == 0 || cl.notServing || !cl.active() {
		return 0
	}
	return after(cl.firstStart, NotServingAfter(cl.want.Task))
}

// nextWake returns the slot's next deadline after now. What is due now and waits
// for something else is brought up by that.
func (s *slot) nextWake(now clock.Instant) clock.Instant {
	var wake clock.Instant
	add := func(at clock.Instant) {
		if at > now {
			wake = clock.Earliest(wake, at)
		}
	}
	for _, cl := range s.claims {
		if !cl.active() {
			continue
		}
		add(cl.startAt)
		add(cl.retryAt)
		add(cl.lateAt())
		if at, ok := cl.servesAt(s.current(cl)); ok {
			add(at)
		}
	}
	for _, c := range s.containers {
		add(c.retry)
	}
	return wake
}
