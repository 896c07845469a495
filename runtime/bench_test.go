package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

const sec = clock.Instant(time.Second)

// A bench drives a Reconciler by hand: it keeps what the engine would have and
// what was given out last.
type bench struct {
	t       *testing.T
	r       *Reconciler
	now     clock.Instant
	engine  map[string]*Observed
	starts  int
	open    []Action // in flight
	reports []Report // since the last take
	wake    clock.Instant
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, r: New(Config{}), engine: map[string]*Observed{}, now: sec}
}

func refOf(slot string, token wire.Token, spec string) Ref {
	id, err := job.ParseSlotID(slot)
	if err != nil {
		panic(err)
	}
	return Ref{Swarm: "s", Peer: wire.PeerID{1}, Slot: id, Life: 1, Token: token, Spec: wire.HashOf([]byte(spec))}
}

func service() *job.Task { return &job.Task{Name: "web", Image: "web:1"} }

// tick lets the reconciler decide, and returns what it began.
func (b *bench) tick() []Action {
	b.t.Helper()
	actions, reports, wake := b.r.Tick(b.now)
	b.open = append(b.open, actions...)
	b.reports = append(b.reports, reports...)
	b.wake = wake
	if wake != 0 && wake <= b.now {
		b.t.Fatalf("at %v: wake at %v is not later", b.now, wake)
	}
	return actions
}

// perform ends every action in flight with success, on the engine too.
func (b *bench) perform() {
	for _, a := range slices.Clone(b.open) {
		b.apply(a)
		b.result(a, "", false)
	}
}

func (b *bench) apply(a Action) {
	c := b.engine[a.Container]
	switch {
	case a.Op == OpCreate && c == nil:
		b.engine[a.Container] = &Observed{Container: a.Container, Ref: a.Ref, State: StateCreated}
	case a.Op == OpStart && c != nil && c.State != StateRunning:
		b.starts++
		c.State, c.Starts, c.Address, c.Health = StateRunning, fmt.Sprint(b.starts), "10.0.0.2", HealthNone
	case a.Op == OpStop && c != nil && c.State == StateRunning:
		c.State, c.ExitCode, c.Address = StateExited, 143, ""
	case a.Op == OpRemove:
		delete(b.engine, a.Container)
	}
}

func (b *bench) result(a Action, err string, permanent bool) {
	b.open = slices.DeleteFunc(b.open, func(o Action) bool { return o.ID == a.ID })
	b.r.Done(b.now, Result{ID: a.ID, Op: a.Op, Container: a.Container, Err: err, Permanent: permanent})
}

// look gives a snapshot of the engine as it is.
func (b *bench) look() {
	b.now++
	sn := Snapshot{Begun: b.now}
	for _, c := range b.engine {
		sn.Containers = append(sn.Containers, *c)
	}
	b.r.Observe(b.now, sn)
}

// run goes on without faults, looking every second, up to an instant.
func (b *bench) run(until clock.Instant) {
	b.t.Helper()
	for {
		b.look()
		for b.tick(); len(b.open) > 0; b.tick() {
			b.perform()
		}
		if b.now+sec > until {
			b.now = max(b.now, until)
			return
		}
		b.now += sec
	}
}

// runFor goes on for d.
func (b *bench) runFor(d time.Duration) { b.t.Helper(); b.run(b.now.Add(d)) }

func (b *bench) exit(ref Ref, code int) {
	b.t.Helper()
	c := b.engine[Name(ref)]
	if c == nil || c.State != StateRunning {
		b.t.Fatalf("%s is not running: %+v", Name(ref), c)
	}
	c.State, c.ExitCode, c.Address = StateExited, code, ""
}

func (b *bench) has(ref Ref, state State, health HealthState, code int) {
	b.starts++
	b.engine[Name(ref)] = &Observed{Container: Name(ref), ID: "old", Ref: ref, State: state, Health: health, ExitCode: code, Starts: fmt.Sprint(b.starts)}
}

func (b *bench) state(ref Ref) State {
	if c := b.engine[Name(ref)]; c != nil {
		return c.State
	}
	return 0
}

// trail writes the reports since the last call, as "run phase", in one line.
func (b *bench) trail() string {
	var parts []string
	for _, rep := range b.reports {
		part := fmt.Sprintf("%d %v", rep.Run, rep.Phase)
		if rep.NotServing {
			part += " late"
		}
		if rep.OldRuns {
			part += " old"
		}
		if len(parts) == 0 || parts[len(parts)-1] != part {
			parts = append(parts, part)
		}
	}
	b.reports = nil
	return strings.Join(parts, ", ")
}

func (b *bench) wantTrail(want string) {
	b.t.Helper()
	if got := b.trail(); got != want {
		b.t.Errorf("at %v: reports\n got %s\nwant %s", b.now, got, want)
	}
}

func ops(list []Action) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%v %v.%d run %d", a.Op, a.Ref.Slot, a.Ref.Token, a.Run))
	}
	return strings.Join(parts, ", ")
}

func (b *bench) wantActions(want string) {
	b.t.Helper()
	if got := ops(b.tick()); got != want {
		b.t.Errorf("at %v: actions\n got %q\nwant %q", b.now, got, want)
	}
}
