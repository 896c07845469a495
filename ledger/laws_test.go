package ledger_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

func writers() []*ledgertest.Writer {
	return []*ledgertest.Writer{{ID: wire.PeerID{1}}, {ID: wire.PeerID{2}}, {ID: wire.PeerID{3}}}
}

func drawMany(t *rapid.T, most int) []*wire.Record {
	ws := writers()
	out := make([]*wire.Record, rapid.IntRange(1, most).Draw(t, "records"))
	for i := range out {
		out[i] = ledgertest.Draw(t, ws)
	}
	return out
}

func chance(t *rapid.T) *rand.Rand { return rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chance"), 1)) }

// TestLaws draws records of all kinds together: what is left of them, and all that is
// derived of that, depends on nothing but which records they are, whether rights are
// asked for or not.
func TestLaws(t *testing.T) {
	for name, s := range map[string]ledgertest.Swarm{"all may": ledgertest.Test, "some may": someMay()} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				if err := ledgertest.Laws(chance(t), s, 2, drawMany(t, 40)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// someMay is the swarm of the tests, where only who has a certificate may.
func someMay() ledgertest.Swarm {
	s := ledgertest.Test
	s.May = func(_ wire.PeerID, cert []byte) bool { return bytes.Equal(cert, ledgertest.Entitled) }
	return s
}

// TestLaws_OfEachKind does the same of each kind alone: there many records meet in
// one key.
func TestLaws_OfEachKind(t *testing.T) {
	for _, k := range ledgertest.Kinds {
		t.Run(k.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				ws := writers()
				var rs []*wire.Record
				for range rapid.IntRange(1, 20).Draw(t, "records") {
					rs = append(rs, k.Draw(t, ws[rapid.IntRange(0, 2).Draw(t, "by")], ws))
				}
				if err := ledgertest.Laws(chance(t), ledgertest.Test, 1, rs); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestKinds_AreAll fails when the ledger knows a kind of record that no test draws: one
// that it does not know it refuses for that alone.
func TestKinds_AreAll(t *testing.T) {
	w := &ledgertest.Writer{ID: wire.PeerID{1}}
	for kind := wire.RecordKind(1); kind < wire.FirstOpenKind; kind++ {
		err := ledger.Open(w.Seal(kind, map[int]int{}))
		known := err == nil || !strings.Contains(err.Error(), "must be known")
		drawn := slices.ContainsFunc(ledgertest.Kinds, func(k ledgertest.Kind) bool { return k.Kind == kind })
		if known != drawn {
			t.Errorf("%v: the ledger knows it: %v, tests draw it: %v", kind, known, drawn)
		}
	}
}

// TestDropRules_AgreeWithJoin removes a life, and sweeps, at a drawn moment of a
// merge: in the end the same is left as if that had come last. Specs are left out:
// one that comes after the removal is kept until its issuer drops it.
func TestDropRules_AgreeWithJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rs := slices.DeleteFunc(drawMany(t, 40), func(r *wire.Record) bool { return r.Kind == wire.KindSpec })
		life := uint64(rapid.IntRange(0, 2).Draw(t, "removed life"))
		last, err := ledgertest.Test.Join(rs)
		if err != nil {
			t.Fatal(err)
		}
		last.Remove(ledgertest.Slots[0].Job, life)
		last.Sweep()
		early := ledgertest.Test.New()
		at := rapid.IntRange(0, len(rs)).Draw(t, "at")
		for i, r := range rapid.Permutation(rs).Draw(t, "order") {
			if i == at {
				early.Remove(ledgertest.Slots[0].Job, life)
			}
			if i%3 == 0 {
				early.Sweep()
			}
			if _, err := early.Merge(r); err != nil && wire.Judge(err) != wire.Ignore {
				t.Fatal(err)
			}
		}
		early.Remove(ledgertest.Slots[0].Job, life)
		early.Sweep()
		if early.Hash() != last.Hash() {
			t.Fatalf("%d records are left, and %d if the rules drop last:\n%s\n%s", early.Len(), last.Len(), ledgertest.Derived(early), ledgertest.Derived(last))
		}
		stays(t, early, rs, life)
	})
}

// stays merges all again: nothing of a removed life comes back.
func stays(t *rapid.T, s *ledger.State, rs []*wire.Record, life uint64) {
	t.Helper()
	for _, r := range rs {
		_, _ = s.Merge(r)
	}
	if h := s.Head(ledgertest.Slots[0].Job); h != nil && h.Life <= life {
		t.Fatalf("life %d is back, and every life up to %d was removed", h.Life, life)
	}
	for _, slot := range ledgertest.Slots {
		for _, c := range s.ClaimsOf(slot) {
			if c.Life <= life {
				t.Fatalf("a claim of life %d is back, and every life up to %d was removed", c.Life, life)
			}
		}
	}
}

// TestSpecs_AreWanted guards the tests above: of specs that no submission may have
// nothing would be derived.
func TestSpecs_AreWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ledgertest.Kinds[0].Draw(t, writers()[0], nil)
		if err := ledger.Open(r); err != nil {
			t.Fatal(err)
		}
		if err := r.Value.(*job.Spec).Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
