package node

import (
	"fmt"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// drain begins or ends draining; the latest request holds, its deadline with it.
func (c *Core) drain(d *Drain) {
	on, by := !d.Undo, clock.Instant(0)
	if on && d.Deadline > 0 {
		by = c.now.Add(d.Deadline)
	}
	if c.self.draining == on && c.self.drainBy == 0 && by == 0 {
		return
	}
	c.self.draining, c.self.drainBy = on, by
	var mark, deadline []byte
	if on {
		mark = []byte{1}
	}
	text := fmt.Sprintf("%s: draining is %v", c.cfg.Name, on)
	if by != 0 {
		deadline = wire.MustMarshal(d.Deadline)
		text += fmt.Sprintf("; what has not moved within %s is stopped", d.Deadline)
	}
	c.local(localDraining, mark, true)
	c.local(localDrainBy, deadline, true)
	c.holding.dirty = true
	c.event(Event{Kind: "draining", Peer: c.cfg.Self, Text: text})
}

// drainOver reports whether the deadline of a drain is over: then what did not move is
// stopped. A deadline counts from the request, and anew from each start of the daemon.
func (c *Core) drainOver() bool { return c.self.draining && c.due(c.self.drainBy) }

// A DrainView is how far a drain is.
type DrainView struct {
	Draining bool
	Left     time.Duration // until the deadline; -1: there is none
	Slots    []DrainSlot   // still held here
}

// A DrainSlot is a slot that a draining peer still holds.
type DrainSlot struct {
	Slot  job.SlotID
	Phase string
	Ends  bool   // its container is being stopped
	Stays string // why it is not moved; empty: it is to move
}

// Draining tells what this peer still holds, and what of it stays.
func (c *Core) Draining() DrainView {
	v := DrainView{Draining: c.self.draining || c.self.leaving, Left: -1}
	if c.self.draining && c.self.drainBy != 0 {
		v.Left = max(0, c.self.drainBy.Sub(c.now))
	}
	for _, cl := range c.ownClaims() {
		if cl.Phase.Ended() {
			continue
		}
		_, ends := c.holding.ends[idOf(cl)]
		s := DrainSlot{Slot: cl.Slot, Phase: cl.Phase.String(), Ends: ends}
		if w, ok := c.wantedOf(cl); ok && !ends && !c.self.leaving && v.Left != 0 && c.neverMoves(w, cl) {
			s.Stays = whyStays(w, cl)
		}
		v.Slots = append(v.Slots, s)
	}
	return v
}

// whyStays is why a slot never moves.
func whyStays(w ledger.Wanted, cl *ledger.Claim) string {
	switch {
	case cl.Slot.At != "":
		return "it is this peer's own"
	case w.Task.Failover.Never:
		return "it never moves (failover: never)"
	default:
		return "its volume is here"
	}
}
