package check

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// MergeLaws is S6: on the states that a run really has, merge is commutative,
// associative and idempotent. To compare all states would cost more than all else, so
// it samples: when a peer has merged what others wrote, now and then its records and
// those of two others are joined in several orders. After how many such merges is drawn
// from a stream of the swarm's own, so that no rhythm of the protocol can hide from it.
type MergeLaws struct {
	w        World
	rnd      *rand.Rand
	left     int // merges before the next sample
	compared uint64
}

// NewMergeLaws returns the checker.
func NewMergeLaws() *MergeLaws { return &MergeLaws{} }

// Rule implements Checker.
func (*MergeLaws) Rule() string { return "S6" }

// Compared implements Counter: orders of merging that were compared.
func (m *MergeLaws) Compared() uint64 { return m.compared }

const (
	maxMerged = 3000 // records of one peer in a sample
	eachPeer  = 4    // merges by each peer from one sample to the next, in the mean: larger swarms cost no more
)

// Tick implements Ticker: it is shown the world.
func (m *MergeLaws) Tick(w World) error {
	if m.rnd == nil {
		h := w.Swarm()
		m.rnd = rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])))
		m.draw(w)
	}
	m.w = w
	return nil
}

func (m *MergeLaws) draw(w World) { m.left = 1 + m.rnd.IntN(2*eachPeer*len(w.Hosts())) }

// Wrote implements WriteWatcher.
func (m *MergeLaws) Wrote(h Host, writes []node.Write) error {
	merged := func(w node.Write) bool { return w.Put != nil && w.Put.Num.Issuer != h.Peer() }
	if m.w == nil || !slices.ContainsFunc(writes, merged) {
		return nil
	}
	if m.left--; m.left > 0 {
		return nil
	}
	m.draw(m.w)
	return m.sample(h)
}

// sample joins the records of a host and of two others, drawn, in several orders.
func (m *MergeLaws) sample(h Host) error {
	var states [][]*wire.Record
	w, hosts := m.w, m.w.Hosts()
	from := m.rnd.IntN(len(hosts))
	for i := range len(hosts) + 1 {
		o := h
		if i > 0 {
			o = hosts[(from+i)%len(hosts)]
		}
		if l := o.Ledger(); l != nil && (i == 0 || o.Index() != h.Index()) && l.Len() <= maxMerged && len(states) < 3 {
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
