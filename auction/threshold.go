package auction

import (
	"math"
	"slices"

	"shoal/clock"
	"shoal/wire"
)

// wantedBids is how many bidders a threshold is to let answer: twice what a sale needs,
// since it is an estimate.
const wantedBids = 2 * EnoughBids

// anyScore is a threshold within which every bid is that passes.
var anyScore = wire.Score{Copies: math.MaxUint32, Bucket: math.MaxUint32, Room: math.MaxInt64, Order: math.MaxUint64}

// Qualifies reports whether a bidder is to send its answer: to a call with a threshold
// only who passes for some lot, with a score within it.
func Qualifies(self *Self, call *wire.Call, b *wire.Bid, find Lookup) bool {
	if call.Threshold == nil {
		return true
	}
	for i := range b.Offers {
		o, lot := &b.Offers[i], &call.Lots[i]
		_, task, known := find(lot.Job, lot.Life, lot.Task, lot.Spec)
		if o.No != "" || !known {
			continue
		}
		score := Score(Terms{Copies: int(min(o.Copies, maxCopies)), Free: self.Free, Total: self.Total,
			Needs: task.Needs, Policy: task.Policy, Bucket: o.Bucket})
		if Compare(score, *call.Threshold) <= 0 {
			return true
		}
	}
	return false
}

// threshold is the score within which about wantedBids of those asked are, as far as the
// standing bids that are known of some can tell. If those that pass are few, it bounds
// nothing: who does not pass is silent all the same.
func (s *Sale) threshold(l *lot, asked int) *wire.Score {
	if l.from.Spread != nil {
		return nil // which place has the fewest copies changes with each that is sold
	}
	var scores []wire.Score
	for _, b := range s.ranked {
		if o := b.offer(l); o != nil {
			scores = append(scores, b.score(l, o))
		}
	}
	at := (wantedBids*len(s.asked) + asked - 1) / max(asked, 1)
	if at > len(scores) || at == 0 {
		return nil
	}
	slices.SortFunc(scores, Compare)
	most := scores[at-1]
	most.Order = math.MaxUint64
	return &most
}

// bound is the threshold of one call: the widest of its lots'.
func bound(lots []*lot) *wire.Score {
	most := wire.Score{Room: math.MinInt64}
	for _, l := range lots {
		if l.from.Most == nil {
			most = anyScore
		} else if Compare(*l.from.Most, most) > 0 {
			most = *l.from.Most
		}
	}
	return &most
}

// presume notes what can be said in the place of those that stay silent: it counts as no
// bid, and explains why a slot is not sold.
func (s *Sale) presume() {
	if s.cfg.Known == nil {
		return
	}
	for call, lots := range s.calls {
		asks := s.message(call, lots)
		for _, id := range s.asked {
			self := s.cfg.Known(id)
			if self == nil {
				continue
			}
			b, bid := s.bidders[id], Answer(self, asks, s.cfg.Find)
			if b.presumed == nil {
				b.presumed = make([]*answer, len(s.calls))
			}
			b.has(bid)
			b.presumed[call] = read(bid, lots)
		}
	}
}

// said is what b answered to a call, or is presumed to; nil: nobody knows.
func (b *bidder) said(call int) *answer {
	if a := b.answers[call]; a != nil || b.presumed == nil {
		return a
	}
	return b.presumed[call]
}

// askAll calls once more for what is still open, and without a threshold, if somebody who
// was silent may yet have it or say why not.
func (s *Sale) askAll(now clock.Instant) []wire.Envelope {
	s.bounded = false
	var again []int
	for call, lots := range s.calls {
		if slices.ContainsFunc(lots, s.isOpen) && (*bound(lots) != anyScore || slices.ContainsFunc(s.ranked, func(b *bidder) bool {
			return b.asked && !b.gone && b.said(call) == nil
		})) {
			again = append(again, call)
		}
	}
	if len(again) == 0 {
		return nil
	}
	s.closes, s.ends, s.phase, s.decided = now.Add(CloseAfter), now.Add(EndAfter), gathering, false
	return s.envelopes(again)
}

func (s *Sale) isOpen(l *lot) bool {
	return slices.ContainsFunc(l.slots, func(sl *slot) bool { return sl.state == open })
}
