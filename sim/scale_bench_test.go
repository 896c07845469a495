//go:build unix

package sim

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"shoal/sim/check"
	"shoal/wire"

	core "shoal/runtime"
)

// BenchmarkScale runs one cell of 10 to 1,000 peers with ten slots for each, and
// reports what a peer and a simulated second of it cost. It has two phases, each
// with its own figures (prefix "start-", "steady-"):
//
//	start   every peer joins, every job is submitted, until each slot runs
//	steady  SHOAL_SCALE_SECONDS (60) of work with churn: 1 % of the peers lose their
//	        power each minute and come back after half a minute, 2 % of the jobs are
//	        updated and 2 % scaled
//
// All checkers are on, as in a soak, unless SHOAL_SCALE_CHECKS=off. One run is
// enough: go test ./sim -run XXX -bench Scale/100$ -benchtime 1x. Of the figures
// those by CPU time (user and system, of all threads, so the collector too) hold
// on a machine that is shared; those by wall time do not.
func BenchmarkScale(b *testing.B) {
	for _, peers := range []int{10, 30, 100, 300, 1000} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			var start, steady phase
			for b.Loop() {
				h := newScale(b, peers)
				start.add(h.startUp(b))
				steady.add(h.churn(b, scaleSeconds(b)))
				h.live(b)
			}
			start.report(b, "start-", peers)
			steady.report(b, "steady-", peers)
		})
	}
}

const (
	slotsPerPeer = 10
	slotsPerJob  = 20
	maxStartUp   = 10 * time.Minute // of simulated time
	settle       = 10 * time.Second // between the phases, so that the last health checks and deltas are over
)

// scaleSeconds is how long the steady phase lasts.
func scaleSeconds(b *testing.B) time.Duration {
	text := os.Getenv("SHOAL_SCALE_SECONDS")
	if text == "" {
		return time.Minute
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("SHOAL_SCALE_SECONDS=%s: want a whole number of simulated seconds", text)
	}
	return time.Duration(n) * time.Second
}

// A scale is one run of the benchmark.
type scale struct {
	*run
	peers, jobs int
	bytes       *byteCount
	heap        uint64 // most bytes of heap in use at the end of a simulated second
}

func newScale(b *testing.B, peers int) *scale {
	b.Helper()
	runtime.GC() // what an earlier size has left is not ours
	d := &drawer{r: stream(7, 0, "scale"), peers: peers}
	h := &scale{peers: peers, jobs: max(1, peers*slotsPerPeer/slotsPerJob), bytes: &byteCount{}}
	for i := range h.jobs {
		at := 2*time.Second + time.Duration(i)*10*time.Second/time.Duration(h.jobs)
		d.add(at, "submit job%d replicas=%d cpu=100m mem=64MiB at=%s", i, slotsPerJob, d.peer())
	}
	s := &Scenario{
		Name: "scale", Seed: 7, Net: defaultNet, Ops: d.ops,
		Groups: []PeerGroup{{Count: peers, MachineSpec: MachineSpec{Capacity: defaultCapacity}}},
	}
	h.run = newRun(s, s.Seed, Options{})
	all := append(slices.Clone(h.w.checks.all), check.Checker(h.bytes))
	if os.Getenv("SHOAL_SCALE_CHECKS") == "off" {
		all = []check.Checker{h.bytes}
	}
	h.w.checks.use(all, nil)
	h.bytes.w = h.w
	h.start()
	h.plan()
	return h
}

// startUp runs until every slot has a running container.
func (h *scale) startUp(b *testing.B) phase {
	want := h.jobs * slotsPerJob
	p := h.measure(func() {
		for running := 0; running < want; running = h.running() {
			if h.w.now >= maxStartUp {
				b.Fatalf("after %v only %d of %d slots run", h.w.now, running, want)
			}
			h.advance(b, time.Second)
		}
	})
	h.advance(b, settle)
	return p
}

func (h *scale) running() (n int) {
	for _, m := range h.w.machines {
		for _, c := range m.engine.containers {
			if c.State == core.StateRunning {
				n++
			}
		}
	}
	return n
}

// churn runs the steady phase. What happens in it is spaced evenly, and each kind
// at a rate in proportion to the peers, so that sizes can be compared.
func (h *scale) churn(b *testing.B, length time.Duration) phase {
	d := &drawer{r: stream(7, 0, "churn"), peers: h.peers}
	spaced := func(perMinute float64, f func(at time.Duration)) {
		n := int(perMinute*length.Minutes() + 0.5)
		for i := range n {
			f(h.w.now + time.Duration((float64(i)+0.5)/float64(n)*float64(length)))
		}
	}
	spaced(float64(h.peers)/100, func(at time.Duration) {
		d.add(at, "crash n%d for=30s", 2+d.r.IntN(max(1, h.peers-1)))
	})
	spaced(float64(h.jobs)/50, func(at time.Duration) {
		d.add(at, "update job%d version=%d fails=no", d.r.IntN(h.jobs), d.r.IntN(1000))
	})
	spaced(float64(h.jobs)/50, func(at time.Duration) {
		d.add(at, "scale job%d replicas=%d fails=no", d.r.IntN(h.jobs), slotsPerJob-5+d.r.IntN(11))
	})
	for i := range d.ops {
		h.w.later(d.ops[i].Time-h.w.now, func() { h.do(&d.ops[i]) })
	}
	return h.measure(func() {
		for end := h.w.now + length; h.w.now < end; {
			h.advance(b, time.Second)
		}
	})
}

func (h *scale) advance(b *testing.B, d time.Duration) {
	h.w.runUntil(h.w.now + d)
	if h.w.failure != nil {
		b.Fatalf("%v", h.w.failure)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.heap = max(h.heap, m.HeapInuse)
}

// live reports what a peer holds once the collector has been through; with
// SHOAL_SCALE_HEAP a heap profile of it is written to that file.
func (h *scale) live(b *testing.B) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/float64(h.peers), "live-heapB/peer")
	if name := os.Getenv("SHOAL_SCALE_HEAP"); name != "" {
		f, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(pprof.WriteHeapProfile(f), f.Close()); err != nil {
			b.Fatal(err)
		}
	}
	runtime.KeepAlive(h)
}

// measure runs f and returns what it took.
func (h *scale) measure(f func()) phase {
	var before, after runtime.MemStats
	events, messages, streamed, flooded := h.w.steps, h.w.network.sent, h.bytes.streamed, h.bytes.flooded
	from := h.w.now
	h.heap = 0
	runtime.ReadMemStats(&before)
	cpu, wall := cpuTime(), time.Now()
	f()
	p := phase{runs: 1, wall: time.Since(wall), cpu: cpuTime() - cpu, simulated: h.w.now - from, heap: h.heap}
	runtime.ReadMemStats(&after)
	p.allocs, p.allocated = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	p.events, p.messages = h.w.steps-events, h.w.network.sent-messages
	p.streamed, p.flooded = h.bytes.streamed-streamed, h.bytes.flooded-flooded
	return p
}

// A phase is what a part of a run has taken; several runs add up.
type phase struct {
	runs                 int
	wall, cpu, simulated time.Duration
	events, messages     uint64
	streamed, flooded    float64 // bytes
	allocs, allocated    uint64
	heap                 uint64 // the most of any run
}

func (p *phase) add(q phase) {
	p.runs += q.runs
	p.wall, p.cpu, p.simulated = p.wall+q.wall, p.cpu+q.cpu, p.simulated+q.simulated
	p.events, p.messages = p.events+q.events, p.messages+q.messages
	p.streamed, p.flooded = p.streamed+q.streamed, p.flooded+q.flooded
	p.allocs, p.allocated = p.allocs+q.allocs, p.allocated+q.allocated
	p.heap = max(p.heap, q.heap)
}

func (p *phase) report(b *testing.B, prefix string, peers int) {
	peerSeconds := float64(peers) * p.simulated.Seconds()
	for _, m := range []struct {
		value float64
		unit  string
	}{
		{p.simulated.Seconds() / float64(p.runs), "sim-s"},
		{p.simulated.Seconds() / p.wall.Seconds(), "x-real"},
		{p.simulated.Seconds() / p.cpu.Seconds(), "x-real-cpu"},
		{peerSeconds / p.wall.Seconds(), "peer·s/s"},
		{float64(p.cpu.Microseconds()) / peerSeconds, "cpu-µs/peer·s"},
		{float64(p.events) / peerSeconds, "events/peer·s"},
		{float64(p.messages) / peerSeconds, "msgs/peer·s"},
		{p.streamed / peerSeconds, "streamB/peer·s"},
		{p.flooded / peerSeconds, "topicB/peer·s"},
		{float64(p.allocs) / peerSeconds, "allocs/peer·s"},
		{float64(p.allocated) / peerSeconds, "allocB/peer·s"},
		{float64(p.heap) / float64(peers), "heapB/peer"},
	} {
		b.ReportMetric(m.value, prefix+m.unit)
	}
}

// cpuTime is what this process has used of all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprintf("getrusage: %v", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// byteCount estimates the bytes sent: of every kind the first message and then one
// of sampleEvery is encoded and stands for those after it, so that counting does
// not itself become the cost. A message on a topic counts once for each peer that
// runs, which is the least that any way of spreading it needs.
type byteCount struct {
	w                 *World
	streamed, flooded float64
	seen              [256]uint64
	size              [256]float64 // of the latest sample
}

const sampleEvery = 23

// Rule implements check.Checker.
func (c *byteCount) Rule() string { return "bytes" }

// Sent implements check.SendWatcher.
func (c *byteCount) Sent(_ check.Host, e *wire.Envelope) error {
	k := e.Msg.Kind()
	if c.seen[k]%sampleEvery == 0 {
		b, err := wire.Encode(e.Msg)
		if err != nil {
			return err
		}
		c.size[k] = float64(len(b))
	}
	c.seen[k]++
	if !e.To.IsZero() {
		c.streamed += c.size[k]
		return nil
	}
	for _, m := range c.w.machines {
		if m.core != nil {
			c.flooded += c.size[k]
		}
	}
	return nil
}
