package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/ledger"
	"shoal/wire"
)

// exchanges are the comparisons of ledgers under way, at most one each way with
// one peer.
type exchanges struct {
	out       map[wire.PeerID]*exchange
	in        map[wire.PeerID]*exchange
	told      map[wire.PeerID]*exchange     // those that a Sketch of ours was the answer to
	done      map[wire.PeerID]clock.Instant // last complete one
	next      clock.Instant                 // while joining: when to open another
	turn      int
	nextWhole clock.Instant // when to ask the next of those not heard yet
}

type exchange struct {
	id     uint64
	began  clock.Instant
	listed bool          // our Lists have gone
	marks  []wire.Mark   // ours as in our Lists
	more   bool          // something did not fit
	drops  []wire.Number // ours to drop once the closing Delta has come
	trade  *ledger.Trade // ours, on their Sketch
	moment ledger.Moment // that our Sketch tells of

	unready bool // what they told of their ledger is of before they were ready
}

// Bounds of exchanges: how long one may take, and how many we open at once.
const (
	exchangeAfter = 10 * time.Second
	maxExchanges  = 4
)

func (c *Core) settleExchanges() {
	for _, r := range c.led.Revive() {
		if c.self.inc > 0 {
			c.reach(BranchSpecRevived)
			c.writeEncoded(wire.KindSpec, r.Body, cloneSpec(r.Body)) // its name is the hash of its bytes
		}
	}
	c.lapse(c.ex.out)
	c.lapse(c.ex.in)
	c.lapse(c.ex.told)
	if c.self.stage == muted {
		return
	}
	if c.self.stage != ready || !c.self.exchanged {
		c.exchangeWhileJoining()
	}
	c.exchangeUntilWhole()
	if p, ok := c.mem.Partner(c.now); ok && c.self.stage != starting && !mutant.Is(mutant.NoAntiEntropy) {
		c.open(p)
	}
}

// lapse gives up exchanges that take too long.
func (c *Core) lapse(side map[wire.PeerID]*exchange) {
	for p, x := range side { // in any order: each is judged alone, and the earliest wakes
		if c.due(x.began.Add(exchangeAfter)) {
			delete(side, p)
		}
	}
}

// exchangeWhileJoining goes round the peers in reach, ready or joining, twice a
// second: until it has had a whole ledger a starting peer has nothing better to do.
func (c *Core) exchangeWhileJoining() {
	if c.ex.next != 0 && !c.due(c.ex.next) {
		return
	}
	peers := c.reachable()
	if len(peers) == 0 {
		return
	}
	c.ex.next = c.now.Add(400*time.Millisecond + time.Duration(c.rng.Int64N(int64(200*time.Millisecond))))
	c.wake(c.ex.next)
	c.ex.turn++
	c.open(peers[c.ex.turn%len(peers)])
}

// exchangeUntilWhole asks one after the other the members that have not given their
// ledgers yet; ring neighbours alone would leave some out for minutes.
func (c *Core) exchangeUntilWhole() {
	if c.led.IsWhole() || c.self.stage != ready || !c.self.exchanged || c.ex.nextWhole != 0 && !c.due(c.ex.nextWhole) {
		return
	}
	c.ex.nextWhole = c.now.Add(c.prof.PartnerEvery)
	c.wake(c.ex.nextWhole)
	if left := c.unheard(); len(left) > 0 {
		c.open(left[c.rng.IntN(len(left))])
	}
}

func (c *Core) open(p wire.PeerID) { c.openWith(p, c.led.Parity()) }

// openWith opens an exchange; without parity it is answered with a Vector.
func (c *Core) openWith(p wire.PeerID, parity []byte) {
	if p == c.cfg.Self || c.ex.out[p] != nil || len(c.ex.out) >= maxExchanges || c.led.IsRevoked(p) || c.IsRefused(p) {
		return
	}
	x := &exchange{id: c.id(), began: c.now}
	c.ex.out[p] = x
	c.send(p, &wire.Digest{ID: x.id, Hash: c.led.Digest(), Ready: c.isReady(), Parity: parity})
}

func (c *Core) isReady() bool { return c.self.stage == ready }

func (c *Core) onDigest(from wire.PeerID, m *wire.Digest) {
	if m.Ready {
		c.self.readyHeard = c.now
	}
	if m.Equal {
		if x := c.ex.out[from]; x != nil && x.id == m.ID {
			c.completed(from, m.Ready)
		}
		return
	}
	if m.Hash == c.led.Digest() {
		c.send(from, &wire.Digest{ID: m.ID, Ready: c.isReady(), Equal: true})
		c.completed(from, m.Ready)
		return
	}
	if x := c.ex.told[from]; x != nil && x.id == m.ID {
		return // a second Sketch would tell of another moment than the one they answer
	}
	if sk, moment := c.led.Sketch(m.Parity); sk != nil {
		c.ex.told[from] = &exchange{id: m.ID, began: c.now, moment: moment}
		sk.ID, sk.Ready = m.ID, c.isReady()
		c.send(from, sk)
		return
	}
	c.send(from, &wire.Vector{ID: m.ID, Marks: c.led.Marks(), Ready: c.isReady()})
}

func (c *Core) onVector(from wire.PeerID, m *wire.Vector) {
	x := c.ex.out[from]
	if x == nil || x.id != m.ID || x.listed {
		return // a second answer would be paired with marks that the first did not see
	}
	x.listed, x.unready = true, !m.Ready
	lists, more := c.led.Lists(m.Marks)
	x.more = more
	x.marks = x.marks[:0]
	for _, l := range lists {
		x.marks = append(x.marks, l.Mark)
	}
	c.send(from, &wire.Lists{ID: m.ID, Issuers: lists, Ready: c.isReady(), More: more})
}

func (c *Core) onSketch(from wire.PeerID, m *wire.Sketch) error {
	x := c.ex.out[from]
	if x == nil || x.id != m.ID || x.listed {
		return nil
	}
	t, err := c.led.Trade(m)
	if err != nil {
		delete(c.ex.out, from)
		if !errors.Is(err, ledger.ErrUnclear) {
			return fmt.Errorf("from %s: %w", from.Short(), err)
		}
		c.reach(BranchSketchUnclear)
		c.openWith(from, nil)
		return nil
	}
	x.listed, x.trade, x.unready = true, t, !m.Ready
	t.Msg.ID, t.Msg.Ready = m.ID, c.isReady()
	c.send(from, t.Msg)
	return nil
}

func (c *Core) onTrade(from wire.PeerID, m *wire.Trade) error {
	x := c.ex.told[from]
	if x == nil || x.id != m.ID {
		return nil
	}
	delete(c.ex.told, from)
	answer, fresh, err := c.led.Settle(m, x.moment)
	c.brought(fresh, from)
	if err != nil {
		return fmt.Errorf("from %s: %w", from.Short(), err)
	}
	answer.ID, answer.Ready = m.ID, c.isReady()
	c.send(from, answer)
	if !m.More && !answer.More {
		c.completed(from, m.Ready)
	}
	return nil
}

func (c *Core) onSettle(from wire.PeerID, m *wire.Settle) error {
	x := c.ex.out[from]
	if x == nil || x.id != m.ID || x.trade == nil {
		return nil
	}
	delete(c.ex.out, from)
	fresh, left, err := c.led.Conclude(x.trade, m)
	c.brought(fresh, from)
	if err != nil {
		return fmt.Errorf("from %s: %w", from.Short(), err)
	}
	if !m.More && !x.trade.Msg.More {
		c.completed(from, m.Ready && !x.unready)
	}
	if left {
		c.reach(BranchSketchLeft)
		c.openWith(from, nil)
	}
	return nil
}

func (c *Core) onLists(from wire.PeerID, m *wire.Lists) {
	if x := c.ex.in[from]; x != nil && x.id == m.ID {
		return // answered already, and what is to be dropped goes with that answer
	}
	d, drops := c.led.Answer(m.Issuers)
	d.ID, d.Ready = m.ID, c.isReady()
	c.ex.in[from] = &exchange{id: m.ID, began: c.now, more: m.More || d.More, drops: drops, unready: !m.Ready}
	c.send(from, d)
}

func (c *Core) onDelta(from wire.PeerID, m *wire.Delta) error {
	side := c.ex.out
	if m.Close {
		side = c.ex.in
	}
	x := side[from]
	if x == nil || x.id != m.ID {
		return nil
	}
	outdated := !m.Close && c.led.Lacks(m.Want) // since our Lists: once more, with new ones
	fresh, err := c.led.Absorb(m, x.drops)
	c.brought(fresh, from)
	if err != nil {
		delete(side, from)
		return fmt.Errorf("delta from %s: %w", from.Short(), err)
	}
	more := x.more || m.More
	if !m.Close {
		d := c.led.Give(m.Want, x.marks)
		d.ID, d.Ready, d.More = m.ID, c.isReady(), d.More || m.More || outdated
		more = more || d.More
		c.send(from, d)
	}
	delete(side, from)
	if !more {
		c.completed(from, m.Ready && !x.unready)
	} else if !m.Close {
		c.reach(BranchExchangeInParts)
		c.open(from) // what did not fit follows at once
	}
	return nil
}

// completed notes a complete exchange: each of the two now has what the other had.
func (c *Core) completed(from wire.PeerID, theirsReady bool) {
	delete(c.ex.out, from)
	c.ex.done[from] = c.now
	c.self.exchanged = true
	if theirsReady {
		c.self.withReady = true
		c.self.readyHeard = c.now
	}
	if len(c.holding.lost) > 0 {
		c.holding.dirty = true // a verdict may be answered now
	}
}

// learned looks at records that have just come in for what concerns people.
func (c *Core) learned(fresh []*wire.Record) {
	for _, r := range fresh {
		c.arrived(r)
		switch v := r.Value.(type) {
		case *ledger.Head:
			c.headLearned(v)
		case *ledger.Card:
			if v.Peer != c.cfg.Self && r.Num.Inc > c.incs[v.Peer] {
				c.incs[v.Peer] = r.Num.Inc
				c.event(Event{Kind: "joined", Peer: v.Peer, Text: fmt.Sprintf("%s is ready (incarnation %d)", v.Name, r.Num.Inc)})
			}
		case *ledger.Member:
			c.memberLearned(v)
		}
	}
}

// arrived notes what a record that is new here changes for this peer's own work.
func (c *Core) arrived(r *wire.Record) {
	if r.Num.Issuer == c.cfg.Self {
		c.self.forgot = true
	}
	switch v := r.Value.(type) {
	case *ledger.Claim:
		if v.Refuted > 0 {
			c.mem.Refuted(c.now, v.Peer, r.Num.Inc, v.Beat)
		}
		if v.Phase.Ended() || c.awaitsCopies {
			c.awaitsCopies = false
			c.improved()
		}
		c.sawClaim(v)
	case *ledger.Verdict:
		c.sawVerdict(v)
	case *ledger.Card, *ledger.Member:
		c.improved()
	}
}

func (c *Core) headLearned(h *ledger.Head) {
	now := c.led.Head(h.Job)
	switch {
	case now != h:
	case h.Deleted:
		c.event(Event{Kind: "removed", Job: h.Job, Peer: h.Author, Text: fmt.Sprintf("%s was removed by %s", h.Job, c.nameOf(h.Author))})
	default:
		c.event(Event{Kind: "deployed", Job: h.Job, Peer: h.Author, Text: fmt.Sprintf("%s revision %d came from %s", h.Job, h.Revision, c.nameOf(h.Author))})
	}
	for _, lost := range c.led.Conflicts(h.Job) {
		c.event(Event{Kind: "conflict", Job: h.Job, Peer: lost.Author, Text: fmt.Sprintf(
			"%s was changed on two sides: revision %d by %s holds, revision %d by %s lost to it and is kept for rollback",
			h.Job, now.Revision, c.nameOf(now.Author), lost.Revision, c.nameOf(lost.Author))})
	}
}

func (c *Core) memberLearned(m *ledger.Member) {
	switch {
	case m.Revoked:
		c.event(Event{Kind: "expelled", Peer: m.Peer, Text: fmt.Sprintf("%s was removed from the swarm", c.nameOf(m.Peer))})
	case m.Left:
		c.event(Event{Kind: "left", Peer: m.Peer, Text: fmt.Sprintf("%s left the swarm", c.nameOf(m.Peer))})
	}
}

// onPush merges what a neighbour heard and forwards once what was new here.
func (c *Core) onPush(from wire.PeerID, m *wire.Push) error {
	return c.mergeAll(m.Records, from, m.Hops)
}

// mergeAll merges records from a peer; what was new is passed on while hops last.
func (c *Core) mergeAll(recs []*wire.Record, from wire.PeerID, hops uint8) error {
	if len(recs) > maxPushed {
		return fmt.Errorf("%d records at once from %s: %w", len(recs), from.Short(), wire.FaultOversized)
	}
	var fresh []*wire.Record
	var bad error
	for _, r := range recs {
		out, err := c.led.Merge(r)
		if err != nil && wire.Judge(err) == wire.Reject {
			bad = err
			break
		}
		if out == ledger.Merged {
			fresh = append(fresh, r)
			c.pass(r, hops, from)
		}
	}
	c.learned(fresh)
	return bad
}

// brought looks at what an exchange has brought. While a split heals it is pushed on
// as if it had just been written: what one half knows is news to all of the other,
// and exchanges alone, one a second, need a second for each doubling.
func (c *Core) brought(fresh []*wire.Record, from wire.PeerID) {
	c.learned(fresh)
	if !c.mem.Healing(c.now) || len(fresh) > maxBrought {
		return
	}
	for _, r := range fresh {
		c.pass(r, broughtHops, from)
	}
}

const (
	maxPushed   = 8192
	maxBrought  = 512 // records of one exchange that are pushed on
	broughtHops = 2
)

func (c *Core) pass(r *wire.Record, hops uint8, from wire.PeerID) {
	if hops > 0 {
		c.fresh = append(c.fresh, push{rec: r, hops: hops - 1, from: from})
	}
}

// settlePushes gives new records to the ring neighbours, in as few messages as
// they fit.
func (c *Core) settlePushes() {
	fresh := slices.DeleteFunc(c.fresh, func(f push) bool { return !c.led.Holds(f.rec) })
	c.fresh = nil
	if len(fresh) == 0 || c.self.stage == muted {
		return
	}
	to := c.pushTo()
	for hops := range uint8(2) {
		for _, p := range to {
			var batch []*wire.Record
			size := 0
			for _, f := range fresh {
				if f.hops != hops || f.from == p {
					continue
				}
				if size += len(f.rec.Body) + 160; size > maxPushBytes && len(batch) > 0 {
					c.send(p, &wire.Push{Records: batch, Hops: hops})
					batch, size = nil, 0
				}
				batch = append(batch, f.rec)
			}
			if len(batch) > 0 {
				c.send(p, &wire.Push{Records: batch, Hops: hops})
			}
		}
	}
}

const maxPushBytes = 1 << 20

// pushTo picks three ring neighbours; a joining peer, who may have none, takes
// the peers in reach.
func (c *Core) pushTo() []wire.PeerID {
	to := c.mem.Neighbours()
	if len(to) == 0 {
		to = c.reachable()
	}
	to = slices.DeleteFunc(slices.Clone(to), func(p wire.PeerID) bool { return p == c.cfg.Self || c.mem.Doubted(p) })
	c.rng.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	return to[:min(len(to), 3)]
}

func keys[K comparable, V any](m map[K]V) func(yield func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
