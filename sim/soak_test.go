package sim

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var seedsFlag = flag.Int("seeds", 0, "seeds of TestSoak; 0: SHOAL_SEEDS if SHOAL_SOAK is set, else 20")

const soakPeers = 9

func seeds() int {
	if *seedsFlag > 0 {
		return *seedsFlag
	}
	if n, err := strconv.Atoi(os.Getenv("SHOAL_SEEDS")); err == nil && n > 0 {
		return n
	}
	return 20
}

func firstSeed() uint64 {
	n, _ := strconv.ParseUint(os.Getenv("SHOAL_FIRST_SEED"), 10, 64)
	return max(n, 1)
}

// TestSoak runs a random scenario per seed. A failing plan is written to
// SHOAL_SOAK_DIR, if that is set, from where `shoal sim run` takes it.
func TestSoak(t *testing.T) {
	n := seeds()
	work := make(chan uint64)
	var wait sync.WaitGroup
	var mu sync.Mutex
	tally := map[Verdict]int{}
	var simulated time.Duration
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for seed := range work {
				s := Draw(seed, soakPeers)
				res := Run(s, Options{})
				mu.Lock()
				tally[res.Verdict]++
				simulated += res.Simulated
				mu.Unlock()
				if res.Verdict != OK {
					keep(t, s)
					t.Errorf("%s\n  plan: %d ops, written if SHOAL_SOAK_DIR is set", res.String(), len(s.Ops))
				}
			}
		})
	}
	for i := range n {
		work <- firstSeed() + uint64(i)
	}
	close(work)
	wait.Wait()
	t.Logf("%d seeds of %d peers, %v simulated: %v", n, soakPeers, simulated, tally)
}

func keep(t *testing.T, s *Scenario) {
	if dir := os.Getenv("SHOAL_SOAK_DIR"); dir != "" {
		small := Shrink(s, 100)
		if err := os.WriteFile(filepath.Join(dir, s.Name+".txt"), []byte(small.String()), 0o600); err != nil {
			t.Log(err)
		}
	}
}

// TestDraw_ReadsBack writes drawn plans as text: reading them gives the same run.
func TestDraw_ReadsBack(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		s := Draw(seed, 5)
		s.Run = 20 * time.Second
		again, err := Parse(strings.NewReader(s.String()), s.Name)
		if err != nil {
			t.Fatalf("seed %d: %v in\n%s", seed, err, s)
		}
		if a, b := Run(s, Options{}), Run(again, Options{}); a.Hash != b.Hash {
			t.Fatalf("seed %d: hash %s as drawn, %s as read", seed, a.Hash, b.Hash)
		}
	}
}

// BenchmarkWorld reports how much of the world is simulated per second of ours.
func BenchmarkWorld(b *testing.B) {
	for _, peers := range []int{9, 100} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			s, err := Parse(strings.NewReader("peers "+strconv.Itoa(peers)+"\nrun 60s\nat 2s submit web replicas=20 cpu=100m mem=64MiB\n"), "bench")
			if err != nil {
				b.Fatal(err)
			}
			var simulated time.Duration
			for b.Loop() {
				simulated += Run(s, Options{}).Simulated
			}
			b.ReportMetric(float64(peers)*simulated.Seconds()/b.Elapsed().Seconds(), "peers·s/s")
		})
	}
}

// TestShrink cuts a plan that cannot succeed down to what makes it fail.
func TestShrink(t *testing.T) {
	s := Draw(3, 3)
	s.Run = 10 * time.Second
	s.Ops = slices.DeleteFunc(s.Ops, func(op Op) bool { return op.Time > 8*time.Second })
	s.Ops = append(s.Ops, Op{Time: 9 * time.Second, Verb: "submit", Args: []string{"web"}, Opts: map[string]string{"cpu": "1m"}},
		Op{Moment: By, From: 9 * time.Second, Time: 9500 * time.Millisecond, Verb: "running", Args: []string{"77"}})
	if got := Shrink(s, 60); len(got.Ops) != 1 || got.Ops[0].Verb != "running" {
		t.Fatalf("left:\n%s", got)
	}
}
