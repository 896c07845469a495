package node

import (
	"testing"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// TestRevivedSpec_KeepsItsName has a peer bring in again a spec that its issuer dropped
// and a head still names: written anew without the fields that this version does not
// know it would have another hash, and the head would name nothing.
func TestRevivedSpec_KeepsItsName(t *testing.T) {
	w := newWorld(t, 1)
	core, other := w.peers[0].core, wire.PeerID{9}
	spec := testSpec("shop", job.Task{Name: "web", Count: 0})
	fields := map[uint64]any{}
	if err := wire.Unmarshal(wire.MustMarshal(&spec), &fields); err != nil {
		t.Fatal(err)
	}
	fields[1000] = "of a later version"
	body := wire.MustMarshal(fields)
	seal := func(seq uint64, kind wire.RecordKind, body []byte) *wire.Record {
		r := &wire.Record{Num: wire.Number{Issuer: other, Inc: 1, Nonce: 1, Seq: seq}, Kind: kind, Body: body}
		r.Seal(wire.HashOf([]byte("w")), testKey(other))
		return r
	}
	told := seal(1, wire.KindSpec, body)
	head := seal(2, wire.KindHead, wire.MustMarshal(&ledger.Head{Job: spec.ID(), Life: 1, Revision: 1, Spec: wire.HashOf(body), Author: other}))
	w.step(w.peers[0], Input{Received: &Received{From: other, Msg: &wire.Push{Records: []*wire.Record{told, head}}}})
	if _, err := core.led.Absorb(&wire.Delta{Drop: []wire.Number{told.Num}}, nil); err != nil {
		t.Fatal(err)
	}
	w.step(w.peers[0], Input{})
	again := core.led.SpecRecord(wire.HashOf(body))
	if again == nil || again.Num.Issuer != w.peers[0].id || len(core.led.Wanted(spec.ID())) != 1 {
		t.Errorf("the spec that the head names is gone: %v", again)
	}
}
