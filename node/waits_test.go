package node

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
)

// waitingOf is what the stewards remember of a slot: who has known of it longest.
func (w *world) waitingOf(slot string) (out WaitingView) {
	for _, p := range w.peers {
		for _, v := range p.core.Waiting() {
			if v.Slot == slot && v.Since >= out.Since {
				out = v
			}
		}
	}
	return out
}

// Of peers that lack labels the one that lacks the fewest is told, with all that it lacks.
func TestWaiting_ClosestByLabels(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[1], Request{Label: &Label{Set: map[string]string{"zone": "roof"}}})
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{
		Name: "web", Count: 1, Constraints: []string{"zone == roof", "media == ssd"},
	})}})
	w.run(5 * time.Second)
	v := w.waitingOf("shop/web.0")
	if v.Closest != "n2: wants media == ssd" || v.NextTry <= 0 && v.Next == "" {
		t.Errorf("%+v", v)
	}
}

// Since when a slot fails is not since its last failure, and each wait says when it ends.
func TestWaiting_SinceItFails(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 1, Restart: job.Restart{Policy: "no"}})}})
	first := time.Duration(0)
	for range 300 {
		if w.run(100 * time.Millisecond); w.running()["shop/web.0"] == 0 {
			continue
		}
		if first == 0 {
			first = w.now
		}
		w.exit("shop/web.0", 1)
	}
	w.run(time.Second)
	v := w.waitingOf("shop/web.0")
	for range 100 {
		if v.Fails >= 3 {
			break
		}
		w.run(100 * time.Millisecond)
		v = w.waitingOf("shop/web.0")
	}
	if least := w.now - first - time.Second; v.Fails < 3 || v.Since < least {
		t.Errorf("%+v, want it since %v", v, least)
	}
	if v.NextTry <= 0 && v.Next == "" {
		t.Errorf("no next try: %+v", v)
	}
}

// What waits for what it depends on is offered once that is so.
func TestWaiting_NextOfADependent(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: dependent(job.Task{Type: job.Batch}, "completed")}})
	w.run(5 * time.Second)
	if v := w.waitingOf("shop/web.0"); v.Next != "once that is so" || !strings.HasPrefix(v.Reason, "waits for db") {
		t.Errorf("%+v", v)
	}
}
