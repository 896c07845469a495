package node

import (
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// A batch run that is not to be repeated fails once and for good: it is not sold
// again, the job says so, and its container stays for its output.
func TestBatchFailsForGood(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("sums",
		job.Task{Name: "once", Type: job.Batch, Count: 1, Restart: job.Restart{Policy: "no"}},
		job.Task{Name: "web", Count: 1},
	)}})
	w.run(2 * time.Second)
	for _, p := range w.peers {
		for _, c := range p.engine {
			if c.Ref.Slot.Task == "once" {
				c.State, c.Address, c.ExitCode = runtime.StateExited, "", 3
			}
		}
	}
	w.run(30 * time.Second)
	for _, p := range w.peers {
		if got := p.core.Jobs(false)[0].State; got != "failed" {
			t.Errorf("%s: the job is %q, want failed", p.name, got)
		}
		s := p.core.Slots("sums")[0]
		if s.Slot != "sums/once.0" || s.Phase != "failed" || s.Exit != 3 || s.Token != 1 {
			t.Errorf("%s: %+v, want the first claim failed with 3", p.name, s)
		}
	}
	kept := 0
	for _, p := range w.peers {
		for _, c := range p.engine {
			if c.Ref.Slot.Task == "once" {
				kept++
			}
		}
	}
	if kept != 1 {
		t.Errorf("%d containers of the failed run are kept, want 1", kept)
	}
}
