package node

import (
	"testing"
	"time"

	"shoal/job"
)

// TestWaiting_SinceOutlivesTheSteward kills the steward that has tried to sell a slot: its
// successor has watched the slot wait, and says since when, not since it began itself.
func TestWaiting_SinceOutlivesTheSteward(t *testing.T) {
	w := newWorld(t, 4)
	w.run(10 * time.Second)
	spec := testSpec("shop", job.Task{Name: "web", Count: 1, Needs: job.Resources{CPUMilli: 900_000, MemBytes: 1 << 20}})
	if rep := w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}}); rep.Err != "" {
		t.Fatal(rep.Err)
	}
	w.run(30 * time.Second)
	first := w.peers[0].core.Lead(spec.ID())[0]
	for _, x := range w.peers {
		if x.core.cfg.Self == first {
			w.crash(x)
		}
	}
	w.run(15 * time.Second)
	for _, x := range w.peers {
		if x.core.cfg.Self == first || x.core.Lead(spec.ID())[0] != x.core.cfg.Self {
			continue
		}
		why, err := x.core.Why("shop/web.0")
		if err != nil || why.Waiting == nil {
			t.Fatalf("the new steward says %+v, %v", why, err)
		}
		if why.Waiting.Since < 40*time.Second || why.Waiting.Asked == 0 {
			t.Errorf("it waits since %v, after %d were asked; 45 s have passed", why.Waiting.Since, why.Waiting.Asked)
		}
		return
	}
	t.Error("nobody succeeds the steward")
}
