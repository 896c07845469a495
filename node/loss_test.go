package node

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/wire"
)

// lose takes from a stopped peer all that its store says of the peer itself, and of
// the records those that keep does not want.
func lose(p *testPeer, keep func(*wire.Record) bool) {
	left := Stored{Locals: map[string][]byte{}}
	for _, r := range p.stored.Records {
		if keep != nil && keep(r) {
			left.Records = append(left.Records, r)
		}
	}
	p.stored, p.damaged = left, true
}

func shopOf(count int) Request {
	return Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: count})}}
}

func wantState(t *testing.T, p *testPeer, state, why string) {
	t.Helper()
	if st := p.core.Status(); st.State != state || !strings.Contains(st.Why, why) {
		t.Errorf("%s is %s: %q, want %s: %q", p.name, st.State, st.Why, state, why)
	}
}

func TestAcceptLoss_AloneWithoutIncarnation(t *testing.T) {
	w := newWorld(t, 1)
	p := w.peers[0]
	w.ask(p, shopOf(1))
	w.run(5 * time.Second)
	past := p.core.Status().Self.Incarnation
	w.crash(p)
	lose(p, func(r *wire.Record) bool { return r.Kind != wire.KindClaim })

	w.boot(p, false)
	w.run(2 * time.Minute)
	wantState(t, p, "starting", "`shoal up --accept-loss` goes on with what is left")
	if rep := w.ask(p, Request{Import: &Import{}}); rep.Code != CodeNotReady {
		t.Errorf("it takes in records before it knows its incarnation: %+v", rep)
	}

	w.crash(p)
	p.accept = true
	w.boot(p, false)
	w.run(9 * time.Second)
	wantState(t, p, "starting", "goes on with what is left once")
	w.run(11 * time.Second)
	wantState(t, p, "ready", "")
	if inc := p.core.Status().Self.Incarnation; inc <= past {
		t.Errorf("incarnation %d after %d, of which its card told", inc, past)
	}
	w.wantRunning("what is left runs", "shop/web.0")
	p.damaged, p.accept = false, false // mended
	w.crash(p)
	w.boot(p, false)
	w.run(12 * time.Second)
	wantState(t, p, "ready", "")
}

func TestAcceptLoss_AllTogether(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	for _, p := range w.peers {
		w.crash(p)
		lose(p, nil)
		p.accept = true
	}
	for _, p := range w.peers {
		w.boot(p, false)
		w.run(700 * time.Millisecond)
	}
	w.run(40 * time.Second)
	for _, p := range w.peers {
		wantState(t, p, "ready", "")
	}
	if rep := w.ask(w.peers[1], shopOf(2)); rep.Err != "" {
		t.Fatalf("deploy: %+v", rep)
	}
	w.run(8 * time.Second)
	w.wantRunning("deployed anew", "shop/web.0", "shop/web.1")
	w.wantEqual()
}

// Where others live, it hears of its past from them first, flag or not.
func TestAcceptLoss_NotNeeded(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], shopOf(3))
	w.run(8 * time.Second)
	p := w.peers[2]
	past := p.core.Status().Self.Incarnation
	w.crash(p)
	w.run(time.Second)
	lose(p, nil)
	p.accept = true
	w.boot(p, false)
	w.run(5 * time.Second)
	wantState(t, p, "ready", "")
	if inc := p.core.Status().Self.Incarnation; inc <= past {
		t.Errorf("incarnation %d after %d", inc, past)
	}
	w.run(20 * time.Second)
	w.wantRunning("back", "shop/web.0", "shop/web.1", "shop/web.2")
	w.wantEqual()
}

// Who went on alone and knew nothing of its past outlives it when others come back.
func TestAcceptLoss_OthersComeBackLater(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	w.ask(w.peers[1], shopOf(2))
	w.run(8 * time.Second)
	p, other := w.peers[0], w.peers[1]
	for range 2 { // its incarnation grows
		w.crash(p)
		w.boot(p, false)
		w.run(5 * time.Second)
	}
	past := p.core.Status().Self.Incarnation
	w.crash(other)
	w.crash(p)
	lose(p, nil)
	p.accept = true
	w.boot(p, false)
	w.run(20 * time.Second)
	wantState(t, p, "ready", "")
	w.boot(other, false)
	w.run(40 * time.Second)
	wantState(t, p, "ready", "")
	if inc := p.core.Status().Self.Incarnation; inc <= past {
		t.Errorf("incarnation %d, others know of %d", inc, past)
	}
	w.wantRunning("together again", "shop/web.0", "shop/web.1")
	w.wantEqual()
}
