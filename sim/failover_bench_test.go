//go:build unix

package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"shoal/sim/check"
	"shoal/wire"

	core "shoal/runtime"
)

// BenchmarkFailover measures how long after the power cut of a peer each of its slots
// runs in another peer's engine, image present, at 1 % loss, with the default policy of
// a service and with failover.after 0s. SHOAL_TRIALS crashes (by size: 50, 5), one after
// the other, of a peer that holds something; it is back before the next. Among 10 peers
// each holds ten slots, among 1,000 there are 1,000.
func BenchmarkFailover(b *testing.B) {
	for _, size := range []struct{ peers, jobs, crashes int }{{10, 5, 50}, {1000, 50, 5}} {
		for _, after := range []string{"default", "0s"} {
			b.Run(fmt.Sprintf("%d/%s", size.peers, after), func(b *testing.B) {
				var took []time.Duration
				cpu := cpuTime()
				for b.Loop() {
					left := trialsOr(b, size.crashes)
					for seed := uint64(1); left > 0; seed++ {
						f := newField(b, size.peers, size.jobs, 0.01, seed, func(s *Scenario) { s.failoverAfter(after) })
						for range min(left, crashesPerWorld) {
							took = append(took, f.failOver(b)...)
							left--
						}
					}
				}
				reportTails(b, "running", took)
				b.ReportMetric((cpuTime() - cpu).Seconds(), "cpu-s")
			})
		}
	}
}

// failoverAfter gives all jobs a failover.after, unless it is the default.
func (s *Scenario) failoverAfter(after string) {
	if after == "default" {
		return
	}
	for i := range s.Ops {
		s.Ops[i].Opts["failover"] = after
	}
}

// failOver crashes a peer that holds slots, waits until they all run elsewhere and
// lets it come back.
func (f *field) failOver(b *testing.B) []time.Duration {
	var victim *machine
	for _, m := range f.drawPeers(len(f.w.machines)) {
		if len(f.runningAt(m)) > 0 {
			victim = m
			break
		}
	}
	if victim == nil {
		b.Fatal("no peer holds anything")
	}
	slots := f.runningAt(victim)
	at := f.crash(victim)
	took := f.runElsewhere(b, slots, at)
	f.restore(b, victim)
	return took
}

// runningAt returns the slots of the containers that run at a machine.
func (f *field) runningAt(m *machine) (slots []string) {
	for _, c := range m.engine.containers {
		if c.State == core.StateRunning {
			slots = append(slots, c.Ref.Slot.String())
		}
	}
	return slots
}

// failoverPatience is how long slots may take to run again.
const failoverPatience = 3 * time.Minute

// runElsewhere waits until each slot has a container that was started after at, and
// returns how long each took.
func (f *field) runElsewhere(b *testing.B, slots []string, at time.Duration) (took []time.Duration) {
	b.Helper()
	first := map[string]time.Duration{}
	for len(first) < len(slots) {
		if f.w.now-at > failoverPatience {
			b.Fatalf("seed %d: %v after the crash at %v only %d of %d slots run", f.s.Seed, failoverPatience, at, len(first), len(slots))
		}
		f.advance(b, 100*time.Millisecond)
		for _, m := range f.w.machines {
			for _, c := range m.engine.containers {
				slot := c.Ref.Slot.String()
				if c.State == core.StateRunning && c.since > at && first[slot] == 0 && slices.Contains(slots, slot) {
					first[slot] = c.since
				}
			}
		}
	}
	for _, s := range slots {
		took = append(took, first[s]-at)
	}
	return took
}

// BenchmarkMassLoss cuts the power of 30 % of the peers at one moment and measures when
// each slot runs again, ten to a peer with room for all, SHOAL_TRIALS (5) times; and how
// many messages a peer sends in the busiest second of the next two minutes, the mean of
// those that live and the busiest one, against the mean of the 20 s before and of the last
// 20 s of the two minutes.
func BenchmarkMassLoss(b *testing.B) {
	for _, peers := range []int{20, 100, 300} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			var took []time.Duration
			var idle, peak, busiest, after float64
			for b.Loop() {
				n := trialsOr(b, 5)
				for trial := range n {
					f := newField(b, peers, peers*slotsPerPeer/slotsPerJob, 0.01, uint64(trial+1), nil)
					count := &sentCount{by: make([]int, peers)}
					f.w.checks.use([]check.Checker{f.death, count}, nil)
					f.advance(b, 20*time.Second)
					idle += float64(count.total) / 20 / float64(peers) / float64(n)

					victims := f.drawPeers(peers * 3 / 10)
					var slots []string
					for _, m := range victims {
						slots = append(slots, f.runningAt(m)...)
					}
					at := f.crash(victims...)
					all, one, last := f.peaks(b, count)
					peak, busiest = max(peak, all), max(busiest, one)
					after += last / float64(n)
					took = append(took, f.ranAgain(b, slots, at)...)
				}
			}
			reportTails(b, "running", took)
			b.ReportMetric(idle, "idle-msgs/peer·s")
			b.ReportMetric(peak, "peak-msgs/peer·s")
			b.ReportMetric(busiest, "busiest-msgs/s")
			b.ReportMetric(after, "after-msgs/peer·s")
		})
	}
}

// peaks runs two minutes and returns the most messages sent in a second, by the mean
// of those that live and by one, and that mean over the last 20 s.
func (f *field) peaks(b *testing.B, count *sentCount) (mean, one, last float64) {
	b.Helper()
	const seconds, tail = 120, 20
	alive := float64(len(f.w.machines) - len(f.lost))
	for s := range seconds {
		clear(count.by)
		count.total = 0
		f.advance(b, time.Second)
		each := float64(count.total) / alive
		mean, one = max(mean, each), max(one, float64(slices.Max(count.by)))
		if s >= seconds-tail {
			last += each / tail
		}
	}
	return mean, one, last
}

// ranAgain returns how long after at each slot was started again.
func (f *field) ranAgain(b *testing.B, slots []string, at time.Duration) (took []time.Duration) {
	b.Helper()
	since := map[string]time.Duration{}
	for _, m := range f.w.machines {
		for _, c := range m.engine.containers {
			if slot := c.Ref.Slot.String(); c.State == core.StateRunning && (since[slot] == 0 || c.since < since[slot]) {
				since[slot] = c.since
			}
		}
	}
	for _, s := range slots {
		if since[s] == 0 {
			b.Fatalf("seed %d: %s does not run %v after the crash at %v", f.s.Seed, s, f.w.now-at, at)
		}
		took = append(took, since[s]-at)
	}
	return took
}

// sentCount is a checker that only counts what is sent, by machine. What goes on a
// topic counts once, for its author.
type sentCount struct {
	total int
	by    []int
}

// Rule implements check.Checker.
func (*sentCount) Rule() string { return "sent" }

// Sent implements check.SendWatcher.
func (c *sentCount) Sent(h check.Host, _ *wire.Envelope) error {
	c.total++
	c.by[h.Index()]++
	return nil
}
