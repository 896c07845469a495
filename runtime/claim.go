package runtime

import (
	"math/rand/v2"

	"shoal/clock"
)

// A claim is the course of one Want through its runs.
type claim struct {
	key  claimKey
	want Want
	name string // of the container of its present spec
	pass uint64 // the last Set that listed it

	// fresh asks for a look at what is there before anything is decided: the claim
	// is new to this daemon or, with again, its spec or its Stop has just changed.
	fresh, again bool

	run     uint32
	phase   Phase
	open    bool // run has begun and not ended; a repeated create or start belongs to it
	started bool // run's container has been started

	failures   int // runs ended in a row
	tries      int // errors in a row in creating and starting, for the delay
	strikes    int // those of them at an engine that answers, for giving up
	startAt    clock.Instant
	retryAt    clock.Instant
	firstStart clock.Instant // of the runs since it last served
	servedFrom clock.Instant
	notServing bool
	unhealthy  bool // its container is to be stopped for it

	exit      int
	err       string
	permanent bool
	last      Report // as given out
}

func newClaim(w Want) *claim {
	return &claim{key: keyOf(w.Ref), want: w, name: Name(w.Ref), run: w.Run, fresh: true}
}

// set takes over a changed Want.
func (cl *claim) set(w Want) {
	old := cl.want
	cl.want, cl.run = w, max(cl.run, w.Run)
	switch {
	case cl.phase == Gone:
	case old.Ref.Spec != w.Ref.Spec:
		*cl = claim{key: cl.key, want: w, name: Name(w.Ref), pass: cl.pass, run: cl.run, last: cl.last, fresh: true, again: true}
	case old.Stop && !w.Stop, old.Keep && !w.Keep, old.Task == nil && w.Task != nil:
		cl.fresh, cl.again, cl.open, cl.unhealthy = true, true, false, false
	}
}

// active reports whether what happens to its container moves the claim.
func (cl *claim) active() bool {
	return !cl.fresh && !cl.want.Stop && !cl.want.Keep && cl.want.Task != nil && !cl.phase.Terminal()
}

// begin opens the next run, if the present one has ended.
func (cl *claim) begin() {
	if cl.open {
		return
	}
	cl.run++
	cl.open, cl.started, cl.unhealthy = true, false, false
	cl.phase, cl.exit, cl.err = Starting, 0, ""
	cl.startAt, cl.servedFrom = 0, 0
}

// ran notes that the run's container has been started.
func (cl *claim) ran(now clock.Instant) {
	cl.begin()
	cl.started, cl.err = true, ""
	cl.tries, cl.strikes, cl.retryAt = 0, 0, 0
	if cl.firstStart == 0 {
		cl.firstStart = max(now, 1) // zero means none
	}
}

// troubled notes that creating or starting failed without settling anything:
// it is tried again, except that an engine which answers and still fails
// MaxTries times in a row is no place for this claim.
func (cl *claim) troubled(now clock.Instant, err string, answering bool, chance *rand.Rand) {
	cl.err = err
	cl.tries++
	if answering {
		cl.strikes++
	}
	if cl.strikes >= MaxTries {
		cl.phase, cl.open = Failed, false
		return
	}
	cl.retryAt = after(now, backoff(chance, MinBackoff, cl.tries, MaxEngineBackoff))
}

// refused notes an error that trying again on this peer cannot mend.
func (cl *claim) refused(err string) {
	cl.phase, cl.open, cl.err, cl.permanent = Failed, false, err, true
}

// ended notes that the run's container has ended, and decides what follows.
func (cl *claim) ended(now clock.Instant, e end, chance *rand.Rand) {
	if cl.unhealthy {
		e.why = "its health check failed"
	}
	if cl.servedFrom != 0 && now.Sub(cl.servedFrom) >= SteadyAfter {
		cl.failures = 0
	}
	cl.open, cl.unhealthy, cl.servedFrom = false, false, 0
	cl.exit, cl.err = e.code, e.why
	if cl.err == "" {
		cl.err = exitText(e.code, false)
	}
	switch judge(cl.want.Task, e) {
	case complete:
		cl.phase = Completed
		return
	case fail:
		cl.phase = Failed
		return
	default: // restart
	}
	cl.failures++
	if cl.failures > maxRestarts(cl.want.Task) || cl.want.MaxRun > 0 && cl.run >= cl.want.MaxRun {
		cl.phase = Failed
		return
	}
	cl.phase = Backoff
	cl.startAt = after(now, backoff(chance, cl.want.Task.Restart.Delay, cl.failures, MaxBackoff))
}

// adopt takes over what the engine has of a claim that is new to this daemon, or
// whose Want has just turned. c is its current container, nil if there is none.
func (cl *claim) adopt(now clock.Instant, c *container) {
	again := cl.again
	cl.fresh, cl.again = false, false
	if c == nil || !cl.active() {
		return
	}
	switch c.State {
	case StateRunning:
		cl.adoptRunning(now, c, again)
	case StateExited:
		if !again {
			cl.adoptExited(c)
		}
	default: // created: it has not run yet
	}
}

// adoptRunning goes on with the recorded run; where the record is past that run,
// or the Want has come back to a spec that still runs, it counts as a new one.
func (cl *claim) adoptRunning(now clock.Instant, c *container, again bool) {
	if !again && cl.run > 0 && cl.want.Phase <= Serving {
		cl.open, cl.phase = true, max(cl.want.Phase, Starting)
	}
	cl.ran(now)
	cl.unhealthy = c.Health == Unhealthy
	if cl.phase == Serving {
		cl.servedFrom, cl.firstStart = max(now, 1), 0
	}
}

// adoptExited judges a container that ended while no daemon watched. What the end
// of the machine cut short is started again at once, whatever its policy, and so
// is anything else that the policy repeats: back-off begins with the next end.
func (cl *claim) adoptExited(c *container) {
	e := end{code: c.ExitCode}
	v := judge(cl.want.Task, e)
	if v == restart || v == fail && cutShort(c.ExitCode) {
		return
	}
	cl.exit, cl.err = e.code, exitText(e.code, c.OOM)
	if cl.phase = Completed; v == fail {
		cl.phase = Failed
	}
}

// report says how the claim stands.
func (cl *claim) report(s *slot) Report {
	rep := Report{
		Ref: cl.want.Ref, Run: cl.run, Phase: cl.phase, ExitCode: cl.exit, Err: cl.err,
		Permanent: cl.permanent, NotServing: cl.notServing, OldRuns: s.oldRuns(cl),
	}
	if c := s.current(cl); c != nil && c.State == StateRunning {
		rep.Address = c.Address
	}
	if cl.phase == Backoff {
		rep.Next = cl.startAt
	}
	return rep
}

// news returns the report if it differs from the last one and may be told. The
// end of a claim is not, while what ends with it may still run, nor a phase of a run
// after a later one; of a claim that is being stopped only Gone is.
func (cl *claim) news(s *slot) (Report, bool) {
	if cl.phase == 0 || cl.phase != Gone && (cl.fresh || cl.want.Stop || cl.want.Keep) {
		return Report{}, false
	}
	rep := cl.report(s)
	if rep == cl.last || rep.Run == cl.last.Run && rep.Phase < cl.last.Phase {
		return Report{}, false
	}
	if c := s.current(cl); rep.Phase.Terminal() && c != nil && c.live() || rep.Phase == Completed && rep.OldRuns {
		return Report{}, false
	}
	cl.last = rep
	return rep, true
}
