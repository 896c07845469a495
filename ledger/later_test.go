package ledger_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"shoal/ledger"
	"shoal/ledger/badger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

// drawLater draws a record as a later version issues it: of a kind that this one does
// not know, or with a field that it does not know.
func drawLater(t *rapid.T) *wire.Record {
	ws := writers()
	r := ledgertest.Draw(t, ws)
	if r.Kind < wire.FirstOpenKind {
		r.Body = ledgertest.Later(r.Body)
		r.Seal(ledgertest.Test.ID, ledgertest.Key(r.Num.Issuer))
	}
	return r
}

// travel sends records as one peer sends them to another.
func travel(t *rapid.T, records []*wire.Record) []*wire.Record {
	t.Helper()
	b, err := wire.Encode(&wire.Delta{ID: 1, Records: records})
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*wire.Delta).Records
}

// TestLaterRecords_PassThrough has a peer of this version take, keep and pass on what
// a later one wrote: every byte of it is still there, so that the signature holds and
// the sums of the two are equal.
func TestLaterRecords_PassThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rs []*wire.Record
		for range rapid.IntRange(1, 10).Draw(t, "records") {
			rs = append(rs, drawLater(t))
		}
		newer, err := ledgertest.Test.Join(rs)
		if err != nil {
			t.Fatal(err)
		}
		old, err := ledgertest.Test.Join(travel(t, newer.Records()))
		if err != nil {
			t.Fatal(err)
		}
		again, err := ledgertest.Test.Join(travel(t, old.Records()))
		if err != nil {
			t.Fatal(err)
		}
		if old.Digest() != newer.Digest() || again.Digest() != newer.Digest() {
			t.Fatalf("digests %v, through a peer of this version %v, back %v", newer.Digest(), old.Digest(), again.Digest())
		}
		sameBytes(t, newer.Records(), again.Records())
	})
}

func sameBytes(t *rapid.T, want, got []*wire.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, r := range got {
		w := want[i]
		if r.Num != w.Num || r.Kind != w.Kind || !bytes.Equal(r.Body, w.Body) || !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Rank, w.Rank) || !bytes.Equal(r.Sig, w.Sig) {
			t.Fatalf("%v %v came back as %v %v, body %x, was %x", w.Kind, w.Num, r.Kind, r.Num, r.Body, w.Body)
		}
		if !r.Verify(ledgertest.Test.ID, ledgertest.Test.Verify) {
			t.Fatalf("%v %v: its signature does not hold any more", r.Kind, r.Num)
		}
	}
}

// TestLaterRecords_StayOnDisk has the store of this version keep them over a restart.
func TestLaterRecords_StayOnDisk(t *testing.T) {
	var rs []*wire.Record
	ws := writers()
	for i, k := range ledgertest.Kinds {
		r := rapid.Custom(func(t *rapid.T) *wire.Record { return k.Draw(t, ws[i%len(ws)], ws) }).Example(i)
		if r.Kind < wire.FirstOpenKind {
			r.Body = ledgertest.Later(r.Body)
			r.Seal(ledgertest.Test.ID, ledgertest.Key(r.Num.Issuer))
		}
		rs = append(rs, r)
	}
	before, err := ledgertest.Test.Join(rs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for start := range 3 { // a store that was written, opened and left alone, and opened again
		s, err := badger.Open(dir, badger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			if err := s.Apply(before.Records(), nil, nil, true); err != nil {
				t.Fatal(err)
			}
		} else {
			loaded, _, damage := s.Load()
			after := ledgertest.Test.New()
			for _, r := range loaded {
				if err := after.Load(r); err != nil {
					t.Fatal(err)
				}
			}
			if damage != nil || after.Digest() != before.Digest() {
				t.Fatalf("start %d: damage %v; %d records of %d, digest %v, was %v", start, damage, after.Len(), before.Len(), after.Digest(), before.Digest())
			}
			for _, r := range after.Records() {
				if !r.Verify(ledgertest.Test.ID, ledgertest.Test.Verify) || r.Kind < wire.FirstOpenKind && !ledgertest.IsLater(r.Body) {
					t.Errorf("start %d: the %v is not what was written", start, r.Kind)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLaterRecords_Compete has what this version does not know take part in the join
// by key and rank, and what it knows in part by the part it knows.
func TestLaterRecords_Compete(t *testing.T) {
	x := tell(t)
	x.head(one, ledger.Head{Life: 1, Revision: 1})
	w := x.by(two)
	c := w.Seal(wire.KindClaim, &ledger.Claim{Slot: web0, Life: 1, Token: 1, Peer: two, Spec: taskOf(0), JobSpec: hashOf(0), Phase: ledger.Serving})
	c.Body = ledgertest.Later(c.Body)
	c.Seal(ledgertest.Test.ID, ledgertest.Key(two))
	if out, err := x.s.Merge(c); out != ledger.Merged || err != nil {
		t.Fatal(out, err)
	}
	if got := winnerIs(x.s); got != two.Short() {
		t.Errorf("the winner is %v, want the claim with a field more", got)
	}
}
