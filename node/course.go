package node

import (
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/ledger"
	"shoal/wire"
)

// How a peer starts.
const (
	takeUpAfter = 5 * time.Second  // own claims are taken up without an exchange
	aloneAfter  = 10 * time.Second // a peer that was once ready is ready alone
)

// begin is the first thing a core does: a peer with a store knows its incarnation
// at once, one without asks the others for it first.
func (c *Core) begin() {
	for _, key := range c.self.oldMarks {
		c.reach(BranchMarksForgotten)
		c.local(key, nil, false)
	}
	c.self.oldMarks = nil
	if c.self.storedInc > 0 || c.cfg.Founder {
		c.chooseIncarnation()
	}
	if c.cfg.Founder {
		c.takeUp()
		c.becomeReady("it created the swarm")
	}
}

// knowsItsPast reports whether a peer without a store has heard of its earlier starts,
// if there were any. Another that lost its store at the same time knows as little, so
// one that is not ready counts only when no ready peer has answered for a while. Who
// accepts the loss need not hear of it: if others still know of an earlier start, this
// one outlives it.
func (c *Core) knowsItsPast() bool {
	heard := c.self.exchanged || c.cfg.AcceptLoss && c.exchangedWithLinked()
	return c.self.withReady || heard && c.due(clock.Instant(aloneAfter))
}

func (c *Core) chooseIncarnation() {
	c.self.inc = max(c.self.storedInc, c.led.MaxIncarnation(c.cfg.Self)) + 1
	if mutant.Is(mutant.SameIncarnation) {
		c.self.inc = max(c.self.inc-1, 1)
	}
	c.self.seq = 0
	c.local(localInc, wire.MustMarshal(c.self.inc), true)
	c.mem.Start(c.now, c.self.inc, c.cfg.Nonce)
	if c.self.stage == starting {
		c.self.stage = joining
	}
}

// settleCourse moves this peer along: incarnation, own claims, readiness.
func (c *Core) settleCourse() {
	if c.self.inc > 0 && c.self.stage != muted && c.led.HasEarlierStart(c.cfg.Self, c.self.inc, c.cfg.Nonce) {
		c.outlive() // a store put back to an older image did not know of that start
	}
	switch c.self.stage {
	case starting:
		if c.knowsItsPast() || c.led.IsRevoked(c.cfg.Self) { // nobody would exchange with it
			c.chooseIncarnation()
		}
	case joining:
		c.settleJoining()
	case ready:
		c.settleCard()
		c.settleMembership()
	default: // muted: it writes and says nothing more
	}
	if c.self.stage == joining || c.self.stage == ready {
		c.settlePast()
		c.settleLeaving()
	}
	c.settleTrust()
	if !c.self.settled && c.self.stage != starting && (c.mayTakeUp() || mutant.Is(mutant.RestartResold) || c.due(clock.Instant(takeUpAfter))) {
		c.takeUp()
	}
}

// mayTakeUp reports whether this peer has heard all that may have happened to its
// claims while it was away: from a ready peer, or from every other member. What
// was sold again elsewhere is then not started twice.
func (c *Core) mayTakeUp() bool {
	if c.self.withReady {
		return true
	}
	for _, p := range c.led.Members() {
		if _, ok := c.ex.done[p]; !ok && p != c.cfg.Self {
			return false
		}
	}
	return c.self.exchanged
}

func (c *Core) takeUp() {
	if c.self.settled {
		return
	}
	c.self.settled = true
	c.holding.dirty = true
	if !c.self.exchanged && !c.cfg.Founder {
		c.reach(BranchTakenUpAlone)
	}
}

// trusts reports whether what the ledger lacks may be taken for over. A damaged
// store lacks what nobody ended: until it has been refilled this peer runs what it
// knows of and ends nothing.
func (c *Core) trusts() bool {
	return !c.cfg.Damaged || c.cfg.AcceptLoss || c.mayTakeUp()
}

// settleTrust does once what needs a ledger that misses nothing.
func (c *Core) settleTrust() {
	if c.self.settled && !c.rec.Settled() && c.trusts() {
		c.rec.Settle(c.now, true)
		c.holding.dirty = true
	}
	if !c.led.IsWhole() && c.self.stage != starting && c.heardAll() {
		c.led.MakeWhole(c.self.inc, c.cfg.Nonce)
	}
}

// heardAll reports whether enough members have given their ledgers since this
// peer's start: every one that may still be there, or many of a large swarm, where
// each holds what the others do; of a damaged store at least one must have.
func (c *Core) heardAll() bool {
	if len(c.ex.done) < manyHeard && slices.ContainsFunc(c.led.Members(), c.isUnheard) {
		return false
	}
	return c.self.exchanged || !c.cfg.Damaged || c.cfg.AcceptLoss
}

// manyHeard is how many exchanges with different members stand for all of them.
const manyHeard = 16

// unheard returns the members that may be there and have not given their ledgers
// since this peer's start, in order.
func (c *Core) unheard() []wire.PeerID {
	return slices.DeleteFunc(slices.Clone(c.led.Members()), func(p wire.PeerID) bool { return !c.isUnheard(p) })
}

func (c *Core) isUnheard(p wire.PeerID) bool {
	_, done := c.ex.done[p]
	return !done && p != c.cfg.Self && !c.mem.Dead(p)
}

func (c *Core) settleJoining() {
	switch {
	case c.led.IsRevoked(c.cfg.Self): // it ends what it holds and halts: settleLeaving
	case mutant.Is(mutant.NeverReadyAgain) && c.self.onceReady:
	case c.self.withReady:
		c.becomeReady("it exchanged ledgers with a ready peer")
	case c.self.readyHeard != 0 && c.now.Sub(c.self.readyHeard) < aloneAfter:
		c.wake(c.self.readyHeard.Add(aloneAfter))
	case !c.cfg.AcceptLoss && (!c.self.onceReady || c.cfg.Damaged):
	case c.due(clock.Instant(aloneAfter)) && c.exchangedWithLinked():
		c.becomeReady("it was ready before, and no ready peer answers")
	}
}

// exchangedWithLinked reports whether every peer in reach has given its ledger, or
// has had twice the time for it.
func (c *Core) exchangedWithLinked() bool {
	all := true
	for p, since := range c.self.linked {
		if _, ok := c.ex.done[p]; !ok && c.now.Sub(since) < 2*aloneAfter {
			c.wake(since.Add(2 * aloneAfter))
			all = false
		}
	}
	return all
}

func (c *Core) becomeReady(why string) {
	if c.self.inc == 0 {
		panic("node: ready before this peer knows its incarnation")
	}
	c.self.stage = ready
	c.self.onceReady = true
	c.local(localReady, []byte{1}, true)
	c.settleMembership()
	c.publishCard()
	c.mem.SetReady(c.now, true)
	for i := range c.lanes {
		c.lanes[i].dirty = true
	}
	c.event(Event{Kind: "ready", Peer: c.cfg.Self, Text: fmt.Sprintf("%s is ready: %s", c.cfg.Name, why)})
}

// settleMembership takes back the word that this peer has left: it has come back, or
// another machine with a copy of its key was told to leave.
func (c *Core) settleMembership() {
	if m := c.led.Member(c.cfg.Self); m != nil && m.Left && !m.Revoked && !c.self.leaving {
		c.write(wire.KindMember, &ledger.Member{Peer: c.cfg.Self, Seq: m.Seq + 1})
	}
}

func (c *Core) link(l Linked) {
	if l.Peer == c.cfg.Self {
		return
	}
	c.mem.Linked(c.now, l.Peer, l.Up)
	if !l.Up {
		delete(c.self.linked, l.Peer)
		c.forgetTold(l.Peer)
		delete(c.ex.out, l.Peer)
		delete(c.ex.in, l.Peer)
		return
	}
	if _, ok := c.self.linked[l.Peer]; !ok && len(c.self.linked) < maxLinked {
		c.self.linked[l.Peer] = c.now
	}
}

const maxLinked = 4096

// settleLeaving ends a membership once nothing of ours runs any more.
func (c *Core) settleLeaving() {
	if c.led.IsRevoked(c.cfg.Self) {
		c.self.leaving = true
	}
	if !c.self.leaving || !c.self.settled {
		return
	}
	for _, cl := range c.led.ClaimsBy(c.cfg.Self) {
		if !cl.Phase.Ended() {
			return
		}
	}
	if c.led.IsRevoked(c.cfg.Self) {
		c.out.Halt = HaltExpelled
		return
	}
	if c.self.leftAt == 0 {
		c.self.leftAt = max(c.now, 1)
		seq := uint64(1)
		if m := c.led.Member(c.cfg.Self); m != nil {
			seq = m.Seq + 1
		}
		c.write(wire.KindMember, &ledger.Member{Peer: c.cfg.Self, Left: true, Seq: seq})
	}
	if c.due(c.self.leftAt.Add(2 * time.Second)) {
		for _, key := range []string{localDraining, localDrainBy, localLeaving} {
			c.local(key, nil, true) // who joins again takes work
		}
		c.out.Halt = HaltLeft
	}
}

// mayAct reports whether this peer bids and accepts jobs: only a ready one does.
func (c *Core) mayAct() bool {
	return c.self.stage == ready || mutant.Is(mutant.ActWhileJoining) && c.self.stage == joining
}

// reachable returns the peers with a connection, in order.
func (c *Core) reachable() []wire.PeerID {
	out := make([]wire.PeerID, 0, len(c.self.linked))
	for p := range c.self.linked {
		if !c.led.IsRevoked(p) {
			out = append(out, p)
		}
	}
	if mutant.Is(mutant.LeakMapOrder) {
		return out
	}
	slices.SortFunc(out, wire.PeerID.Compare)
	return out
}
