package node

import (
	"shoal/auction"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// spreadOf is where the copies of a task are that is spread over labels of peers, as far as
// the ledger tells: the live ones that stay. nil: it is spread over peers alone.
func (c *Core) spreadOf(id job.ID, t *job.Task) *auction.Spread {
	s := auction.NewSpread(t.Spread, func(p wire.PeerID) *job.Facts {
		if card := c.led.Card(p); card != nil {
			return card.Facts()
		}
		return nil
	})
	if s != nil {
		c.led.EachClaimOf(id, func(cl *ledger.Claim) {
			if cl.Slot.Task == t.Name && !cl.Leaving && c.led.IsLive(cl) {
				s.Add(cl.Peer)
			}
		})
	}
	return s
}
