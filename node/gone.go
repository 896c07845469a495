package node

import (
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A peer that was removed or left prunes nothing any more. So whoever knows of that for
// the horizon does it instead, by the rules by which the peer would have. What it said
// that may still matter to somebody who is away stays: its heads with the card that
// entitles them, its word about members and bad specs, and for ever that it is gone. One
// that left keeps the places of its volumes, too, until it is removed.

// pruneGone drops what peers that are gone said and nobody needs any more. What was had of
// their logs is marked, so others drop it when they next compare logs, and whoever comes
// back with it after any absence does so, too.
func (c *Core) pruneGone() {
	if !c.self.settled || !c.led.IsWhole() {
		return
	}
	gone := c.gonePeers()
	for _, p := range gone {
		since, noted := c.holding.gone[p]
		if !noted {
			c.noteGone(p, c.running())
			continue
		}
		if c.running()-since < c.cfg.Horizon {
			continue
		}
		for _, r := range c.led.HadOf(p) {
			if c.isSpent(r) {
				c.led.DropGone(r)
			}
		}
	}
	if len(c.holding.gone) > len(gone) {
		c.unnoteBack()
	}
}

// gonePeers are the peers with a card that left or were removed, in order.
func (c *Core) gonePeers() []wire.PeerID {
	h := &c.holding
	if at := c.led.PeersVersion(); h.awayAt != at {
		h.awayAt = at
		h.away = slices.DeleteFunc(c.led.AllPeers(), c.led.IsMember)
	}
	return h.away
}

// noteGone keeps, in this keeper's own running time, since when it knows that a peer is
// gone.
func (c *Core) noteGone(p wire.PeerID, ran time.Duration) {
	c.holding.gone[p] = ran
	c.local(localGone+string(p[:]), wire.MustMarshal(ran), false)
}

// unnoteBack forgets since when peers were gone that have come back: of the next time
// that they leave it says nothing.
func (c *Core) unnoteBack() {
	for _, p := range slices.SortedFunc(keys(c.holding.gone), wire.PeerID.Compare) {
		if c.led.IsMember(p) {
			delete(c.holding.gone, p)
			c.local(localGone+string(p[:]), nil, false)
		}
	}
}

// isSpent reports whether a record by a peer that is gone is of no more use.
func (c *Core) isSpent(r *wire.Record) bool {
	switch v := r.Value.(type) {
	case *ledger.Claim:
		return c.isOver(v)
	case *ledger.Verdict:
		return c.led.ClaimRecord(v.Slot, v.Life, v.Token, v.Peer) == nil
	case *ledger.VolumePlace:
		return c.led.IsRevoked(v.Peer) // of its places none counts any more
	case *job.Spec:
		return !c.led.IsNamed(r)
	}
	return false
}
