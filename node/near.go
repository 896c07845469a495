package node

import (
	"slices"

	"shoal/auction"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// beside is what an auction.Self needs to know of other copies. What a sale asks of many
// peers is gathered once for it: found is kept by the caller and belongs to one moment.
func (c *Core) beside(p wire.PeerID, own *job.Facts, found map[foundKey][]*ledger.Claim) func(job.ID, job.Affinity) auction.Found {
	return func(id job.ID, a job.Affinity) (f auction.Found) {
		key := foundKey{id, a}
		claims, ok := found[key]
		if !ok {
			claims = c.copiesOf(id, a)
			if found != nil {
				found[key] = claims
			}
		}
		for _, cl := range claims {
			switch {
			case cl.Peer == p && f.At != "", cl.Peer == p && f.Here == "":
				f.Here, f.At = cl.Slot.String(), ""
			case cl.Peer != p && f.Here == "" && c.inPlace(cl.Peer, own, a.Over):
				f.Here, f.At = cl.Slot.String(), c.nameOf(cl.Peer)
			case f.Elsewhere == "":
				f.Elsewhere = c.nameOf(cl.Peer)
			}
		}
		return f
	}
}

type foundKey struct {
	id job.ID
	a  job.Affinity
}

// copiesOf are the claims that an affinity of a task of job id is of, in their order: those
// that count and stay.
func (c *Core) copiesOf(id job.ID, a job.Affinity) (out []*ledger.Claim) {
	gather := func(id job.ID, of func(*ledger.Claim) bool) {
		c.led.EachClaimOf(id, func(cl *ledger.Claim) {
			if of(cl) && !cl.Leaving && c.led.IsLive(cl) {
				out = append(out, cl)
			}
		})
	}
	switch {
	case a.Job != "":
		gather(a.JobOf(id), func(*ledger.Claim) bool { return true })
	case a.Task != "":
		gather(id, func(cl *ledger.Claim) bool { return cl.Slot.Task == a.Task })
	case a.Label != "":
		for _, other := range c.led.Jobs() {
			for _, w := range c.led.Wanted(other) {
				if a.IsOf(c.led.Spec(w.JobSpec), w.Task) {
					gather(other, func(cl *ledger.Claim) bool { return cl.Slot.Task == w.Task.Name })
				}
			}
		}
	}
	return out
}

// inPlace reports whether a peer has the same value of a label as one with those facts. One
// that has no such label is a place of its own.
func (c *Core) inPlace(p wire.PeerID, own *job.Facts, over string) bool {
	if over == "" {
		return false
	}
	card := c.led.Card(p)
	if card == nil {
		return false
	}
	theirs, has := card.Facts().Value(over)
	ours, have := own.Value(over)
	return has && have && theirs == ours
}

// oneByOne holds lots of a job back whose bidders could not tell where copies are that are
// being sold: these are sold after all others of the job, and one copy at a time. What is
// spread over labels waits while its task is in a sale, which counts for itself alone.
func (c *Core) oneByOne(id job.ID, lots []queued) []queued {
	var out, alone []queued
	for _, l := range lots {
		_, task, _ := c.lookup(l.Lot.Job, l.Lot.Life, l.Lot.Task, l.Lot.Spec)
		switch {
		case task != nil && task.IsPlacedAlone():
			alone = append(alone, l)
		case l.Spread == nil || !c.sells(id, l.Lot.Task):
			out = append(out, l)
		}
	}
	if len(out) > 0 || len(alone) == 0 || c.sells(id, "") {
		return out
	}
	alone[0].Lot.Slots = alone[0].Lot.Slots[:1]
	return alone[:1]
}

// sells reports whether a slot of a job is in a sale of ours, of one task if it is named.
func (c *Core) sells(id job.ID, task string) bool {
	for slot := range c.selling {
		if slot.Job == id && (task == "" || slot.Task == task) {
			return true
		}
	}
	return false
}

// noteNear notes that a slot waits for copies to be near to, if that is among the reasons.
func (c *Core) noteNear(noes []wire.Reason) {
	c.awaitsCopies = c.awaitsCopies || slices.ContainsFunc(noes, func(r wire.Reason) bool { return auction.Class(r.Text) == auction.Near })
}
