package node

import (
	"strings"
	"testing"
	"time"

	"shoal/job"
)

// TestRemovedPeer_InWhatIsShown has a holder die and be removed: its claim is neither
// surplus that will end nor a part of what is claimed.
func TestRemovedPeer_InWhatIsShown(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	p, gone := w.peers[0], w.peers[2]
	w.ask(p, Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 6})}})
	w.run(10 * time.Second)
	w.crash(gone)
	w.ask(p, Request{Expel: &Expel{Peer: gone.id}})
	w.run(30 * time.Second)
	seen := 0
	for _, s := range p.core.Slots("") {
		if s.Peer != gone.id {
			continue
		}
		if seen++; s.Phase != "removed" || s.Detail != "removed with its peer" {
			t.Errorf("%s is %s: %s", s.Slot, s.Phase, s.Detail)
		}
	}
	if v, _ := p.core.Peer(gone.id); seen == 0 || v.Claimed != (job.Resources{}) {
		t.Errorf("%d claims are shown; %v is claimed", seen, v.Claimed)
	}
}

// TestWhy_NamesTheWaysOut of a wait for a volume on a peer that has left.
func TestWhy_NamesTheWaysOut(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	p, left := w.peers[0], w.peers[2]
	task := job.Task{Name: "db", Count: 3, Mounts: []job.Mount{{Type: "volume", Source: "data", Target: "/data"}}}
	w.ask(p, Request{Deploy: &Deploy{Spec: testSpec("vol", task)}})
	w.run(10 * time.Second)
	w.ask(left, Request{Leave: &Leave{}})
	w.run(30 * time.Second)
	waits := ""
	for _, s := range p.core.Slots("vol") {
		if s.Phase == "waiting" {
			waits = s.Slot
		}
	}
	why, err := p.core.Why(waits)
	want := "volume vol/data is on n3 (left): `shoal peers rm n3` gives it up, or `failover.volume: empty`"
	if err != nil || !strings.HasPrefix(why.WaysOut, want) {
		t.Errorf("%q: %v\n%q\nwant %q", waits, err, why.WaysOut, want)
	}
	w.ask(p, Request{Expel: &Expel{Peer: left.id}})
	w.run(30 * time.Second)
	if why, err := p.core.Why(waits); err != nil || why.Slot.Phase != "serving" || why.WaysOut != "" {
		t.Errorf("removed, %s is %s: %q %v", waits, why.Slot.Phase, why.WaysOut, err)
	}
}
