package node

import (
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A peer that was removed prunes nothing any more. So whoever knows of its removal for
// the horizon does it instead, by the rules by which the peer would have. What it said
// that may still matter to somebody who is away stays: its heads with the card that
// entitles them, its word about members and bad specs, and for ever that it was removed.

// pruneGone drops what removed peers said and nobody needs any more. What was had of
// their logs is marked, so others drop it when they next compare logs, and whoever comes
// back with it after any absence does so, too.
func (c *Core) pruneGone() {
	if !c.self.settled || !c.led.IsWhole() {
		return
	}
	for _, p := range c.removedPeers() {
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
}

// removedPeers are the peers with a card that were removed, in order.
func (c *Core) removedPeers() []wire.PeerID {
	h := &c.holding
	if at := c.led.PeersVersion(); h.removedAt != at {
		h.removedAt = at
		h.removed = slices.DeleteFunc(c.led.AllPeers(), func(p wire.PeerID) bool { return !c.led.IsRevoked(p) })
	}
	return h.removed
}

// noteGone keeps, in this keeper's own running time, since when it knows of a removal.
func (c *Core) noteGone(p wire.PeerID, ran time.Duration) {
	c.holding.gone[p] = ran
	c.local(localGone+string(p[:]), wire.MustMarshal(ran), false)
}

// isSpent reports whether a record by a peer that was removed is of no more use.
func (c *Core) isSpent(r *wire.Record) bool {
	switch v := r.Value.(type) {
	case *ledger.Claim:
		return c.isOver(v)
	case *ledger.Verdict:
		return c.led.ClaimRecord(v.Slot, v.Life, v.Token, v.Peer) == nil
	case *ledger.VolumePlace:
		return true // no place of a removed peer counts
	case *job.Spec:
		return !c.led.IsNamed(r)
	}
	return false
}
