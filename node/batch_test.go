package node

import (
	"strings"
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

// always ends a slot's containers as soon as they run, for d, and counts the starts of
// each peer.
func (w *world) always(slot string, code int, d time.Duration) map[string]int {
	starts := map[string]int{}
	for end := w.now + d; w.now < end; w.run(200 * time.Millisecond) {
		for _, p := range w.peers {
			for _, c := range p.engine {
				if p.up && c.Ref.Slot.String() == slot && c.State == runtime.StateRunning {
					starts[p.name]++
				}
			}
		}
		w.exit(slot, code)
	}
	return starts
}

// A batch that always fails is started six times in all, on three peers, though the one
// that sold it and the one that ran it first are gone by then. Then it has failed for
// good: every peer says so, of it and of what waits for it, and its exit code stays.
func TestBatchUsesUpItsStarts(t *testing.T) {
	w := newWorld(t, 5)
	w.run(5 * time.Second)
	spec := testSpec("sums", job.Task{Name: "db", Type: job.Batch, Count: 1},
		job.Task{Name: "web", Count: 1, DependsOn: []job.Dependency{{Task: "db", Condition: "completed"}}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	before := w.always("sums/db.0", 7, 4*time.Second)
	if len(before) != 1 {
		t.Fatalf("started on %v, want one peer so far", before)
	}
	first := w.peers[0].core.Lead(spec.ID())[0]
	for _, p := range w.peers {
		if p.id == first {
			w.crash(p)
		}
	}
	after := w.always("sums/db.0", 7, 2*time.Minute)
	total := 0
	for _, starts := range []map[string]int{before, after} {
		for _, n := range starts {
			total += n
		}
	}
	if total != 6 || len(after) < 2 {
		t.Errorf("started %v, then %v: want 6 times in all, and not on one peer", before, after)
	}
	for _, p := range w.peers {
		if !p.up {
			continue
		}
		if got := p.core.Jobs(false)[0].State; got != "failed" {
			t.Errorf("%s: the job is %q, want failed", p.name, got)
		}
		slots := p.core.Slots("sums")
		if s := slots[0]; s.Phase != "failed" || s.Exit != 7 || s.Detail != "failed for good, started 6 times: exited with code 7" {
			t.Errorf("%s: %+v, want it failed for good with 7", p.name, s)
		}
		if s := slots[1]; !strings.Contains(s.Detail, "which it never will be: sums/db.0 failed for good on ") {
			t.Errorf("%s: %q, want that db never completes", p.name, s.Detail)
		}
	}
	spec.Task("db").Attempts = 8
	w.ask(w.peers[3], Request{Deploy: &Deploy{Spec: spec}})
	if more := w.always("sums/db.0", 7, time.Minute); len(more) == 0 {
		t.Error("two more starts are allowed, and none is seen")
	}
}
