//go:build unix

package sim

import (
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkSoakSeeds runs drawn plans of nine peers on all cores, one per
// iteration, and reports how many a minute of ours has room for and what CPU time
// one takes: go test ./sim -run XXX -bench SoakSeeds -benchtime 200x. With another
// number of seeds it runs other plans, so compare equal ones.
func BenchmarkSoakSeeds(b *testing.B) {
	var last, ops, simulated atomic.Int64
	cpu := cpuTime()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := Draw(uint64(last.Add(1)), DrawPeers)
			res := Run(s, Options{})
			if res.Verdict != OK {
				b.Error(res.String())
			}
			ops.Add(int64(len(s.Ops)))
			simulated.Add(int64(res.Simulated))
		}
	})
	n := float64(b.N)
	b.ReportMetric(n/b.Elapsed().Minutes(), "seeds/min")
	b.ReportMetric((cpuTime()-cpu).Seconds()/n, "cpu-s/seed")
	b.ReportMetric(time.Duration(simulated.Load()).Seconds()/n, "sim-s/seed")
	b.ReportMetric(float64(ops.Load())/n, "ops/seed")
}
