package auction

import (
	"cmp"
	"slices"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// Tick tells the sale the time and returns the awards to send, one message per
// bidder. It is due at WakeAt and after every other input; a repeated Tick
// returns nothing.
//
// The sale decides when every lot has EnoughBids passing bids that together have
// room for all and none is spread over labels, when everyone asked has answered, or
// CloseAfter the call. Slots nobody could take then stay open for late bids until
// EndAfter, and for what declines free again.
func (s *Sale) Tick(now clock.Instant) []wire.Envelope {
	s.expire(now)
	s.turn(now)
	if s.open == 0 || !s.dirty || !s.mayDecide() {
		return nil
	}
	s.dirty, s.decided = false, true
	out := s.send(now, s.place(now))
	if s.bounded && s.open > 0 && s.phase != gathering {
		out = append(out, s.askAll(now)...)
	}
	if s.flying == 0 && s.complete() {
		for _, sl := range s.slots {
			if sl.state == open {
				s.settle(sl, unsold)
			}
		}
	}
	return out
}

// turn moves the sale to the phase of now.
func (s *Sale) turn(now clock.Instant) {
	p := gathering
	switch {
	case now >= s.ends:
		p = ended
	case now >= s.closes:
		p = closing
	}
	if p > s.phase {
		s.phase, s.dirty = p, true
	}
}

// complete reports whether no further bid will count.
func (s *Sale) complete() bool { return s.unanswered == 0 || s.phase == ended }

// mayDecide reports whether there are bids enough to award on.
func (s *Sale) mayDecide() bool {
	return s.decided || s.unanswered == 0 || s.phase != gathering || s.shortLots == 0 && !s.isSpread() && s.roomForAll()
}

// roomForAll compares the sum of what is needed with the sum of what is free. It
// is a necessary condition only, and cheap; what it misses stays open until the
// remaining bids are in.
func (s *Sale) roomForAll() bool {
	var needs, free job.Resources
	for _, l := range s.lots {
		n := int64(len(l.slots))
		needs = needs.Plus(job.Resources{CPUMilli: atMost(l.wire.Needs.CPUMilli, n), MemBytes: atMost(l.wire.Needs.MemBytes, n),
			DiskBytes: atMost(l.wire.Needs.DiskBytes, n), GPUMilli: atMost(l.wire.Needs.GPUMilli, n)})
		needs = clampTo(needs, mostSum)
	}
	for _, b := range s.ranked {
		if !b.gone && b.owes == 0 && slices.ContainsFunc(b.answers, func(a *answer) bool { return a != nil && a.no == "" }) {
			free = clampTo(free.Plus(b.free), mostSum)
		}
	}
	return needs.Fits(free)
}

// place awards every open slot it can, greedily in order, and returns the awards
// by bidder.
func (s *Sale) place(now clock.Instant) map[*bidder][]wire.AwardedSlot {
	won := make(map[*bidder][]wire.AwardedSlot)
	noes := make(map[*lot][]wire.Reason)
	for _, l := range s.lots {
		l.full, l.near = false, s.isNear(l)
	}
	for _, b := range s.ranked {
		b.scored = nil
	}
	for _, sl := range s.slots {
		if sl.state != open || sl.lot.full && len(sl.tries) == 0 {
			continue
		}
		if sl.next == 0 || len(sl.tries) >= MaxAttempts {
			s.settle(sl, unsold)
			continue
		}
		best, passed := s.rank(sl)
		if passed == 0 {
			// Later slots of the lot see the same bids and no more room, unless
			// volumes tell them apart.
			sl.lot.full = len(sl.tries) == 0 && !sl.lot.bound
			continue
		}
		if _, done := noes[sl.lot]; !done {
			noes[sl.lot] = s.refusals(sl.lot)
		}
		summary := s.summary(now, sl, best, passed, s.noesOf(sl, noes[sl.lot], passed))
		won[best[0].by] = append(won[best[0].by], s.award(now, sl, best[0].by, summary))
	}
	return won
}

// isNear reports whether enough of the lane's own quarter can take slots of a lot. Four
// stewards that each try their own peers first seldom award the same room at once.
func (s *Sale) isNear(l *lot) bool {
	n := 0
	for _, b := range s.ranked {
		if b.own && b.offer(l) != nil && b.room().holds(l.wire.Needs) {
			n++
		}
	}
	return n >= EnoughBids
}

// A candidate is a bidder with its score for one slot.
type candidate struct {
	by    *bidder
	last  bool // excluded: only if there is no other
	far   bool // of another lane's quarter, and enough of our own could take it; for pack nobody is
	score wire.Score
	terms []byte // of the bucket

	around copiesAround // where the lot is spread over labels
}

// compare puts the quarter after what the slot costs, so that nobody gains less of
// spread or has more to fetch for it, and before the room: it parts those alike enough.
func (a candidate) compare(b candidate) int {
	x, y := a.score, b.score
	return cmp.Or(compareBool(a.last, b.last), slices.Compare(a.around[:], b.around[:]),
		cmp.Compare(x.Copies, y.Copies), cmp.Compare(x.Bucket, y.Bucket), compareBool(a.far, b.far), Compare(x, y), a.by.id.Compare(b.by.id))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// rank returns the best bids for a slot, best first, at most MaxSummaryBids, and
// how many bidders could take it now.
func (s *Sale) rank(sl *slot) (best []candidate, passed int) {
	l := sl.lot
	var top [wire.MaxSummaryBids + 1]candidate
	n := 0
	for _, b := range s.ranked {
		o := b.offer(l)
		if o == nil || !b.room().holds(l.wire.Needs) || !covers(o, sl) || sl.triedAt(b) {
			continue
		}
		passed++
		c := candidate{by: b, last: slices.Contains(sl.want.Exclude, b.id), score: b.score(l, o), terms: o.Terms}
		c.around = l.from.Spread.around(b.id)
		c.far = l.near && !b.own && l.policy != PolicyPack
		at := n
		for at > 0 && c.compare(top[at-1]) < 0 {
			top[at] = top[at-1]
			at--
		}
		top[at] = c
		n = min(n+1, wire.MaxSummaryBids)
	}
	return slices.Clone(top[:n]), passed
}

// offer returns b's passing offer on a lot, or nil.
func (b *bidder) offer(l *lot) *wire.Offer {
	a := b.answers[l.call]
	if b.gone || b.silent || a == nil || a.no != "" || a.offers[l.place].No != "" {
		return nil
	}
	return &a.offers[l.place]
}

// left is what b has free beyond the awards it has not answered.
func (b *bidder) left() job.Resources { return b.free.Minus(b.away) }

// room is left with the devices: those that b will pick for the awards it has not
// answered, in their order, are taken.
func (b *bidder) room() space { return space{b.left(), b.total, b.leftGPUs} }

// fly notes that b was awarded a slot with these needs.
func (b *bidder) fly(needs job.Resources) {
	b.away = b.away.Plus(needs)
	if needs.GPUMilli > 0 {
		b.awayGPUs = append(b.awayGPUs, needs.GPUMilli)
		b.countGPUs()
	}
}

// land notes that b has answered for a slot with these needs, and whether it took it.
func (b *bidder) land(needs job.Resources, took bool) {
	b.away = b.away.Minus(needs)
	if i := slices.Index(b.awayGPUs, needs.GPUMilli); i >= 0 {
		b.awayGPUs = slices.Delete(b.awayGPUs, i, i+1)
		if took {
			b.gpus = without(b.gpus, needs.GPUMilli)
		}
		b.countGPUs()
	}
}

// countGPUs finds leftGPUs anew.
func (b *bidder) countGPUs() { b.leftGPUs = without(b.gpus, b.awayGPUs...) }

// without is what is free of devices once needs are met, as their peer picks them. What
// finds none there takes nothing: its peer will decline it.
func without(free []uint16, needs ...int64) []uint16 {
	free = slices.Clone(free)
	for _, milli := range needs {
		takeGPUs(free, milli)
	}
	return free
}

// score ranks b for a lot. It changes only with what b is given, so the many
// slots of a lot need not compute it anew.
func (b *bidder) score(l *lot, o *wire.Offer) wire.Score {
	if b.scored == l {
		return b.cached
	}
	b.scored = l
	t := Terms{Copies: int(min(o.Copies, maxCopies)) + b.given[l.group], Free: b.left(), Total: b.total,
		Needs: l.wire.Needs, Policy: l.policy, Bucket: b.bucket(o), Order: b.order}
	if l.policy == PolicyPack {
		t.Frags = l.mix.class(b.room(), l.wire.Needs)
	}
	b.cached = Score(t)
	return b.cached
}

// covers reports whether an offer is for this slot of its lot.
func covers(o *wire.Offer, sl *slot) bool {
	if len(o.Volumes) == 0 {
		return true
	}
	_, found := slices.BinarySearch(o.Volumes, sl.want.Slot.Index)
	return found
}

func (sl *slot) triedAt(b *bidder) bool {
	return slices.ContainsFunc(sl.tries, func(t try) bool { return t.to == b })
}

// award gives a slot to a bidder under its next token.
func (s *Sale) award(now clock.Instant, sl *slot, b *bidder, summary wire.Summary) wire.AwardedSlot {
	a := wire.AwardedSlot{Slot: sl.want.Slot, Life: sl.lot.wire.Life, Token: sl.next, Spec: sl.lot.wire.Spec,
		Fails: sl.want.Fails, Starts: sl.want.Starts, Summary: summary}
	sl.tries = append(sl.tries, try{to: b, token: sl.next})
	sl.next++
	s.move(sl, awarded)
	s.flying++
	b.awarded = true
	b.fly(sl.lot.wire.Needs)
	s.cfg.Book.fly(now, b.id, sl.lot.wire.Needs)
	s.give(b, sl.lot, +1)
	return a
}

// send bundles awards, one message per bidder unless it grows beyond bounds.
func (s *Sale) send(now clock.Instant, won map[*bidder][]wire.AwardedSlot) []wire.Envelope {
	var out []wire.Envelope
	for _, b := range s.ranked {
		for chunk := range slices.Chunk(won[b], MaxAwardSize) {
			msg := &wire.Award{ID: s.nextID, Slots: chunk, Rests: s.rests(chunk)}
			s.nextID++
			sent := award{to: b, deadline: now.Add(ReplyAfter)}
			if b.slow {
				sent.deadline = now.Add(SlowReply)
			}
			for _, a := range chunk {
				sent.slots = append(sent.slots, s.byID[a.Slot])
				sent.tokens = append(sent.tokens, a.Token)
			}
			at, _ := slices.BinarySearchFunc(s.awards, sent.deadline, func(a award, t clock.Instant) int { return cmp.Compare(a.deadline, t+1) })
			s.awards = slices.Insert(s.awards, at, sent)
			out = append(out, wire.Envelope{To: b.id, Msg: msg})
		}
	}
	return out
}

// maxRestBytes bounds what an award carries of the records it rests on; the
// winner finds the others by repair, or declines for want of them.
const maxRestBytes = wire.MaxFrame / 2

// rests collects the records that awards rest on, each once.
func (s *Sale) rests(slots []wire.AwardedSlot) []*wire.Record {
	var out []*wire.Record
	have := make(map[*wire.Record]bool)
	bytes := 0
	for _, a := range slots {
		for _, r := range s.byID[a.Slot].want.Rests {
			if r == nil || have[r] || bytes > maxRestBytes {
				continue
			}
			have[r] = true
			bytes += len(r.Body) + len(r.Key) + len(r.Rank) + len(r.Sig) + 128
			out = append(out, r)
		}
	}
	return out
}

// move changes a slot's state and keeps the count of open ones.
func (s *Sale) move(sl *slot, to slotState) {
	if sl.state == open {
		s.open--
	}
	if to == open {
		s.open++
		s.dirty = true
	}
	sl.state = to
}

// settle moves a slot to an end state, and notes it for Outcomes.
func (s *Sale) settle(sl *slot, to slotState) {
	s.move(sl, to)
	if to != unsold {
		s.news = append(s.news, sl)
	}
}
