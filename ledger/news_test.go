package ledger_test

import (
	"testing"

	"pgregory.net/rapid"

	"shoal/ledger"
	"shoal/ledger/ledgertest"
)

// TestIsNews_IsWhatMergeWouldTake asks of each of drawn records before it is merged.
func TestIsNews_IsWhatMergeWouldTake(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ledgertest.Test.New()
		for i, r := range drawMany(t, 40) {
			if i%7 == 6 {
				s.Remove(ledgertest.Slots[0].Job, 1)
			}
			news := s.IsNews(r)
			if out, _ := s.Merge(r); news != (out == ledger.Merged) {
				t.Fatalf("IsNews of a %v says %v, and Merge %v", r.Kind, news, out)
			}
		}
	})
}
