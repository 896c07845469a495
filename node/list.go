package node

import (
	"time"

	"shoal/ledger"
	"shoal/wire"
)

// A RecordView is a record and what it counts for at this peer. The record is
// immutable; a view may be kept.
type RecordView struct {
	Record   *wire.Record
	Standing ledger.Standing
	Age      time.Duration // see AgeOf; -1: not known
}

// Records lists what this peer holds, by number: at most limit records for which
// keep, which must be quick and keep nothing, is true. A limit of 0 is none.
func (c *Core) Records(limit int, keep func(*wire.Record) bool) []RecordView {
	var out []RecordView
	for _, r := range c.led.Snapshot() {
		if !keep(r) {
			continue
		}
		if out = append(out, RecordView{r, c.led.StandingOf(r), c.AgeOf(r)}); len(out) == limit {
			break
		}
	}
	return out
}

// AgeOf is how old a record is, as far as this peer can tell without anybody's
// clock: of a claim since it was first seen in its phase, of a card since its peer
// was last heard, of a removal in running time. -1: not known.
func (c *Core) AgeOf(r *wire.Record) time.Duration {
	switch v := r.Value.(type) {
	case *ledger.Claim:
		if at := c.led.SeenSince(v); at != 0 {
			return c.now.Sub(at)
		}
	case *ledger.Card:
		if v.Peer == c.cfg.Self {
			return 0
		}
		info, _ := c.mem.Info(v.Peer)
		return c.ago(info.LastSpoke)
	case *ledger.Head:
		if at, noted := c.holding.deleted[v.Job]; noted && v.Deleted && at.Life == v.Life {
			return c.running() - at.Ran
		}
	}
	return -1
}

// Swarm names the swarm that this peer's records are bound to.
func (c *Core) Swarm() wire.Hash { return c.cfg.Swarm }

// Self is this peer's identity.
func (c *Core) Self() wire.PeerID { return c.cfg.Self }
