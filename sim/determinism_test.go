package sim

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// TestDeterminism runs drawn plans twice, each time under another number of
// threads, other settings of the collector and another limit of memory: the traces
// must be the same. SHOAL_RUNS says how many plans; make determinism runs 1,000.
func TestDeterminism(t *testing.T) {
	runs := 4
	if n, err := strconv.Atoi(os.Getenv("SHOAL_RUNS")); err == nil && n > 0 {
		runs = n
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	settings := []struct {
		threads, percent int
		limit            int64
	}{{1, 25, 1 << 30}, {2, 100, 1 << 40}, {2, -1, 1 << 30}, {1, 100, 64 << 20}}
	for i := range runs {
		s := DrawFor(uint64(10_001+i), 3+i%7, time.Duration(20+i%4*20)*time.Second)
		var first Result
		for k := range 2 {
			at := settings[(i+k*(1+i%3))%len(settings)]
			runtime.GOMAXPROCS(at.threads)
			debug.SetGCPercent(at.percent)
			debug.SetMemoryLimit(at.limit)
			res := Run(s, Options{})
			if k == 0 {
				first = res
			} else if res.Hash != first.Hash || res.Steps != first.Steps || res.Verdict != first.Verdict {
				t.Fatalf("%s: trace %s after %d steps (%s), again %s after %d (%s)", s.Name,
					first.Hash, first.Steps, first.Verdict, res.Hash, res.Steps, res.Verdict)
			}
		}
	}
	t.Logf("%d plans run twice, equal traces", runs)
}
