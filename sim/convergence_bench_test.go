//go:build unix

package sim

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"shoal/ledger"
	"shoal/wire"
)

// BenchmarkConvergence measures how long peers need, once faults end, until all hold
// the same records, at 5 % loss: SHOAL_TRIALS (10) runs of 100, 300 and 1,000 peers.
// For 40 s the swarm is split in two; one peer in twenty loses its power meanwhile, and
// on each side jobs are deployed, updated, scaled and removed. Then the cut is mended
// and all are back. Three times are reported, each with its median and maximum:
//
//	known    from the end of the faults until every peer has heard of each record on
//	         which they then differed: it holds it, or what has beaten or dropped it since
//	settled  from the last record that any peer wrote to the moment from which on
//	         nobody differed
//	equal    from the end of the faults to the first moment at which all are equal: the
//	         work that the heal itself causes, copies ended and slots sold, is in it
//
// One run is enough: go test ./sim -run XXX -bench Convergence/100$ -benchtime 1x.
func BenchmarkConvergence(b *testing.B) {
	for _, peers := range []int{100, 300, 1000} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			var known, settled, equal []time.Duration
			var differing, cpu float64
			for b.Loop() {
				for trial := range trials(b) {
					began := cpuTime()
					c := newConvergence(b, peers, uint64(trial+1))
					differing += float64(len(c.differ))
					c.measure(b)
					known, settled, equal = append(known, c.known), append(settled, c.settled), append(equal, c.equal)
					cpu += (cpuTime() - began).Seconds()
				}
			}
			reportTimes(b, "known", known)
			reportTimes(b, "settled", settled)
			reportTimes(b, "equal", equal)
			b.ReportMetric(differing/float64(len(equal)), "differing")
			b.ReportMetric(cpu/float64(len(equal)), "cpu-s/trial")
		})
	}
}

func trials(b *testing.B) int {
	text := os.Getenv("SHOAL_TRIALS")
	if text == "" {
		return 10
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("SHOAL_TRIALS=%s: want a whole number of trials", text)
	}
	return n
}

func reportTimes(b *testing.B, name string, times []time.Duration) {
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2].Seconds(), name+"-p50-s")
	b.ReportMetric(times[len(times)-1].Seconds(), name+"-max-s")
}

// A convergence is one trial, run until its faults end.
type convergence struct {
	*run
	differ                []*wire.Record // on which peers differed then
	known, settled, equal time.Duration
}

const (
	splitAt   = 40 * time.Second
	splitFor  = 40 * time.Second
	equalFor  = 60 * time.Second // after the faults
	equalStep = 100 * time.Millisecond
)

func newConvergence(b *testing.B, peers int, seed uint64) *convergence {
	b.Helper()
	s := &Scenario{
		Name: "convergence", Seed: seed, Net: defaultNet, Run: splitAt + splitFor,
		Groups: []PeerGroup{{Count: peers, MachineSpec: MachineSpec{Capacity: defaultCapacity}}},
		Ops:    drawSplit(peers, seed),
	}
	s.Net.Loss = 0.05
	c := &convergence{run: newRun(s, seed, Options{})}
	c.w.checks.use(nil, nil)
	c.start()
	c.plan()
	c.w.runUntil(s.Run)
	c.quiet()
	if c.w.failure != nil {
		b.Fatal(c.w.failure)
	}
	c.differ = c.differing()
	return c
}

// drawSplit draws what happens: jobs before the split, and on each side of it as many
// changes as it has peers to each twenty, at peers of that side.
func drawSplit(peers int, seed uint64) []Op {
	d := &drawer{r: stream(seed, 0, "convergence"), peers: peers}
	half := peers / 2
	jobs := max(4, peers/10)
	for i := range jobs {
		d.add(2*time.Second+time.Duration(i)*10*time.Second/time.Duration(jobs), "submit job%d replicas=10 cpu=100m mem=64MiB fails=no", i)
	}
	d.add(splitAt, "cut n1..n%d|rest for=%v", half, splitFor)
	for side := range 2 {
		for i := range max(5, peers/20) {
			at := splitAt + 2*time.Second + time.Duration(d.r.Int64N(int64(splitFor-10*time.Second)))
			from := fmt.Sprintf("n%d", 1+side*half+d.r.IntN(half))
			switch i % 5 {
			case 0:
				d.add(at, "submit new%d-%d replicas=10 cpu=100m mem=64MiB at=%s fails=no", side, i, from)
			case 1:
				d.add(at, "update job%d version=%d at=%s fails=no", d.r.IntN(jobs), i, from)
			case 2:
				d.add(at, "scale job%d replicas=%d at=%s fails=no", d.r.IntN(jobs), 5+d.r.IntN(11), from)
			case 3:
				d.add(at, "remove job%d at=%s fails=no", d.r.IntN(jobs), from)
			case 4:
				d.add(at, "crash n%d for=%v", 2+d.r.IntN(peers-1), min(d.seconds(5, 30), splitAt+splitFor-at))
			}
		}
	}
	slices.SortStableFunc(d.ops, func(a, b Op) int { return int(a.Time - b.Time) })
	return d.ops
}

// ledgers returns what each running peer holds.
func (c *convergence) ledgers() (out []*ledger.State) {
	for _, m := range c.w.machines {
		if m.core != nil {
			out = append(out, m.core.Ledger())
		}
	}
	return out
}

// differing returns the records that some running peer holds and another does not.
func (c *convergence) differing() (out []*wire.Record) {
	all := c.ledgers()
	seen := map[wire.Hash]bool{}
	for _, l := range all {
		for _, r := range l.Records() {
			if !seen[r.Hash()] {
				seen[r.Hash()] = true
				out = append(out, r)
			}
		}
	}
	return slices.DeleteFunc(out, func(r *wire.Record) bool { return isWithAllOrNone(r, all) })
}

func isWithAllOrNone(r *wire.Record, all []*ledger.State) bool {
	first := all[0].Holds(r)
	return !slices.ContainsFunc(all, func(l *ledger.State) bool { return l.Holds(r) != first })
}

// measure looks on after the faults have ended.
func (c *convergence) measure(b *testing.B) {
	b.Helper()
	ended := c.w.now
	since, open := time.Duration(-1), slices.Clone(c.differ) // since when all are equal; -1: they are not
	for c.w.now < ended+equalFor {
		c.w.runUntil(c.w.now + equalStep)
		if c.w.failure != nil {
			b.Fatal(c.w.failure)
		}
		all := c.ledgers()
		if len(open) > 0 {
			c.known = c.w.now - ended
			open = slices.DeleteFunc(open, func(r *wire.Record) bool {
				return !slices.ContainsFunc(all, func(l *ledger.State) bool { return l.IsNews(r) })
			})
		}
		switch equal := areEqual(all); {
		case !equal:
			since = -1
		case since < 0:
			since = c.w.now
			c.equal = cmp.Or(c.equal, since-ended)
		}
	}
	if since < 0 || len(open) > 0 {
		b.Fatalf("%v after the faults have ended the peers are not equal; %d of %d records have not come to all", equalFor, len(open), len(c.differ))
	}
	c.settled = max(0, since-max(ended, c.w.checks.written))
}

func areEqual(all []*ledger.State) bool {
	first := all[0].Hash()
	return !slices.ContainsFunc(all, func(l *ledger.State) bool { return l.Hash() != first })
}
