package auction

import (
	"math"
	"slices"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// expire gives up awards whose reply is overdue. The bidder may have accepted:
// until it says so it counts as silent, and what it was awarded stays deducted.
func (s *Sale) expire(now clock.Instant) {
	for len(s.awards) > 0 && now >= s.awards[0].deadline {
		a := s.awards[0]
		s.awards = s.awards[1:]
		for i, sl := range a.slots {
			if t := sl.tryOf(a.to, a.tokens[i]); t != nil && t.state == flying {
				a.to.silent = true
				s.end(sl, t, lost, "")
			}
		}
	}
}

// tryOf returns the award of a slot to b under a token, or nil.
func (sl *slot) tryOf(b *bidder, token wire.Token) *try {
	i := slices.IndexFunc(sl.tries, func(t try) bool { return t.to == b && t.token == token })
	if i < 0 {
		return nil
	}
	return &sl.tries[i]
}

// end takes an award out of flight. The slot is open again, unless it was sold or
// taken meanwhile.
func (s *Sale) end(sl *slot, t *try, state tryState, why string) {
	if t.state == flying {
		s.flying--
		s.cfg.Book.land(t.to.id, sl.lot.wire.Needs)
		s.dirty = true // the sale may now be over for slots that waited for its room
	}
	if is, was := state.mayCount(), t.state.mayCount(); is != was {
		s.give(t.to, sl.lot, compareBool(is, was))
	}
	t.state, t.why = state, why
	if sl.state == awarded && !slices.ContainsFunc(sl.tries, func(t try) bool { return t.state == flying }) {
		s.move(sl, open)
	}
}

// Reply hears a bidder's word on an award. An acceptance sells the slot even if
// it comes late, as the claim is durable; a decline sends the slot to the next
// bidder. Decisions on slots or tokens that were not awarded to from, and
// repetitions, are passed over. The caller has merged the records of the reply,
// and has told Raise and Taken what they show.
func (s *Sale) Reply(_ clock.Instant, from wire.PeerID, r *wire.Reply) {
	b := s.bidders[from]
	if b == nil || r == nil {
		return
	}
	heard := false
	var took job.Resources
	for i := range r.Decisions {
		d := &r.Decisions[i]
		sl := s.byID[d.Slot]
		if sl == nil {
			continue
		}
		t := sl.tryOf(b, d.Token)
		if t == nil || t.state == declined || t.state == accepted {
			continue
		}
		heard = true
		b.land(sl.lot.wire.Needs, d.Decline == "")
		if d.Decline != "" {
			s.end(sl, t, declined, clip(d.Decline))
			continue
		}
		took = took.Plus(sl.lot.wire.Needs)
		s.end(sl, t, accepted, "")
		s.sell(sl, t)
	}
	if !heard {
		return
	}
	s.dirty = true
	b.silent = false
	if r.Award < b.replied {
		b.free = clampTo(b.free.Minus(took), b.total) // what it had free before a later reply is stale
		return
	}
	b.replied, b.free = r.Award, clampTo(r.Bid.Free, b.total)
	b.gpus = clampGPUs(r.Bid.GPUs, b.total)
	b.countGPUs()
}

// sell notes the first acceptance of a slot; which of two claims wins is for the
// ledger to say.
func (s *Sale) sell(sl *slot, t *try) {
	if sl.state == sold {
		return
	}
	sl.won = slices.IndexFunc(sl.tries, func(u try) bool { return u.token == t.token })
	s.settle(sl, sold)
}

// Drop tells the sale that a peer became doubted: its bid and the awards it has
// not answered are void, and nothing more is awarded to it in this sale.
func (s *Sale) Drop(_ clock.Instant, peer wire.PeerID) {
	b := s.bidders[peer]
	if b == nil || b.gone {
		return
	}
	for call := range b.answers {
		s.count(b, call, -1)
	}
	if b.asked && b.owes > 0 {
		s.unanswered--
	}
	b.gone = true
	s.dirty = true
	for _, sl := range s.slots {
		for i := range sl.tries {
			if t := &sl.tries[i]; t.to == b && t.state == flying {
				s.end(sl, t, void, "")
			}
		}
	}
}

// Taken tells the sale that someone's live claim on a slot appeared: it is not
// sold any further. After an acceptance of the slot it changes nothing.
func (s *Sale) Taken(slot job.SlotID) {
	if sl := s.byID[slot]; sl != nil && sl.state != sold && sl.state != taken {
		s.settle(sl, taken)
		s.dirty = true
	}
}

// Raise tells the sale that a token of a slot is known elsewhere: its own next
// one will be above.
func (s *Sale) Raise(slot job.SlotID, known wire.Token) {
	if sl := s.byID[slot]; sl != nil && known >= sl.next && sl.next != 0 {
		sl.next = known + 1 // 0 when the counter is at its end
	}
}

// mostSum keeps sums of resources far from overflow.
var mostSum = job.Resources{CPUMilli: math.MaxInt64 >> 2, MemBytes: math.MaxInt64 >> 2, DiskBytes: math.MaxInt64 >> 2,
	GPUMilli: math.MaxInt64 >> 2}

// atMost returns a×n, or what mostSum allows. Neither is negative.
func atMost(a, n int64) int64 {
	if n > 0 && a > mostSum.MemBytes/n {
		return mostSum.MemBytes
	}
	return a * n
}
