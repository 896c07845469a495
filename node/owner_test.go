package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/auction"
	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// A peer on its battery comes last in the ranking of every lane, once it has been so
// for a while; a plug that wobbles changes nothing.
func TestBattery_RanksLast(t *testing.T) {
	w := newWorld(t, 3)
	w.run(20 * time.Second)
	p := w.peers[0]
	facts := *p.core.facts
	tell := func(battery bool, after time.Duration) {
		w.run(after)
		f := facts
		f.Battery = battery
		w.step(p, Input{Facts: &f})
	}
	lastEverywhere := func() bool {
		for l := range Lanes {
			order := w.peers[1].core.ranking(l)
			if i := slices.IndexFunc(order, func(s *seat) bool { return s.peer == p.id }); i != len(order)-1 {
				return false
			}
		}
		return true
	}
	if lastEverywhere() {
		t.Fatal("it is last in all lanes without reason: choose other IDs")
	}
	seq := p.core.led.CardRecord(p.id).Num
	for range 5 {
		tell(true, time.Second)
		tell(false, time.Second)
	}
	if now := p.core.led.CardRecord(p.id).Num; now != seq {
		t.Errorf("a plug that wobbles wrote card %v after %v", now, seq)
	}
	tell(true, time.Second)
	tell(true, tellAfter)
	w.run(5 * time.Second)
	if !p.core.led.Card(p.id).Battery || !lastEverywhere() {
		t.Error("it runs on its battery, and is not last")
	}
	tell(false, time.Second)
	tell(false, tellAfter)
	w.run(5 * time.Second)
	if lastEverywhere() {
		t.Error("it is on mains again, and still last")
	}
}

// A peer that takes nothing says why on its card, once it has been so for a while.
func TestTakesNothing_IsOnTheCard(t *testing.T) {
	w := newWorld(t, 2)
	w.run(20 * time.Second)
	p := w.peers[0]
	no := func() string {
		for _, v := range w.peers[1].core.Peers() {
			if v.ID == p.id {
				return v.No
			}
		}
		return "not known"
	}
	facts := *p.core.facts
	broken := facts
	broken.Missing = []string{"disk: input/output error", "load: no /proc"}
	for _, f := range []runtime.Facts{broken, facts, broken} {
		w.step(p, Input{Facts: &f})
		w.run(5 * time.Second)
		if got := no(); got != "" {
			t.Errorf("told at once: %q", got)
		}
	}
	w.run(tellAfter)
	w.step(p, Input{Facts: &broken})
	w.run(5 * time.Second)
	if got := no(); got != "missing metric: disk: input/output error" {
		t.Errorf("its card says %q", got)
	}
}

func TestOwner_ClosedAndDevices(t *testing.T) {
	w := newWorld(t, 1)
	p := w.peers[0]
	p.core.cfg.Accept = &auction.Policy{Hours: []auction.Span{{From: 60, To: 120}}, Devices: []string{"/dev/tty*"}}
	facts := *p.core.facts
	facts.Minute, facts.Devices, facts.TempC = 90, []string{"/dev/ttyUSB0"}, hotC
	w.step(p, Input{Facts: &facts})
	s := p.core.bidder()
	if s.Closed != "" || !s.HasDevice("/dev/ttyUSB0") || s.HasDevice("/dev/ttyUSB1") || s.LoadMilli <= 1000 {
		t.Errorf("open: %q, load %d", s.Closed, s.LoadMilli)
	}
	facts.Minute = 121
	w.step(p, Input{Facts: &facts})
	if s := p.core.bidder(); !strings.Contains(s.Closed, "closed until 01:00") {
		t.Errorf("closed: %q", s.Closed)
	}
}

// A name counts as a signer's only while no other peer has it.
func TestOwner_SignerOf(t *testing.T) {
	w := newWorld(t, 3)
	w.run(20 * time.Second)
	c := w.peers[0].core
	spec := job.Spec{Name: "shop", Tasks: []job.Task{{Name: "web", Image: "nginx", Count: 1}}}
	spec.Defaults()
	w.step(w.peers[1], Input{Request: &Request{ID: 1, Deploy: &Deploy{Spec: spec}}})
	w.run(5 * time.Second)
	if who, name := c.signerOf(spec.ID()); who != w.peers[1].id || name != "n2" {
		t.Fatalf("signed by %v %q", who, name)
	}
	w.peers[2].core.cfg.Name = "n2"
	w.step(w.peers[2], Input{Facts: &runtime.Facts{Capacity: job.Resources{CPUMilli: 1000, MemBytes: 1 << 30}, OS: "linux", Arch: "amd64", Driver: "docker"}})
	w.run(5 * time.Second)
	if who, name := c.signerOf(spec.ID()); who != w.peers[1].id || name != "" {
		t.Errorf("signed by %v %q, and two have that name", who, name)
	}
	if who, name := c.signerOf("default/none"); who != (wire.PeerID{}) || name != "" {
		t.Errorf("a job that nobody knows was signed by %v %q", who, name)
	}
}
