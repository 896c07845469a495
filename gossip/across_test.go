package gossip

import (
	"fmt"
	"testing"
	"time"

	"shoal/wire"
)

// Whoever is left condemns all of the other class, gone at one instant.
func TestAcross_AClassIsGoneAtOnce(t *testing.T) {
	for _, c := range []struct {
		lan, metered int
		lost         float64
		within       time.Duration
	}{
		{4, 1, 0, 70 * time.Second}, // one alone sees it by itself: seven of its beats
		{4, 3, 0.01, 90 * time.Second},
		{10, 3, 0.05, 150 * time.Second},
		{40, 1, 0.01, 150 * time.Second}, // it watches eight, and looks further as they are lost
		{40, 20, 0.01, 200 * time.Second},
		{3, 4, 0.01, 150 * time.Second},
		{1, 6, 0, 150 * time.Second},
		{20, 40, 0.01, 200 * time.Second},
	} {
		for _, gone := range []bool{false, true} { // are the metered ones gone, or the others
			t.Run(fmt.Sprintf("%d+%d,metered=%v", c.lan, c.metered, gone), func(t *testing.T) {
				w := newWorld(t, uint64(c.lan), c.lan+c.metered, func(i int) bool { return i >= c.lan })
				w.lose = loss(c.lost)
				w.run(4 * time.Minute)
				if found := w.everDead(); len(found) > 0 {
					t.Fatalf("idle: %v", found)
				}
				for _, nd := range w.nodes {
					if nd.metered == gone {
						w.crash(nd)
					}
				}
				begun := w.now
				for w.missed() > 0 && w.now.Sub(begun) < c.within {
					w.run(time.Second)
				}
				t.Logf("known after %v", w.now.Sub(begun))
				if n := w.missed(); n > 0 {
					t.Errorf("%d pairs undeclared after %v", n, c.within)
				}
				if found := w.wrong(); len(found) > 0 {
					t.Error(found)
				}
			})
		}
	}
}

// A cut along the classes is believed on both sides, and forgotten when it heals.
func TestAcross_ACutAlongTheClasses(t *testing.T) {
	w := newWorld(t, 5, 16, func(i int) bool { return i >= 10 })
	w.run(4 * time.Minute)
	w.lose = func(a, b *node) float64 {
		if a.metered != b.metered {
			return 1
		}
		return 0.01
	}
	w.run(3 * time.Minute)
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if a != b && a.Dead(b.id) != (a.metered != b.metered) {
				t.Errorf("cut: %d holds %d for %v", a.i, b.i, a.State(b.id))
			}
		}
	}
	w.lose = nil
	w.run(time.Minute)
	if found := w.wrong(); len(found) > 0 {
		t.Errorf("healed: %v", found)
	}
}

// Watching across the classes costs a metered peer no more than beats of its own pace.
func TestAcross_CostsLittle(t *testing.T) {
	w := newWorld(t, 8, 20, func(i int) bool { return i >= 14 })
	w.run(2 * time.Minute)
	clear(w.sent)
	w.topic = 0
	const seconds = 160
	w.run(seconds * time.Second)
	// Fourteen that beat each second to up to eight, six that beat each eighth second to
	// five, and twenty that are watched across, once each in eight seconds.
	beats := seconds * (14*8 + 6*5/8 + 20/8 + 1)
	asks := seconds * (20.0/7 + 0.6*20)
	if w.sent[wire.MsgBeat] > beats || float64(w.sent[wire.MsgObserve]) > asks || w.sent[wire.MsgVotes] > 0 || w.topic > 0 {
		t.Errorf("%v, want at most %d beats and %.0f asks", w.sent, beats, asks)
	}
}
