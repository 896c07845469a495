//go:build unix

package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"shoal/auction"
)

// BenchmarkSales places jobs on 100 peers at 2,000 slots and more a simulated second, for
// SHOAL_SALE_SECONDS (5), submitted at peers drawn by chance, evenly spaced: 210 jobs a
// second of ten slots, and 1,050 of two. One run is enough, and its figures in simulated
// time do not depend on the machine:
//
//	go test ./sim -run XXX -bench 'Sales$' -benchtime 1x
//
// sold/s is of simulated time, from the first job to the last claim; sold/cpu-s is what
// one second of CPU time of this process places, all hundred peers, their ledgers and the
// world around them in it. SHOAL_SALE_CHECKS=on runs all checkers too.
func BenchmarkSales(b *testing.B) {
	for _, c := range []struct{ jobs, slots int }{{210, 10}, {1050, 2}} {
		b.Run(fmt.Sprintf("100peers/%dx%d", c.jobs, c.slots), func(b *testing.B) {
			for b.Loop() {
				benchSales(b, 100, c.jobs, c.slots)
			}
		})
	}
}

// BenchmarkSaleCost measures what one slot costs in messages and bytes where they are
// dearest, that is, sold one by one: ten jobs a second of one slot among 100 and among
// 1,000 peers. What standing bids cost at rest is taken off msgs/slot and B/slot, and told
// apart, by peer and second; in the figures by kind it is:
//
//	go test ./sim -run XXX -bench 'SaleCost/100peers' -benchtime 1x
func BenchmarkSaleCost(b *testing.B) {
	for _, peers := range []int{20, 100, 1000} {
		b.Run(fmt.Sprintf("%dpeers", peers), func(b *testing.B) {
			for b.Loop() {
				benchSales(b, peers, 10, 1)
			}
		})
	}
}

// BenchmarkCall measures a call: jobs of 32 slots, one a second, in a cell of 128 peers
// that must all be asked, for the owner of each lets it have so many slots and no more.
func BenchmarkCall(b *testing.B) {
	for b.Loop() {
		g := fairPeers(128)
		g.Accept = &auction.Policy{MaxSlots: 1000}
		f := newFair(b, g, 1, "replicas=32")
		f.sell(b)
		f.report(b)
	}
}

// A fair is a swarm on which jobs are sold for a benchmark.
type fair struct {
	*run
	length time.Duration
	rest   Traffic // of restTime without a job, of the kinds that sales consist of
	before Sales   // when the first job comes
	cpu    time.Duration
	opened time.Duration
}

const (
	fairBegins = 12 * time.Second // all are ready, and have told one another
	restTime   = 10 * time.Second // before it
	fairEnds   = 5 * time.Second  // after the last job
)

func fairPeers(count int) PeerGroup {
	g := PeerGroup{Count: count}
	g.Capacity = defaultCapacity
	g.Capacity.CPUMilli, g.Capacity.MemBytes = 64_000, 128<<30
	return g
}

// saleSeconds is how long jobs come.
func saleSeconds(b *testing.B) time.Duration {
	text := os.Getenv("SHOAL_SALE_SECONDS")
	if text == "" {
		return 5 * time.Second
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("SHOAL_SALE_SECONDS=%s: want a whole number of simulated seconds", text)
	}
	return time.Duration(n) * time.Second
}

// newFair makes a swarm to which jobs come at a rate, each submitted with options.
func newFair(b *testing.B, peers PeerGroup, rate int, options string) *fair {
	b.Helper()
	f := &fair{length: saleSeconds(b), opened: fairBegins + restTime}
	d := &drawer{r: stream(7, 0, "sales"), peers: peers.Count}
	for i := range rate * int(f.length.Seconds()) {
		at := f.opened + time.Duration(i)*time.Second/time.Duration(rate)
		d.add(at, "submit job%d cpu=10m mem=16MiB %s at=%s", i, options, d.peer())
	}
	s := &Scenario{Name: "sales", Seed: 7, Net: defaultNet, Ops: d.ops, Groups: []PeerGroup{peers}, Run: f.opened + f.length + fairEnds}
	f.run = newRun(s, s.Seed, Options{Weigh: true})
	if os.Getenv("SHOAL_SALE_CHECKS") != "on" {
		f.w.checks.use(nil, nil)
	}
	f.start()
	f.plan()
	return f
}

// sell runs until all that was submitted has had its time.
func (f *fair) sell(b *testing.B) {
	b.Helper()
	f.until(b, fairBegins)
	begun := f.w.sales.result()
	f.until(b, f.opened)
	f.before = *f.w.sales.result()
	f.rest = f.before.all().less(begun.all())
	cpu := cpuTime()
	f.until(b, f.s.Run)
	f.cpu = cpuTime() - cpu
}

func (f *fair) until(b *testing.B, t time.Duration) {
	b.Helper()
	if f.w.runUntil(t); f.w.failure != nil {
		b.Fatal(f.w.failure)
	}
}

func benchSales(b *testing.B, peers, jobs, slots int) {
	b.Helper()
	f := newFair(b, fairPeers(peers), jobs, fmt.Sprintf("replicas=%d", slots))
	f.sell(b)
	if want := uint64(jobs*slots) * uint64(f.length.Seconds()); f.w.sales.placed < want {
		b.Errorf("%d of %d slots were claimed", f.w.sales.placed, want)
	}
	f.report(b)
}

func (f *fair) report(b *testing.B) {
	s := f.w.sales.result()
	if s.Placed == 0 {
		b.Fatal("nothing was claimed")
	}
	n := float64(s.Placed)
	b.ReportMetric(n/(f.w.sales.latest-f.opened).Seconds(), "sold/s")
	b.ReportMetric(n/f.cpu.Seconds(), "sold/cpu-s")
	b.ReportMetric(s.AwardsPerSlot, "awards/slot")
	for name, d := range map[string]time.Duration{"p50-ms": s.times().P50, "p90-ms": s.times().P90, "p99-ms": s.times().P99, "max-ms": s.times().Max} {
		b.ReportMetric(d.Seconds()*1000, name)
	}
	for _, k := range saleKinds {
		name := messageName(k)
		t := s.Kinds[name].less(f.before.Kinds[name])
		b.ReportMetric(t.Messages/n, name+"-msgs/slot")
		b.ReportMetric(t.Bytes/n, name+"-B/slot")
	}
	window, peers := (f.w.now-f.opened).Seconds()/restTime.Seconds(), float64(len(f.w.machines))
	sold := s.all().less(f.before.all())
	b.ReportMetric((sold.Messages-f.rest.Messages*window)/n, "msgs/slot")
	b.ReportMetric((sold.Bytes-f.rest.Bytes*window)/n, "B/slot")
	b.ReportMetric(f.rest.Messages/peers/restTime.Seconds(), "rest-msgs/peer·s")
	b.ReportMetric(f.rest.Bytes/peers/restTime.Seconds(), "rest-B/peer·s")
}

// all is the sum of all kinds.
func (s *Sales) all() (sum Traffic) {
	for _, t := range s.Kinds {
		sum.Messages, sum.Bytes = sum.Messages+t.Messages, sum.Bytes+t.Bytes
	}
	return sum
}

// less is what t is more than u.
func (t Traffic) less(u Traffic) Traffic { return Traffic{t.Messages - u.Messages, t.Bytes - u.Bytes} }
