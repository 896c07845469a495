package node

import (
	"slices"
	"strings"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

const (
	tellApart  = 50 * time.Millisecond  // between two standing bids to one steward
	growApart  = 200 * time.Millisecond // and to one of another quarter, of what has become free
	renewSlack = time.Second            // a bid's renewal may be late by so much
	wholeEvery = 6                      // every so many renewals say all, the others "still so"
	maxUnknown = 64                     // bids kept of peers whose card is not known here
)

// book is both sides of standing bids: what this peer has told stewards of itself, and
// what it knows of others as steward.
type book struct {
	*auction.Book
	own   wire.Standing
	told  map[wire.PeerID]*told // the stewards that have our bid
	near  []wire.PeerID         // those of our own quarter, who hear of each change
	at    ranksAt               // of which these were taken
	renew clock.Instant         // when all are told again
	marks []byte                // of the images here; nil: to be made
}

// told is what a steward was last told.
type told struct {
	bid    wire.Standing
	to     wire.Version // its start: the next one knows nothing
	at     clock.Instant
	stills int // renewals since all was said
}

func newBook() book { return book{Book: auction.NewBook(), told: map[wire.PeerID]*told{}} }

// quarterOf is the lane whose steward tries a peer before others: four stewards at once
// then seldom award the same room.
func quarterOf(p wire.PeerID) int { return int(wire.Order("quarter", p) % Lanes) }

// renewEvery is how often a peer of a profile tells stewards its standing bid anew.
func renewEvery(p Profile) time.Duration {
	if p.Metered {
		return time.Minute
	}
	return 5 * time.Second
}

// standingNow brings this peer's own standing bid up to date and returns it.
func (c *Core) standingNow() wire.Standing {
	s := c.condition()
	now := wire.Standing{Inc: c.self.inc, Seq: c.book.own.Seq, Load: auction.LoadClass(s.LoadMilli), No: auction.RefusesAll(s)}
	if now.No == "" {
		now.Free, now.GPUs = s.Free, s.GPUs
	}
	if s.Metered {
		now.Flags |= wire.OnMetered
	}
	if s.Battery {
		now.Flags |= wire.OnBattery
	}
	if s.Accept.IsPrivate() {
		now.Flags |= wire.AskMe
	}
	now.Images = c.imageMarks()
	if !sameStanding(&now, &c.book.own) {
		if auction.IsBetter(&c.book.own, &now) {
			c.roomGrew()
		}
		now.Seq++
	}
	c.book.own = now
	return now
}

// imageMarks stand for the images here, of very many for the first by name.
func (c *Core) imageMarks() []byte {
	if c.book.marks != nil || c.images == nil || c.facts == nil {
		return c.book.marks
	}
	c.book.marks = []byte{}
	for _, name := range slices.Sorted(keys(c.images)) {
		if mark := wire.ImageMark(name); slices.ContainsFunc(c.images[name], c.isOurs) && len(c.book.marks) < wire.MaxImages*len(mark) {
			c.book.marks = append(c.book.marks, mark[:]...)
		}
	}
	return c.book.marks
}

func sameStanding(a, b *wire.Standing) bool {
	return a.Inc == b.Inc && a.Free == b.Free && a.Load == b.Load && a.Flags == b.Flags && a.No == b.No &&
		slices.Equal(a.GPUs, b.GPUs) && slices.Equal(a.Images, b.Images)
}

// settleStanding leaves this peer's standing bid with the steward and the second of each
// lane: all are told anew now and then, those of its own quarter of each change, the
// others of what they may award more than before.
func (c *Core) settleStanding() {
	if c.self.stage != ready {
		clear(c.book.told)
		c.book.near, c.book.at = nil, ranksAt{}
		return
	}
	if c.book.at != c.ranks.at {
		c.book.at = c.ranks.at
		c.addressees()
	}
	if len(c.book.told) == 0 {
		return
	}
	own := c.standingNow()
	every := renewEvery(c.prof)
	renew := c.book.renew == 0 || c.due(c.book.renew)
	if renew {
		c.book.renew = c.now.Add(every)
		c.wake(c.book.renew)
	}
	for _, p := range c.ranks.asked {
		if t := c.book.told[p]; t != nil && (c.isNews(p, t, &own) || renew && c.now.Sub(t.at) >= every/2) {
			c.tell(p, t, &own)
		}
	}
}

// addressees notes who is to have our bid, and forgets what others were told.
func (c *Core) addressees() {
	c.book.near = c.sound(c.ranking(quarterOf(c.cfg.Self)), 2)
	for p := range c.book.told {
		if !slices.Contains(c.ranks.asked, p) {
			delete(c.book.told, p)
		}
	}
	for _, p := range c.ranks.asked {
		if p == c.cfg.Self {
			continue
		}
		r := c.led.CardRecord(p)
		if t := c.book.told[p]; r != nil && (t == nil || t.to != startOf(r)) {
			c.book.told[p] = &told{to: startOf(r)}
		}
	}
	if c.book.Len() > len(c.led.Members())+maxUnknown/2 {
		c.book.Retain(c.mem.Ready)
	}
}

// startOf is the start of a peer that its card is of.
func startOf(card *wire.Record) wire.Version {
	return wire.Version{Inc: card.Num.Inc, Nonce: card.Num.Nonce}
}

// isNews reports whether a steward is to hear of our bid before its renewal, and now.
func (c *Core) isNews(p wire.PeerID, t *told, own *wire.Standing) bool {
	switch {
	case t.at == 0:
		return true
	case t.bid.Seq == own.Seq:
		return false
	case own.No != t.bid.No, slices.Contains(c.book.near, p) && (own.Free != t.bid.Free || !slices.Equal(own.GPUs, t.bid.GPUs)):
		return c.due(t.at.Add(tellApart))
	case auction.IsBetter(&t.bid, own):
		return c.due(t.at.Add(growApart))
	}
	return false
}

func (c *Core) tell(p wire.PeerID, t *told, own *wire.Standing) {
	m := *own
	switch {
	case t.at == 0:
		t.stills = wholeEvery // it may not know us yet, and drop this one
	case t.bid.Seq == own.Seq && t.stills < wholeEvery-1:
		m = wire.Standing{Inc: own.Inc, Seq: own.Seq, Still: true}
		t.stills++
	default:
		t.stills = 0
	}
	t.bid, t.at = *own, max(c.now, 1)
	c.send(p, &m)
}

// hasTold notes that a message to a steward carried our bid.
func (c *Core) hasTold(p wire.PeerID, own *wire.Standing) {
	if t := c.book.told[p]; t != nil {
		t.bid, t.at, t.stills = *own, max(c.now, 1), 0
	}
}

// forgetTold has a steward told all again: what was sent to it last may be lost.
func (c *Core) forgetTold(p wire.PeerID) {
	if t := c.book.told[p]; t != nil {
		t.stills = wholeEvery
	}
}

// onStanding takes another's standing bid in. Its card may still be on the way: that of
// a few who have none yet is kept.
func (c *Core) onStanding(from wire.PeerID, m *wire.Standing) {
	if !c.led.IsMember(from) && c.book.Len() > len(c.led.Members())+maxUnknown {
		return
	}
	if c.book.Hear(c.now, from, m) {
		c.improved()
	}
}

// known is what this peer can say in another's place, from its standing bid, its card
// and the ledger; nil if that does not do. A task that its steward does not wholly know
// is left to those who are asked.
func (c *Core) known() func(wire.PeerID) *auction.Self {
	n, found := counts{}, map[foundKey][]*ledger.Claim{}
	return func(p wire.PeerID) *auction.Self {
		if p == c.cfg.Self {
			return c.bidder()
		}
		card := c.led.Card(p)
		if card == nil {
			return nil
		}
		bid, fresh := c.book.Get(c.now, p, 2*renewEvery(ProfileOf(card.Profile))+renewSlack)
		if !fresh || bid.Flags&wire.AskMe != 0 {
			return nil
		}
		os, arch, _ := strings.Cut(card.Platform, "/")
		s := &auction.Self{
			ID: p, Name: card.Name, Free: bid.Free, GPUs: bid.GPUs, Total: card.Capacity, Labels: card.Labels, Datacenter: card.Datacenter,
			OS: os, Arch: arch, Driver: card.Driver, LoadMilli: auction.LoadOf(bid.Load),
			No: bid.No, Ready: true, Draining: card.Draining,
			Metered: bid.Flags&wire.OnMetered != 0, Battery: bid.Flags&wire.OnBattery != 0,
			CanRun: func(t *job.Task) string { return canRun(card.Driver, t) }, Later: c.later, VolumePlace: c.volumePlace,
		}
		s.CopiesOf = func(id job.ID, task string) int { return n.of(c.led, id)[countKey{task: task, peer: p}] }
		s.FailsOf = func(id job.ID, task string, spec wire.Hash) int { return n.of(c.led, id)[countKey{task, p, spec}] }
		s.HasImage = func(image string) (bool, int64) {
			return card.Driver == "process" || bid.HasImage(job.ImageName(image)), 0
		}
		s.Beside = c.beside(p, card.Facts(), found)
		return s
	}
}

// counts are the claims on jobs by task and peer, counted once for a sale.
type counts map[job.ID]map[countKey]int

type countKey struct {
	task string
	peer wire.PeerID
	spec wire.Hash // of failures; zero: of copies
}

// of returns the counts of a job.
func (n counts) of(led *ledger.State, id job.ID) map[countKey]int {
	if have, ok := n[id]; ok {
		return have
	}
	made := map[countKey]int{}
	led.EachClaimOf(id, func(cl *ledger.Claim) {
		switch {
		case !cl.Phase.Ended():
			made[countKey{task: cl.Slot.Task, peer: cl.Peer}]++
		case cl.Phase == ledger.Failed:
			made[countKey{cl.Slot.Task, cl.Peer, cl.Spec}]++
		}
	})
	n[id] = made
	return made
}
