package node

import (
	"testing"
	"time"

	"shoal/job"
)

// A deadline outlives a power cut, and counts anew from the start: a slot that nobody
// else can take runs until then and is stopped after it. Undone, the drain is forgotten.
func TestDrainDeadline_OutlivesAPowerCut(t *testing.T) {
	w := newWorld(t, 1)
	w.run(3 * time.Second)
	p := w.peers[0]
	web := job.Task{Name: "web", Count: 1}
	web.Update.Order = "start-first"
	w.ask(p, Request{Deploy: &Deploy{Spec: testSpec("shop", web)}})
	w.run(10 * time.Second)
	w.ask(p, Request{Drain: &Drain{Deadline: 30 * time.Second}})
	w.run(20 * time.Second)
	w.wantRunning("before the deadline", "shop/web.0")
	if v := p.core.Draining(); !v.Draining || v.Left <= 0 || v.Left > 10*time.Second || len(v.Slots) != 1 || v.Slots[0].Stays != "" || v.Slots[0].Ends {
		t.Errorf("%+v", v)
	}
	w.crash(p)
	w.boot(p, false)
	w.run(25 * time.Second)
	w.wantRunning("25 s after the power cut", "shop/web.0")
	w.run(15 * time.Second)
	w.wantRunning("after the deadline")
	if v := p.core.Draining(); v.Left != 0 || len(v.Slots) != 0 {
		t.Errorf("%+v", v)
	}
	w.ask(p, Request{Drain: &Drain{Undo: true}})
	w.run(15 * time.Second)
	w.wantRunning("undone", "shop/web.0")
	if v := p.core.Draining(); v.Draining || v.Left != -1 {
		t.Errorf("%+v", v)
	}
}
