package check

import (
	"fmt"
	"math/bits"
	"time"

	"shoal/ledger"
	"shoal/wire"
)

// Equal is V1: ready peers hold equal ledgers. One whose engine is silent may keep a
// claim that all others have dropped: it cannot end it yet. Of two machines with one key
// the others reach one; the other hears of them when it asks, metered once a minute: until
// one has stepped back, which Keys demands, neither is compared.
type Equal struct {
	peers int // as of the last look
}

// Rule implements Checker.
func (*Equal) Rule() string { return "V1" }

// What the bound is made of. News that gossip loses goes from one to another with the
// exchanges, of which each peer opens one a second with somebody drawn: like every
// epidemic it takes a number of rounds that grows with the logarithm of the swarm.
// Measured at 100 peers that lose 5 % and had been split: 3.3 s from the last new record
// until all were equal, 6.5 s at most (docs/BENCHMARKS.md). From there on each doubling
// is given the second of one more round, and one for what is lost in it.
const (
	equalBound   = 10 * time.Second // up to equalPeers
	equalPeers   = 100
	eachDoubling = 2 * time.Second
)

// Bound implements Progress.
func (e *Equal) Bound() time.Duration {
	doublings := bits.Len(uint(max(e.peers-1, 0) / equalPeers))
	return equalBound + time.Duration(doublings)*eachDoubling
}

// Unmet implements Progress.
func (e *Equal) Unmet(w World) string {
	e.peers = len(w.Hosts())
	var first Host
	var want wire.Hash
	going := twins(w)
	for _, h := range w.Hosts() {
		l := h.Ledger()
		if !h.Counts() || l == nil || !h.EngineWorks() || going[h.Peer()] > 1 {
			continue
		}
		switch got := l.Hash(); {
		case first == nil:
			first, want = h, got
		case got != want:
			return difference(first, h)
		}
	}
	return ""
}

// difference names what one of two holds and the other lacks, the first few of it.
func difference(a, b Host) string {
	text := fmt.Sprintf("%s holds %d records, %s holds %d", a.Name(), a.Ledger().Len(), b.Name(), b.Ledger().Len())
	for _, side := range [][2]Host{{a, b}, {b, a}} {
		other := map[wire.Hash]bool{}
		for _, r := range side[1].Ledger().Records() {
			other[r.Hash()] = true
		}
		shown := 0
		for _, r := range side[0].Ledger().Records() {
			if !other[r.Hash()] && shown < 3 {
				shown++
				text += fmt.Sprintf("; %s alone has the %v %v%s", side[0].Name(), r.Kind, r.Num, about(r))
			}
		}
	}
	return text
}

func about(r *wire.Record) string {
	switch v := r.Value.(type) {
	case *ledger.Claim:
		return fmt.Sprintf(" (%s, token %d, %v)", v.Slot, v.Token, v.Phase)
	case *ledger.Verdict:
		return fmt.Sprintf(" (%s, token %d, refuted %d)", v.Slot, v.Token, v.Refuted)
	case *ledger.Head:
		return fmt.Sprintf(" (%s, life %d, revision %d)", v.Job, v.Life, v.Revision)
	}
	return ""
}
