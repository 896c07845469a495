// Package runtimetest is what every driver must do: one suite, run on the docker
// driver with a real engine and on the process driver with real processes.
package runtimetest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// A Driver is what the suite calls.
type Driver interface {
	Do(context.Context, runtime.Action) error
	List(context.Context) ([]runtime.Observed, error)
	Watch(context.Context) <-chan struct{}
	Logs(context.Context, string, runtime.LogOptions) (io.ReadCloser, error)
	Ping(context.Context) error
	Version(context.Context) (string, error)
	EnsureNetwork(context.Context, job.ID) (runtime.NetworkInfo, error)
	RemoveNetwork(context.Context, job.ID) error
	RemoveVolume(ctx context.Context, id job.ID, volume string, index int) error
	Close() error
}

// A Harness says how the suite gets its driver and what the driver can do.
type Harness struct {
	// New returns a driver of this swarm and peer on one and the same engine; two
	// are one daemon before and after its restart, or two peers on one engine.
	New func(t *testing.T, swarm string, peer wire.PeerID) Driver
	// Image is one that is present and has /bin/sh.
	Image string
	// Missing is an image that is nowhere to be had.
	Missing string
	// Volume is a shell word for the directory of the volume "data", which tasks
	// mount at /data.
	Volume string
	// Hang makes the engine silent and Resume ends that; nil where there is none.
	Hang, Resume func()
	// Isolates says that containers have networks and limits of their own.
	Isolates bool
}

// Swarm and Peer are the identity under test.
const Swarm = "k7m2"

// Peer is the identity under test, and Other one that shares its engine.
var (
	Peer  = wire.PeerID{1, 2, 3}
	Other = wire.PeerID{4, 5, 6}
)

// patience bounds every wait of the suite.
const patience = 20 * time.Second

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"CreateTwiceIsOnce", testCreateTwice},
		{"ThirtyCreatesAreOne", testManyCreates},
		{"OtherSpecIsAnError", testOtherSpec},
		{"StartTwiceIsOnce", testStartTwice},
		{"EndedRunIsNotRepeated", testRunOnce},
		{"StartOfNothing", testStartOfNothing},
		{"StopAsks", testStop},
		{"StopKillsWhoIgnoresTerm", testStopIgnored},
		{"RemoveTwice", testRemoveTwice},
		{"RemoveOfRunning", testRemoveRunning},
		{"ListShowsOwnOnly", testListOwn},
		{"AdoptsRunning", testAdopt},
		{"ExitCode", testExitCode},
		{"CommandNotFoundIsSaid", testNoCommand},
		{"EnvironmentTellsPlace", testEnvironment},
		{"HealthyThenUnhealthy", testHealth},
		{"VolumePersists", testVolume},
		{"LogsBothStreams", testLogs},
		{"LogsFollow", testLogsFollow},
		{"WatchSignals", testWatch},
		{"MissingImage", testMissingImage},
		{"SilentEngine", testSilent},
		{"ContainersReachEachOther", testNetwork},
		{"MemoryLimit", testMemory},
		{"NoNewPrivileges", testPrivileges},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newFixture(t, h)) })
	}
}

// A fixture is one case's driver and clean job.
type fixture struct {
	Harness
	t   *testing.T
	ctx context.Context
	d   Driver
	job job.ID
	ids uint64
}

func newFixture(t *testing.T, h Harness) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	f := &fixture{Harness: h, t: t, ctx: ctx, job: job.MakeID("", caseName(t.Name()))}
	f.d = f.open(Swarm, Peer)
	t.Cleanup(func() {
		f.clean(f.d)
		cancel()
	})
	if _, err := f.d.Version(ctx); err != nil {
		t.Fatal(err)
	}
	return f
}

// caseName makes a job name of a test's: lower-case letters and digits.
func caseName(test string) string {
	var b []byte
	for _, c := range []byte(test) {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c >= 'a' && c <= 'z' {
			b = append(b, c)
		}
	}
	return string(b[max(0, len(b)-30):])
}

func (f *fixture) open(swarm string, peer wire.PeerID) Driver {
	d := f.New(f.t, swarm, peer)
	f.t.Cleanup(func() { d.Close() })
	return d
}

// clean removes all that the driver shows.
func (f *fixture) clean(d Driver) {
	seen, err := d.List(f.ctx)
	if err != nil {
		f.t.Errorf("clean up: %v", err)
	}
	for _, o := range seen {
		if err := d.Do(f.ctx, runtime.Action{Op: runtime.OpRemove, Container: o.Container}); err != nil {
			f.t.Errorf("clean up: %v", err)
		}
	}
	if err := d.RemoveNetwork(f.ctx, f.job); err != nil {
		f.t.Errorf("clean up: %v", err)
	}
}

// task returns one that runs a shell script.
func (f *fixture) task(script string) *job.Task {
	return &job.Task{Name: "web", Image: f.Image, Command: []string{"/bin/sh", "-c", script}, Pids: 64}
}

// ref returns the claim on slot n under test.
func (f *fixture) ref(n int) runtime.Ref {
	return runtime.Ref{
		Swarm: Swarm, Peer: Peer, Life: 1, Token: 3, Spec: wire.HashOf([]byte("spec")),
		Slot: job.SlotID{Job: f.job, Task: "web", Index: n},
	}
}

// action returns the next action on the container of ref.
func (f *fixture) action(op runtime.Op, ref runtime.Ref, task *job.Task) runtime.Action {
	f.ids++
	return runtime.Action{ID: f.ids, Op: op, Container: runtime.Name(ref), Ref: ref, Run: 1, Task: task, Grace: 2 * time.Second}
}

func (f *fixture) do(op runtime.Op, ref runtime.Ref, task *job.Task) {
	f.t.Helper()
	if err := f.d.Do(f.ctx, f.action(op, ref, task)); err != nil {
		f.t.Fatalf("%v: %v", op, err)
	}
}

// run creates and starts.
func (f *fixture) run(ref runtime.Ref, task *job.Task) {
	f.t.Helper()
	f.do(runtime.OpCreate, ref, task)
	f.do(runtime.OpStart, ref, nil)
}

// see returns the container of ref as the driver shows it, or nil.
func (f *fixture) see(d Driver, ref runtime.Ref) *runtime.Observed {
	f.t.Helper()
	list, err := d.List(f.ctx)
	if err != nil {
		f.t.Fatalf("list: %v", err)
	}
	var found *runtime.Observed
	for _, o := range list {
		if o.Container != runtime.Name(ref) {
			continue
		}
		if found != nil {
			f.t.Fatalf("%s is listed twice", o.Container)
		}
		found = &o
	}
	return found
}

// until polls the container until ok, and returns it.
func (f *fixture) until(ref runtime.Ref, what string, ok func(*runtime.Observed) bool) *runtime.Observed {
	f.t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		o := f.see(f.d, ref)
		if ok(o) {
			return o
		}
		if time.Since(begun) > patience {
			f.t.Fatalf("not %s within %v: %+v", what, patience, o)
		}
	}
}

func (f *fixture) untilState(ref runtime.Ref, want runtime.State) *runtime.Observed {
	f.t.Helper()
	return f.until(ref, want.String(), func(o *runtime.Observed) bool { return o != nil && o.State == want })
}

// logs reads all that the container has written.
func (f *fixture) logs(ref runtime.Ref, opts runtime.LogOptions) []runtime.LogLine {
	f.t.Helper()
	r, err := f.d.Logs(f.ctx, runtime.Name(ref), opts)
	if err != nil {
		f.t.Fatalf("logs: %v", err)
	}
	defer r.Close()
	var lines []runtime.LogLine
	s := bufio.NewScanner(r)
	for s.Scan() {
		l, err := runtime.ParseLogLine(s.Text())
		if err != nil {
			f.t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		f.t.Fatalf("read logs: %v", err)
	}
	return lines
}

// output waits for the container's end and returns its exit code and first line.
func (f *fixture) output(ref runtime.Ref, task *job.Task) (int, string) {
	f.t.Helper()
	f.run(ref, task)
	code := f.untilState(ref, runtime.StateExited).ExitCode
	lines := f.logs(ref, runtime.LogOptions{})
	if len(lines) == 0 {
		return code, ""
	}
	return code, lines[0].Text
}

// wantPermanent checks that err says that no repeat helps.
func (f *fixture) wantPermanent(err error) {
	f.t.Helper()
	if !errors.Is(err, runtime.ErrPermanent) || errors.Is(err, runtime.ErrSilent) {
		f.t.Fatalf("got %v, want a permanent error", err)
	}
}
