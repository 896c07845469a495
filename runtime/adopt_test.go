package runtime

import (
	"fmt"
	"testing"

	"shoal/job"
	"shoal/wire"
)

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
