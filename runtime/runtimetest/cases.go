package runtimetest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// forever is a script that ends at once on TERM.
const forever = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

func testCreateTwice(t *testing.T, f *fixture) {
	f.do(runtime.OpCreate, f.ref(0), f.task(forever))
	first := f.see(f.d, f.ref(0))
	if first == nil || first.State != runtime.StateCreated || first.Ref != f.ref(0) || first.Starts != "" {
		t.Fatalf("after create: %+v", first)
	}
	f.do(runtime.OpCreate, f.ref(0), f.task(forever))
	if again := f.see(f.d, f.ref(0)); *again != *first {
		t.Fatalf("the second create changed %+v to %+v", first, again)
	}
}

func testManyCreates(t *testing.T, f *fixture) {
	errs := make([]error, 30)
	var wg sync.WaitGroup
	for i := range errs {
		a := f.action(runtime.OpCreate, f.ref(0), f.task(forever))
		wg.Go(func() { errs[i] = f.d.Do(f.ctx, a) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if f.see(f.d, f.ref(0)) == nil { // see fails if it is there twice
		t.Fatal("no container")
	}
}

func testOtherSpec(t *testing.T, f *fixture) {
	f.do(runtime.OpCreate, f.ref(0), f.task(forever))
	other := f.ref(0)
	other.Spec = wire.HashOf([]byte("newer"))
	a := f.action(runtime.OpCreate, other, f.task(forever))
	a.Container = runtime.Name(f.ref(0)) // taken, though each spec has a name of its own
	err := f.d.Do(f.ctx, a)
	if err == nil || errors.Is(err, runtime.ErrPermanent) {
		t.Fatalf("got %v, want an error that a remove mends", err)
	}
	f.do(runtime.OpRemove, f.ref(0), nil)
	f.do(runtime.OpCreate, other, f.task(forever))
}

func testStartTwice(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task(forever))
	first := f.untilState(f.ref(0), runtime.StateRunning)
	f.do(runtime.OpStart, f.ref(0), nil)
	if again := f.see(f.d, f.ref(0)); *again != *first {
		t.Fatalf("the second start changed %+v to %+v", first, again)
	}
	if first.Starts == "" || first.Address == "" || first.ID == "" {
		t.Fatalf("start time, address or ID missing: %+v", first)
	}
}

// A batch run may be over before its start is repeated; the next run is another.
func testRunOnce(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("exit 3"))
	first := f.untilState(f.ref(0), runtime.StateExited)
	f.do(runtime.OpStart, f.ref(0), nil)
	if again := f.see(f.d, f.ref(0)); *again != *first {
		t.Fatalf("the same run was started twice: %+v, %+v", first, again)
	}
	a := f.action(runtime.OpStart, f.ref(0), nil)
	a.Run = 2
	if err := f.d.Do(f.ctx, a); err != nil {
		t.Fatal(err)
	}
	f.until(f.ref(0), "run again", func(o *runtime.Observed) bool {
		return o.State == runtime.StateExited && o.Starts != first.Starts && o.ExitCode == 3
	})
}

func testStartOfNothing(t *testing.T, f *fixture) {
	err := f.d.Do(f.ctx, f.action(runtime.OpStart, f.ref(0), nil))
	if err == nil || !strings.Contains(err.Error(), "no such container") {
		t.Fatalf("got %v", err)
	}
}

func testStop(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"))
	f.awaitLine(f.ref(0), "up")
	a := f.action(runtime.OpStop, f.ref(0), nil)
	a.Grace = patience
	begun := time.Now()
	if err := f.d.Do(f.ctx, a); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("a willing container took %v to stop", took)
	}
	if o := f.see(f.d, f.ref(0)); o == nil || o.State != runtime.StateExited || o.ExitCode != 7 || o.Address != "" {
		t.Fatalf("after stop: %+v", o)
	}
	f.do(runtime.OpStop, f.ref(0), nil)
}

func testStopIgnored(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("trap '' TERM; echo up; while :; do sleep 0.05; done"))
	f.awaitLine(f.ref(0), "up")
	a := f.action(runtime.OpStop, f.ref(0), nil)
	a.Grace = time.Second
	begun := time.Now()
	if err := f.d.Do(f.ctx, a); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < a.Grace || took > a.Grace+10*time.Second {
		t.Errorf("killed after %v, grace was %v", took, a.Grace)
	}
	if o := f.see(f.d, f.ref(0)); o.State != runtime.StateExited || o.ExitCode != 137 {
		t.Fatalf("after kill: %+v", o)
	}
}

func testRemoveTwice(t *testing.T, f *fixture) {
	f.do(runtime.OpCreate, f.ref(0), f.task(forever))
	for range 2 {
		f.do(runtime.OpRemove, f.ref(0), nil)
		if o := f.see(f.d, f.ref(0)); o != nil {
			t.Fatalf("still there: %+v", o)
		}
	}
	f.do(runtime.OpStop, f.ref(0), nil)
}

func testRemoveRunning(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task(forever))
	f.do(runtime.OpRemove, f.ref(0), nil)
	if o := f.see(f.d, f.ref(0)); o != nil {
		t.Fatalf("still there: %+v", o)
	}
}

func testListOwn(t *testing.T, f *fixture) {
	for _, foreign := range []struct {
		swarm string
		peer  wire.PeerID
	}{{Swarm, Other}, {"zzzz", Peer}} {
		d := f.open(foreign.swarm, foreign.peer)
		defer f.clean(d)
		ref := f.ref(0)
		ref.Swarm, ref.Peer = foreign.swarm, foreign.peer
		if err := d.Do(f.ctx, f.action(runtime.OpCreate, ref, f.task(forever))); err != nil {
			t.Fatal(err)
		}
		if f.see(d, ref) == nil {
			t.Fatal("it does not show its own container")
		}
		f.wantPermanent(f.d.Do(f.ctx, f.action(runtime.OpCreate, ref, f.task(forever))))
		if err := f.d.Do(f.ctx, f.action(runtime.OpRemove, ref, nil)); err != nil {
			f.wantPermanent(err)
		}
		if f.see(d, ref) == nil {
			t.Fatal("a driver removed what is not its own")
		}
	}
	if list, err := f.d.List(f.ctx); err != nil || len(list) != 0 {
		t.Fatalf("shows %v, %v of others", list, err)
	}
}

func testAdopt(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"))
	f.awaitLine(f.ref(0), "up")
	before := f.untilState(f.ref(0), runtime.StateRunning)
	if err := f.d.Close(); err != nil {
		t.Fatal(err)
	}
	f.d = f.open(Swarm, Peer)
	if after := f.see(f.d, f.ref(0)); after == nil || *after != *before {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	f.do(runtime.OpCreate, f.ref(0), f.task("never"))
	f.do(runtime.OpStart, f.ref(0), nil)
	f.do(runtime.OpStop, f.ref(0), nil)
	if o := f.see(f.d, f.ref(0)); o.State != runtime.StateExited || o.ExitCode != 5 || o.ID != before.ID {
		t.Fatalf("after stop by its second driver: %+v", o)
	}
}

func testExitCode(t *testing.T, f *fixture) {
	for n, c := range []struct {
		script string
		want   int
	}{{"exit 0", 0}, {"exit 42", 42}, {"kill -KILL $$", 137}} {
		f.run(f.ref(n), f.task(c.script))
		if o := f.untilState(f.ref(n), runtime.StateExited); o.ExitCode != c.want {
			t.Errorf("%q: exit code %d, want %d", c.script, o.ExitCode, c.want)
		}
	}
}

// Whether the start fails or, where an init starts the command, the run ends with
// 127: someone must name the command.
func testNoCommand(t *testing.T, f *fixture) {
	task := f.task("")
	task.Command = []string{"/no/such/program"}
	f.do(runtime.OpCreate, f.ref(0), task)
	said := ""
	if err := f.d.Do(f.ctx, f.action(runtime.OpStart, f.ref(0), nil)); err != nil {
		f.wantPermanent(err)
		said = err.Error()
	} else if o := f.untilState(f.ref(0), runtime.StateExited); o.ExitCode != 127 {
		t.Errorf("exit code %d, want 127", o.ExitCode)
	} else {
		said = f.logs(f.ref(0), runtime.LogOptions{})[0].Text
	}
	if !strings.Contains(said, "/no/such/program") {
		t.Errorf("%q does not name the command", said)
	}
}

func testEnvironment(t *testing.T, f *fixture) {
	task := f.task(`echo "$GREETING $SHOAL_SLOT $SHOAL_TOKEN"`)
	task.Env = map[string]string{"GREETING": "hello", "SHOAL_TOKEN": "999"}
	want := "hello " + f.ref(1).Slot.String() + " 3"
	if _, got := f.output(f.ref(1), task); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testHealth(t *testing.T, f *fixture) {
	task := f.task("touch /tmp/$SHOAL_JOB; echo up; trap 'rm -f /tmp/$SHOAL_JOB' USR1; while :; do sleep 0.05; done")
	task.Health = &job.Health{
		Test:     []string{"CMD-SHELL", "test -f /tmp/$SHOAL_JOB || exit 1; test -f /tmp/$SHOAL_JOB.2 && rm -f /tmp/$SHOAL_JOB; touch /tmp/$SHOAL_JOB.2"},
		Interval: 200 * time.Millisecond, Timeout: 10 * time.Second, Retries: 2,
	}
	task.Command[2] = "rm -f /tmp/$SHOAL_JOB.2; " + task.Command[2]
	f.run(f.ref(0), task)
	// The second check takes away what the third looks for.
	f.until(f.ref(0), "healthy", func(o *runtime.Observed) bool { return o.Health == runtime.Healthy })
	f.until(f.ref(0), "unhealthy", func(o *runtime.Observed) bool { return o.Health == runtime.Unhealthy })
	if o := f.see(f.d, f.ref(0)); o.State != runtime.StateRunning {
		t.Fatalf("an unhealthy container is the core's to judge: %+v", o)
	}
	f.run(f.ref(1), f.task(forever))
	if o := f.untilState(f.ref(1), runtime.StateRunning); o.Health != runtime.HealthNone {
		t.Fatalf("without a check: %v", o.Health)
	}
}

func testVolume(t *testing.T, f *fixture) {
	withVolume := func(script string) *job.Task {
		task := f.task(strings.ReplaceAll(script, "DIR", f.Volume))
		task.Mounts = []job.Mount{{Type: "volume", Source: "data", Target: "/data"}}
		return task
	}
	defer f.d.RemoveVolume(f.ctx, f.job, "data", 0)
	if code, _ := f.output(f.ref(0), withVolume("echo kept > DIR/file")); code != 0 {
		t.Fatalf("write: exit code %d", code)
	}
	f.do(runtime.OpRemove, f.ref(0), nil)
	later := f.ref(0)
	later.Life, later.Token = 2, 9
	if _, got := f.output(later, withVolume("cat DIR/file")); got != "kept" {
		t.Fatalf("the next claim reads %q", got)
	}
	if err := f.d.RemoveVolume(f.ctx, f.job, "data", 0); err == nil {
		t.Fatal("a volume in use was removed")
	}
	f.do(runtime.OpRemove, later, nil)
	for range 2 {
		if err := f.d.RemoveVolume(f.ctx, f.job, "data", 0); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := f.output(f.ref(0), withVolume("test -e DIR/file")); code != 1 {
		t.Fatalf("after its removal the volume still has the file (exit code %d)", code)
	}
	f.do(runtime.OpRemove, f.ref(0), nil)
}
