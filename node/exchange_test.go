package node

import (
	"testing"
	"time"

	"shoal/wire"
)

// A peer of an earlier version says no parity and must be answered with a Vector; one
// of this version is answered with a Sketch.
func TestDigest_OfAnEarlierVersion(t *testing.T) {
	w := newWorld(t, 2)
	w.run(30 * time.Second)
	p, q := w.peers[0], w.peers[1]
	ask := func(id uint64, parity []byte) wire.Message {
		d := &wire.Digest{ID: id, Hash: wire.HashOf([]byte("another ledger")), Ready: true, Parity: parity}
		rd, err := p.core.Step(Input{Now: p.core.now + 1, Received: &Received{From: q.id, Msg: d}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range rd.Messages {
			if e.To == q.id {
				return e.Msg
			}
		}
		return nil
	}
	if m, ok := ask(1, nil).(*wire.Vector); !ok || len(m.Marks) == 0 {
		t.Errorf("a Digest without parity is answered with %T, want a Vector of marks", m)
	}
	if m, ok := ask(2, q.core.led.Parity()).(*wire.Sketch); !ok || len(m.Symbols) == 0 {
		t.Errorf("a Digest with parity is answered with %T, want a Sketch", m)
	}
	if m := ask(2, q.core.led.Parity()); m != nil {
		t.Errorf("the same Digest again is answered with %T, of another moment", m)
	}
}
