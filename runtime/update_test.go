package runtime

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/wire"
)

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

func TestUpdateThatCannotBeStarted(t *testing.T) {
	twoAtOnce(t)
	for _, row := range []struct {
		order string
		old   State
		trail string
	}{
		{"start-first", StateRunning, "2 starting old, 2 failed old"},
		{"stop-first", 0, "2 starting old, 2 starting, 2 failed"},
	} {
		t.Run(row.order, func(t *testing.T) {
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
			b.run(10 * sec)
			b.trail()
			task := &job.Task{Update: job.Update{Order: row.order}}
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "b"), Task: task, Run: 1}})
			for end := b.now + 20*sec; b.now < end; b.now += sec {
				b.look()
				for _, a := range b.tick() {
					if a.Op == OpStart {
						b.result(a, "command not found", true)
					}
				}
				b.perform()
			}
			b.wantTrail(row.trail)
			if got := b.state(refOf("shop/web.0", 1, "a")); got != row.old {
				t.Errorf("the old container is %v, want %v", got, row.old)
			}
		})
	}
}

func TestUpdateThatCompletes(t *testing.T) {
	twoAtOnce(t)
	b := newBench(t)
	oldRef, newRef := refOf("shop/web.0", 1, "a"), refOf("shop/web.0", 1, "b")
	b.r.Set(b.now, []Want{{Ref: oldRef, Task: service()}})
	b.run(10 * sec)
	task := &job.Task{Type: job.Batch, Update: job.Update{Order: "start-first"}}
	b.r.Set(b.now, []Want{{Ref: newRef, Task: task, Run: 1}})
	b.runFor(time.Second)
	b.trail()
	b.exit(newRef, 0)
	b.look()
	b.wantActions("stop shop/web.0.1 run 0")
	b.wantTrail("")
	b.runFor(time.Second)
	b.wantTrail("2 completed")
	if b.state(oldRef) != 0 {
		t.Error("the old container is still there")
	}
}

func TestWantedAgainWhileStopping(t *testing.T) {
	ref := refOf("shop/web.0", 1, "a")
	other := Want{Ref: refOf("shop/web.0", 1, "b"), Task: service()}
	for _, row := range []struct {
		name      string
		away      Want
		unhealthy bool
	}{
		{"stop", Want{Ref: ref, Task: service(), Stop: true}, false},
		{"stop of an unhealthy one", Want{Ref: ref, Task: service(), Stop: true}, true},
		{"keep", Want{Ref: ref, Task: service(), Keep: true}, false},
		{"update", other, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.away.Ref != ref {
				twoAtOnce(t)
			}
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
			b.run(10 * sec)
			if row.unhealthy {
				b.engine[Name(ref)].Health = Unhealthy
				b.look()
			}
			b.trail()
			b.r.Set(b.now, []Want{row.away})
			for b.tick(); b.open[0].Op != OpStop; b.tick() {
				b.perform()
			}
			b.r.Set(b.now, []Want{{Ref: ref, Task: service()}}) // the core's Run is behind; ours does not fall
			b.wantActions("")
			b.perform()
			a := b.tick()
			if len(a) != 1 || a[0].Op != OpStart || a[0].Ref != ref || a[0].Run < 2 {
				t.Fatalf("got %s, want a start", ops(a))
			}
			if st, _ := b.r.Status(ref); st.Failures != 0 || st.Phase != Starting {
				t.Errorf("status %+v", st)
			}
		})
	}
}

func TestHeldUpdateReportsNothingBackwards(t *testing.T) {
	b := newBench(t)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
	b.run(10 * sec)
	b.trail()
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "b"), Task: service(), Hold: true}})
	b.runFor(5 * time.Second)
	b.wantTrail("")
	if b.state(refOf("shop/web.0", 1, "a")) != StateRunning {
		t.Error("the old container was stopped for one that is held")
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
