package node

import (
	"testing"
	"time"

	"shoal/job"
)

// Room that appears is kept for what is more urgent, but not for ever: here nobody sells it.
// The second time, nothing is kept for what was not sold the first time.
func TestYield_ASilentStewardHoldsNobodyUpForLong(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	big := func(name string, priority int) job.Spec {
		return testSpec(name, job.Task{Name: "web", Count: 1, Priority: priority, Needs: job.Resources{CPUMilli: 1500, MemBytes: 1 << 20}})
	}
	for _, s := range []job.Spec{big("one", 0), big("two", 0), big("low", 1), big("lower", 1)} {
		w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: s}})
		w.run(2 * time.Second)
	}
	for _, p := range w.peers {
		p.core.selling[job.SlotID{Job: job.MakeID("", "high"), Task: "web"}] = true // so each believes, and does not sell it
	}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: big("high", 90)}})
	w.run(2 * time.Second)
	w.wantRunning("while there is no room", "one/web.0", "two/web.0")
	w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/one"}})
	w.run(2 * time.Second)
	w.wantRunning("while the room is kept", "two/web.0")
	w.run(4 * time.Second)
	first, other := "low", "lower"
	if w.running()["lower/web.0"] > 0 {
		first, other = other, first
	}
	w.wantRunning("once the room is kept no longer", "two/web.0", first+"/web.0")
	w.ask(w.peers[0], Request{Remove: &Remove{Job: job.MakeID("", first)}})
	w.run(2 * time.Second)
	w.wantRunning("the second time", "two/web.0", other+"/web.0")
}
