// Package pretend is a driver that runs nothing: it keeps a list of the containers it
// was asked for and says that those which were started run. With it benchmarks measure
// what placing costs, on more slots than the machine could run. It is for nothing else: a
// peer that has it takes work which then is not done.
package pretend

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"shoal/job"
	"shoal/runtime"
)

// Name is what --driver calls it, and Facts.Driver.
const Name = "pretend"

// A Driver forgets everything when its process ends. Its methods may be called by
// several goroutines.
type Driver struct {
	mu         sync.Mutex
	containers map[string]*runtime.Observed
	starts     int
	changed    map[chan struct{}]bool // of Watch, each with room for one signal
}

// New returns a driver without containers.
func New() *Driver {
	return &Driver{containers: map[string]*runtime.Observed{}, changed: map[chan struct{}]bool{}}
}

// Do performs one action at once; done twice it is as done once. A start of what was never
// created is an error.
func (d *Driver) Do(_ context.Context, a runtime.Action) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.containers[a.Container]
	switch {
	case a.Op == runtime.OpCreate && c == nil:
		d.containers[a.Container] = &runtime.Observed{Container: a.Container, ID: a.Container, Ref: a.Ref, State: runtime.StateCreated}
	case a.Op == runtime.OpStart && c == nil:
		return fmt.Errorf("start %s: there is no such container", a.Container)
	case a.Op == runtime.OpStart && c.State != runtime.StateRunning:
		d.starts++
		c.State, c.Starts, c.Address = runtime.StateRunning, strconv.Itoa(d.starts), "127.0.0.1"
	case a.Op == runtime.OpStop && c != nil && c.State == runtime.StateRunning:
		c.State, c.ExitCode, c.Address = runtime.StateExited, 143, ""
	case a.Op == runtime.OpRemove:
		delete(d.containers, a.Container)
	}
	for w := range d.changed {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return nil
}

// List returns the containers, sorted by name.
func (d *Driver) List(context.Context) ([]runtime.Observed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]runtime.Observed, 0, len(d.containers))
	for _, c := range d.containers {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b runtime.Observed) int { return strings.Compare(a.Container, b.Container) })
	return out, nil
}

// Watch signals that something may have changed. Signals that nobody has taken yet become
// one. The channel is closed when ctx ends.
func (d *Driver) Watch(ctx context.Context) <-chan struct{} {
	w := make(chan struct{}, 1)
	d.mu.Lock()
	d.changed[w] = true
	d.mu.Unlock()
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.changed, w)
		close(w)
	})
	return w
}

// Logs says that there are none.
func (d *Driver) Logs(_ context.Context, name string, _ runtime.LogOptions) (io.ReadCloser, error) {
	return nil, fmt.Errorf("logs of %s: the driver %q runs nothing", name, Name)
}

// EnsureNetwork gives every job the loopback.
func (d *Driver) EnsureNetwork(_ context.Context, id job.ID) (runtime.NetworkInfo, error) {
	return runtime.NetworkInfo{
		Job: id, Name: "none", Bridge: "lo", Gateway: "127.90.0.1", Subnet: "127.90.0.0/24",
		First: "127.90.0.2", Last: "127.90.0.254",
	}, nil
}

// RemoveNetwork does nothing: there are none.
func (d *Driver) RemoveNetwork(context.Context, job.ID) error { return nil }

// Networks returns none.
func (d *Driver) Networks(context.Context) ([]runtime.NetworkInfo, error) { return nil, nil }

// RemoveVolume does nothing: there are none.
func (d *Driver) RemoveVolume(context.Context, job.ID, string, int) error { return nil }

// Ping always succeeds.
func (d *Driver) Ping(context.Context) error { return nil }

// Version is the driver's name.
func (d *Driver) Version(context.Context) (string, error) { return Name, nil }

// Close does nothing.
func (d *Driver) Close() error { return nil }
