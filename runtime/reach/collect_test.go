package reach

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// engine keeps networks as one does: those in use are not removed.
type engine struct {
	mu    sync.Mutex
	has   map[job.ID]bool // the value: in use
	lists int
}

func (e *engine) EnsureNetwork(_ context.Context, id job.ID) (runtime.NetworkInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.has[id] = true
	return loopback(3).EnsureNetwork(context.Background(), id)
}

func (e *engine) RemoveNetwork(_ context.Context, id job.ID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.has[id] {
		return errors.New("network has active endpoints")
	}
	delete(e.has, id)
	return nil
}

func (e *engine) Networks(context.Context) ([]runtime.NetworkInfo, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
	var out []runtime.NetworkInfo
	for id := range e.has {
		out = append(out, runtime.NetworkInfo{Job: id})
	}
	return out, nil
}

func (e *engine) left() []job.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []job.ID
	for id := range e.has {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// Networks of jobs that are gone go, an earlier daemon's too, once no container holds
// them; those of jobs that are known stay. Then the engine is left in peace.
func TestCollect_NetworksOfJobsGone(t *testing.T) {
	e := &engine{has: map[job.ID]bool{"default/old": false, "default/kept": false, "default/held": true}}
	r := newReach(Config{Networks: e}, time.Millisecond)
	t.Cleanup(r.Close)
	until := func(want ...job.ID) {
		t.Helper()
		for range 1000 {
			if slices.Equal(e.left(), want) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("networks of %v, want %v", e.left(), want)
	}
	if r.vanished.Load() {
		t.Fatal("collects before anything is known")
	}
	r.Update([]Service{{Job: "default/kept", Task: "web"}})
	until("default/held", "default/kept")
	e.mu.Lock()
	e.has["default/held"] = false // its container is gone
	e.mu.Unlock()
	until("default/kept")
	r.Update(nil)
	until()
	for range 1000 {
		if !r.vanished.Load() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the engine is asked for ever")
}
