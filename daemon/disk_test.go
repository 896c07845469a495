package daemon

import (
	"bytes"
	"context"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger/badger"
	"shoal/node"
	"shoal/runtime"
	"shoal/runtime/docker"
	"shoal/runtime/process"
	"shoal/wire"
)

// What cmd/node wires fits without an adapter between.
var (
	_ recordStore = (*badger.Store)(nil)
	_ driver      = (*docker.Driver)(nil)
	_ driver      = (*process.Driver)(nil)
)

// TestDaemon_OnARealDisk runs a daemon on Badger, in real time, twice.
func TestDaemon_OnARealDisk(t *testing.T) {
	dir, engine := t.TempDir(), newEngine()
	spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: 2, Image: "img"}}}
	spec.Defaults()
	for start := range 2 {
		withRealDisk(t, dir, engine, start == 0, func(d *Daemon) {
			rep, err := d.Do(t.Context(), node.Request{Deploy: &node.Deploy{Spec: spec}})
			if start == 0 && (err != nil || rep.Err != "" || !rep.Changed) {
				t.Fatalf("deploy: %+v, %v", rep, err)
			}
			awaitReal(t, "two containers run, adopted or new", func() bool {
				running := 0
				if err := d.View(t.Context(), func(c *node.Core) {
					for _, v := range c.Slots("") {
						if v.Phase == "running" || v.Phase == "serving" {
							running++
						}
					}
				}); err != nil {
					t.Fatal(err)
				}
				return running == 2
			})
		})
	}
	if engine.starts != 2 {
		t.Errorf("containers were started %d times, want 2", engine.starts)
	}
}

func withRealDisk(t *testing.T, dir string, e *engine, founder bool, run func(*Daemon)) {
	t.Helper()
	store, err := badger.Open(dir, badger.Options{Small: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := newSwarm(t, 1)
	port := s.fabric.join(s.peers[0].key.Peer())
	d, err := New(Config{
		Core: node.Config{
			Self: s.peers[0].key.Peer(), Swarm: wire.HashOf([]byte("swarm")), Key: s.peers[0].key, Verify: wire.VerifyEd25519,
			Seed: 1, Nonce: 1, Name: "n1", Founder: founder, Version: "test",
		},
		Store: store, Transport: port, Heard: port.heard, Driver: e, Record: new(bytes.Buffer),
		Facts: func(context.Context) runtime.Facts {
			return runtime.Facts{Capacity: job.Resources{CPUMilli: 2000, MemBytes: 4 << 30, DiskBytes: 100 << 30}, OS: "linux", Arch: "amd64", Driver: "docker"}
		},
		Disk: func() (int64, int64, error) { return badger.Free(dir) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	run(d)
}

func awaitReal(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
