package node

import (
	"fmt"
	"time"

	"shoal/ledger"
	"shoal/wire"
)

// condemn writes the verdict on a claim whose holder is dead or gone, if it is
// due and the budget allows, and reports whether the claim is lost now.
func (c *Core) condemn(l *lane, w ledger.Wanted, cl *ledger.Claim) bool {
	if cl.Peer == c.cfg.Self {
		return false
	}
	why := "its peer was removed from the swarm"
	if !c.led.IsRevoked(cl.Peer) && !c.hasLeft(cl.Peer) {
		since, dead := c.mem.DeadSince(cl.Peer)
		c.restless = c.restless || dead
		if !dead || c.neverMoves(w, cl) || !c.mem.MayJudge(c.now) {
			return false
		}
		after := min(w.Task.Delay()<<min(cl.Refuted, 6), max(maxFailover, w.Task.Delay()))
		if w.Task.Failover.InIsland == "wait" && (c.mem.MayBeMe(c.now) || c.AwaitsMany(cl.Peer)) {
			c.reach(BranchMayBeMe)
			return false
		}
		delay := c.mem.RepairDelay(cl.Peer, after)
		if delay > after {
			c.reach(BranchMuchAtOnce)
		}
		if !c.due(since.Add(delay)) {
			return false
		}
		why = "its peer is gone"
	}
	c.restless = true
	if l.budget < 1 {
		c.reach(BranchBudgetUsedUp)
		c.wake(c.now.Add(100 * time.Millisecond))
		l.dirty = true
		return false
	}
	l.budget--
	r := c.write(wire.KindVerdict, &ledger.Verdict{
		Slot: cl.Slot, Life: cl.Life, Token: cl.Token, Peer: cl.Peer, Run: cl.Run, Refuted: cl.Refuted, By: c.cfg.Self, Why: why,
	})
	c.publishHead([]*wire.Record{r})
	c.event(Event{Kind: "lost", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: cl.Peer,
		Text: fmt.Sprintf("%s on %s is lost: %s", cl.Slot, c.nameOf(cl.Peer), why)})
	return true
}

// AwaitsMany reports whether a peer went together with many others, as in a split, and
// is not back: what says `inIsland: wait` is not repaired before it is.
func (c *Core) AwaitsMany(p wire.PeerID) bool { return c.mem.WentWithMany(p) }

// isGone reports whether the claims of a peer are condemned, now or in a while.
func (c *Core) isGone(p wire.PeerID) bool {
	return p != c.cfg.Self && (c.led.IsRevoked(p) || c.hasLeft(p) || c.mem.Dead(p))
}

func (c *Core) hasLeft(p wire.PeerID) bool {
	m := c.led.Member(p)
	return m != nil && m.Left
}

// neverMoves reports whether a claim is released only by `peers rm`.
func (c *Core) neverMoves(w ledger.Wanted, cl *ledger.Claim) bool {
	if w.Task.Failover.Never || cl.Slot.At != "" {
		return true
	}
	if w.Task.Failover.Volume == "empty" {
		return false
	}
	for _, v := range w.Task.Volumes() {
		if p := c.led.PlaceOf(cl.Slot.Job, v, cl.Slot); p != nil && p.Peer == cl.Peer {
			return true
		}
	}
	return false
}
