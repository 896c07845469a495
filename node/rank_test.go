package node

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"shoal/wire"
)

// The rankings follow single changes; sorted anew from what is known now they are
// the same, and every lane has exactly one peer that acts as its steward.
func (w *world) wantRanks(when string) {
	w.t.Helper()
	for lane := range Lanes {
		var first []string
		for _, p := range w.peers {
			c := p.core
			var want []wire.PeerID
			for _, q := range w.peers {
				if c.mem.Ready(q.id) {
					want = append(want, q.id)
				}
			}
			slices.SortFunc(want, func(a, b wire.PeerID) int {
				return cmp.Or(cmp.Compare(c.placeOf(a)[lane], c.placeOf(b)[lane]), a.Compare(b))
			})
			var got []wire.PeerID
			for _, s := range c.ranking(lane) {
				got = append(got, s.peer)
			}
			if !slices.Equal(got, want) {
				w.t.Errorf("%s: lane %d as %s has it: %v, want %v", when, lane, p.name, got, want)
			}
			if c.lanes[lane].first != 0 {
				first = append(first, p.name)
			}
		}
		if len(first) != 1 {
			w.t.Errorf("%s: lane %d has the stewards %v", when, lane, first)
		}
	}
}

func TestRanking_FollowsDrains(t *testing.T) {
	w := newWorld(t, 3)
	w.run(5 * time.Second)
	w.wantRanks("at first")
	for _, p := range w.peers {
		w.ask(p, Request{Drain: &Drain{}})
		w.run(3 * time.Second)
		w.wantRanks(p.name + " drains")
		w.ask(p, Request{Drain: &Drain{Undo: true}})
		w.run(3 * time.Second)
		w.wantRanks(p.name + " is back")
	}
}
