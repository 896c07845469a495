package gossip

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"shoal/clock"
)

// A crash is believed by every survivor within 8 s, in swarms of any size, on a
// network that loses one message in a hundred.
func TestCrash_BelievedByAll(t *testing.T) {
	for _, tc := range []struct {
		peers, runs int
	}{{2, 60}, {3, 60}, {10, 40}, {20, 20}, {128, 3}} {
		t.Run(fmt.Sprint(tc.peers), func(t *testing.T) {
			var took []time.Duration
			for seed := range tc.runs {
				w := newWorld(t, uint64(seed), tc.peers)
				w.lose = loss(0.01)
				w.run(12*time.Second + time.Duration(w.rng.Int64N(int64(time.Second))))
				victim := w.nodes[w.rng.IntN(tc.peers)]
				at := w.now
				w.crash(victim)
				w.run(20 * time.Second)
				for _, nd := range w.nodes {
					if nd.down {
						continue
					}
					dead, ok := nd.deadAt[victim.i]
					if !ok {
						t.Fatalf("seed %d: peer %d does not hold %d dead after 20 s: %v", seed, nd.i, victim.i, nd.State(victim.id))
					}
					took = append(took, dead.Sub(at))
				}
				if wrong := w.wrong(); len(wrong) > 0 {
					t.Fatalf("seed %d: %v", seed, wrong)
				}
			}
			p50, p99, most := percentile(took, 0.5), percentile(took, 0.99), percentile(took, 1)
			t.Logf("%d peers: crash to dead p50 %v p99 %v max %v", tc.peers, p50, p99, most)
			if p99 > 8*time.Second {
				t.Errorf("p99 %v, want at most 8 s", p99)
			}
		})
	}
}

// Survivors must be able to condemn any number of the dead.
func TestManyAtOnce(t *testing.T) {
	for _, tc := range []struct {
		peers, dead, runs int
		noStewards        bool
		within            time.Duration
	}{
		{3, 2, 40, false, 15 * time.Second},
		{10, 9, 20, false, 20 * time.Second},
		{20, 6, 20, false, 15 * time.Second},
		{20, 6, 20, true, 15 * time.Second},
		{128, 64, 1, false, 15 * time.Second},
		{128, 100, 1, true, 30 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d of %d, stewards %v", tc.dead, tc.peers, !tc.noStewards), func(t *testing.T) {
			var last time.Duration
			for seed := range tc.runs {
				w := newWorld(t, uint64(seed), tc.peers)
				w.noStewards = tc.noStewards
				w.run(12*time.Second + time.Duration(w.rng.Int64N(int64(time.Second))))
				at := w.now
				for _, i := range w.rng.Perm(tc.peers)[:tc.dead] {
					w.crash(w.nodes[i])
				}
				w.run(tc.within)
				if n := w.missed(); n > 0 {
					t.Errorf("seed %d: %d pairs undeclared after %v", seed, n, tc.within)
				}
				if wrong := w.wrong(); len(wrong) > 0 {
					t.Fatalf("seed %d: %v", seed, wrong)
				}
				for _, nd := range w.nodes {
					for _, dead := range nd.deadAt {
						last = max(last, dead.Sub(at))
					}
				}
			}
			t.Logf("last belief after %v", last)
		})
	}
}

func TestSameSeed_SameOutputs(t *testing.T) {
	run := func() string {
		w := newWorld(t, 3, 20)
		w.trace = sha256.New()
		w.lose = loss(0.05)
		w.run(10 * time.Second)
		w.crash(w.nodes[1], w.nodes[2], w.nodes[3])
		w.run(20 * time.Second)
		w.nodes[1].inc++
		w.boot(w.nodes[1], w.now+clock.Instant(time.Second))
		w.run(20 * time.Second)
		return fmt.Sprintf("%x", w.trace.Sum(nil))
	}
	a, b := run(), run()
	if a != b {
		t.Fatalf("two runs of one seed differ: %s, %s", a, b)
	}
}
