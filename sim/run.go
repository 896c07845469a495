package sim

import (
	"fmt"
	"io"
	"slices"
	"time"

	"shoal/job"
)

// Options change how a scenario is run.
type Options struct {
	Seed     *uint64             // instead of the scenario's
	Peers    int                 // instead of the scenario's number; 0: as written
	Trace    io.Writer           // every step, if not nil
	Lines    bool                // keep the notable lines in the Result
	Encode   bool                // every message goes through its encoding
	Progress func(time.Duration) // told each simulated second, if not nil
	Record   bool                // gather what a report is drawn from
	Weigh    bool                // messages of sales are encoded, so that Result.Sales has their bytes
	Stop     func() bool         // asked often; once it says yes the run ends as Interrupted. It must not change a run otherwise

	stop   uint64 // the run ends after this step; 0: it does not
	hashes bool   // keep the hash of the trace after each step
}

// seed is that of a run of s.
func (o *Options) seed(s *Scenario) uint64 {
	if o.Seed != nil {
		return *o.Seed
	}
	return s.Seed
}

// RunScenario reads a scenario and runs it. The error is about the text alone;
// what the run found is in the Result.
func RunScenario(r io.Reader, name string, o Options) (Result, error) {
	s, err := Parse(r, name)
	if err != nil {
		return Result{}, err
	}
	return Run(s, o), nil
}

// Run runs a scenario.
func Run(s *Scenario, o Options) Result {
	_, res := execute(s, o)
	return res
}

func execute(s *Scenario, o Options) (*run, Result) {
	began, seed := time.Now(), o.seed(s)
	s = s.Expand(seed, o.Peers)
	r := newRun(s, seed, o)
	r.start()
	r.plan()
	r.w.runUntil(s.Run)
	if !r.w.over() {
		r.finish()
	}
	return r, r.result(seed, time.Since(began))
}

// A run is a scenario being run.
type run struct {
	w       *World
	s       *Scenario
	o       Options
	specs   map[job.ID]*job.Spec
	pending []*Op // "by" assertions not yet seen to hold
	lasting []*Op // "from" assertions that must hold from now on
	cuts    []*activeCut
	calm    time.Duration
	nothing []string        // lines that found nothing to do
	unmetAt []time.Duration // by progress checker: since when something is unmet
}

func newRun(s *Scenario, seed uint64, o Options) *run {
	w := newWorld(seed, o.Trace)
	w.trace.keep = o.Lines || len(s.Golden) > 0
	w.trace.all, w.stopAt = o.hashes, o.stop
	w.quit = o.Stop
	w.horizon, w.encode = s.Horizon, s.Encode || o.Encode
	w.sales.weigh = o.Weigh || s.weighsSales()
	w.images = s.images()
	if o.Record {
		w.rec = newRecorder(w)
	}
	w.network.setUp(&s.Net)
	off := map[string]bool{}
	for _, rule := range s.Off {
		off[rule] = true
	}
	w.checks.use(w.checks.all, off)
	return &run{w: w, s: s, o: o, specs: map[job.ID]*job.Spec{}, unmetAt: make([]time.Duration, len(w.checks.progress))}
}

// start makes the machines; the first one creates the swarm at once, the others
// follow within a second.
func (r *run) start() {
	for _, g := range r.s.Groups {
		count := g.Count
		if r.o.Peers > 0 && len(r.s.Groups) == 1 {
			count = r.o.Peers
		}
		for range count {
			if r.w.interrupt(); r.w.over() {
				return // so many are many seconds of work
			}
			r.w.add(g.MachineSpec)
		}
	}
	r.changeLinks()
	for i, m := range r.w.machines {
		if i == 0 {
			r.w.later(0, m.start)
		} else {
			r.w.later(span{10 * time.Millisecond, time.Second}.draw(m.rnd), m.start)
		}
	}
}

// plan puts everything the scenario says into the queue.
func (r *run) plan() {
	for i := range r.s.Ops {
		op := &r.s.Ops[i]
		switch op.Moment {
		case At:
			r.w.later(op.Time, func() { r.do(op) })
		case By:
			r.w.later(op.From, func() { r.pending = append(r.pending, op) })
		case From:
			r.w.later(op.Time, func() { r.lasting = append(r.lasting, op) })
		case Calm: // asked at the end
		}
	}
	r.w.later(time.Second, r.second)
	r.w.later(pollEvery, r.poll)
}

const pollEvery = 50 * time.Millisecond

// second is what happens once a simulated second.
func (r *run) second() {
	r.w.checks.tick()
	for _, op := range r.lasting {
		if got := verbs[op.Verb].assert(r, op); got != "" {
			r.miss(op, got)
		}
	}
	if r.w.rec != nil {
		r.w.rec.second()
	}
	if r.o.Progress != nil {
		r.o.Progress(r.w.now)
	}
	r.w.later(time.Second, r.second)
}

// poll asks the assertions that are still open.
func (r *run) poll() {
	r.pending = slices.DeleteFunc(r.pending, func(op *Op) bool {
		got := verbs[op.Verb].assert(r, op)
		if got == "" {
			r.w.trace.note(r.w.now, "world", "%s", op)
			return true
		}
		if r.w.now >= op.Time {
			r.miss(op, got)
		}
		return false
	})
	r.w.later(pollEvery, r.poll)
}

// do performs one line at its time.
func (r *run) do(op *Op) {
	v := verbs[op.Verb]
	if v.assert != nil {
		if got := v.assert(r, op); got != "" {
			r.miss(op, got)
		}
		return
	}
	r.w.trace.note(r.w.now, "world", "%s", op)
	if r.w.rec != nil {
		r.w.rec.did(op)
	}
	if err := v.do(r, op); err != nil {
		r.miss(op, err.Error())
	}
}

func (r *run) miss(op *Op, got string) {
	if r.w.failure != nil {
		return
	}
	r.w.fail(Liveness, "%s: %s", op, got)
	r.w.failure.Line = fmt.Sprintf("%s:%d", r.s.Name, op.Line)
}

// finish is the calm: faults end, and progress is demanded.
func (r *run) finish() {
	for _, op := range r.pending {
		r.miss(op, verbs[op.Verb].assert(r, op))
	}
	if r.w.failure != nil {
		return
	}
	r.lasting = nil
	r.quiet()
	began := r.w.now
	for !r.w.over() {
		r.w.runUntil(r.w.now + 250*time.Millisecond)
		if r.w.over() || r.demand(began) {
			break
		}
	}
	if r.w.stopped {
		return
	}
	r.calm = r.w.now - began
	for i := range r.s.Ops {
		if op := &r.s.Ops[i]; op.Moment == Calm && r.w.failure == nil {
			if got := verbs[op.Verb].assert(r, op); got != "" {
				r.miss(op, got)
			}
		}
	}
	for _, q := range r.w.asked {
		r.w.unanswered(q)
	}
	r.settle()
	r.w.checks.finish()
}

// maxCalm bounds the calm where things keep changing for ever.
const maxCalm = 5 * time.Minute

// demand looks at the progress rules; it reports whether all hold. One that has
// been unmet for its bound on end fails the run.
func (r *run) demand(began time.Duration) bool {
	met := true
	for i, c := range r.w.checks.progress {
		r.w.checks.counts[c.Rule()]++
		text := c.Unmet(r.w.checks)
		if text == "" {
			r.unmetAt[i] = 0
			continue
		}
		met = false
		if r.unmetAt[i] == 0 {
			r.unmetAt[i] = r.w.now
		}
		start := r.unmetAt[i]
		if c.Rule() == "V1" { // equal so long after the last new record
			start = max(start, r.w.checks.written)
		}
		switch since := r.w.now - start; {
		case since > c.Bound(), r.s.Within > 0 && r.w.now-began > r.s.Within, r.w.now-began > maxCalm:
			r.w.fail(Liveness, "for %.1f s of calm: %s", max(since, r.w.now-began).Seconds(), text)
			r.w.failure.Rule = c.Rule()
			return false
		}
	}
	return met
}

func ruleOf(c any) string {
	if c, ok := c.(interface{ Rule() string }); ok {
		return c.Rule()
	}
	return ""
}

// unmet says what is missing of convergence now; "" for nothing.
func (r *run) unmet() string {
	for _, c := range r.w.checks.progress {
		if text := c.Unmet(r.w.checks); text != "" {
			return text
		}
	}
	return ""
}

func (r *run) result(seed uint64, wall time.Duration) Result {
	w := r.w
	res := Result{
		Scenario: r.s.Name, Seed: seed, Peers: len(w.machines), Verdict: OK, Failure: w.failure,
		Hash: fmt.Sprintf("%016x", w.trace.hash), Simulated: w.now, Calm: r.calm, Steps: w.trace.steps,
		Messages: w.network.sent, Kinds: map[string]uint64{}, Checks: w.checks.tally(), Refused: w.refused,
		Replay: r.again(seed), Lines: w.trace.lines, Wall: wall, DidNothing: r.nothing,
	}
	for k, n := range w.network.sentKinds {
		if n > 0 {
			for kind, name := range messageNames {
				if int(kind) == k {
					res.Kinds[name] = n
				}
			}
		}
	}
	for _, m := range w.machines {
		res.Starts += m.engine.runs
		w.census.ended(m.core)
	}
	res.Rare, res.Sales = w.census.counts, w.sales.result()
	if !w.stopped && (w.failure == nil || w.failure.Kind != Crash) {
		res.Waits = w.waits()
	}
	if w.rec != nil {
		res.Recording = w.rec.finish(r.s.Run)
	}
	if w.failure != nil {
		res.Verdict = w.failure.Kind
		return res
	}
	if w.interrupted {
		res.Verdict = Interrupted
		return res
	}
	if diff := firstDifference(r.s.Golden, w.trace.lines); len(r.s.Golden) > 0 && diff != "" {
		res.Failure = &Failure{Kind: Liveness, At: w.now, Text: "the trace differs from the golden one: " + diff}
		res.Verdict = Liveness
	}
	return res
}

func firstDifference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return fmt.Sprintf("line %d: %q is new", i+1, got[i])
		case i >= len(got):
			return fmt.Sprintf("line %d: %q is missing", i+1, want[i])
		case want[i] != got[i]:
			return fmt.Sprintf("line %d: want %q, got %q", i+1, want[i], got[i])
		}
	}
	return ""
}

// again is the command that runs the very same.
func (r *run) again(seed uint64) string {
	text := fmt.Sprintf("shoal sim run %s --seed %d", Quote(r.s.Name), seed)
	if r.o.Peers > 0 {
		text += fmt.Sprintf(" --peers %d", r.o.Peers)
	}
	for _, flag := range r.s.Flags {
		text += " " + flag
	}
	if r.o.Encode {
		text += " --encode"
	}
	return text
}
