package ledger_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"shoal/internal/fuzztest"
	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

// examples are some records of each kind, as peers write them.
func examples() (out []*wire.Record) {
	ws := []*ledgertest.Writer{{ID: wire.PeerID{1}}, {ID: wire.PeerID{2}}, {ID: wire.PeerID{3}}}
	for _, k := range ledgertest.Kinds {
		draw := rapid.Custom(func(t *rapid.T) *wire.Record { return k.Draw(t, ws[0], ws) })
		for seed := range 4 {
			out = append(out, draw.Example(seed))
		}
	}
	return out
}

// FuzzBody opens and merges records with any body, signed as they should be: no
// panic, little memory, and what the ledger then derives from them neither.
func FuzzBody(f *testing.F) {
	for _, r := range examples() {
		f.Add(uint8(r.Kind), r.Key, r.Rank, r.Body)
	}
	f.Fuzz(func(t *testing.T, kind uint8, key, rank, body []byte) {
		by := wire.PeerID{1}
		record := func() *wire.Record {
			return &wire.Record{Num: wire.Number{Issuer: by, Inc: 1, Nonce: 7, Seq: 1}, Kind: wire.RecordKind(kind), Key: key, Rank: rank, Body: body}
		}
		fuzztest.Bounded(t, len(key)+len(rank)+len(body), func() { _ = ledger.Open(record()) })
		r := record()
		r.Seal(ledgertest.Test.ID, ledgertest.Key(by))
		s := ledger.New(wire.PeerID{9}, ledgertest.Test.ID, ledgertest.Test.Verify)
		if out, err := s.Merge(r); err != nil {
			if wire.FaultOf(err) == 0 || out != ledger.Refused || s.Len() != 0 {
				t.Fatalf("refused as %v with %d kept: %v", out, s.Len(), err)
			}
			return
		}
		_ = ledger.KeyText(r)
		if spec, ok := r.Value.(*job.Spec); ok {
			openSpec(t, s, r, spec)
		}
		for _, id := range s.Jobs() {
			s.Wanted(id)
			s.Conflicts(id)
			s.BadSpecs(id)
		}
		for _, slot := range s.ClaimedSlots() {
			s.Winner(slot)
			s.LiveClaims(slot)
		}
		for _, p := range s.AllPeers() {
			s.IsMember(p)
			s.Claimed(p)
		}
		s.Sweep()
		s.Revive()
	})
}

// openSpec derives what bytes alone tell of a spec; none of it may take more memory than
// decoding does, nor lose what is not known here.
func openSpec(t *testing.T, s *ledger.State, r *wire.Record, spec *job.Spec) {
	for i := range spec.Tasks {
		name := spec.Tasks[i].Name
		fuzztest.Bounded(t, len(r.Body), func() { s.TaskHash(r.BodyHash(), name) })
		s.LaterField(r.BodyHash(), name)
	}
	fuzztest.BoundedBy(t, len(r.Body), 3*fuzztest.PerByte, 2*fuzztest.Always, func() { ledger.CarrySpec(r.Body, spec) })
	again := ledger.CarrySpec(r.Body, spec)
	if twice := ledger.CarrySpec(again, spec); !bytes.Equal(twice, again) {
		t.Fatalf("carried once %x, twice %x", again, twice)
	}
}
