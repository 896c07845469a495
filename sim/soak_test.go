package sim

import (
	"context"
	"flag"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var seedsFlag = flag.Int("seeds", 0, "seeds of TestSoak; 0: SHOAL_SEEDS if that is set, else 20")

func seeds() int {
	if *seedsFlag > 0 {
		return *seedsFlag
	}
	if n, err := strconv.Atoi(os.Getenv("SHOAL_SEEDS")); err == nil && n > 0 {
		return n
	}
	return 20
}

// TestSoak runs a random scenario per seed. A failing plan is written to
// SHOAL_SOAK_DIR, if that is set, from where `shoal sim run` takes it.
func TestSoak(t *testing.T) {
	first, _ := strconv.ParseUint(os.Getenv("SHOAL_FIRST_SEED"), 10, 64)
	got, err := Soak(context.Background(), SoakPlan{First: first, Seeds: seeds(), Keep: os.Getenv("SHOAL_SOAK_DIR")})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range got.Failures {
		t.Errorf("seed %d: %s\n  again: %s", f.Seed, &f.Failure, f.Replay)
	}
	t.Logf("%d seeds of %d peers, %d faults, %v simulated: %v", got.Seeds, got.Peers, got.Faults, got.Simulated, got.Verdicts)
}

// TestDraw_ReadsBack writes drawn plans as text: what is read is the very same
// plan, and runs the very same.
func TestDraw_ReadsBack(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		s := Draw(seed, DrawPeers)
		again, err := Parse(strings.NewReader(s.String()), s.Name)
		if err != nil {
			t.Fatalf("seed %d: %v in\n%s", seed, err, s)
		}
		for i := range again.Ops {
			again.Ops[i].Opts = cloneOpts(again.Ops[i].Opts) // none and empty are the same
		}
		if !reflect.DeepEqual(s, again) {
			t.Fatalf("seed %d reads back as\n%s\nnot as\n%s", seed, again, s)
		}
		if seed > 3 {
			continue
		}
		s.Run, again.Run = 40*time.Second, 40*time.Second
		if a, b := Run(s, Options{}), Run(again, Options{}); a.Hash != b.Hash {
			t.Fatalf("seed %d: hash %s as drawn, %s as read", seed, a.Hash, b.Hash)
		}
	}
}

// TestDraw_IsHarsh counts what plans hold: each has its twelve faults, no two
// seeds give one plan, and every kind of fault is drawn.
func TestDraw_IsHarsh(t *testing.T) {
	used, plans, networks := map[string]int{}, map[string]bool{}, map[string]int{}
	for seed := uint64(1); seed <= 500; seed++ {
		s := Draw(seed, DrawPeers)
		if n := s.Faults(); n < minFaults || s.Run != DrawTime {
			t.Fatalf("seed %d has %d faults in %v", seed, n, s.Run)
		}
		kinds := map[string]bool{}
		for i := range s.Ops {
			kinds[s.Ops[i].Verb] = true
		}
		for k := range kinds {
			used[k]++
		}
		head, text, _ := strings.Cut(s.String(), "\nrun ")
		plans[text] = true
		for _, option := range sometimesDrawn {
			if strings.Contains(head, option) {
				networks[option]++
			}
		}
	}
	for _, option := range sometimesDrawn {
		if n := networks[option]; n == 0 || n > 250 {
			t.Errorf("%s is in the network of %d of 500 plans", option, n)
		}
	}
	if len(plans) != 500 {
		t.Errorf("500 seeds give %d plans", len(plans))
	}
	for _, verb := range sortedKeys(verbs) {
		if v := verbs[verb]; v.do == nil || slices.Contains(undrawn, verb) {
			continue
		}
		if n := used[verb]; n == 0 || n == 500 && verb != "submit" {
			t.Errorf("%s is in %d of 500 plans", verb, n)
		}
	}
}

// sometimesDrawn are options of peers and network that some plans have.
var sometimesDrawn = []string{"nat=yes", "nat=relay", "addr=", "uplink=", "conncap=", "punch=", "reorder=", "profile=small", "profile=metered"}

// undrawn are verbs that plans leave to scenarios written by hand.
var undrawn = []string{"accuse", "deploy", "fix", "lie", "upgrade"}

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
