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
