package node

import (
	"fmt"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// drain begins or ends draining; the latest request holds, its deadline with it. To end
// it takes back a leave, too, as long as this peer is a member.
func (c *Core) drain(d *Drain) (Code, error) {
	switch {
	case !d.Undo:
		c.giveWay(true, c.self.leaving, d.Deadline)
	case c.led.IsRevoked(c.cfg.Self):
		return CodeConflict, fmt.Errorf("this peer was removed from the swarm by its members, and ends")
	case c.self.leftAt != 0:
		return CodeConflict, fmt.Errorf("this peer has left the swarm already, and ends: `shoal up TICKET` joins again")
	default:
		c.giveWay(false, false, 0)
	}
	return CodeOK, nil
}

// leave begins to give up the membership; the latest request's deadline holds.
func (c *Core) leave(l *Leave) { c.giveWay(c.self.draining, true, l.Deadline) }

// giveWay sets whether this peer drains, whether it leaves, and how long what it holds may
// take to move (0: for ever), durably: a restart goes on with it.
func (c *Core) giveWay(drains, leaves bool, limit time.Duration) {
	by := clock.Instant(0)
	if limit > 0 {
		by = c.now.Add(limit)
	}
	had := c.self
	if had.draining == drains && had.leaving == leaves && had.drainBy == 0 && by == 0 {
		return
	}
	c.self.draining, c.self.leaving, c.self.drainBy = drains, leaves, by
	var deadline []byte
	if by != 0 {
		deadline = wire.MustMarshal(limit)
	}
	c.local(localDraining, mark(drains), true)
	c.local(localDrainBy, deadline, true)
	if had.leaving || leaves {
		c.local(localLeaving, mark(leaves), true)
	}
	c.holding.dirty = true
	kind, text := "draining", fmt.Sprintf("%s: draining is %v", c.cfg.Name, drains)
	if had.leaving || leaves {
		kind, text = "leaving", fmt.Sprintf("%s: leaving is %v", c.cfg.Name, leaves)
	}
	if by != 0 {
		text += fmt.Sprintf("; what has not moved within %s is stopped", limit)
	}
	c.event(Event{Kind: kind, Peer: c.cfg.Self, Text: text})
}

// mark is the value of a local that is there or not.
func mark(on bool) []byte {
	if on {
		return []byte{1}
	}
	return nil
}

// drainOver reports whether the deadline of a drain or leave is over: then what did not
// move is stopped. A deadline counts from the request, and anew from each start of the
// daemon.
func (c *Core) drainOver() bool { return c.givesWay() && c.due(c.self.drainBy) }

// givesWay reports whether this peer's work is to move elsewhere: it drains or leaves.
func (c *Core) givesWay() bool { return c.self.draining || c.self.leaving }

// whyEnds is why a slot that was to move is stopped.
func (c *Core) whyEnds() string {
	if c.self.leaving {
		return "this peer leaves the swarm"
	}
	return "this peer is being drained"
}

// A DrainView is how far a drain is.
type DrainView struct {
	Draining bool          // or leaving
	Leaving  bool          // it ends once it holds nothing
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
	v := DrainView{Draining: c.givesWay(), Leaving: c.self.leaving, Left: -1}
	if v.Draining && c.self.drainBy != 0 {
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
