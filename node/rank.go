package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shoal/wire"
)

// ranks keeps the order of the ready peers of every lane, by rendezvous hash,
// metered, relayed, draining ones and those on their battery last (Thaler and
// Ravishankar, 1998). It is alike for all who share the view. It follows what changes:
// at a thousand peers that come one by one, sorting anew each time would be most of a
// start.
type ranks struct {
	lanes [Lanes][]*seat
	seats map[wire.PeerID]*seat // of the peers in lanes
	moved []wire.PeerID         // whose card changed

	version uint64        // grows with every change of an order
	at      ranksAt       // of the view that settleRanks last saw
	said    []wire.PeerID // what gossip was last told: whom to watch, and the stewards
	asked   []wire.PeerID
}

type ranksAt struct{ views, ranks uint64 }

// A seat is where a peer stands in each lane. It does not change: who moves gets
// another.
type seat struct {
	peer  wire.PeerID
	place [Lanes]uint64
}

func (s *seat) compare(t *seat, lane int) int {
	return cmp.Or(cmp.Compare(s.place[lane], t.place[lane]), s.peer.Compare(t.peer))
}

// ranking orders the ready peers for a lane. The caller must not change it.
func (c *Core) ranking(l int) []*seat {
	c.rerankMoved()
	if c.self.stage == ready && len(c.ranks.lanes[l]) == 0 {
		c.rerank(c.cfg.Self)
	}
	return c.ranks.lanes[l]
}

// rerankMoved takes in what has changed since it was called last.
func (c *Core) rerankMoved() {
	for _, p := range c.ranks.moved {
		c.rerank(p)
	}
	c.ranks.moved = c.ranks.moved[:0]
	for _, p := range c.mem.RankChanges() {
		c.rerank(p)
	}
}

// rerank puts a peer where it belongs in every lane, if it does.
func (c *Core) rerank(p wire.PeerID) {
	if c.ranks.seats == nil {
		c.ranks.seats = map[wire.PeerID]*seat{}
	}
	old := c.ranks.seats[p]
	var now *seat
	if c.mem.Ready(p) || p == c.cfg.Self && c.self.stage == ready {
		now = &seat{p, c.placeOf(p)}
	}
	if old == now || old != nil && now != nil && *old == *now {
		return
	}
	c.ranks.version++
	for i := range c.ranks.lanes {
		lane := c.ranks.lanes[i]
		if old != nil {
			at, _ := findSeat(lane, i, old)
			lane = slices.Delete(lane, at, at+1)
		}
		if now != nil {
			at, _ := findSeat(lane, i, now)
			lane = slices.Insert(lane, at, now)
		}
		c.ranks.lanes[i] = lane
	}
	if now != nil {
		c.ranks.seats[p] = now
	} else {
		delete(c.ranks.seats, p)
	}
}

func findSeat(lane []*seat, i int, s *seat) (int, bool) {
	return slices.BinarySearchFunc(lane, s, func(a, b *seat) int { return a.compare(b, i) })
}

// placeOf is where a peer stands in each lane.
func (c *Core) placeOf(p wire.PeerID) (place [Lanes]uint64) {
	card := c.led.Card(p)
	last := card != nil && (ProfileOf(card.Profile).Metered || card.Draining || card.Battery || isRelayed(card.Addrs))
	for i := range place {
		place[i] = wire.Order(fmt.Sprintf("lane/%s/%d", c.cell(), i), p) >> 1
		if last {
			place[i] |= 1 << 63
		}
	}
	return place
}

// isRelayed reports whether some members reach a peer of these addresses through a
// relay alone: it tells of a way through one as long as it needs it.
func isRelayed(addrs []string) bool {
	return slices.ContainsFunc(addrs, func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
}
