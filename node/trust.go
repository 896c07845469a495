package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// How much a peer may disappoint before others are asked first.
const (
	startWithin   = time.Minute      // from accepting a slot to beginning with it
	pullAllowance = 4 * time.Minute  // on top, once it has begun: images are fetched
	startAtLatest = 15 * time.Minute // from accepting to beginning, however many wait at that peer before it
	stalledEvery  = 5 * time.Second  // how often a steward looks for claims that do not start

	strikeKept = time.Hour   // so long a strike counts
	shunBase   = time.Minute // who has one strike is asked last so long, twice that with two, …
	shunAtMost = 30 * time.Minute
	maxStrikes = 16 // kept of one peer: the latest
)

// trust is what this peer remembers of others' failures. It is read off the ledger while
// records arrive, for a holder drops its ended claims soon after; each peer remembers for
// itself, from its own start on, so that any of them may act as steward.
type trust struct {
	strikes map[wire.PeerID][]strike      // at most maxStrikes each, of distinct tasks
	moved   map[wire.PeerID]clock.Instant // when a claim of a peer was last seen to begin to run
	shunned []wire.PeerID                 // who is asked last, as of at
	blame   map[wire.PeerID]uint32        // how many strikes count against a peer, as of at
	at      clock.Instant                 // 0: to be found out anew
}

// A strike is one task that a peer took and did not run.
type strike struct {
	task      taskKey
	at        clock.Instant
	unstarted bool // it never began; else it failed there
	proven    bool // the same has run elsewhere
}

// A taskKey names a task at one spec.
type taskKey struct {
	job  job.ID
	task string
	spec wire.Hash
}

// sawClaim reads off a claim that is new here whether its holder keeps what it has taken.
func (c *Core) sawClaim(cl *ledger.Claim) {
	switch {
	case cl.Phase == ledger.Running || cl.Phase == ledger.Serving:
		if c.trust.moved == nil {
			c.trust.moved = map[wire.PeerID]clock.Instant{}
		}
		c.trust.moved[cl.Peer] = max(c.now, 1)
		c.absolve(cl)
	case cl.Phase == ledger.Failed && couldNotRun(cl):
		c.strike(cl, false)
	}
}

// couldNotRun tells a peer that could not run a container from a container that has ended
// itself: it was not started, or the kernel killed it for want of memory.
func couldNotRun(cl *ledger.Claim) bool { return cl.Exit == 0 || cl.Exit == 137 }

// sawVerdict notes that a claim was declared lost since it never began.
func (c *Core) sawVerdict(v *ledger.Verdict) {
	if !v.Unstarted {
		return
	}
	if r := c.led.ClaimRecord(v.Slot, v.Life, v.Token, v.Peer); r != nil {
		c.strike(r.Value.(*ledger.Claim), true)
	}
}

// strike notes that a peer did not run a task. Of one task it counts once, however many
// of its slots the peer had.
func (c *Core) strike(cl *ledger.Claim, unstarted bool) {
	if c.trust.strikes == nil {
		c.trust.strikes = map[wire.PeerID][]strike{}
	}
	task := taskKey{cl.Slot.Job, cl.Slot.Task, cl.Spec}
	list := c.trust.strikes[cl.Peer]
	if i := slices.IndexFunc(list, func(s strike) bool { return s.task == task }); i >= 0 {
		list[i].at, list[i].unstarted = max(c.now, 1), list[i].unstarted || unstarted
	} else {
		list = append(list, strike{task, max(c.now, 1), unstarted, false})
	}
	slices.SortStableFunc(list, func(a, b strike) int { return cmp.Compare(a.at, b.at) })
	c.trust.strikes[cl.Peer] = slices.Clone(list[max(0, len(list)-maxStrikes):])
	c.trust.at = 0
}

// absolve takes back that peers had not begun with a task, once one of them has: they were
// not idle, the task is slow.
func (c *Core) absolve(cl *ledger.Claim) {
	task := taskKey{cl.Slot.Job, cl.Slot.Task, cl.Spec}
	slow := func(s strike) bool { return s.unstarted && s.task == task }
	if !slices.ContainsFunc(c.trust.strikes[cl.Peer], slow) {
		return
	}
	for p, list := range c.trust.strikes {
		c.trust.strikes[p] = slices.DeleteFunc(list, slow)
	}
	c.trust.at = 0
}

// avoid returns the peers to which a slot is sold only if no other takes it: on which it
// has failed or not begun at this spec, and those that have disappointed of late.
func (c *Core) avoid(slot job.SlotID, spec wire.Hash) []wire.PeerID {
	out := c.failedAt(slot, spec)
	for _, cl := range c.led.ClaimsOf(slot) {
		if v := c.led.VerdictOn(cl); v != nil && v.Unstarted {
			out = append(out, cl.Peer)
		}
	}
	return append(out, c.shunned()...)
}

// shunned returns the peers that are asked last now, in order.
func (c *Core) shunned() []wire.PeerID {
	c.settleTrusted()
	return c.trust.shunned
}

// blamed returns how many tasks count against each peer.
func (c *Core) blamed() map[wire.PeerID]uint32 {
	c.settleTrusted()
	return c.trust.blame
}

// settleTrusted finds out at most once a second which strikes count, and whom they shun.
func (c *Core) settleTrusted() {
	if at := c.trust.at; len(c.trust.strikes) == 0 && len(c.trust.blame) == 0 || at != 0 && c.now < at.Add(time.Second) {
		return
	}
	was := c.trust.shunned
	c.trust.at, c.trust.shunned, c.trust.blame = max(c.now, 1), nil, map[wire.PeerID]uint32{}
	for _, p := range slices.SortedFunc(keys(c.trust.strikes), wire.PeerID.Compare) {
		n, last := c.strikesOf(p)
		if n > 0 {
			c.trust.blame[p] = uint32(n)
		}
		until := last.Add(shunFor(n))
		if n == 0 || c.now >= until {
			continue
		}
		c.trust.shunned = append(c.trust.shunned, p)
		if !slices.Contains(was, p) && c.now < last.Add(stalledEvery) {
			c.event(Event{Kind: "shunned", Peer: p, Text: fmt.Sprintf("%s is asked last for %s: it took %s and did not run what others run",
				c.nameOf(p), until.Sub(c.now).Round(time.Second), tasks(n))})
		}
	}
}

func tasks(n int) string {
	if n == 1 {
		return "a task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// shunFor is how long a peer with so many strikes is asked last, from the latest on.
func shunFor(strikes int) time.Duration {
	if strikes <= 0 {
		return 0
	}
	return min(shunBase<<min(strikes-1, 10), shunAtMost)
}

// strikesOf returns how many tasks count against a peer, and when the latest did. What is
// too old is forgotten.
func (c *Core) strikesOf(p wire.PeerID) (n int, last clock.Instant) {
	kept := slices.DeleteFunc(c.trust.strikes[p], func(s strike) bool { return c.now >= s.at.Add(strikeKept) })
	if len(kept) == 0 {
		delete(c.trust.strikes, p)
		return 0, 0
	}
	c.trust.strikes[p] = kept
	for i := range kept {
		if c.counts(p, &kept[i]) {
			n, last = n+1, max(last, kept[i].at)
		}
	}
	return n, last
}

// counts reports whether a strike is its peer's fault. A failure is, once the same task
// runs elsewhere. So is a claim that never began, unless it did not at another peer
// either: then it may be the task.
func (c *Core) counts(p wire.PeerID, s *strike) bool {
	s.proven = s.proven || c.runsElsewhere(s.task, p)
	return s.proven || s.unstarted && !c.struckAt(s.task, p)
}

// runsElsewhere reports whether a peer other than p serves or has completed a task.
func (c *Core) runsElsewhere(task taskKey, p wire.PeerID) bool {
	found := false
	c.led.EachClaimOf(task.job, func(cl *ledger.Claim) {
		found = found || cl.Peer != p && cl.Slot.Task == task.task && cl.Spec == task.spec && (cl.Phase == ledger.Serving || cl.Phase == ledger.Completed)
	})
	return found
}

// struckAt reports whether a task is a strike against a peer other than p.
func (c *Core) struckAt(task taskKey, p wire.PeerID) bool {
	for other, list := range c.trust.strikes {
		if other != p && slices.ContainsFunc(list, func(s strike) bool { return s.task == task }) {
			return true
		}
	}
	return false
}

// judgeStalled declares those claims lost, of jobs for which this peer acts as steward,
// whose holders have not begun with them in time.
func (c *Core) judgeStalled(l *lane, jobs []job.ID) {
	if l.stalledAt != 0 && !c.due(l.stalledAt.Add(stalledEvery)) || !c.mem.MayJudge(c.now) {
		return
	}
	l.stalledAt = max(c.now, 1)
	for _, id := range jobs {
		c.led.EachClaimOf(id, func(cl *ledger.Claim) {
			if cl.HasBegun() || !c.led.IsLive(cl) || c.mem.Doubted(cl.Peer) || c.now < c.startsBy(cl) {
				return // a steward's own claims are as others'
			}
			if w, ok := c.wantedOf(cl); ok && !c.neverMoves(w, cl) && c.begunElsewhere(cl) == nil {
				c.stalled(l, cl)
			}
		})
	}
}

// startsBy is when a claim must have begun to run. While its holder begins with others it
// waits for its turn.
func (c *Core) startsBy(cl *ledger.Claim) clock.Instant {
	seen := max(c.led.SeenSince(cl), 1)
	if at := seen.Add(startWithin); c.now < at { // most: the rest is dear
		return at
	}
	if cl.Phase == ledger.Starting {
		return seen.Add(startWithin + pullAllowance)
	}
	limit := startWithin
	for _, o := range c.led.ClaimsBy(cl.Peer) {
		if o.Phase == ledger.Starting {
			limit += pullAllowance
			break
		}
	}
	turn := max(seen, c.trust.moved[cl.Peer]).Add(limit)
	return min(turn, seen.Add(startAtLatest))
}

func (c *Core) stalled(l *lane, cl *ledger.Claim) {
	if l.budget < 1 {
		c.reach(BranchBudgetUsedUp)
		return
	}
	l.budget--
	v := &ledger.Verdict{Slot: cl.Slot, Life: cl.Life, Token: cl.Token, Peer: cl.Peer, Run: cl.Run, Refuted: cl.Refuted, By: c.cfg.Self,
		Why: "it has not begun to run", Unstarted: true}
	c.publishHead([]*wire.Record{c.write(wire.KindVerdict, v)})
	c.sawVerdict(v)
	l.dirty = true
	c.event(Event{Kind: "lost", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: cl.Peer,
		Text: fmt.Sprintf("%s on %s is lost: it has not begun to run", cl.Slot, c.nameOf(cl.Peer))})
}

// waitsUnstarted settles an own claim that was declared lost since it never began: once
// another holder has begun it ends, and until then it may still come to run, which alone
// refutes that. It reports false if it has come to run.
func (c *Core) waitsUnstarted(cl *ledger.Claim) bool {
	v := c.led.VerdictOn(cl)
	if v == nil || !v.Unstarted || cl.HasBegun() || c.runs(cl) {
		return false
	}
	if o := c.begunElsewhere(cl); o != nil {
		c.end(cl, ledger.Superseded, fmt.Sprintf("it had not begun to run, and %s has", c.nameOf(o.Peer)))
	}
	return true
}

// mayStillBegin reports whether an own claim that was declared lost since it never began may
// be started all the same: an image that takes long is not to be fetched by one peer after
// the other in vain. A daemon that has just started first hears what became of the slot.
func (c *Core) mayStillBegin(cl *ledger.Claim) bool {
	v := c.led.VerdictOn(cl)
	return v != nil && v.Unstarted && !cl.HasBegun() && c.now >= clock.Instant(aloneAfter) && c.begunElsewhere(cl) == nil
}

// begunElsewhere returns another peer's live claim on a slot that has begun to run, or nil.
func (c *Core) begunElsewhere(cl *ledger.Claim) *ledger.Claim {
	for _, o := range c.led.LiveClaims(cl.Slot) {
		if o.Peer != cl.Peer && o.HasBegun() {
			return o
		}
	}
	return nil
}
