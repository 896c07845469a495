package node

import (
	"fmt"
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A task of type system is not sold: each peer that it suits claims its own slot,
// "shop/agent@PEER", as soon as it knows the head and has room, and nobody else can. So
// it needs no steward and no other peer, and works in an island as well as anywhere. Its
// tokens are that peer's own counter. From the claim on the slot is as any other, except
// that no verdict is written on it and no drain moves it.

// system is what this peer does of the system tasks.
type system struct {
	jobs    []job.ID // that may have one, as of at
	at      systemAt
	listed  clock.Instant // when they were looked for
	looked  clock.Instant
	version uint64 // the ledger's, then
	missing bool   // something of ours could not be claimed then
	waits   map[job.SlotID]*waiting
}

// systemAt stands for what decides which jobs have a system task.
type systemAt struct {
	heads uint64
	rest  ledger.Stamp // of no job: specs and peers
}

// settleSystem claims what this peer is to run of each system task and does not hold.
func (c *Core) settleSystem() {
	if !c.mayAct() || !c.self.settled || !c.trusts() {
		clear(c.system.waits)
		return
	}
	s := &c.system
	// Where a thousand jobs come in a second, going over all of them for each would be most
	// of what a peer does.
	at := systemAt{c.led.HeadsVersion(), c.led.StampOf("")}
	if s.at != at && (s.listed == 0 || c.due(s.listed.Add(listEvery))) {
		s.at, s.listed, s.jobs = at, max(c.now, 1), c.jobsWith(s.jobs[:0], job.System)
	}
	every := scanEvery
	switch {
	case len(s.jobs) == 0:
		clear(s.waits)
		return
	case s.version == c.led.Version() && s.looked != 0 && !s.missing:
		return
	case s.version == c.led.Version():
		every = rescanEvery
	}
	if s.looked != 0 && !c.due(s.looked.Add(every)) {
		return
	}
	s.looked, s.version, s.missing = max(c.now, 1), c.led.Version(), false
	c.claimOwn()
	if s.missing {
		c.wake(c.now.Add(rescanEvery))
	}
}

// listEvery is how often jobs with system tasks are looked for, at most.
const listEvery = 250 * time.Millisecond

// jobsWith appends the jobs that have a task of a type, or had one in the spec before.
func (c *Core) jobsWith(to []job.ID, t job.Type) []job.ID {
	has := func(spec *job.Spec) bool {
		return spec != nil && slices.ContainsFunc(spec.Tasks, func(task job.Task) bool { return task.Type == t })
	}
	for _, id := range c.led.Jobs() {
		if h := c.led.Head(id); h != nil && !h.Deleted && (has(c.led.Spec(h.Spec)) || has(c.led.Spec(h.Previous))) {
			to = append(to, id)
		}
	}
	return to
}

// claimOwn goes over this peer's own slots, by job and task.
func (c *Core) claimOwn() {
	var self *auction.Self // made once it is needed
	for _, id := range c.system.jobs {
		for _, w := range c.led.Wanted(id) {
			slot := w.SlotOf(c.cfg.Self)
			if w.Task.Type != job.System || !slices.Contains(w.At, slot.At) {
				continue
			}
			sell := w
			if w.Paused && w.Fallback != nil {
				sell = *w.Fallback
			}
			if wt := c.ownMissing(slot, w, sell); wt != nil {
				if self == nil {
					self = c.bidder()
				}
				c.takeOwn(self, slot, w, sell, wt)
			}
		}
	}
	for slot, wt := range c.system.waits {
		if wt.seen != c.now {
			delete(c.system.waits, slot)
		}
	}
}

// ownMissing returns what is remembered of an own slot that this peer neither holds nor
// has run to its end, or nil. One whose claim is still ending waits for that.
func (c *Core) ownMissing(slot job.SlotID, w, sell ledger.Wanted) *waiting {
	for _, cl := range c.led.ClaimsOf(slot) {
		switch {
		case cl.Peer != c.cfg.Self:
		case cl.Life == w.Life && cl.Spec == sell.Spec && isFinal(sell.Task, cl), c.led.IsLive(cl):
			return nil
		case !cl.Phase.Ended():
			c.system.missing = true
			return nil
		}
	}
	c.system.missing = true
	wt := c.system.waits[slot]
	if wt == nil || wt.life != w.Life || wt.spec != sell.Spec {
		wt = &waiting{since: max(c.now, 1), life: w.Life, spec: sell.Spec}
		c.system.waits[slot] = wt
	}
	wt.seen = c.now
	return wt
}

// takeOwn claims an own slot, if nothing is against it: what else a bid would be refused
// for, what the task depends on, and the pause after a failure.
func (c *Core) takeOwn(self *auction.Self, slot job.SlotID, w, sell ledger.Wanted, wt *waiting) {
	last := c.led.MaxToken(slot, w.Life)
	if held := c.dependsOn(w); held != "" && last == 0 {
		wt.reason, wt.noes, wt.held = held, nil, true
		return
	}
	wt.held = false
	c.noteFails(wt, slot, sell)
	if wt.next != 0 && !c.due(wt.next) {
		return
	}
	d, _ := c.judgeAward(self, &wire.AwardedSlot{
		Slot: slot, Life: w.Life, Token: last + 1, Spec: sell.Spec, Fails: wt.fails,
		Summary: wire.Summary{Waited: c.now.Sub(wt.since)},
	})
	if d.Decline != "" {
		wt.asked, wt.tries = 1, wt.tries+1
		wt.noes = []wire.Reason{{Text: d.Decline, Count: 1}}
		wt.reason = "its peer cannot take it: " + d.Decline
		return
	}
	delete(c.system.waits, slot)
	c.holding.dirty = true
}

// waitFor is what this peer remembers of a slot that nobody holds, as its steward or as
// the peer whose own it is; nil: nothing.
func (c *Core) waitFor(slot job.SlotID) *waiting {
	if wt := c.system.waits[slot]; wt != nil {
		return wt
	}
	return c.waits[slot]
}

// slotsOf returns the slots that a task is to have now: of a system task those of the
// peers that are there, leaving out one that is being drained and holds none. It starts
// nothing there, and a copy that runs may stay.
func (c *Core) slotsOf(w ledger.Wanted) []job.SlotID {
	var out []job.SlotID
	for slot := range w.Slots {
		if p, ok := ledger.OwnerOf(slot); !ok || c.isToHave(p, slot, w) {
			out = append(out, slot)
		}
	}
	return out
}

func (c *Core) isToHave(p wire.PeerID, slot job.SlotID, w ledger.Wanted) bool {
	if p != c.cfg.Self && c.mem.Dead(p) {
		return false
	}
	return c.led.Winner(slot) != nil || c.cannotStart(p, w.Task) == ""
}

// cannotStart says why a peer would start no copy of a system task that suits it, as far
// as its card tells; "": it would, unless its owner or what it has free is against it.
func (c *Core) cannotStart(p wire.PeerID, t *job.Task) string {
	card := c.led.Card(p)
	switch {
	case card == nil:
		return "it is no member"
	case card.Draining:
		return "it is being drained"
	}
	if no := canRun(card.Driver, t); no != "" {
		return no
	}
	if unmet := card.Facts().Meets(t.Constraints); unmet != "" {
		return "the task wants " + unmet
	}
	return ""
}

// whyNotWanted says why a slot of a task that is not to have it is not wanted.
func (c *Core) whyNotWanted(slot job.SlotID, w ledger.Wanted) string {
	p, ok := ledger.OwnerOf(slot)
	switch {
	case w.Task.Type != job.System:
		return fmt.Sprintf("%s has %d copies, %s.0 to %s.%d", slot.Task, w.Count, slot.Task, slot.Task, w.Count-1)
	case w.Count == 0:
		return "the task is stopped"
	case !ok:
		return fmt.Sprintf("%s has one copy on each peer, such as %s", slot.Task, c.SlotName(w.SlotOf(c.cfg.Self)))
	}
	if spec := c.led.Spec(w.JobSpec); spec != nil {
		if why := c.led.Unsuited(p, spec, w.Task); why != "" {
			return fmt.Sprintf("%s gets none: %s", c.nameOf(p), why)
		}
	}
	if c.mem.Dead(p) && p != c.cfg.Self {
		return fmt.Sprintf("%s is gone, and has none until it is back", c.nameOf(p))
	}
	return fmt.Sprintf("%s gets none: %s", c.nameOf(p), c.cannotStart(p, w.Task))
}

// SlotName is a slot as people call it: one that is a peer's own by that peer's name, or
// by the end of its ID where the name is no word or another has it, too. What stands for
// the slots of a system task that no peer is to have is called as the task.
func (c *Core) SlotName(slot job.SlotID) string {
	if slot.At == nowhere {
		return slot.Job.String() + "/" + slot.Task
	}
	p, ok := ledger.OwnerOf(slot)
	if !ok {
		return slot.String()
	}
	if slot.At = c.callOf(p); job.CheckName(slot.At) != nil {
		slot.At = p.Short()
	}
	return slot.String()
}

// FindSlot reads a slot as SlotName or SlotID.String prints it.
func (c *Core) FindSlot(text string) (job.SlotID, error) {
	slot, err := job.ParseSlotID(text)
	if err != nil || slot.At == "" {
		return slot, err
	}
	if _, ok := ledger.OwnerOf(slot); ok {
		return slot, nil
	}
	var found []wire.PeerID
	for _, p := range c.led.AllPeers() {
		if one := (job.SlotID{Job: slot.Job, Task: slot.Task, At: p.String()}); c.SlotName(one) == slot.String() {
			found = append(found, p)
		} else if p.Short() == slot.At {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return slot, fmt.Errorf("slot %q: no peer is called %q; `shoal peers` lists them", text, slot.At)
	}
	slot.At = found[0].String()
	return slot, nil
}
