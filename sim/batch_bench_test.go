//go:build unix

package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkBatch runs some hundred batch jobs of one to five seconds each on nine
// peers, and reports what one costs: in CPU time and messages, and how many records
// each peer is left with when nobody removes what has ended ("kept") and when
// somebody does ("removed"). The quiet cost of nine idle peers is in it.
func BenchmarkBatch(b *testing.B) {
	for _, c := range []struct{ name, options string }{{"kept", ""}, {"removed", " keep=5s"}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := Parse(strings.NewReader("peers 9 run 3m\nworkload rate=4/s until=2m mix=batch:1 cpu=100m mem=64MiB lasts=1s..5s"+c.options+"\n"), "bench")
			if err != nil {
				b.Fatal(err)
			}
			plan := s.Expand(s.Seed, 0)
			jobs := countVerbs(plan.Ops)["submit"]
			cpu := cpuTime()
			var messages uint64
			var records, held int
			for b.Loop() {
				r := newRun(plan, plan.Seed, Options{})
				r.start()
				r.plan()
				r.w.runUntil(plan.Run)
				if r.w.failure == nil {
					r.finish()
				}
				if r.w.failure != nil {
					b.Fatal(r.w.failure)
				}
				messages += r.w.network.sent
				records, held = 0, len(r.w.machines)
				for _, m := range r.w.machines {
					records += len(m.disk.stored().Records)
				}
			}
			n := float64(b.N * jobs)
			b.ReportMetric(float64(jobs), "jobs")
			b.ReportMetric(float64((cpuTime()-cpu)/time.Microsecond)/n, "cpu-µs/job")
			b.ReportMetric(float64(messages)/n, "msgs/job")
			b.ReportMetric(float64(records)/float64(held), "records/peer")
		})
	}
}

// TestBatch_ManyShortJobs runs two hundred short batch jobs through a swarm that one
// peer leaves for a while: each ends once as done, and none runs twice at once.
func TestBatch_ManyShortJobs(t *testing.T) {
	const text = "peers 5 run 80s seed=11\nworkload rate=4/s until=55s mix=batch:1 cpu=100m mem=64MiB lasts=500ms..3s\nat 30s crash n2 for=10s\n"
	s, err := Parse(strings.NewReader(text), "batch")
	if err != nil {
		t.Fatal(err)
	}
	jobs := countVerbs(s.Expand(s.Seed, 0).Ops)["submit"]
	for i := range jobs {
		s.Ops = append(s.Ops, Op{Moment: Calm, Verb: "running", Args: []string{"0", "of", fmt.Sprintf("load-%d", i)}})
	}
	res := Run(s, Options{})
	if res.Verdict != OK || jobs < 150 {
		t.Fatalf("%d jobs: %s", jobs, res.String())
	}
	if res.Starts < jobs || res.Starts > jobs+jobs/10 {
		t.Errorf("%d containers started for %d jobs: want one each, and few more after a crash", res.Starts, jobs)
	}
}
