package sim

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// held runs a swarm for 20 s and returns what of it the heap still holds.
func held(t testing.TB, peers, slots int) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := Parse(strings.NewReader(fmt.Sprintf("peers %d\nrun 20s\nat 5s submit web replicas=%d cpu=10m mem=1MiB\n", peers, slots)), "memory")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, 1, Options{})
	r.start()
	r.plan()
	r.w.runUntil(20 * time.Second)
	if r.w.failure != nil {
		t.Fatal(r.w.failure)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(r)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// The estimate is of the right size: it neither lets a run begin that cannot end, nor
// refuses one that fits.
func TestMemoryNeeded_IsOfTheRightSize(t *testing.T) {
	const peers, slots = 60, 120
	s := &Scenario{
		Groups: []PeerGroup{{Count: peers}},
		Ops:    []Op{{Verb: "submit", Args: []string{"web"}, Opts: map[string]string{"replicas": "120"}}},
	}
	got, said := held(t, peers, slots), s.MemoryNeeded(Options{})-bytesAlways
	if got > said || got < said/6 {
		t.Errorf("%d peers with %d slots hold %d bytes, estimated %d", peers, slots, got, said)
	}
}

// What whole processes were seen to take fits into the estimate, with little to spare.
func TestMemoryNeeded_CoversWhatWasMeasured(t *testing.T) {
	for _, c := range []struct {
		peers    int
		slots    string
		measured int64 // MiB
	}{{300, "3105", 774}, {1000, "10000", 6485}} {
		s := &Scenario{
			Groups: []PeerGroup{{Count: c.peers}},
			Ops:    []Op{{Verb: "submit", Args: []string{"web"}, Opts: map[string]string{"replicas": c.slots}}},
		}
		if said := s.MemoryNeeded(Options{}) >> 20; said < c.measured || said > c.measured*3/2 {
			t.Errorf("%d peers with %s slots took %d MiB, estimated %d", c.peers, c.slots, c.measured, said)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	for _, peers := range []int{30, 100, 300, 1000} {
		for _, slots := range []int{1, 5} {
			b.Run(fmt.Sprintf("%d peers %d slots", peers, peers*slots), func(b *testing.B) {
				for b.Loop() {
					b.ReportMetric(float64(held(b, peers, peers*slots))/float64(peers)/1024, "KiB/peer")
				}
			})
		}
	}
}
