package node

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Lanes is how many parts a cell's jobs fall into, each with a steward of its own.
const Lanes = 4

const (
	firstAfter    = 2 * time.Second        // first in its own view for so long, a peer begins as steward
	scanEvery     = 50 * time.Millisecond  // between two looks at a changed ledger
	rescanEvery   = time.Second            // and at an unchanged one
	retryUnsold   = 5 * time.Second        // a waiting slot is called again at least so often at first
	retryOffered  = 500 * time.Millisecond // a slot offered on standing bids in vain is so again at first; then after twice that
	retryUnsoldAt = 30 * time.Second       // and at least so often for ever
	improvedAfter = 250 * time.Millisecond // after the ledger changed in favour of waiting slots
	retryYielded  = 500 * time.Millisecond // what gave way to a more urgent one, plus as much at most
	maxSales      = 8                      // of one lane at once: a bidder that is silent holds up its own sale alone
	maxFailDelay  = 5 * time.Minute
	maxFailover   = 5 * time.Minute
)

// A lane is this peer's view of one quarter of the jobs.
type lane struct {
	first     clock.Instant // since when we are first in its ranking, or act as if; 0: we are not
	second    bool          // next in its ranking: what waits is watched, not sold
	passed    clock.Instant // when another took our place; until it begins we go on. 0: none has
	sales     []*sale       // under way, at most maxSales
	dirty     bool
	scanned   clock.Instant
	budget    float64       // verdicts that may be written now
	stalledAt clock.Instant // of the last look for claims that do not begin
	filled    clock.Instant
	soon      clock.Instant // when a slot is offered again, if before the next look; 0: none is
	version   uint64
	jobs      []job.ID // in it, as of jobsAt, the ledger's JobsVersion
	jobsAt    uint64
}

// A sale is one that this peer runs as steward, with what it offered.
type sale struct {
	*auction.Sale
	id    uint64 // of its first call
	began clock.Instant
	slots []job.SlotID
	told  uint64 // the ledger's version it was last told of
}

// waiting is what a steward remembers of a slot it could not sell yet.
type waiting struct {
	since   clock.Instant
	next    clock.Instant // when it is offered again
	callAt  clock.Instant // and called again, if not before, where standing bids tell that nobody can take it
	tries   int
	reason  string
	noes    []wire.Reason
	closest string
	asked   int
	fails   uint32
	failKey wire.Token    // the failed token that failedAt belongs to
	failed  clock.Instant // when this peer first saw that failure
	held    bool          // what it depends on is not so yet
	yielded bool          // to a more urgent one: it is offered again soon as it is
	call    bool          // standing bids did not do: it is called
	offers  int           // so often offered on standing bids in vain since something improved
	weight  int           // of its task
	token   wire.Token    // greatest token awarded in vain
	life    uint64
	spec    wire.Hash
	seen    clock.Instant // last scan that found it missing
}

func laneOf(id job.ID) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % Lanes)
}

func (c *Core) cell() string { return c.cfg.Swarm.String() }

// stewards returns the peers of a lane's ranking that are not doubted here.
func (c *Core) stewards(l int) []wire.PeerID {
	ranking := c.ranking(l)
	return c.sound(ranking, len(ranking))
}

// steward returns the peer that acts for a lane; false if there is none.
func (c *Core) steward(l int) (wire.PeerID, bool) {
	first := c.sound(c.ranking(l), 1)
	if len(first) == 0 {
		return wire.PeerID{}, false
	}
	return first[0], true
}

func (c *Core) dirtyLanes() {
	for i := range c.lanes {
		c.lanes[i].dirty = true
	}
}

// settleLanes does this peer's part as steward, of each lane in which it is first.
func (c *Core) settleLanes() {
	if c.self.stage != ready {
		c.lanes, c.ranks.at = [Lanes]lane{}, ranksAt{}
		clear(c.selling)
		clear(c.deputy)
		return
	}
	c.settleRanks()
	for _, i := range c.laneOrder() {
		l := &c.lanes[i]
		c.settleSales(l)
		jobs := c.charge(i, l)
		switch {
		case len(jobs) > 0 && c.scanDue(l):
			l.scanned, l.version, l.dirty, l.soon = c.now, c.led.Version(), false, 0
			c.scan(i, l, jobs)
		case len(jobs) > 0:
		case l.first != 0 || l.second:
			c.watch(i, l)
		case len(l.sales) == 0:
			c.forgetWaits(i) // what this peer remembers is no longer news
		}
	}
}

// laneOrder returns the lanes with the most urgent of what waits first: what a lane has just
// awarded hides room from those that this peer sells after it.
func (c *Core) laneOrder() [Lanes]int {
	var order [Lanes]int
	for i := range order {
		order[i] = i
	}
	if !c.led.HasPriorities() {
		return order
	}
	var most [Lanes]int
	for slot, wt := range c.waits {
		i := laneOf(slot.Job)
		most[i] = max(most[i], wt.weight)
	}
	slices.SortStableFunc(order[:], func(a, b int) int { return cmp.Compare(most[b], most[a]) })
	return order
}

// watch notes, as second of a lane, since when what is missing is missing and how often it
// has failed, so that a steward that falls takes no answer with it.
func (c *Core) watch(i int, l *lane) {
	if l.version == c.led.Version() || !c.due(l.scanned.Add(rescanEvery)) && l.scanned != 0 {
		return
	}
	l.scanned, l.version = c.now, c.led.Version()
	c.look(nil, c.jobsIn(i, l))
	c.forgetWaits(i)
}

// charge returns the jobs of a lane for which this peer acts as steward now: all of
// them, those it is deputy of, or none.
func (c *Core) charge(i int, l *lane) []job.ID {
	if l.passed != 0 && c.due(l.passed.Add(firstAfter)) {
		l.first, l.passed = 0, 0
	}
	if l.first != 0 && (c.due(l.first.Add(firstAfter)) || c.alone()) {
		return c.jobsIn(i, l)
	}
	return c.deputyIn(i)
}

func (c *Core) alone() bool { return len(c.ranking(0)) <= 1 }

// settleRanks notes in which lanes this peer is first, and has the first three of
// each lane watch one another: doubt among them is enough for succession.
func (c *Core) settleRanks() {
	c.takeMembers() // this step may have written our own card
	c.rerankMoved()
	at := ranksAt{c.mem.Views(), c.ranks.version}
	if c.ranks.at == at {
		return
	}
	c.ranks.at = at
	var watch, stewards []wire.PeerID
	for i := range c.lanes {
		all := c.ranking(i)
		top := make([]wire.PeerID, 0, 3)
		for _, s := range all[:min(cap(top), len(all))] {
			top = append(top, s.peer)
		}
		if slices.Contains(top, c.cfg.Self) {
			watch = append(watch, top...)
		}
		alive := c.sound(all, 2)
		stewards = append(stewards, alive...)
		if top[0] != c.cfg.Self && len(alive) > 0 && alive[0] == c.cfg.Self && c.lanes[i].first == 0 {
			c.reach(BranchSucceeded)
		}
		c.placed(&c.lanes[i], len(alive) > 0 && alive[0] == c.cfg.Self)
		c.lanes[i].second = len(alive) > 1 && alive[1] == c.cfg.Self
	}
	if watch = distinct(watch); !slices.Equal(watch, c.ranks.said) {
		c.ranks.said = watch
		c.mem.Watch(watch)
	}
	if stewards = distinct(stewards); !slices.Equal(stewards, c.ranks.asked) {
		c.ranks.asked = stewards
		c.mem.SetStewards(stewards)
	}
}

// placed notes whether this peer is first in a lane. Whoever acts as steward and is passed,
// by a peer that joined or is heard again, goes on until that one begins: two at once are
// harmless, and nobody for two seconds is what waiting slots would notice.
func (c *Core) placed(l *lane, first bool) {
	switch {
	case first && l.first == 0:
		l.first, l.passed, l.dirty = max(c.now, 1), 0, true
	case first:
		l.passed = 0
	case l.first == 0 || l.passed != 0: // nothing to give up, or doing so
	case c.now >= l.first.Add(firstAfter):
		l.passed = max(c.now, 1)
	default:
		l.first = 0 // had not begun
	}
}

// sound returns the first n of a ranking that are not doubted here.
func (c *Core) sound(ranking []*seat, n int) []wire.PeerID {
	out := make([]wire.PeerID, 0, min(n, len(ranking)))
	for _, s := range ranking {
		if len(out) == n {
			break
		}
		if s.peer == c.cfg.Self || !c.mem.Doubted(s.peer) {
			out = append(out, s.peer)
		}
	}
	return out
}

func distinct(ps []wire.PeerID) []wire.PeerID {
	slices.SortFunc(ps, wire.PeerID.Compare)
	return slices.Compact(ps)
}

func (c *Core) scanDue(l *lane) bool {
	if len(l.sales) >= maxSales {
		return false // it follows when one of them is over
	}
	// While a sale is under way its own claims change the ledger again and again.
	if l.dirty || len(l.sales) == 0 && l.version != c.led.Version() {
		return c.due(l.scanned.Add(scanEvery)) || l.scanned == 0
	}
	return c.due(l.scanned.Add(rescanEvery)) || c.due(l.soon)
}

// scan compares wanted with claimed in some jobs of one lane: claims of the dead get
// their verdict when it is due, and what is missing is sold.
func (c *Core) scan(i int, l *lane, jobs []job.ID) {
	c.fill(l)
	c.judgeStalled(l, jobs)
	lots := inOrder(c.look(l, jobs))
	c.forgetWaits(i)
	if len(lots) > 0 {
		c.openSale(i, l, lots)
	}
}

// look returns what is missing of some jobs of a lane; nil stands for a lane that another
// sells: nobody is condemned for it.
func (c *Core) look(l *lane, jobs []job.ID) []queued {
	var lots []queued
	for _, id := range jobs {
		if c.isCalm(id) {
			continue
		}
		c.restless = false
		var ofJob []queued
		for _, w := range c.led.Wanted(id) {
			if lot, ok := c.lotOf(l, w); ok {
				ofJob = append(ofJob, queued{lot, w.Task.Weight()})
			}
		}
		lots = append(lots, c.oneByOne(id, ofJob)...)
		if !c.restless {
			c.calm[id] = c.stampOf(id)
		}
	}
	return lots
}

// jobsIn returns the jobs of a lane, in order.
func (c *Core) jobsIn(i int, l *lane) []job.ID {
	if at := c.led.JobsVersion(); l.jobsAt != at {
		l.jobsAt, l.jobs = at, l.jobs[:0]
		for _, id := range c.led.Jobs() {
			if laneOf(id) == i {
				l.jobs = append(l.jobs, id)
			}
		}
	}
	return l.jobs
}

// A stamp stands for all on which it depends whether a job misses anything.
type stamp struct {
	job    ledger.Stamp
	deaths uint64
}

func (c *Core) stampOf(id job.ID) stamp { return stamp{c.led.StampOf(id), c.mem.Deaths()} }

// isCalm reports whether a scan has found that a job misses nothing, and nothing
// has changed since that could alter it.
func (c *Core) isCalm(id job.ID) bool {
	at, ok := c.calm[id]
	return ok && at == c.stampOf(id)
}

// fill adds to a lane's verdict budget: a quarter of max(8, 5 % of the slots) a
// second, at most one second's worth saved up.
func (c *Core) fill(l *lane) {
	rate := max(8, float64(c.led.CountClaimed())*0.05) / Lanes
	if l.filled == 0 {
		l.budget = rate
	} else {
		l.budget = min(max(rate, 1), l.budget+rate*c.now.Sub(l.filled).Seconds())
	}
	l.filled = max(c.now, 1)
}

// lotOf returns the slots of a task that are to be sold now.
func (c *Core) lotOf(l *lane, w ledger.Wanted) (auction.Lot, bool) {
	sell := w
	if w.Paused && w.Fallback != nil {
		sell = *w.Fallback
	}
	if w.Task.Type == job.System {
		c.noteNowhere(w)
		return auction.Lot{}, false // each peer takes its own
	}
	lot := auction.Lot{Job: w.Job, Life: w.Life, Task: w.Task.Name, Spec: sell.Spec, Needs: sell.Task.Needs, Policy: sell.Task.Policy}
	held := ""
	for n := range w.Count {
		slot := job.SlotID{Job: w.Job, Task: w.Task.Name, Index: n}
		if !c.isMissing(l, sell, slot) {
			delete(c.waits, slot)
			continue
		}
		if c.selling[slot] {
			c.waitOf(slot, sell).seen = c.now
			continue
		}
		if held == "" {
			if held = c.dependsOn(w); held == "" {
				held = "-"
			}
		}
		wt := c.waitOf(slot, sell)
		wt.seen = c.now
		// Dependencies order a start. What has run and failed over does not wait:
		// it must bear that another task moves, and may be what that one waits for.
		if held != "-" && c.led.MaxToken(slot, w.Life) == 0 {
			wt.reason, wt.noes, wt.asked, wt.next, wt.held = held, nil, 0, 0, true
			continue
		}
		wt.held = false
		c.noteFails(wt, slot, sell)
		if !c.due(wt.next) && wt.next != 0 || len(lot.Slots) >= auction.MaxSlots || mutant.Is(mutant.NeverCallAgain) && wt.tries > 0 {
			continue
		}
		wt.yielded = false
		lot.Slots = append(lot.Slots, auction.Want{
			Slot: slot, Token: max(c.led.MaxToken(slot, w.Life), wt.token) + 1, Fails: wt.fails,
			Since: wt.since, Rests: c.led.VerdictRecords(slot), Exclude: c.avoid(slot, sell.Spec),
			Starts: c.led.StartsOf(slot, w.Life, sell.Spec), Call: wt.call,
		})
	}
	if len(lot.Slots) == 0 {
		return lot, false
	}
	lot.Spread = c.spreadOf(w.Job, sell.Task)
	lot.Records = []*wire.Record{c.led.HeadRecord(w.Job), c.led.SpecRecord(c.led.Head(w.Job).Spec)}
	if sell.JobSpec != c.led.Head(w.Job).Spec {
		lot.Records = append(lot.Records, c.led.SpecRecord(sell.JobSpec))
	}
	return lot, true
}

// isMissing reports whether a slot is to be sold: no live claim on it but leaving
// ones that want a replacement first, and not run to its end.
func (c *Core) isMissing(l *lane, w ledger.Wanted, slot job.SlotID) bool {
	for _, cl := range c.led.ClaimsOf(slot) {
		if cl.Life == w.Life && cl.Spec == w.Spec && isFinal(w.Task, cl) {
			return false
		}
	}
	for _, cl := range c.led.LiveClaims(slot) {
		if l == nil {
			c.restless = c.restless || c.isGone(cl.Peer) // to be condemned, should this peer come to sell
		} else if c.condemn(l, w, cl) {
			continue
		}
		if !cl.Leaving || w.Task.Update.Order != "start-first" {
			return false
		}
	}
	c.restless = true
	return true
}

// isFinal is ledger.IsFinal.
func isFinal(t *job.Task, cl *ledger.Claim) bool {
	if mutant.Is(mutant.FailedIsFinal) && cl.Phase == ledger.Failed {
		return true
	}
	return ledger.IsFinal(t, cl)
}

// dependsOn says what a task waits for before its first sale, or "".
func (c *Core) dependsOn(w ledger.Wanted) string {
	for _, d := range w.Task.DependsOn {
		for _, other := range c.led.Wanted(w.Job) {
			if other.Task.Name == d.Task && !c.reached(other, d.Condition) {
				return fmt.Sprintf("waits for %s to be %s", d.Task, cmp.Or(d.Condition, "started")) + c.becauseNowhere(other)
			}
		}
	}
	return ""
}

func (c *Core) reached(w ledger.Wanted, condition string) bool {
	if c.isNowhere(w) {
		return false // nothing of it runs
	}
	for _, slot := range c.slotsOf(w) {
		switch condition {
		case "completed":
			if !c.hasCompleted(slot, w) {
				return false
			}
		case "healthy":
			if h := c.led.Winner(slot); h == nil || h.Phase != ledger.Serving {
				return false
			}
		default:
			// A batch may have ended before anybody saw it run.
			if h := c.led.Winner(slot); (h == nil || h.Phase < ledger.Running) && !c.hasCompleted(slot, w) {
				return false
			}
		}
	}
	return true
}

func (c *Core) hasCompleted(slot job.SlotID, w ledger.Wanted) bool {
	return slices.ContainsFunc(c.led.ClaimsOf(slot), func(cl *ledger.Claim) bool {
		return cl.Life == w.Life && cl.Phase == ledger.Completed
	})
}

func (c *Core) waitOf(slot job.SlotID, w ledger.Wanted) *waiting {
	wt := c.waits[slot]
	if wt == nil || wt.life != w.Life || wt.spec != w.Spec {
		var token wire.Token
		if wt != nil && wt.life == w.Life {
			token = wt.token
		}
		wt = &waiting{since: max(c.now, 1), weight: w.Task.Weight(), life: w.Life, spec: w.Spec, token: token, reason: "not offered yet"}
		c.waits[slot] = wt
	}
	return wt
}

// noteFails reads off the slot's ended claims how often it failed since its spec
// changed, and holds the next sale back accordingly.
func (c *Core) noteFails(wt *waiting, slot job.SlotID, w ledger.Wanted) {
	for _, cl := range c.led.ClaimsOf(slot) {
		if cl.Life != w.Life || cl.Spec != w.Spec || cl.Phase != ledger.Failed || cl.Token <= wt.failKey {
			continue
		}
		wt.failKey, wt.failed, wt.fails = cl.Token, c.now, cl.Fails+1
		c.noteFailing(wt, slot)
		delay := min(time.Second<<min(cl.Fails, 9), maxFailDelay)
		c.reach(BranchFailedBefore)
		wt.next = c.now.Add(delay)
		wt.reason = fmt.Sprintf("failed %s, last on %s: %s", times(wt.fails), c.nameOf(cl.Peer), cl.Detail)
	}
}

func times(n uint32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// failedAt returns the peers on which the slot has just failed at this spec; they
// are asked last.
func (c *Core) failedAt(slot job.SlotID, spec wire.Hash) []wire.PeerID {
	var out []wire.PeerID
	for _, cl := range c.led.ClaimsOf(slot) {
		if cl.Phase == ledger.Failed && cl.Spec == spec {
			out = append(out, cl.Peer)
		}
	}
	return out
}

// forgetWaits drops what is no longer waited for.
func (c *Core) forgetWaits(i int) {
	for slot, wt := range c.waits {
		if laneOf(slot.Job) == i && wt.seen != c.now {
			delete(c.waits, slot)
		}
	}
	c.forgetFailing(i)
}

// openSale sells everything that is to be sold in a lane: what the standing bids at hand
// suffice for on these, the rest by a call.
func (c *Core) openSale(i int, l *lane, lots []auction.Lot) {
	config := c.saleOf(i, lots)
	s, rest := auction.Direct(c.now, config)
	if s != nil {
		c.addSale(l, s, config.ID)
	}
	if lots = c.toCall(l, rest); len(lots) > 0 {
		config = c.saleOf(i, lots)
		s, out := auction.Open(c.now, config)
		c.addSale(l, s, config.ID)
		for _, e := range out {
			c.post(e)
		}
	}
	c.receiveOwn()
	c.settleSales(l)
}

// toCall leaves out of what standing bids did not sell the slots that were only offered
// since something had improved, where the bids of all are at hand and none passes: they
// are called when that is due. Until then they are offered again, soon at first: a bid may
// count an award that comes to nothing.
func (c *Core) toCall(l *lane, lots []auction.Lot) []auction.Lot {
	for i := range lots {
		if !lots[i].Hopeless {
			continue
		}
		lots[i].Slots = slices.DeleteFunc(lots[i].Slots, func(w auction.Want) bool {
			wt := c.waits[w.Slot]
			if wt == nil || wt.callAt <= c.now {
				return false
			}
			wt.next = min(wt.callAt, c.now.Add(retryOffered<<min(wt.offers, 6)))
			wt.offers++
			l.soonAt(wt.next)
			c.noteNear(wt.noes)
			return true
		})
	}
	return slices.DeleteFunc(lots, func(l auction.Lot) bool { return len(l.Slots) == 0 })
}

// saleOf is how lots of a lane are sold now.
func (c *Core) saleOf(i int, lots []auction.Lot) auction.Config {
	c.nextID++
	return auction.Config{
		ID: uint64(c.self.inc)<<44 | c.nextID<<20, Self: c.cfg.Self, Lane: uint8(i), Cell: c.cell(),
		Lots: lots, Mix: c.mixFor(lots), Asked: c.askable(i), Own: func(p wire.PeerID) bool { return quarterOf(p) == i },
		Known: c.known(), Find: c.lookup, Book: c.book.Book, Blame: c.blamed(),
	}
}

// addSale takes up a sale that has begun.
func (c *Core) addSale(l *lane, s *auction.Sale, id uint64) {
	run := &sale{Sale: s, id: id, began: c.now, told: c.led.Version(), slots: s.Slots()}
	for _, slot := range run.slots {
		c.selling[slot] = true
	}
	l.sales = append(l.sales, run)
}

// askable are the peers that a sale of a lane may ask: ready, and not doubted here. Of
// more than a sale takes, those of the lane's own quarter come first.
func (c *Core) askable(i int) []wire.PeerID {
	all := c.stewards(0)
	if len(all) > auction.MaxBidders {
		slices.SortStableFunc(all, func(p, q wire.PeerID) int {
			return cmp.Compare((quarterOf(p)-i+Lanes)%Lanes, (quarterOf(q)-i+Lanes)%Lanes)
		})
	}
	return all
}

// settleSales moves the sales of a lane along and reads their outcomes.
func (c *Core) settleSales(l *lane) {
	for _, s := range l.sales {
		c.settleSale(s)
	}
	l.sales = slices.DeleteFunc(l.sales, func(s *sale) bool {
		if !s.Over() {
			c.wake(s.WakeAt())
			return false
		}
		for _, slot := range s.slots {
			delete(c.selling, slot)
		}
		l.dirty = true
		c.wake(c.now.Add(scanEvery))
		return true
	})
}

func (c *Core) settleSale(s *sale) {
	if s.told != c.led.Version() {
		s.told = c.led.Version()
		c.tellSale(s.Sale, s.slots)
	}
	for {
		out := s.Tick(c.now)
		for _, e := range out {
			c.post(e)
		}
		if len(c.loop) == 0 {
			break
		}
		c.receiveOwn() // our own bid or reply may decide it at once
	}
	for _, o := range s.Outcomes() {
		c.outcome(s, o)
	}
}

// tellSale tells a sale what the ledger has learned of its slots.
func (c *Core) tellSale(s *auction.Sale, slots []job.SlotID) {
	for _, slot := range slots {
		h := c.led.Head(slot.Job)
		if h == nil || h.Deleted || !c.led.WantsSlot(slot, h.Life) {
			s.Taken(slot)
			continue
		}
		s.Raise(slot, c.led.MaxToken(slot, h.Life))
		if slices.ContainsFunc(c.led.LiveClaims(slot), func(cl *ledger.Claim) bool { return !cl.Leaving && !c.mem.Doubted(cl.Peer) }) {
			s.Taken(slot)
		}
	}
}

func (c *Core) outcome(s *sale, o auction.Outcome) {
	wt := c.waits[o.Slot]
	if wt == nil {
		return
	}
	wt.token = max(wt.token, o.LastToken)
	switch o.Result {
	case auction.Sold:
		c.event(Event{Kind: "sold", Job: o.Slot.Job, Slot: o.Slot.String(), Peer: o.Peer,
			Text: fmt.Sprintf("%s went to %s with token %d, %d asked", o.Slot, c.nameOf(o.Peer), o.Token, o.Asked)})
	case auction.Unsold:
		if wt.call = o.Standing; wt.call {
			wt.next = 0 // at once
			return
		}
		c.unsold(wt, o)
		if c.improvedAt >= s.began { // who was asked before may have room by now
			c.offerSoon(wt)
			c.lanes[laneOf(o.Slot.Job)].soonAt(wt.next)
		}
	default: // taken by another sale: its claim is or will be in the ledger
	}
}

func (c *Core) unsold(wt *waiting, o auction.Outcome) {
	wt.tries++
	wt.callAt = 0 // it was called just now
	wt.asked, wt.noes = o.Asked, o.Reasons
	c.noteNear(o.Reasons)
	wt.closest = ""
	if !o.NearMiss.IsZero() {
		wt.closest = fmt.Sprintf("%s: %s", c.nameOf(o.NearMiss), o.Lacked)
	}
	reason := fmt.Sprintf("0 of %d peers: %s", o.Asked, auction.Refusals(o.Reasons))
	if reason != wt.reason {
		c.event(Event{Kind: "waiting", Job: o.Slot.Job, Slot: o.Slot.String(), Text: fmt.Sprintf("%s waits: %s", o.Slot, reason)})
	}
	wt.reason = reason
	pause := min(retryUnsold*time.Duration(wt.tries), retryUnsoldAt)
	jitter := time.Second
	wt.yielded = slices.ContainsFunc(o.Reasons, func(r wire.Reason) bool { return isYield(r.Text) })
	if wt.yielded {
		pause, jitter = retryYielded, retryYielded // the more urgent one is sold soon, or no longer waited for
	}
	wt.next = c.now.Add(pause + time.Duration(c.rng.Int64N(int64(jitter))))
}

// improved makes waiting slots due soon: a claim ended, a card changed, a peer
// became ready.
func (c *Core) improved() {
	for _, wt := range c.waits {
		c.offerSoon(wt)
	}
	c.improvedAt = c.now
	c.dirtyLanes()
}

// offerSoon has a slot that could not be sold offered on standing bids before it is called
// again.
func (c *Core) offerSoon(wt *waiting) {
	if wt.asked > 0 && !wt.yielded && wt.next.Sub(c.now) > improvedAfter {
		wt.callAt = max(wt.callAt, wt.next)
		wt.next = c.now.Add(improvedAfter)
	}
	wt.offers = 0
}

// soonAt has a lane looked at again at some time, at the latest.
func (l *lane) soonAt(at clock.Instant) { l.soon = clock.Earliest(l.soon, at) }
