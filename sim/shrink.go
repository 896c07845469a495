package sim

import (
	"slices"
	"strings"
	"time"
)

// Shrink cuts a failing scenario down for as long as it fails in the same way: by
// the same rule, the same assertion, the same panic. It takes out faults (ddmin,
// after Zeller), halves what lasts, takes out work, then peers, then the time
// after the last line. It returns the scenario as it is if that does not fail, and
// how often it ran it: at most maxRuns times.
func Shrink(s *Scenario, maxRuns int) (*Scenario, int) { return shrink(s, maxRuns, nil) }

// ShrinkRun is Shrink of what Run would run with these options: its seed, its number of
// peers and its workloads are the scenario's own then. It also says how many lines
// there were, and ends early with what it has once o.Stop says so.
func ShrinkRun(s *Scenario, o Options) (small *Scenario, of int) {
	drawn := *s.Expand(o.seed(s), o.Peers)
	drawn.Seed, drawn.Flags, drawn.Encode = o.seed(s), nil, s.Encode || o.Encode
	if o.Peers > 0 && len(s.Groups) == 1 {
		drawn.Groups = slices.Clone(s.Groups)
		drawn.Groups[0].Count = o.Peers
	}
	small, _ = shrink(&drawn, shrinkRuns, o.Stop)
	return small, len(drawn.Ops)
}

// shrink is Shrink that ends early, with what it has, once stop says so.
func shrink(s *Scenario, maxRuns int, stop func() bool) (*Scenario, int) {
	h := &shrinker{left: maxRuns, stop: stop}
	whole := s
	s = s.Expand(s.Seed, 0) // a workload is cut line by line
	first := h.run(s)
	if first.Failure == nil {
		return whole, 1
	}
	h.want, h.best = signatureOf(first.Failure), s
	h.cutAfter(first.Failure.At)
	h.without(isFault)
	h.halve()
	h.without(func(op *Op) bool { return !isFault(op) })
	h.peers()
	h.without(func(*Op) bool { return true }) // what was needed together may now go alone
	h.time()
	return h.best, maxRuns - h.left
}

// A shrinker holds the smallest scenario so far that fails as wanted.
type shrinker struct {
	best *Scenario
	want string
	left int
	stop func() bool // may be nil
}

// run runs a scenario as its text reads, for it is the text that is kept.
func (h *shrinker) run(s *Scenario) Result {
	h.left--
	again, err := Parse(strings.NewReader(s.String()), s.Name)
	if err != nil {
		return Result{} // a line stands where it must not: no plan, no failure
	}
	res := Run(again, Options{Stop: h.stop})
	if res.Verdict == Interrupted {
		h.left = 0
	}
	return res
}

// try takes c as the best if it fails as wanted.
func (h *shrinker) try(c *Scenario) bool {
	if h.left <= 0 {
		return false
	}
	res := h.run(c)
	if res.Failure == nil || signatureOf(res.Failure) != h.want {
		return false
	}
	h.best = c
	return true
}

// signatureOf is what two failures have in common if they are the same one.
func signatureOf(f *Failure) string {
	if f.Rule != "" {
		return string(f.Kind) + " " + f.Rule
	}
	text := firstLine(f.Text)
	if f.Line != "" { // an assertion: what it says, not what was so instead
		text, _, _ = strings.Cut(text, ": ")
	}
	return string(f.Kind) + " " + strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// with is the best scenario with other lines.
func (h *shrinker) with(ops []Op) *Scenario {
	c := *h.best
	c.Ops = ops
	return &c
}

// cutAfter takes out what comes after the failure: it cannot have caused it.
func (h *shrinker) cutAfter(at time.Duration) {
	if at >= h.best.Run {
		return
	}
	ops := slices.DeleteFunc(slices.Clone(h.best.Ops), func(op Op) bool { return op.Moment == At && op.Time > at })
	h.try(h.with(ops))
}

// without takes out lines of a class: all at once, else ever smaller parts of
// them, until no single one of them can go.
func (h *shrinker) without(class func(*Op) bool) {
	for parts := 1; h.left > 0; {
		in := h.indices(class)
		if len(in) == 0 {
			return
		}
		parts = min(parts, len(in))
		if h.dropOne(in, parts) {
			parts = max(parts-1, 1)
			continue
		}
		if parts == len(in) {
			return
		}
		parts *= 2
	}
}

// dropOne tries the scenario without each of so many parts of some lines; it
// stops at the first that still fails.
func (h *shrinker) dropOne(in []int, parts int) bool {
	for i := range parts {
		part := in[i*len(in)/parts : (i+1)*len(in)/parts]
		var ops []Op
		for k := range h.best.Ops {
			if _, gone := slices.BinarySearch(part, k); !gone {
				ops = append(ops, h.best.Ops[k])
			}
		}
		if h.try(h.with(ops)) {
			return true
		}
	}
	return false
}

func (h *shrinker) indices(class func(*Op) bool) (in []int) {
	for i := range h.best.Ops {
		if class(&h.best.Ops[i]) {
			in = append(in, i)
		}
	}
	return in
}

// shortest is what a duration is not halved below.
const shortest = 100 * time.Millisecond

// halve shortens what faults say of how long they last, and the time until a fault
// is ended by a line of its own.
func (h *shrinker) halve() {
	for i := range h.best.Ops {
		for h.left > 0 && h.halveAt(i) {
			continue
		}
	}
}

func (h *shrinker) halveAt(i int) bool {
	ops := slices.Clone(h.best.Ops)
	op := &ops[i]
	if d := op.duration("for"); d > shortest && isFault(op) {
		op.Opts = cloneOpts(op.Opts)
		op.Opts["for"] = (d / 2).Round(time.Millisecond).String()
		return h.try(h.with(ops))
	}
	if op.Moment != At || !endsFault(op) {
		return false
	}
	begin := slices.IndexFunc(ops[:i], func(x Op) bool { return isFault(&x) })
	for k := i - 1; k > begin; k-- { // the nearest fault above it
		if isFault(&ops[k]) && !endsFault(&ops[k]) {
			begin = k
			break
		}
	}
	if begin < 0 || op.Time-ops[begin].Time <= shortest {
		return false
	}
	moved := *op
	moved.Time = ops[begin].Time + ((op.Time - ops[begin].Time) / 2).Round(time.Millisecond)
	ops = slices.Delete(ops, i, i+1)
	at := slices.IndexFunc(ops, func(x Op) bool { return x.Moment == At && x.Time > moved.Time })
	if at < 0 || at > i {
		at = i
	}
	if !h.try(h.with(slices.Insert(ops, at, moved))) {
		return false
	}
	return at == i // one that has passed others is looked at where it stands now
}

// peers tries fewer machines: of each group in turn, the last one first, since the
// machines of those behind it would have other numbers; the fewest first.
func (h *shrinker) peers() {
	for g := len(h.best.Groups) - 1; g >= 0; g-- {
		if !h.fewer(g) {
			return
		}
	}
}

// fewer tries fewer machines of a group; a group that is not the only one may go as a
// whole. It reports whether it has.
func (h *shrinker) fewer(g int) bool {
	least := 0
	if len(h.best.Groups) == 1 {
		least = 1
	}
	count := h.best.Groups[g].Count
	others := h.best.peers() - count
	for n := least; n < count && h.left > 0; n++ {
		if h.best.namesAtMost(others+n) != nil {
			continue
		}
		c := *h.best
		c.Groups = slices.Clone(c.Groups)
		if c.Groups[g].Count = n; n == 0 {
			c.Groups = slices.Delete(c.Groups, g, g+1)
		}
		if h.try(&c) {
			return n == 0
		}
	}
	return false
}

// time brings the calm as near to the last line as it goes.
func (h *shrinker) time() {
	last := time.Duration(0)
	for i := range h.best.Ops {
		last = max(last, h.best.Ops[i].Time)
	}
	for _, after := range []time.Duration{0, 5 * time.Second, 20 * time.Second, 60 * time.Second} {
		c := *h.best
		c.Run = last + after
		if c.Run < h.best.Run && h.try(&c) {
			return
		}
	}
}
