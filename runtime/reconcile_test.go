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

func TestOneClaimFromNothingToGone(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 3, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.wantActions("") // nothing is known of the engine yet
	b.look()
	b.wantActions("create shop/web.0.3 run 1")
	b.wantTrail("1 starting") // with the action, so that it is durable before
	b.wantActions("")
	b.perform()
	b.wantActions("start shop/web.0.3 run 1")
	b.perform()
	started := b.now
	b.look()
	b.tick()
	if b.wake != started.Add(5*time.Second) {
		t.Errorf("wakes at %v, want when it has run for 5s, %v", b.wake, started.Add(5*time.Second))
	}
	b.wantTrail("1 starting") // its address
	b.now = started.Add(5*time.Second) - 1
	b.tick()
	b.wantTrail("")
	b.now++
	b.tick()
	b.wantTrail("1 serving")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service(), Run: 1, Stop: true, Grace: 2 * time.Second}})
	if a := b.tick(); len(a) != 1 || a[0].Op != OpStop || a[0].Grace != 2*time.Second {
		t.Fatalf("got %+v, want a stop with a grace of 2s", a)
	}
	b.perform()
	b.wantActions("remove shop/web.0.3 run 0")
	b.look() // begun before the removal ended
	b.wantTrail("")
	b.perform()
	b.tick()
	b.wantTrail("1 gone")
	b.r.Set(b.now, nil)
	b.runFor(5 * time.Second)
	b.wantTrail("")
}

func TestSnapshotBegunBeforeAnActionsEndSaysNothingOfItsContainer(t *testing.T) {
	for _, row := range []struct {
		name  string
		begun clock.Instant // against the end of the create at 10s
		want  string
	}{
		{"before", 10*sec - 1, "start shop/web.0.1 run 1"},
		{"same instant", 10 * sec, "start shop/web.0.1 run 1"},
		{"after", 10*sec + 1, "create shop/web.0.1 run 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
			b.look()
			b.tick()
			b.now = 10 * sec
			b.perform()
			b.r.Observe(11*sec, Snapshot{Begun: row.begun}) // empty
			b.wantActions(row.want)
		})
	}
}

func TestOlderSnapshotIsIgnored(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(10 * sec)
	b.trail()
	b.r.Observe(b.now, Snapshot{Begun: b.now - 2*sec}) // says it is gone
	b.wantActions("")
	b.wantTrail("")
}

func TestServing(t *testing.T) {
	check := &job.Health{Test: []string{"CMD", "true"}}
	for _, row := range []struct {
		name   string
		task   job.Task
		health HealthState
		after  time.Duration
		want   string
	}{
		{"no check, just before monitor", job.Task{}, HealthNone, 5*time.Second - 1, "1 starting"},
		{"no check, monitor", job.Task{}, HealthNone, 5 * time.Second, "1 starting, 1 serving"},
		{"own monitor", job.Task{Update: job.Update{Monitor: 9 * time.Second}}, HealthNone, 8 * time.Second, "1 starting"},
		{"check starting", job.Task{Health: check}, HealthStarting, 8 * time.Second, "1 starting"},
		{"check passes at once", job.Task{Health: check}, Healthy, 0, "1 starting, 1 serving"},
		{"check of the image", job.Task{}, HealthStarting, 8 * time.Second, "1 starting"},
		{"check switched off", job.Task{Health: &job.Health{Test: []string{"NONE"}}}, HealthNone, 5 * time.Second, "1 starting, 1 serving"},
		{"declared check not yet shown", job.Task{Health: check}, HealthNone, 8 * time.Second, "1 starting"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			ref := refOf("shop/web.0", 1, "a")
			b.r.Set(b.now, []Want{{Ref: ref, Task: &row.task}})
			b.look()
			b.tick()
			b.perform()
			b.tick()
			b.perform()
			from := b.now
			b.engine[Name(ref)].Health = row.health
			b.look()
			b.tick()
			b.now = max(b.now, from.Add(row.after))
			b.tick()
			b.wantTrail(row.want)
		})
	}
}

func TestNoServingWithoutASnapshotThatShowsItRunning(t *testing.T) {
	b := newBench(t)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
	b.look()
	b.tick()
	b.perform()
	b.tick()
	b.perform()
	b.now += 10 * sec
	b.tick()
	b.wantTrail("1 starting")
}

func TestNotServingAfter(t *testing.T) {
	check := func(start, every time.Duration, n int) *job.Health {
		return &job.Health{Test: []string{"CMD", "x"}, StartPeriod: start, Interval: every, Retries: n}
	}
	for _, row := range []struct {
		name   string
		health *job.Health
		want   time.Duration
	}{
		{"no check", nil, time.Minute},
		{"short check", check(5*time.Second, time.Second, 3), time.Minute},
		{"long start", check(2*time.Minute, 10*time.Second, 4), 160 * time.Second},
		{"defaults of a check", check(0, 0, 0), 90 * time.Second},
		{"absurd", check(1<<62, 1<<62, 1<<30), 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := NotServingAfter(&job.Task{Health: row.health}); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestNotServingIsReportedAndNothingStopped(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	task := &job.Task{Health: &job.Health{Test: []string{"CMD", "x"}, Interval: time.Second}}
	b.r.Set(b.now, []Want{{Ref: ref, Task: task}})
	b.look()
	b.tick()
	b.perform()
	b.tick()
	b.perform()
	start := b.now
	b.engine[Name(ref)].Health = HealthStarting
	for b.now+sec < start+60*sec {
		b.now += sec
		b.look()
		b.tick()
	}
	b.wantTrail("1 starting")
	b.now = start + 60*sec - 1
	b.tick()
	b.wantTrail("")
	b.now++
	b.tick()
	b.wantTrail("1 starting late")
	b.runFor(30 * time.Second)
	b.wantTrail("")
	b.engine[Name(ref)].Health = Healthy
	b.runFor(time.Second)
	b.wantTrail("1 serving")
}

func TestStateChangesOutsideAreRuns(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(10 * sec)
	b.wantTrail("1 starting, 1 serving")
	b.engine[Name(ref)].Starts = "by hand"
	b.runFor(8 * time.Second)
	b.wantTrail("2 starting, 2 serving")
	delete(b.engine, Name(ref)) // removed by hand: it counts as an end, and is made anew
	b.runFor(10 * time.Second)
	b.wantTrail("2 backoff, 3 starting, 3 serving")
}

// twoAtOnce skips where the names of two specs of one claim are equal, so that an
// update can only replace.
func twoAtOnce(t *testing.T) {
	if Name(refOf("shop/web.0", 1, "a")) == Name(refOf("shop/web.0", 1, "b")) {
		t.Skip("container names do not tell specs apart")
	}
}

func TestUpdate(t *testing.T) {
	twoAtOnce(t)
	startFirst := &job.Task{Image: "web:2", Update: job.Update{Order: "start-first"}}
	for _, row := range []struct {
		name  string
		task  *job.Task
		steps string
		trail string
	}{
		{"stop first", &job.Task{Image: "web:2"}, "create b, stop a, start b, remove a", "2 starting old, 2 starting, 2 serving"},
		{"start first", startFirst, "create b, start b, stop a, remove a", "2 starting old, 2 serving old, 2 serving"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			specs := map[wire.Hash]string{wire.HashOf([]byte("a")): "a", wire.HashOf([]byte("b")): "b"}
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
			b.run(10 * sec)
			b.trail()
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "b"), Task: row.task, Run: 1}})
			var steps []string
			for end := b.now + 10*sec; b.now < end; b.now += sec {
				b.look()
				for _, a := range b.tick() {
					steps = append(steps, a.Op.String()+" "+specs[a.Ref.Spec])
				}
				b.perform()
			}
			if got := strings.Join(steps, ", "); got != row.steps {
				t.Errorf("got %s\nwant %s", got, row.steps)
			}
			b.wantTrail(row.trail)
		})
	}
}

// A container of another spec under the very name the new one needs goes first,
// even where the new one would be made before it.
func TestUpdateWhoseNameIsTaken(t *testing.T) {
	b := newBench(t)
	oldRef, newRef := refOf("shop/web.0", 1, "a"), refOf("shop/web.0", 1, "b")
	b.engine[Name(newRef)] = &Observed{Container: Name(newRef), Ref: oldRef, State: StateRunning, Starts: "x"}
	task := &job.Task{Update: job.Update{Order: "start-first"}}
	b.r.Set(b.now, []Want{{Ref: newRef, Task: task, Run: 1}})
	var did []Action
	b.look()
	for next := b.tick(); len(next) > 0; next = b.tick() {
		did = append(did, next...)
		b.perform()
	}
	want := "stop shop/web.0.1 run 0, remove shop/web.0.1 run 0, create shop/web.0.1 run 2, start shop/web.0.1 run 2"
	if got := ops(did); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if c := b.engine[Name(newRef)]; c.Ref != newRef {
		t.Errorf("the container is still of %v", c.Ref.Spec)
	}
}

func TestUpdateThatCannotBeCreatedKeepsTheOldOne(t *testing.T) {
	twoAtOnce(t)
	b := newBench(t)
	oldRef, newRef := refOf("shop/web.0", 1, "a"), refOf("shop/web.0", 1, "b")
	b.r.Set(b.now, []Want{{Ref: oldRef, Task: service()}})
	b.run(10 * sec)
	b.trail()
	b.r.Set(b.now, []Want{{Ref: newRef, Task: service(), Run: 1}})
	b.result(b.tick()[0], "image web:2 is nowhere to be had", true)
	b.runFor(20 * time.Second)
	b.wantTrail("2 starting old, 2 failed old")
	if b.state(oldRef) != StateRunning {
		t.Fatal("the old container was stopped")
	}
	id := b.engine[Name(oldRef)].Starts
	b.r.Set(b.now, []Want{{Ref: oldRef, Task: service(), Run: 2}})
	b.runFor(time.Second)
	b.wantTrail("3 serving") // taken over as it is, in a run of its own
	if b.engine[Name(oldRef)].Starts != id {
		t.Error("the old container was started again")
	}
}

func TestSupersededWhileInFlight(t *testing.T) {
	ref := refOf("shop/web.0", 1, "a")
	stop := []Want{{Ref: ref, Task: service(), Stop: true}}
	for _, row := range []struct {
		name  string
		until Op
		err   string
		want  string // what follows the result
	}{
		{"create", OpCreate, "", "remove shop/web.0.1 run 0"},
		{"create failed", OpCreate, "timed out", "stop shop/web.0.1 run 0, remove shop/web.0.1 run 0"},
		{"start", OpStart, "", "stop shop/web.0.1 run 0, remove shop/web.0.1 run 0"},
		{"start failed", OpStart, "timed out", "stop shop/web.0.1 run 0, remove shop/web.0.1 run 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
			b.look()
			if b.tick(); row.until == OpStart {
				b.perform()
				b.tick()
			}
			a := b.open[0]
			b.r.Set(b.now, stop)
			b.wantActions("") // its result is awaited
			b.apply(a)
			b.result(a, row.err, false)
			b.trail()
			var did []Action
			for next := b.tick(); len(next) > 0; next = b.tick() {
				did = append(did, next...)
				b.perform()
			}
			if got := ops(did); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
			b.wantTrail("1 gone")
			if len(b.engine) != 0 {
				t.Errorf("the engine still has %v", b.engine)
			}
		})
	}
}

func TestAdopt(t *testing.T) {
	ref := refOf("shop/web.0", 7, "a")
	batch := &job.Task{Type: job.Batch}
	no := &job.Task{Restart: job.Restart{Policy: "no"}}
	for _, row := range []struct {
		name    string
		want    Want
		state   State // 0: missing
		health  HealthState
		code    int
		actions string
		trail   string
	}{
		{"running", Want{Task: service(), Run: 4}, StateRunning, 0, 0, "", "4 starting"},
		{"running and served", Want{Task: service(), Run: 4, Phase: Serving}, StateRunning, 0, 0, "", "4 serving"},
		{"running, healthy", Want{Task: service(), Run: 4}, StateRunning, Healthy, 0, "", "4 serving"},
		{"running, unhealthy", Want{Task: service(), Run: 4, Phase: Serving}, StateRunning, Unhealthy, 0, "stop shop/web.0.7 run 0", "4 serving"},
		{"running, record says backoff", Want{Task: service(), Run: 4, Phase: Backoff}, StateRunning, 0, 0, "", "5 starting"},
		{"exited by a power cut", Want{Task: service(), Run: 4}, StateExited, 0, 137, "start shop/web.0.7 run 5", "5 starting"},
		{"exited by itself", Want{Task: service(), Run: 4}, StateExited, 0, 1, "start shop/web.0.7 run 5", "5 starting"},
		{"created", Want{Task: service(), Run: 4}, StateCreated, 0, 0, "start shop/web.0.7 run 5", "5 starting"},
		{"missing", Want{Task: service(), Run: 4}, 0, 0, 0, "create shop/web.0.7 run 5", "5 starting"},
		{"batch done meanwhile", Want{Task: batch, Run: 1}, StateExited, 0, 0, "", "1 completed"},
		{"batch cut short", Want{Task: batch, Run: 1}, StateExited, 0, 255, "start shop/web.0.7 run 2", "2 starting"},
		{"policy no, failed", Want{Task: no, Run: 1}, StateExited, 0, 3, "", "1 failed"},
		{"policy no, cut short", Want{Task: no, Run: 1}, StateExited, 0, 137, "start shop/web.0.7 run 2", "2 starting"},
		{"held", Want{Task: service(), Run: 1, Hold: true}, 0, 0, 0, "", "1 waiting"},
		{"held but running", Want{Task: service(), Run: 1, Hold: true}, StateRunning, 0, 0, "", "1 starting"},
		{"kept", Want{Task: batch, Run: 1, Keep: true}, StateExited, 0, 0, "", ""},
		{"kept but running", Want{Task: batch, Run: 1, Keep: true}, StateRunning, 0, 0, "stop shop/web.0.7 run 0", ""},
		{"to stop, missing", Want{Task: service(), Run: 4, Stop: true}, 0, 0, 0, "", "4 gone"},
		{"to stop, without task", Want{Run: 4, Stop: true}, StateExited, 0, 0, "remove shop/web.0.7 run 0", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			row.want.Ref = ref
			if row.state != 0 {
				b.has(ref, row.state, row.health, row.code)
			}
			b.r.Set(b.now, []Want{row.want})
			b.look()
			b.wantActions(row.actions)
			b.wantTrail(row.trail)
		})
	}
}

func TestStrangersAreLeftAloneUntilSettled(t *testing.T) {
	b := newBench(t)
	lost := refOf("shop/web.0", 2, "a")
	b.has(lost, StateRunning, 0, 0)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 5, "a"), Task: service()}})
	b.look()
	b.wantActions("create shop/web.0.5 run 1")
	b.perform()
	b.wantActions("") // not started beside one that may be the slot's
	b.r.Settle(b.now, true)
	b.wantActions("stop shop/web.0.2 run 0")
	b.perform()
	b.wantActions("start shop/web.0.5 run 1")
	b.perform()
	b.wantActions("remove shop/web.0.2 run 0")
	b.perform()
	if b.wantActions(""); b.state(lost) != 0 {
		t.Error("the stranger is still there")
	}
}

func TestOtherPeersContainersAreNotTouched(t *testing.T) {
	b := newBench(t)
	b.r = New(Config{Swarm: "s", Peer: wire.PeerID{1}})
	foreign, other := refOf("shop/web.0", 2, "a"), refOf("shop/web.1", 2, "a")
	foreign.Peer, other.Swarm = wire.PeerID{2}, "t"
	b.has(foreign, StateRunning, 0, 0)
	b.has(other, StateRunning, 0, 0)
	b.r.Settle(b.now, true)
	b.look()
	b.wantActions("")
	if list := b.r.Containers(); len(list) != 0 {
		t.Errorf("shows %v", list)
	}
}

func TestInFlightIsBoundedAndFair(t *testing.T) {
	b := newBench(t)
	var wants []Want
	for i := range 20 {
		wants = append(wants, Want{Ref: refOf(fmt.Sprintf("shop/web.%d", i), 1, "a"), Task: service()})
	}
	b.r.Set(b.now, wants)
	b.look()
	if n := len(b.tick()); n != DefaultMaxInFlight {
		t.Fatalf("%d actions at once, want %d", n, DefaultMaxInFlight)
	}
	b.result(b.open[0], "", false) // shop/web.0 wants its start now, but others have waited longer
	if got := ops(b.tick()); got != "create shop/web.8.1 run 1" {
		t.Errorf("got %s, want the one that has waited longest", got)
	}
	b.run(20 * sec)
	for _, c := range b.engine {
		if c.State != StateRunning {
			t.Errorf("%s is %v", c.Container, c.State)
		}
	}
}

func TestSilence(t *testing.T) {
	b := newBench(t)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
	b.run(10 * sec)
	b.trail()
	last := b.now
	for range 3 {
		b.r.Observe(b.now, Snapshot{Begun: b.now, Err: "connection refused"})
	}
	b.tick()
	silentAt := b.wake
	if silentAt > last.Add(DefaultSilentAfter) || b.r.Silent(silentAt-1) || !b.r.Silent(silentAt) {
		t.Fatalf("wakes at %v, silent there: %v", silentAt, b.r.Silent(silentAt))
	}
	b.now = silentAt
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service(), Stop: true}})
	b.wantActions("")
	b.wantTrail("") // a silent engine changes no state
	b.r.Resume(b.now)
	if b.r.Silent(b.now) {
		t.Error("silent although this peer itself was asleep")
	}
	b.look()
	b.wantActions("stop shop/web.0.1 run 0")
}

func TestRepeatedAndUnknownResultsAreHarmless(t *testing.T) {
	b := newBench(t)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
	b.look()
	a := b.tick()[0]
	b.perform()
	b.r.Done(b.now, Result{ID: a.ID, Op: a.Op, Container: a.Container, Err: "again"})
	b.r.Done(b.now, Result{ID: 99, Op: OpStart})
	b.r.Done(b.now, Result{})
	b.wantActions("start shop/web.0.1 run 1")
	b.wantTrail("1 starting")
}

func TestStatusAndContainers(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(10 * sec)
	st, ok := b.r.Status(ref)
	if !ok || st.Phase != Serving || st.Run != 1 || st.Address != "10.0.0.2" || st.Since == 0 || st.Busy != 0 {
		t.Errorf("status %+v", st)
	}
	if _, ok := b.r.Status(refOf("shop/web.0", 2, "a")); ok {
		t.Error("status of a claim that is not wanted")
	}
	list := b.r.Containers()
	if len(list) != 1 || !list[0].Wanted || !list[0].Serving || list[0].Run != 1 || list[0].Ref != ref {
		t.Errorf("containers %+v", list)
	}
}
