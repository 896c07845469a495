package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

const (
	yieldFor  = 3 * time.Second        // after room appeared here, it is kept for the most urgent that waits
	yieldRest = 10 * time.Second       // and, if that did not come, not again before
	rivalsFor = 250 * time.Millisecond // what waits is looked up no more often
	maxRivals = 256                    // slots looked at, the most urgent first
)

// yield is how this peer gives room that has appeared here to what waits with the
// greatest priority in whatever lane: a steward knows the queue of its own lane alone.
type yield struct {
	until  clock.Instant // less urgent awards are declined until then
	again  clock.Instant // no new one begins before, unless to was sold
	to     rival         // for which an award was declined last
	rivals []rival       // what waits, the most urgent first, as of looked; at most maxRivals
	looked clock.Instant // 0: never
}

// A rival is a slot that waits for room.
type rival struct {
	slot   job.SlotID
	life   uint64
	spec   wire.Hash
	weight int
}

// roomGrew begins a yield: this peer has room that it had not. One that was in vain, since
// what it was for is still not sold, is not begun again at once: a less urgent slot waits
// at most yieldFor of each yieldFor+yieldRest.
func (c *Core) roomGrew() {
	y := &c.yield
	if !c.led.HasPriorities() || c.now < y.again && c.awaitsRoom(y.to) {
		return
	}
	y.until, y.again, y.looked = c.now.Add(yieldFor), 0, 0
}

// yieldsTo says which more urgent slot waits for the room that an award would take, or "".
// It takes up what fits here of all that is more urgent, the most urgent first, and lets the
// award have what is left of the room.
func (c *Core) yieldsTo(self *auction.Self, a *wire.AwardedSlot) string {
	y := &c.yield
	if c.now >= y.until {
		return ""
	}
	_, task, known := c.lookup(a.Slot.Job, a.Life, a.Slot.Task, a.Spec)
	if !known || !c.fits(self, a) {
		return "" // declined for another reason
	}
	left := *self
	for _, r := range c.rivalsNow() {
		if r.weight <= task.Weight() {
			break
		}
		w := wire.AwardedSlot{Slot: r.slot, Life: r.life, Spec: r.spec}
		if !c.awaitsRoom(r) {
			continue
		}
		if _, no := auction.CheckAward(&left, &w, c.lookup); no != "" || c.fits(&left, a) {
			continue
		}
		y.to, y.again = r, y.until.Add(yieldRest)
		return fmt.Sprintf("%s: %s waits for the same room", auction.MoreUrgent, r.slot)
	}
	return ""
}

// isYield reports whether an award was declined for the sake of a more urgent slot.
func isYield(reason string) bool { return auction.Class(reason) == auction.MoreUrgent }

// fits reports whether an award could be taken, and takes nothing.
func (c *Core) fits(self *auction.Self, a *wire.AwardedSlot) bool {
	probe := *self
	_, no := auction.CheckAward(&probe, a, c.lookup)
	return no == ""
}

// rivalsNow returns what waits of all jobs.
func (c *Core) rivalsNow() []rival {
	y := &c.yield
	if y.looked != 0 && c.now < y.looked.Add(rivalsFor) {
		return y.rivals
	}
	y.looked, y.rivals = max(c.now, 1), y.rivals[:0]
	for _, id := range c.led.Jobs() {
		if c.isCalm(id) {
			continue
		}
		c.restless = false
		y.rivals = append(y.rivals, c.rivalsOf(id)...)
		if !c.restless {
			c.calm[id] = c.stampOf(id)
		}
	}
	slices.SortFunc(y.rivals, func(a, b rival) int {
		return cmp.Or(-cmp.Compare(a.weight, b.weight), a.slot.Compare(b.slot))
	})
	y.rivals = y.rivals[:min(len(y.rivals), maxRivals)]
	return y.rivals
}

// rivalsOf returns what of a job waits for nothing but room.
func (c *Core) rivalsOf(id job.ID) (out []rival) {
	for _, w := range c.led.Wanted(id) {
		if w.Task.Type == job.System {
			continue
		}
		sell := w
		if w.Paused && w.Fallback != nil {
			sell = *w.Fallback
		}
		held := c.dependsOn(w) != ""
		for n := range w.Count {
			r := rival{job.SlotID{Job: id, Task: w.Task.Name, Index: n}, w.Life, sell.Spec, sell.Task.Weight()}
			switch {
			case !c.isMissing(nil, sell, r.slot) || len(out) == maxRivals || c.hasFailed(r):
			case !held || c.led.MaxToken(r.slot, w.Life) != 0:
				out = append(out, r)
			}
		}
	}
	return out
}

// awaitsRoom reports whether a rival is still wanted and not sold.
func (c *Core) awaitsRoom(r rival) bool {
	if !c.led.WantsSlot(r.slot, r.life) {
		return false
	}
	return !slices.ContainsFunc(c.led.LiveClaims(r.slot), func(cl *ledger.Claim) bool { return !cl.Leaving })
}

// hasFailed reports whether a slot has failed at its spec: its steward holds it back for a
// time that only it knows, and room is not what it waits for.
func (c *Core) hasFailed(r rival) bool {
	return slices.ContainsFunc(c.led.ClaimsOf(r.slot), func(cl *ledger.Claim) bool {
		return cl.Life == r.life && cl.Spec == r.spec && cl.Phase == ledger.Failed
	})
}
