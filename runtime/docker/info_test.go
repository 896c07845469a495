package docker

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"shoal/internal/enginetest"
	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
)

// What an engine says of itself is told, and that somebody gave a container of ours a
// restart policy; one that hangs costs no more than the deadline.
func testInfo(t *testing.T, d *Driver, e *enginetest.Engine, image string) {
	defer d.Close()
	ref := runtime.Ref{Swarm: "1nf0", Peer: runtimetest.Peer, Slot: job.SlotID{Job: "default/shop", Task: "web"}, Life: 1, Token: 1}
	name := runtime.Name(ref)
	task := &job.Task{Name: "web", Image: image, Command: []string{"sleep", "1000"}}
	if err := d.Do(t.Context(), runtime.Action{Op: runtime.OpCreate, Container: name, Ref: ref, Task: task}); err != nil {
		t.Fatal(err)
	}
	info, err := d.Info(t.Context())
	if err != nil || info.Version == "" || info.Root == "" || info.Cgroup != "1" && info.Cgroup != "2" || len(info.Restarts) != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	policy := container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "always"}}
	if _, err := e.Client().ContainerUpdate(t.Context(), name, policy); err != nil {
		t.Fatal(err)
	}
	if info, err = d.Info(t.Context()); err != nil || len(info.Restarts) != 1 || info.Restarts[0] != name {
		t.Errorf("%+v, %v; want %s", info.Restarts, err, name)
	}
	if err := d.Do(t.Context(), runtime.Action{Op: runtime.OpRemove, Container: name, Ref: ref}); err != nil {
		t.Fatal(err)
	}
	e.Pause()
	defer e.Resume()
	began := time.Now()
	if _, err := d.Info(t.Context()); err == nil || time.Since(began) > 15*time.Second {
		t.Errorf("a hung engine: %v after %s", err, time.Since(began))
	}
}
