// Package process performs runtime.Actions with plain processes, on a peer that
// has no container engine. A task of image "process" (or none, or "process:TAG",
// where TAG is free text) is its entrypoint and command, run on the host.
//
// Each container has a shim: this same binary, started anew in a session of its
// own. The shim starts the command, keeps its output, checks its health and writes
// down how it ended, so that a daemon may die and be back without its tasks
// noticing. What is true lies in files, which any later daemon reads:
//
//	DIR/tasks/NAME/spec.json   what to run; written once, by create
//	DIR/tasks/NAME/lock        held by the living shim: who holds it, runs it
//	DIR/tasks/NAME/out.log     output, as lines of runtime.LogLine; rotated
//	DIR/tasks/NAME/work/       working directory, unless the task names one
//	DIR/state/NAME.json        the latest run: health, exit code; written by the shim
//	DIR/volumes/NAME/          a named volume; its path is in SHOAL_VOLUME_…
//
// States of a container: no state file, created; lock held, running; otherwise
// exited, with the code the shim wrote, or 137 if it could not write one (it was
// killed, or the power failed).
//
// A plain process shares the host's files, network and processors. No new
// privileges and the user are enforced; limits on CPU, memory and processes are
// not; what a task asks for and cannot have is refused by name.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// ShimCommand is the hidden subcommand that must call ShimMain.
const ShimCommand = "process-shim"

// Options say where a Driver keeps its containers, and for whom.
type Options struct {
	Dir   string      // made if it is not there; absolute
	Swarm string      // short swarm ID, as in runtime.Ref
	Peer  wire.PeerID // this peer
	// Shim is the command that runs ShimMain with the arguments appended to it;
	// empty: this binary and ShimCommand.
	Shim []string
	Log  *slog.Logger // nil: slog.Default()
}

// A Driver is one peer's plain processes. Its methods may be called at the same
// time from many goroutines.
type Driver struct {
	opts Options
	log  *slog.Logger

	mu   sync.Mutex
	busy map[string]*turn // one action at a time per container; bounded by the actions in flight
}

// A turn is the right to act on one container.
type turn struct {
	free    chan struct{} // holds one value while nobody acts
	waiting int           // guarded by Driver.mu
}

// New returns a driver on a directory, which it makes. Its error names the
// directory that cannot be had.
func New(opts Options) (*Driver, error) {
	if !filepath.IsAbs(opts.Dir) {
		return nil, fmt.Errorf("process directory %q: want an absolute path", opts.Dir)
	}
	if len(opts.Shim) == 0 {
		// Not os.Executable: after an upgrade that path is another program.
		opts.Shim = []string{"/proc/self/exe", ShimCommand}
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	d := &Driver{opts: opts, log: opts.Log, busy: map[string]*turn{}}
	for _, dir := range []string{"tasks", "state", "volumes"} {
		if err := os.MkdirAll(filepath.Join(opts.Dir, dir), 0o711); err != nil {
			return nil, fmt.Errorf("process directory: %w", err)
		}
	}
	d.sweepLeftovers()
	return d, nil
}

// Close leaves everything running.
func (d *Driver) Close() error { return nil }

// Ping reports whether the directory can be used.
func (d *Driver) Ping(context.Context) error {
	if _, err := os.Stat(filepath.Join(d.opts.Dir, "tasks")); err != nil {
		return fmt.Errorf("process directory: %w", err)
	}
	return nil
}

// Version returns "process".
func (d *Driver) Version(context.Context) (string, error) { return "process", nil }

// Do performs one action; done twice it is as done once. It returns nil, or an
// error that wraps runtime.ErrPermanent (no repeat on this peer can help), or one
// that does not (try again).
func (d *Driver) Do(ctx context.Context, a runtime.Action) error {
	if a.Container == "" || strings.HasPrefix(a.Container, ".") || strings.ContainsAny(a.Container, "/\x00") {
		return permanent("%v: %q is no container's name", a.Op, a.Container)
	}
	done, err := d.begin(ctx, a.Container)
	if err != nil {
		return fmt.Errorf("%v %s: %w", a.Op, a.Container, err)
	}
	defer done()
	switch a.Op {
	case runtime.OpCreate:
		return d.create(a)
	case runtime.OpStart:
		return d.start(ctx, a)
	case runtime.OpStop:
		return d.stop(ctx, a)
	case runtime.OpRemove:
		return d.remove(ctx, a)
	}
	return permanent("action %d on %s: unknown operation %d", a.ID, a.Container, a.Op)
}

// begin waits for the turn to act on a container; the function it returns ends it.
func (d *Driver) begin(ctx context.Context, name string) (func(), error) {
	d.mu.Lock()
	t := d.busy[name]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		d.busy[name] = t
	}
	t.waiting++
	d.mu.Unlock()
	leave := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(d.busy, name)
		}
	}
	select {
	case <-t.free:
		return func() { t.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// EnsureNetwork returns the addresses of the loopback interface that are the
// job's: a /24 of 127.64.0.0/10, which needs no setting up. Plain processes listen
// on the host itself; nothing is isolated.
func (d *Driver) EnsureNetwork(_ context.Context, id job.ID) (runtime.NetworkInfo, error) {
	h := runtime.NetworkHash(d.opts.Swarm, d.opts.Peer, id)
	prefix := fmt.Sprintf("127.%d.%d.", 64+h[0]%64, h[1])
	return runtime.NetworkInfo{
		Job: id, Name: "host", Bridge: "lo", Gateway: prefix + "1", Subnet: prefix + "0/24",
		First: prefix + "2", Last: prefix + "254",
	}, nil
}

// RemoveNetwork does nothing.
func (d *Driver) RemoveNetwork(context.Context, job.ID) error { return nil }

// Networks returns none: there are none to collect.
func (d *Driver) Networks(context.Context) ([]runtime.NetworkInfo, error) { return nil, nil }

// RemoveVolume removes a named volume of one slot; gone already is success. While
// a container, running or not, uses it, it stays and the error says so.
func (d *Driver) RemoveVolume(_ context.Context, id job.ID, volume string, index int) error {
	name := runtime.VolumeName(d.opts.Swarm, id, volume, index)
	all, err := d.specs()
	if err != nil {
		return err
	}
	for container, s := range all {
		for _, v := range s.Volumes {
			if v == name {
				return fmt.Errorf("remove volume %s: container %s uses it", name, container)
			}
		}
	}
	if err := os.RemoveAll(d.volumePath(name)); err != nil {
		return fmt.Errorf("remove volume %s: %w", name, err)
	}
	return nil
}

// permanent makes an error that no repeat on this peer can mend.
func permanent(format string, args ...any) error {
	return &permanentError{fmt.Errorf(format, args...)}
}

// A permanentError is runtime.ErrPermanent without its words.
type permanentError struct{ error }

func (e *permanentError) Unwrap() []error { return []error{e.error, runtime.ErrPermanent} }

// untilTrue polls every 10 ms; it reports whether ok came true within limit.
func untilTrue(ctx context.Context, limit time.Duration, ok func() bool) bool {
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			return ok()
		case <-ctx.Done():
			return ok()
		}
	}
	return true
}

var errBusy = errors.New("its process does not end")
