package node

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// firstStart tells when a container of each task first ran.
func (w *world) firstStarts(d time.Duration) map[string]time.Duration {
	out := map[string]time.Duration{}
	for end := w.now + d; w.now < end; w.run(100 * time.Millisecond) {
		for slot := range w.running() {
			task := strings.TrimSuffix(strings.TrimPrefix(slot, "shop/"), ".0")
			if _, seen := out[task]; !seen {
				out[task] = w.now
			}
		}
	}
	return out
}

// exit ends the containers of a slot with a code, wherever they run.
func (w *world) exit(slot string, code int) {
	for _, p := range w.peers {
		for _, c := range p.engine {
			if c.Ref.Slot.String() == slot && c.State == runtime.StateRunning {
				c.State, c.Address, c.ExitCode = runtime.StateExited, "", code
			}
		}
	}
}

func dependent(db job.Task, condition string) job.Spec {
	db.Name, db.Count = "db", 1
	return testSpec("shop", db, job.Task{
		Name: "web", Count: 1, DependsOn: []job.Dependency{{Task: "db", Condition: condition}},
	})
}

// Started is when the other's container runs, healthy when it serves: here five seconds
// later, as it has no health check.
func TestDependsOn_StartedAndHealthy(t *testing.T) {
	for condition, least := range map[string]time.Duration{"": 0, "started": 0, "healthy": 5 * time.Second} {
		w := newWorld(t, 3)
		w.run(3 * time.Second)
		w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: dependent(job.Task{}, condition)}})
		at := w.firstStarts(20 * time.Second)
		if at["db"] == 0 || at["web"] == 0 || at["web"] < at["db"]+least {
			t.Errorf("%q: db ran at %v, web at %v, want it %v later", condition, at["db"], at["web"], least)
		}
		if least == 0 && at["web"] > at["db"]+3*time.Second {
			t.Errorf("%q: db ran at %v, web only at %v", condition, at["db"], at["web"])
		}
	}
}

// Completed is when the other has run to its end, wherever that was. It orders the first
// start only: what has run is sold again though the other is gone.
func TestDependsOn_Completed(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: dependent(job.Task{Type: job.Batch}, "completed")}})
	w.run(10 * time.Second)
	w.wantRunning("before db has ended", "shop/db.0")
	for _, p := range w.peers {
		if s := p.core.Slots("shop")[1]; s.Phase != "waiting" || s.Detail != "" && s.Detail != "waits for db to be completed" {
			t.Errorf("%s: %s: %q, want it to wait for db", p.name, s.Slot, s.Detail)
		}
	}
	w.exit("shop/db.0", 0)
	w.run(5 * time.Second)
	w.wantRunning("once db has ended", "shop/web.0")
}

// A batch that has ended has been started, though nobody saw it run who sells what
// waits for that.
func TestDependsOn_StartedAndEnded(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	db := job.Task{Name: "db", Count: 1, Type: job.Batch}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", db)}})
	w.run(3 * time.Second)
	w.exit("shop/db.0", 0)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: dependent(job.Task{Type: job.Batch}, "started")}})
	w.run(5 * time.Second)
	w.wantRunning("db has ended before", "shop/web.0")
}

// What waits for one that has failed for good says at every peer that it waits in vain,
// until that runs again.
func TestDependsOn_FailedForGood(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	spec := dependent(job.Task{Type: job.Batch, Restart: job.Restart{Policy: "no"}}, "completed")
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	w.run(5 * time.Second)
	w.exit("shop/db.0", 3)
	w.run(10 * time.Second)
	w.wantRunning("once db has failed")
	const want = "waits for db to be completed, which it never will be: shop/db.0 failed for good on "
	told := 0
	for _, p := range w.peers {
		why, err := p.core.Why("shop/web.0")
		if err != nil || !strings.HasPrefix(why.Slot.Detail, want) || !strings.Contains(why.Slot.Detail, "code 3") {
			t.Errorf("%s: %q, %v, want %q", p.name, why.Slot.Detail, err, want)
		}
		if why.Waiting != nil && strings.HasPrefix(why.Waiting.Reason, want) {
			told++
		}
	}
	if told == 0 {
		t.Error("no steward tells it to those who ask")
	}
	spec.Task("db").Env = map[string]string{"AGAIN": "1"}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	w.run(5 * time.Second)
	if why, err := w.peers[0].core.Why("shop/web.0"); err != nil || strings.Contains(why.Slot.Detail, "never") {
		t.Errorf("it runs again, and still: %q, %v", why.Slot.Detail, err)
	}
	w.exit("shop/db.0", 0)
	w.run(5 * time.Second)
	w.wantRunning("once db has completed", "shop/web.0")
}
