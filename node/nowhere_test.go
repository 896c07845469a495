package node

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
)

// A system task that suits no peer waits, with why of each peer, at whichever is asked;
// what depends on it waits and says so, until a peer suits it.
func TestSystem_SuitsNobody(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	spec := testSpec("ops",
		job.Task{Name: "agent", Type: job.System, Count: 1, Constraints: []string{"zone == roof"}},
		job.Task{Name: "web", Count: 1, DependsOn: []job.Dependency{{Task: "agent", Condition: "started"}}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}})
	w.run(8 * time.Second)
	w.wantRunning("while it suits nobody")
	const want, because = "suits 0 of 3 peers: 3: the task wants zone == roof", "waits for agent to be started, which "
	told := 0
	for _, p := range w.peers {
		if s := p.core.Jobs(false)[0].State; s != "waiting" {
			t.Errorf("%s: the job is %s", p.name, s)
		}
		slots := p.core.Slots("ops")
		if len(slots) != 2 || slots[0].Slot != "ops/agent" || slots[0].Phase != "waiting" || slots[0].Detail != want {
			t.Fatalf("%s lists %+v", p.name, slots)
		}
		why, err := p.core.Why("ops/agent")
		if err != nil || why.Waiting == nil || why.Waiting.Reason != want || len(why.Waiting.Noes) != 1 || why.Waiting.Noes[0].Count != 3 {
			t.Errorf("%s: %+v, %v", p.name, why.Waiting, err)
		}
		if err == nil && why.Waiting.Since > 5*time.Second {
			told++
		}
		if why, err := p.core.Why("ops/web.0"); err != nil || why.Waiting != nil && why.Waiting.Reason != because+want {
			t.Errorf("%s: of what depends on it %+v, %v", p.name, why.Waiting, err)
		}
	}
	if told == 0 {
		t.Error("no steward knows since when")
	}
	w.ask(w.peers[2], Request{Label: &Label{Set: map[string]string{"zone": "roof"}}})
	w.run(5 * time.Second)
	w.wantRunning("once one has the label", agentOn(w.peers[2]), "ops/web.0")
	for _, p := range w.peers {
		if got := p.core.Waiting(); len(got) > 0 {
			t.Errorf("%s still remembers %+v", p.name, got)
		}
		if _, err := p.core.Why("ops/agent"); err == nil {
			t.Errorf("%s: it still stands for a slot", p.name)
		}
	}
}

// One that is stopped waits for nothing, and holds nobody up; a peer that is drained or
// gone counts for what it is.
func TestSystem_StoppedIsNotNowhere(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	stopped := testSpec("ops", job.Task{Name: "agent", Type: job.System},
		job.Task{Name: "web", Count: 1, DependsOn: []job.Dependency{{Task: "agent", Condition: "started"}}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: stopped}})
	w.run(5 * time.Second)
	w.wantRunning("what depends on a stopped one", "ops/web.0")
	w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/ops"}})
	w.run(15 * time.Second)
	w.ask(w.peers[0], Request{Drain: &Drain{}})
	w.crash(w.peers[1])
	w.run(20 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: agent()}})
	w.run(3 * time.Second)
	slots := w.peers[0].core.Slots("ops")
	if len(slots) != 1 || !strings.Contains(slots[0].Detail, "1: it is being drained") || !strings.Contains(slots[0].Detail, "1: it is gone") {
		t.Errorf("%+v", slots)
	}
}
