package ledger

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"shoal/job"
	"shoal/wire"
)

// benchRecords makes what a cell of 128 peers writes about n slots: each is claimed
// and goes through its phases, and what a claim said before is beaten by what it says
// after. They are decoded, and known to be verified, as Merge finds them when a batch's
// one signature was checked before.
func benchRecords(tb testing.TB, n int) []*wire.Record {
	tb.Helper()
	const issuers, perJob = 128, 20
	var ws []*writer
	for i := range issuers {
		ws = append(ws, &writer{id: wire.PeerID{1, byte(i)}})
	}
	var out []*wire.Record
	for _, phase := range []Phase{Accepted, Starting, Running, Serving} {
		for i := range n / 4 {
			slot := job.SlotID{Job: job.MakeID("", fmt.Sprintf("job-%d", i/perJob)), Task: "web", Index: i % perJob}
			out = append(out, ws[i%issuers].claim(slot, 1, 1, phase))
		}
	}
	for _, r := range out {
		if err := Open(r); err != nil || !r.Verify(swarm, verify) {
			tb.Fatalf("record %v: %v", r.Num, err)
		}
	}
	return out
}

// BenchmarkMerge is 100,000 records into an empty ledger: those that have been hashed,
// as what was told before has been, and those that are hashed here for the first time.
// A target: 1,000,000 records for each second of CPU time, the collector's included.
func BenchmarkMerge(b *testing.B) {
	recs := benchRecords(b, 100_000)
	b.Run("hashed", func(b *testing.B) {
		for _, r := range recs {
			r.Hash()
		}
		mergeTimed(b, func() []*wire.Record { return recs })
	})
	b.Run("fresh", func(b *testing.B) {
		mergeTimed(b, func() []*wire.Record {
			out := make([]*wire.Record, len(recs))
			for i, r := range recs {
				out[i] = &wire.Record{Num: r.Num, Kind: r.Kind, Body: r.Body, Sig: r.Sig, Value: r.Value}
				out[i].Verify(swarm, verify)
			}
			return out
		})
	})
}

func mergeTimed(b *testing.B, next func() []*wire.Record) {
	b.Helper()
	count, cpu := 0, time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		recs, s := next(), newState()
		runtime.GC()
		began := cpuTime(b)
		b.StartTimer()
		for _, r := range recs {
			if out, err := s.Merge(r); out != Merged {
				b.Fatalf("%v is %v, %v", r.Num, out, err)
			}
		}
		cpu += cpuTime(b) - began
		count += len(recs)
	}
	b.ReportMetric(float64(count)/cpu.Seconds(), "records/cpu-s")
}

// cpuTime is what this process has used of all cores.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkMergeKnown is the same again: what comes twice is found to be held.
func BenchmarkMergeKnown(b *testing.B) {
	recs := benchRecords(b, 100_000)
	s := mergeAll(b, newState(), recs)
	last := recs[len(recs)*3/4:]
	count, began := 0, cpuTime(b)
	for b.Loop() {
		for _, r := range last {
			if out, _ := s.Merge(r); out != Known {
				b.Fatalf("%v is %v", r.Num, out)
			}
		}
		count += len(last)
	}
	b.ReportMetric(float64(count)/(cpuTime(b)-began).Seconds(), "records/cpu-s")
}
