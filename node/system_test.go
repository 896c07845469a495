package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// agentOn is the slot of the agent that is a peer's own.
func agentOn(p *testPeer) string { return "ops/agent@" + p.id.String() }

func (w *world) agentsOn(peers ...*testPeer) (slots []string) {
	for _, p := range peers {
		slots = append(slots, agentOn(p))
	}
	return slots
}

func agent(change ...func(*job.Task)) job.Spec {
	t := job.Task{Name: "agent", Type: job.System, Count: 1}
	for _, f := range change {
		f(&t)
	}
	return testSpec("ops", t)
}

// Each peer has a copy: those that are there, one that joins, one that was away while it
// was deployed. One that dies keeps its slot, and nobody else takes it.
func TestSystem_OneOnEachPeer(t *testing.T) {
	w := newWorld(t, 4)
	w.run(3 * time.Second)
	w.crash(w.peers[3])
	w.run(20 * time.Second)
	if rep := w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent()}}); rep.Err != "" {
		t.Fatal(rep.Err)
	}
	w.run(time.Second)
	w.wantRunning("at once", w.agentsOn(w.peers[:3]...)...)
	for _, p := range w.peers[:3] {
		v := p.core.Jobs(false)[0]
		if v.Tasks[0].Wanted != 3 || v.Tasks[0].Claimed != 3 {
			t.Errorf("%s: %+v, want 3 of 3", p.name, v.Tasks[0])
		}
		var names []string
		for _, s := range p.core.Slots("ops") {
			names = append(names, s.Slot)
		}
		if !slices.Equal(names, []string{"ops/agent@n1", "ops/agent@n2", "ops/agent@n3"}) {
			t.Errorf("%s lists %v", p.name, names)
		}
	}
	w.boot(w.peers[3], false)
	w.run(15 * time.Second)
	w.wantRunning("once the fourth is back", w.agentsOn(w.peers...)...)
	w.crash(w.peers[1])
	w.run(2 * time.Minute)
	for _, p := range []*testPeer{w.peers[0], w.peers[2]} {
		v := p.core.Jobs(false)[0]
		if v.State != "running" || v.Tasks[0].Wanted != 3 {
			t.Errorf("%s: %s, %d wanted, want the others' three running", p.name, v.State, v.Tasks[0].Wanted)
		}
		why, err := p.core.Why("ops/agent@n2")
		if err != nil || !why.Slot.Doubted || why.Slot.Token != 1 {
			t.Errorf("%s: of the one that is gone %+v, %v", p.name, why.Slot, err)
		}
	}
	w.boot(w.peers[1], false)
	w.run(15 * time.Second)
	w.wantRunning("once the second is back", w.agentsOn(w.peers...)...)
	if s := w.peers[0].core.Slots("ops"); s[1].Token != 1 {
		t.Errorf("it came back with token %d, want its own claim taken up", s[1].Token)
	}
	w.ask(w.peers[2], Request{Remove: &Remove{Job: "default/ops"}})
	w.run(20 * time.Second)
	w.wantRunning("once removed")
}

// A peer that it does not suit has none and says why, whoever is asked; relabelled, it
// has one, and relabelled again none.
func TestSystem_OnlyWhereItSuits(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	label := func(p *testPeer, value string) {
		w.ask(p, Request{Label: &Label{Set: map[string]string{"zone": value}}})
		w.run(2 * time.Second)
	}
	label(w.peers[0], "roof")
	w.ask(w.peers[1], Request{Deploy: &Deploy{Spec: agent(func(t *job.Task) { t.Constraints = []string{"zone == roof"} })}})
	w.run(2 * time.Second)
	w.wantRunning("where the label is", agentOn(w.peers[0]))
	for _, p := range w.peers {
		_, err := p.core.Why("ops/agent@n3")
		if want := "slot ops/agent@n3 is not wanted: n3 gets none: the task wants zone == roof"; err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", p.name, err, want)
		}
		if s := p.core.Jobs(false)[0].State; p == w.peers[2] && s != "running" && s != "deploying" {
			t.Errorf("%s: the job is %s", p.name, s)
		}
	}
	label(w.peers[2], "roof")
	w.wantRunning("where the label is now, too", w.agentsOn(w.peers[0], w.peers[2])...)
	label(w.peers[0], "cellar")
	w.run(10 * time.Second)
	w.wantRunning("where the label is still", agentOn(w.peers[2]))
}

// Cut off from everybody a peer goes on, starts anew what ends, and after a start of
// its own has its copy again without a word from others.
func TestSystem_InAnIsland(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent(func(t *job.Task) { t.Restart.Policy = "no" })}})
	w.run(8 * time.Second)
	alone := w.peers[2]
	alone.cut = true
	w.relink()
	w.run(30 * time.Second)
	w.exit(agentOn(alone), 3)
	w.run(10 * time.Second)
	w.wantRunning("with the next token", w.agentsOn(w.peers...)...)
	if s := alone.core.Slots("ops")[2]; s.Token != 2 {
		t.Errorf("%+v, want token 2", s)
	}
	w.crash(alone)
	w.run(20 * time.Second)
	alone.engine = map[string]*runtime.Observed{} // the machine was started anew
	w.boot(alone, false)
	w.run(12 * time.Second)
	w.wantRunning("after its own start", w.agentsOn(w.peers...)...)
	alone.cut = false
	w.relink()
	w.run(10 * time.Second)
	w.wantRunning("healed", w.agentsOn(w.peers...)...)
	w.wantEqual()
}

// A copy that fails is claimed anew after 1 s, 2 s, 4 s …, by its peer alone.
func TestSystem_FailsWithPauses(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent(func(t *job.Task) { t.Restart.Policy = "no" })}})
	w.run(2 * time.Second)
	last, began := w.now, w.now
	var pauses []time.Duration
	for w.now < began+40*time.Second {
		if w.running()[agentOn(w.peers[1])] > 0 {
			pauses, last = append(pauses, w.now-last), w.now
			w.exit(agentOn(w.peers[1]), 1)
		}
		w.run(100 * time.Millisecond)
	}
	for i, p := range pauses[1:] {
		if least := time.Second << i; p < least || p > least+3*time.Second {
			t.Errorf("pauses %v: the %dth should be %v and a little", pauses, i+1, least)
		}
	}
	if len(pauses) < 5 || len(pauses) > 6 {
		t.Errorf("%d starts in 40 s, want 5 or 6", len(pauses))
	}
	why, err := w.peers[1].core.Why("ops/agent@n2")
	if err != nil || why.Waiting == nil || !strings.Contains(why.Waiting.Reason, "failed ") {
		t.Errorf("why says %+v, %v", why.Waiting, err)
	}
}

// An update goes from peer to peer: the next begins when the one before serves. A new
// spec that does not serve stops at the first.
func TestSystem_UpdatesOneByOne(t *testing.T) {
	w := newWorld(t, 4)
	w.run(3 * time.Second)
	spec := agent()
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	w.run(10 * time.Second)
	spec.Tasks[0].Env = map[string]string{"V": "2"}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	moving := func() (n int) {
		for _, s := range w.peers[3].core.Slots("ops") {
			if s.Phase != "serving" {
				n++
			}
		}
		return n
	}
	for range 400 {
		w.run(100 * time.Millisecond)
		if n := moving(); n > 1 {
			t.Fatalf("%d copies move at once", n)
		}
	}
	for _, s := range w.peers[3].core.Slots("ops") {
		if !s.Current || s.Phase != "serving" || s.Token != 1 {
			t.Errorf("%+v, want it moved in place", s)
		}
	}
	spec.Tasks[0].Env = map[string]string{"V": "3"}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	first := agentOn(w.peers[0])
	w.always(first, 1, 3*time.Minute)
	if moved := w.peers[3].core.Slots("ops")[1:]; slices.ContainsFunc(moved, func(s SlotView) bool { return s.Phase != "serving" || s.Run > 2 }) {
		t.Errorf("%+v, want all but the first left as they were", moved)
	}
	if got := w.peers[2].core.Jobs(false)[0].State; got != "paused: bad spec" {
		t.Errorf("the job is %q", got)
	}
}

// A drain leaves a peer's own copies where they are and starts no others; a leave ends
// them. Room that comes is used, and what is in the way is told.
func TestSystem_DrainLeaveRoom(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("big", job.Task{Name: "web", Count: 3, Needs: job.Resources{CPUMilli: 1500, MemBytes: 1 << 20}})}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent()}})
	w.run(3 * time.Second)
	w.ask(w.peers[1], Request{Drain: &Drain{}})
	second := agent(func(t *job.Task) { t.Needs.CPUMilli = 1000 })
	second.Name = "more"
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: second}})
	w.run(20 * time.Second)
	if n := w.running()[agentOn(w.peers[1])]; n != 1 {
		t.Errorf("%d copies at the drained peer, want the one it had", n)
	}
	if got := fmt.Sprint(w.peers[0].core.Slots("more")); strings.Contains(got, "agent@n2") {
		t.Errorf("a drained peer is to start one more: %s", got)
	}
	why, err := w.peers[0].core.Why("more/agent@n1")
	if err != nil || why.Waiting == nil || !strings.Contains(why.Waiting.Reason, "its peer cannot take it: cpu") {
		t.Errorf("n1 has no room: %+v, %v", why.Waiting, err)
	}
	w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/big"}})
	w.run(5 * time.Second)
	if n := len(w.running()); n != 5 {
		t.Errorf("%v run, want three of ops and two of more", w.running())
	}
	w.ask(w.peers[1], Request{Leave: &Leave{}})
	w.run(10 * time.Second)
	if n := w.running()[agentOn(w.peers[1])]; n != 0 || w.peers[1].halt != HaltLeft {
		t.Errorf("it has not left: %d copies", n)
	}
}

// What depends on a system task waits for every copy; a system task waits for what it
// depends on at each peer.
func TestSystem_Dependencies(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	spec := testSpec("ops",
		job.Task{Name: "db", Count: 1},
		job.Task{Name: "agent", Type: job.System, Count: 1, DependsOn: []job.Dependency{{Task: "db", Condition: "healthy"}}},
		job.Task{Name: "web", Count: 1, DependsOn: []job.Dependency{{Task: "agent", Condition: "healthy"}}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	w.run(3 * time.Second)
	w.wantRunning("first", "ops/db.0")
	w.run(5 * time.Second)
	w.wantRunning("then", append(w.agentsOn(w.peers...), "ops/db.0")...)
	w.run(10 * time.Second)
	w.wantRunning("then", append(w.agentsOn(w.peers...), "ops/db.0", "ops/web.0")...)
}

// What another writes on a peer's own slot counts for nothing, its token neither; an award
// of it is declined.
func TestSystem_NobodyElseHoldsIt(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.crash(w.peers[2])
	w.run(20 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent()}})
	w.run(5 * time.Second)
	owned := w.peers[0].core.Slots("ops")[0].ID
	claim := *w.peers[0].core.led.Winner(owned)
	owned.At = w.peers[2].id.String()
	claim.Slot, claim.Peer, claim.Token, claim.Phase = owned, w.peers[1].id, ^wire.Token(0), ledger.Serving
	w.step(w.peers[1], Input{}) // writes need a step
	w.peers[1].core.out = &Ready{}
	r := w.peers[1].core.write(wire.KindClaim, &claim)
	w.push(0, w.peers[0], Input{Received: &Received{From: w.peers[1].id, Msg: &wire.Push{Records: []*wire.Record{r}}}})
	w.run(3 * time.Second)
	if _, err := w.peers[0].core.Why("ops/agent@n3"); err == nil || !strings.Contains(err.Error(), "n3 is gone") {
		t.Errorf("of the slot of a peer that is gone: %v", err)
	}
	w.boot(w.peers[2], false)
	w.run(15 * time.Second)
	for _, p := range []*testPeer{w.peers[0], w.peers[2]} {
		views := p.core.Slots("ops")
		if len(views) != 3 || views[2].Peer != w.peers[2].id || views[2].Token != 1 || views[2].Phase != "serving" {
			t.Errorf("%s: %+v, want n3 to hold its own with token 1", p.name, views)
		}
	}
	w.push(0, w.peers[0], Input{Received: &Received{From: w.peers[1].id, Msg: &wire.Award{ID: 7, Slots: []wire.AwardedSlot{
		{Slot: owned, Life: claim.Life, Token: 9, Spec: claim.Spec},
	}}}})
	w.run(time.Second)
	if got := w.peers[0].core.led.ClaimRecord(owned, claim.Life, 9, w.peers[0].id); got != nil {
		t.Error("it took the slot of another that it was awarded")
	}
}
