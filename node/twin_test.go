package node

import (
	"testing"

	"shoal/wire"
)

// The later of two starts of a key is told of the earlier one with some beats of its own,
// not with one alone: what is sent to a key may reach the other machine.
func TestTwin_TheLaterStartIsToldSomeTimes(t *testing.T) {
	c := solo(t, 1, "swarm", true)
	p := wire.PeerID{9}
	c.out = &Ready{}
	c.noteTwin(p, 3, 7)
	for _, b := range []wire.Beat{{Inc: 2, Nonce: 7}, {Inc: 3, Nonce: 8}} {
		c.tellTwin(p, &b)
	}
	if n := len(c.out.Messages); n != 0 {
		t.Fatalf("%d messages to another start", n)
	}
	for range 2 * twinTold {
		c.tellTwin(p, &wire.Beat{Inc: 3, Nonce: 7})
	}
	if n := len(c.out.Messages); n != twinTold {
		t.Errorf("told %d times, want %d", n, twinTold)
	}
	for _, m := range c.out.Messages {
		if a, ok := m.Msg.(*wire.Probe); !ok || m.To != p || !a.Answer || !a.Heard || a.Inc != 3 || a.Nonce != 7 {
			t.Errorf("%+v", m)
		}
	}
}

// That nobody answers is no word that a later start of this key is over: the answers may
// have gone to it.
func TestPast_SilenceIsNoDenial(t *testing.T) {
	c := solo(t, 1, "swarm", true)
	p := &past{inc: 3, nonce: 7, no: map[wire.PeerID]bool{}}
	c.self.past = p
	if c.isDenied(p) {
		t.Error("nobody is connected, and nobody has denied it")
	}
	for i := range byte(3) {
		c.self.linked[wire.PeerID{i + 1}] = c.now
	}
	no := func(from byte, inc uint32) bool {
		c.probed(wire.PeerID{from}, &wire.Probe{Of: c.cfg.Self, Inc: inc, Nonce: 7, Answer: true})
		return c.isDenied(p)
	}
	for range 2 {
		if no(1, 3) {
			t.Error("one of three has answered")
		}
	}
	if no(9, 3) || no(2, 4) {
		t.Error("who is not linked, and who was asked about another start, count")
	}
	if !no(2, 3) {
		t.Error("two of three do not hear it")
	}
	delete(c.self.linked, wire.PeerID{2})
	if !c.isDenied(p) {
		t.Error("one of two does not hear it")
	}
}
