package node

import (
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// TestHeads_OfStrangersHoldNothing pushes a head that ranks above all others, by a key
// that nobody admitted: slots are given up and sold as if it were not there.
func TestHeads_OfStrangersHoldNothing(t *testing.T) {
	w := newWorld(t, 3)
	may := func(_ wire.PeerID, cert []byte) bool { return string(cert) == "may" }
	for _, p := range w.peers {
		p.core.cfg.Cert, p.core.cfg.Entitled = []byte("may"), may
		p.core.led.Entitle(may)
	}
	w.run(20 * time.Second)
	for _, p := range w.peers {
		p.core.publishCard()
		w.step(p, Input{})
	}
	w.run(20 * time.Second)
	spec := testSpec("shop", job.Task{Name: "web", Count: 3})
	if rep := w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}}); rep.Err != "" {
		t.Fatal(rep.Err)
	}
	w.run(30 * time.Second)
	stranger := wire.PeerID{0x99}
	r := &wire.Record{Num: wire.Number{Issuer: stranger, Inc: 1, Nonce: 1, Seq: 1}, Kind: wire.KindHead,
		Body: wire.MustMarshal(&ledger.Head{Job: spec.ID(), Life: 1 << 20, Revision: 1, Deleted: true, Volumes: true, Author: stranger})}
	r.Seal(wire.HashOf([]byte("w")), testKey(stranger))
	for _, p := range w.peers[:2] {
		w.step(p, Input{Received: &Received{From: w.peers[2].id, Msg: &wire.Push{Records: []*wire.Record{r}}}})
	}
	w.run(10 * time.Second)
	if !w.peers[0].core.led.Holds(r) {
		t.Fatal("the head was not taken, so this shows nothing")
	}
	running := func() (n int) {
		for _, p := range w.peers {
			n += len(p.engine)
		}
		return n
	}
	for _, want := range []int{3, 1, 0} {
		req := Request{Scale: &Scale{Job: spec.ID(), Task: "web", Count: want}}
		if want == 0 {
			req = Request{Remove: &Remove{Job: spec.ID()}}
		}
		if rep := w.ask(w.peers[0], req); rep.Err != "" {
			t.Fatal(rep.Err)
		}
		w.run(time.Minute)
		if got := running(); got != want {
			t.Errorf("%d containers run, want %d", got, want)
		}
	}
}
