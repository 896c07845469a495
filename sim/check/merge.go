package check

import (
	"slices"

	"shoal/ledger"
	"shoal/wire"
)

// MergeLaws is S6: on the states that a run really has, merge is commutative,
// associative and idempotent. It takes the records of two or three peers every
// ten seconds and joins them in several orders.
type MergeLaws struct {
	ticks    int
	compared uint64
}

// NewMergeLaws returns the checker.
func NewMergeLaws() *MergeLaws { return &MergeLaws{} }

// Rule implements Checker.
func (*MergeLaws) Rule() string { return "S6" }

// Compared implements Counter: orders of merging that were compared.
func (m *MergeLaws) Compared() uint64 { return m.compared }

// maxMerged bounds the records of one sample.
const maxMerged = 3000

// Tick implements Ticker.
func (m *MergeLaws) Tick(w World) error {
	if m.ticks++; m.ticks%10 != 0 {
		return nil
	}
	var states [][]*wire.Record
	hosts := w.Hosts()
	for i := range hosts {
		h := hosts[(i+m.ticks/10)%len(hosts)]
		if l := h.Ledger(); l != nil && l.Len() <= maxMerged && len(states) < 3 {
			states = append(states, l.Records())
		}
	}
	if len(states) < 2 {
		return nil
	}
	first, last := states[0], states[len(states)-1]
	base := joined(w, states...).Hash()
	grouped := joined(w, joined(w, states[1:]...).Records(), first) // what b and c made of theirs, into a's
	for _, law := range []struct {
		name  string
		other wire.Hash
	}{
		{"commutative", joined(w, last, slices.Concat(states[1:len(states)-1]...), first).Hash()},
		{"associative", grouped.Hash()},
		{"idempotent", joined(w, append(slices.Clone(states), first, last)...).Hash()},
	} {
		m.compared++
		if law.other != base {
			return violation("S6", "merge is not %s on the ledgers of %d peers: %s, %s", law.name, len(states), base, law.other)
		}
	}
	return nil
}

// joined merges states, each from its last record to its first, into an empty ledger.
func joined(w World, states ...[]*wire.Record) *ledger.State {
	s := ledger.New(wire.PeerID{1}, w.Swarm(), w.Verify)
	for n, records := range states {
		for i := range records {
			if n%2 == 1 {
				i = len(records) - 1 - i
			}
			_, _ = s.Merge(records[i]) // what one order refuses all refuse, or the hashes differ
		}
	}
	return s
}
