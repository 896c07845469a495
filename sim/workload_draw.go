package sim

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Expand returns the scenario with its workloads drawn into ops, which follow the
// others; the scenario itself if it has none. It is a pure function of scenario,
// seed and number of peers (0: the scenario's).
func (s *Scenario) Expand(seed uint64, peers int) *Scenario {
	if len(s.Loads) == 0 {
		return s
	}
	if peers == 0 {
		peers = s.peers()
	}
	all := *s
	all.Loads, all.Ops = nil, slices.Clone(s.Ops)
	for _, w := range s.Loads {
		l := &loader{Workload: w, seed: seed, peers: peers, until: w.end(s.Run), drained: map[int]time.Duration{}}
		all.Ops = append(all.Ops, l.draw()...)
	}
	return &all
}

// A loader draws the ops of one workload. Each job and each kind of operation has a
// stream of its own, so that one job more shifts no draw of another.
type loader struct {
	*Workload
	seed    uint64
	peers   int
	until   time.Duration
	jobs    []loadJob
	living  []int // indices of jobs, in no order that means anything
	drained map[int]time.Duration
	ops     []Op
}

// A loadJob is one job that arrives.
type loadJob struct {
	name     string
	at, ends time.Duration // ends: removed, or done if it is batch; 0: never
	batch    bool
	copies   int64
	cpu, mem int64
	lasts    time.Duration
	place    int // in living; -1: not there
}

// The kinds of happening, in the order of those that share a time.
const (
	hapArrive = iota
	hapEnd
	hapScale
	hapUpdate
	hapRemove
	hapDrain
)

// A happening is one point in time at which the workload does something.
type happening struct {
	at   time.Duration
	kind int
	job  int // hapArrive, hapEnd
}

func (l *loader) stream(purpose string, n int) *rand.Rand {
	return stream(l.seed, n, "workload "+l.name+" "+purpose)
}

func (l *loader) draw() []Op {
	l.arrivals()
	var all []happening
	for i := range l.jobs {
		j := &l.jobs[i]
		all = append(all, happening{j.at, hapArrive, i})
		if j.ends > 0 && j.ends < l.until {
			all = append(all, happening{j.ends, hapEnd, i})
		}
	}
	streams := map[int]*rand.Rand{}
	for _, op := range []struct {
		kind int
		name string
		rate float64
	}{{hapScale, "scale", l.scale}, {hapUpdate, "update", l.update}, {hapRemove, "remove", l.remove}, {hapDrain, "drain", l.drain}} {
		r := l.stream(op.name, 0)
		streams[op.kind] = r
		for at := l.from + exponential(r, op.rate); at < l.until; at += exponential(r, op.rate) {
			all = append(all, happening{at: at, kind: op.kind})
		}
	}
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind)) })
	for _, h := range all {
		l.happen(h, streams[h.kind])
	}
	slices.SortStableFunc(l.ops, func(a, b Op) int { return cmp.Compare(a.Time, b.Time) })
	return l.ops
}

// happen turns one happening into ops. An operation that finds no job is left out.
func (l *loader) happen(h happening, r *rand.Rand) {
	switch h.kind {
	case hapArrive:
		l.submit(h.job)
	case hapEnd:
		l.end(h)
	case hapScale:
		if j := l.pick(r, false); j != nil {
			l.add(h.at, "scale", j.name, "replicas", strconv.FormatInt(l.replicas.draw(r), 10))
		}
	case hapUpdate:
		if j := l.pick(r, false); j != nil {
			l.add(h.at, "update", j.name, "version", strconv.Itoa(r.IntN(1_000_000)))
		}
	case hapRemove:
		if j := l.pick(r, true); j != nil {
			l.add(h.at, "remove", j.name)
			l.dies(j)
		}
	case hapDrain:
		l.drainOne(h.at, r)
	}
}

// add appends an op on a job; either answer to it is right.
func (l *loader) add(at time.Duration, verb, name string, opts ...string) {
	op := Op{Time: at, Verb: verb, Args: []string{name}, Opts: map[string]string{"fails": "no"}, Line: l.line}
	for i := 0; i+1 < len(opts); i += 2 {
		op.Opts[opts[i]] = opts[i+1]
	}
	l.ops = append(l.ops, op)
}

func (l *loader) submit(i int) {
	j := &l.jobs[i]
	opts := []string{
		"replicas", strconv.FormatInt(j.copies, 10), "cpu", fmt.Sprintf("%dm", j.cpu),
		"mem", fmt.Sprintf("%dMiB", max(1, j.mem>>20)),
	}
	if j.batch {
		opts = append(opts, "type", "batch", "lasts", j.lasts.String())
	}
	l.add(j.at, "submit", j.name, opts...)
	j.place = len(l.living)
	l.living = append(l.living, i)
}

// end is a job's own end: a service is removed then, and so is a batch job whose
// results are not kept.
func (l *loader) end(h happening) {
	j := &l.jobs[h.job]
	if j.place < 0 {
		return
	}
	if !j.batch || l.keep.to > 0 {
		l.add(h.at, "remove", j.name)
	}
	l.dies(j)
}

// pick draws a living job; only services unless batch jobs will do too.
func (l *loader) pick(r *rand.Rand, batchToo bool) *loadJob {
	for range 16 { // of a mix that has services at all one is soon found
		if len(l.living) == 0 {
			return nil
		}
		if j := &l.jobs[l.living[r.IntN(len(l.living))]]; batchToo || !j.batch {
			return j
		}
	}
	return nil
}

// dies takes a job out of the living ones; the last takes its place.
func (l *loader) dies(j *loadJob) {
	last := l.living[len(l.living)-1]
	l.living[j.place] = last
	l.jobs[last].place = j.place
	l.living = l.living[:len(l.living)-1]
	j.place = -1
}

// drainOne drains a peer for a while, unless a quarter of all are drained already.
func (l *loader) drainOne(at time.Duration, r *rand.Rand) {
	p := r.IntN(l.peers)
	until := min(at+l.drainFor.draw(r).Round(time.Millisecond), l.until-time.Millisecond)
	busy := 0
	for _, end := range l.drained {
		if end >= at {
			busy++
		}
	}
	if l.drained[p] >= at || busy >= max(1, l.peers/4) || until <= at {
		return
	}
	l.drained[p] = until
	name := "n" + strconv.Itoa(p+1)
	l.ops = append(l.ops, Op{Time: at, Verb: "drain", Args: []string{name}, Line: l.line},
		Op{Time: until, Verb: "drain", Args: []string{name}, Opts: map[string]string{"undo": ""}, Line: l.line})
}

// arrivals draws the jobs: at the times of the trace, or by rate and burst.
func (l *loader) arrivals() {
	if l.rate == 0 && l.burst == 0 {
		for i := range l.pods {
			at := l.from + l.traceTime(l.pods[i].created-l.pods[0].created)
			if at >= l.until || len(l.jobs) >= l.most {
				return
			}
			l.arrive(at, &l.pods[i])
		}
		return
	}
	r := l.stream("arrivals", 0)
	rate, turn, bursting := l.rate, l.until, false
	if l.burst > 0 { // a Poisson process of two states, each of exponential length
		turn = l.from + exponential(r, 1/l.off.Seconds())
	}
	for at := l.from; len(l.jobs) < l.most; {
		next := at + exponential(r, rate)
		if next < min(turn, l.until) {
			l.arrive(next, nil)
			at = next
			continue
		}
		if turn >= l.until {
			return
		}
		at = turn // what was to come after the turn is drawn anew: the process has no memory
		if bursting = !bursting; bursting {
			rate, turn = l.burst, turn+exponential(r, 1/l.on.Seconds())
		} else {
			rate, turn = l.rate, turn+exponential(r, 1/l.off.Seconds())
		}
	}
}

func (l *loader) traceTime(seconds int64) time.Duration {
	ms := float64(seconds) * 1000 / l.speed
	if ms > float64(maxRun/time.Millisecond) {
		return maxRun
	}
	return time.Duration(math.Round(ms)) * time.Millisecond
}

// arrive adds a job. With a trace its needs, type and duration are those of pod, or
// of one drawn from all.
func (l *loader) arrive(at time.Duration, p *pod) {
	i := len(l.jobs)
	r := l.stream("job", i)
	j := loadJob{name: l.name + "-" + strconv.Itoa(i), at: at, copies: l.replicas.draw(r), place: -1}
	j.batch = l.service+l.batch > 0 && r.IntN(l.service+l.batch) >= l.service
	j.cpu, j.mem, j.lasts = drawCPU(r), drawMem(r), drawLasts(r)
	if p == nil && len(l.pods) > 0 {
		p = &l.pods[r.IntN(len(l.pods))]
	}
	if p != nil {
		j.copies, j.cpu, j.mem = 1, p.cpuMilli, p.memMiB<<20
		j.lasts = max(l.traceTime(p.lasts), time.Millisecond)
		if l.service+l.batch == 0 {
			j.batch = p.bestEffort
		}
	}
	l.overrule(&j, r)
	switch {
	case !j.batch && l.life.to > 0:
		j.ends = at + l.life.draw(r).Round(time.Millisecond)
	case !j.batch && p != nil:
		j.ends = at + j.lasts
	case j.batch:
		j.ends = at + j.lasts + l.keep.draw(r).Round(time.Millisecond)
	}
	l.jobs = append(l.jobs, j)
}

// overrule applies what the statement itself says of needs and durations.
func (l *loader) overrule(j *loadJob, r *rand.Rand) {
	if l.cpu.to > 0 {
		j.cpu = l.cpu.draw(r)
	}
	if l.mem.to > 0 {
		j.mem = l.mem.draw(r)
	}
	if l.lasts.to > 0 {
		j.lasts = l.lasts.draw(r).Round(time.Millisecond)
	}
	if j.batch {
		j.copies = 1
	}
	j.cpu = max(1, int64(math.Round(float64(j.cpu)*l.size)))
	j.mem = max(1<<20, int64(math.Round(float64(j.mem)*l.size)))
}
