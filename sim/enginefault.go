package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// A pace is how long an operation of an engine takes: spread over a span, or with a
// median and the long tail that such times have.
type pace struct {
	tail *quantiles // nil: the span counts
	span span
}

// usually is a log-normal pace with sigma 0.5: one in a hundred takes 3.2 times the
// median.
func usually(median time.Duration) pace { return pace{tail: lognormal(median, median*32/10)} }

type paces struct{ create, start pace }

// measured is Docker 20.10 on two cores, one container after the other: medians over
// 40 containers.
var measured = paces{create: usually(32 * time.Millisecond), start: usually(243 * time.Millisecond)}

func (p pace) draw(r *rand.Rand) time.Duration {
	if p.tail == nil {
		return p.span.draw(r)
	}
	return p.tail.draw(r)
}

// parsePace reads "32ms", a median, or "20ms..80ms".
func parsePace(s string) (pace, error) {
	sp, err := parseSpan(s)
	switch {
	case err != nil:
		return pace{}, err
	case sp.from == sp.to && sp.from > 0:
		return usually(sp.from), nil
	case sp.to > time.Hour:
		return pace{}, fmt.Errorf("%q is longer than an hour", s)
	}
	return pace{span: sp}, nil
}

// engineFaults is what is wrong with an engine beside being hung or down.
type engineFaults struct {
	failing   failing
	hanging   map[runtime.Op]int // calls of an operation that will get no answer
	conflicts int                // creates that will find their name taken

	unanswered int           // calls that get no answer, and have not reached their deadline
	deafUntil  time.Duration // the daemon hears of no change until then
}

// failing makes starts fail, each with probability p, until the world's time.
type failing struct {
	p     float64
	until time.Duration // 0: no end
	rnd   *rand.Rand
}

func (f *engineFaults) failsStart(now time.Duration) bool {
	if f.failing.p == 0 || f.failing.until > 0 && now >= f.failing.until {
		return false
	}
	return chance(f.failing.rnd, f.failing.p)
}

func (f *engineFaults) hangs(op runtime.Op) bool {
	if f.hanging[op] == 0 {
		return false
	}
	f.hanging[op]--
	return true
}

// hangCall is one call that gets no answer in time. What was asked happens at once,
// late, or never.
func (e *engine) hangCall(a *runtime.Action, answer func(string, bool)) {
	limit, rnd := deadlineOf(a), e.m.chanceOf("hung call")
	e.m.w.trace.note(e.m.w.now, e.m.name, "%v of %s hangs", a.Op, a.Ref.Slot)
	e.faults.unanswered++
	e.m.w.checks.changed(e.m)
	e.m.w.later(limit, func() {
		e.faults.unanswered--
		e.m.w.checks.changed(e.m)
		answer(runtime.ErrSilent.Error(), false)
	})
	silently, power := *a, e.m.power
	act := func() {
		if e.m.power == power {
			e.perform(&silently)
		}
	}
	switch rnd.IntN(3) {
	case 0:
		e.m.w.later(e.delay(a), act)
	case 1:
		e.m.w.later(limit+span{0, limit}.draw(rnd), act)
	}
}

// takeName lets somebody else's container have a name.
func (e *engine) takeName(name string) {
	e.faults.conflicts--
	e.put(&container{Observed: runtime.Observed{Container: name, State: runtime.StateCreated}, alien: true, task: &job.Task{}})
	e.m.w.trace.note(e.m.w.now, e.m.name, "%s is somebody else's container", name)
}

// outOfMemory is the kernel's kill at the memory limit: of the container's first
// process, which ends it, or of a child, of which only the cgroup knows.
func (e *engine) outOfMemory(c *container, child bool) {
	if child {
		c.kills++
		return
	}
	c.OOM = true
	e.end(c, 137)
}

// restart is an engine that goes and comes back after down. Its stream of events has
// ended and what happened meanwhile is not told; the daemon listens again a little
// later. Without live restore every container is killed.
func (e *engine) restart(down time.Duration, live bool) {
	m, power, rnd := e.m, e.m.power, e.m.chanceOf("engine restart")
	e.down, e.downUntil = true, max(e.downUntil, m.w.now+down)
	m.w.checks.changed(m)
	e.faults.deafUntil = m.w.now + down + span{50 * time.Millisecond, 5 * time.Second}.draw(rnd)
	m.w.later(down, func() {
		if m.power != power {
			return
		}
		e.down = e.down && m.w.now < e.downUntil // stopped besides
		for _, c := range e.containers {
			if !live && c.State == runtime.StateRunning {
				e.end(c, 137)
			}
		}
		m.w.checks.changed(m)
	})
	m.w.later(e.faults.deafUntil-m.w.now, e.changed)
}

// leave puts a container there that an earlier life of this peer has left behind.
func (e *engine) leave(ref runtime.Ref, running bool, acts behaviour) {
	e.starts++
	e.left++
	c := &container{
		Observed: runtime.Observed{
			Container: runtime.Name(ref), ID: fmt.Sprintf("%s-left-%d", e.m.name, e.starts), Ref: ref, State: runtime.StateExited,
		},
		task: &job.Task{Image: "sim/orphan"}, acts: acts, ran: true, unseen: true,
	}
	if e.find(c.Container) != nil {
		return // it is there: nothing was left behind
	}
	e.put(c)
	if running {
		e.run(c)
	}
}

// oldSpec is a spec that no head names.
func oldSpec() wire.Hash { return wire.HashOf([]byte("a spec of an earlier life")) }
