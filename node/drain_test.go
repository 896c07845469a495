package node

import (
	"strings"
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

// held is a swarm of one whose only peer serves a start-first slot that nobody else takes.
func held(t *testing.T) (*world, *testPeer) {
	w := newWorld(t, 1)
	w.run(3 * time.Second)
	web := job.Task{Name: "web", Count: 1}
	web.Update.Order = "start-first"
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", web)}})
	w.run(10 * time.Second)
	return w, w.peers[0]
}

// A leave outlives a power cut as a drain does, and is taken back as one: the slot is the
// peer's own again.
func TestLeave_OutlivesAPowerCutAndIsTakenBack(t *testing.T) {
	w, p := held(t)
	w.ask(p, Request{Leave: &Leave{}})
	w.run(10 * time.Second)
	w.crash(p)
	w.boot(p, false)
	w.run(20 * time.Second)
	if v := p.core.Draining(); !v.Leaving || !v.Draining || v.Left != -1 || len(v.Slots) != 1 {
		t.Errorf("after the power cut: %+v", v)
	}
	w.ask(p, Request{Drain: &Drain{Undo: true}})
	w.run(5 * time.Second)
	w.wantRunning("taken back", "shop/web.0")
	if v := p.core.Draining(); v.Leaving || v.Draining {
		t.Errorf("taken back: %+v", v)
	}
	w.crash(p)
	w.boot(p, false)
	w.run(20 * time.Second)
	if v := p.core.Draining(); v.Leaving || v.Draining || len(v.Slots) != 1 {
		t.Errorf("taken back, after another power cut: %+v", v)
	}
}

// A leave with a deadline ends: what nobody took is stopped, and the peer has left. Then it
// is too late to take it back, and who joins again with that disk takes work.
func TestLeave_DeadlineEndsIt(t *testing.T) {
	w, p := held(t)
	w.ask(p, Request{Leave: &Leave{Deadline: 30 * time.Second}})
	w.run(20 * time.Second)
	w.wantRunning("before the deadline", "shop/web.0")
	for range 40 {
		w.run(time.Second)
		if p.core.self.leftAt != 0 {
			break
		}
	}
	w.wantRunning("after the deadline")
	if code, err := p.core.drain(&Drain{Undo: true}); err == nil || code != CodeConflict {
		t.Errorf("taken back after it left: %v, %v", code, err)
	}
	w.run(5 * time.Second)
	for _, key := range []string{localLeaving, localDraining, localDrainBy} {
		if len(p.stored.Locals[key]) > 0 {
			t.Errorf("it has left, and its disk still says %q", key)
		}
	}
}

func TestBrief(t *testing.T) {
	long := strings.Repeat("a", 2*job.MaxName-1) + "é" + strings.Repeat("b", 100<<10)
	for text, want := range map[string]string{"": "", "kitchen": "kitchen", long: strings.Repeat("a", 2*job.MaxName-1) + "…"} {
		if got := Brief(text); got != want {
			t.Errorf("%.20q: %q", text, got)
		}
	}
}
