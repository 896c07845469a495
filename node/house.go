package node

import (
	"fmt"
	"slices"
	"time"

	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Housekeeping is due so long after a change, and so often without one.
const (
	houseAfter = 250 * time.Millisecond
	houseEvery = 5 * time.Second
	saveRan    = 10 * time.Minute
)

// settleHouse drops what is over, a few times a second at most.
func (c *Core) settleHouse() {
	if c.led.Version() != c.swept && c.houseAt > c.now.Add(houseAfter) {
		c.houseAt = c.now.Add(houseAfter)
	}
	if c.houseAt != 0 && !c.due(c.houseAt) {
		return
	}
	c.houseAt = c.now.Add(houseEvery)
	c.wake(c.houseAt)
	c.led.Sweep()
	if mutant.Is(mutant.RepublishUnpaced) && c.self.stage == ready {
		c.publishCard()
	}
	c.prune()
	c.pruneSpecs()
	c.pruneGone()
	c.forgetJobs()
	c.releaseVolumes()
	c.swept = c.led.Version()
	if c.running()-c.self.ranSaved >= saveRan {
		c.self.ranSaved = c.running()
		c.local(localRan, wire.MustMarshal(c.running()), false)
	}
}

// running is how long this peer has run in all its starts.
func (c *Core) running() time.Duration { return c.self.ran + time.Duration(c.now) }

// prune drops own records that are of no more use: ended claims once a higher
// token is known or the job is gone, verdicts whose claim is gone. Only their
// writer does; others follow when they compare logs.
func (c *Core) prune() {
	if !c.self.settled || !c.led.IsWhole() {
		return // others would give back what is dropped before our mark says so
	}
	for _, cl := range c.ownClaims() {
		if cl.Phase.Ended() && c.isOver(cl) {
			c.led.DropOwn(c.led.ClaimRecord(cl.Slot, cl.Life, cl.Token, cl.Peer))
		}
	}
	for _, r := range c.led.OwnVerdicts() {
		v := r.Value.(*ledger.Verdict)
		if c.led.ClaimRecord(v.Slot, v.Life, v.Token, v.Peer) == nil {
			c.led.DropOwn(r)
		}
	}
}

// pruneSpecs drops own job specs that no kept head and no claim names any more.
func (c *Core) pruneSpecs() {
	if !c.led.IsWhole() {
		return
	}
	for _, r := range c.led.OwnSpecs() {
		if !c.led.IsNamed(r) {
			c.led.DropOwn(r)
		}
	}
}

func (c *Core) isOver(cl *ledger.Claim) bool {
	if c.led.AwaitsCard(cl.Slot.Job) {
		return false
	}
	h := c.led.Head(cl.Slot.Job)
	if h == nil || h.Deleted || h.Life > cl.Life {
		return true
	}
	return c.led.MaxToken(cl.Slot, cl.Life) > cl.Token
}

// forgetJobs forgets lives of jobs that are over, once this keeper has run for the
// horizon since it heard of that. Only its own running time counts: wall clocks
// may be wrong, and a peer that was off has kept nothing from anyone.
func (c *Core) forgetJobs() {
	ids := c.led.ChangedHeads()
	for id := range c.holding.deleted {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		over := c.overLife(id)
		at, noted := c.holding.deleted[id]
		switch {
		case over == 0:
			if noted {
				c.unnote(id)
			}
		case !noted || at.Life != over:
			at = deletedAt{Life: over, Ran: c.running()}
			c.holding.deleted[id] = at
			c.local(localDeleted+string(id), wire.MustMarshal(at), false)
		case c.running()-at.Ran >= c.cfg.Horizon, mutant.Is(mutant.ForgetRemoved):
			if kept := c.led.Remove(id, over); len(kept) == 0 {
				c.unnote(id)
				delete(c.calm, id)
			}
		}
	}
}

func (c *Core) unnote(id job.ID) {
	delete(c.holding.deleted, id)
	c.local(localDeleted+string(id), nil, false)
}

// overLife is the greatest life of a job that is over and of which a head is held
// still; 0 if there is none. One that was followed by the next counts too: a peer that
// heard of the removal later than others must come to forget it as they did.
func (c *Core) overLife(id job.ID) uint64 {
	h := c.led.Head(id)
	switch {
	case h == nil:
		return 0
	case h.Deleted:
		return h.Life
	}
	for _, r := range c.led.Heads(id) {
		if r.Value.(*ledger.Head).Life < h.Life {
			return h.Life - 1
		}
	}
	return 0
}

// runsIn reports whether a claim of ours on a life of a job, or an earlier one, has
// not ended.
func (c *Core) runsIn(id job.ID, life uint64) bool {
	for _, cl := range c.ownClaims() {
		if cl.Slot.Job == id && cl.Life <= life && !cl.Phase.Ended() {
			return true
		}
	}
	return false
}

// releaseVolumes gives up the volumes of jobs that were removed with them, once
// nothing here runs on them.
func (c *Core) releaseVolumes() {
	if !c.self.settled || c.self.inc == 0 {
		return
	}
	for _, p := range c.led.PlacesAt(c.cfg.Self) {
		if !c.led.IsReleased(p) || c.runsIn(p.Job, p.Life) {
			continue
		}
		gone := *p
		gone.Gone = true
		c.write(wire.KindVolumePlace, &gone)
		c.out.Volumes = append(c.out.Volumes, VolumeRef{Job: p.Job, Volume: p.Volume, Slot: p.Slot})
		c.event(Event{Kind: "volume-removed", Job: p.Job, Peer: c.cfg.Self, Text: fmt.Sprintf("volume %s/%s.%d was removed with its job", p.Job, p.Volume, p.Slot)})
	}
}
