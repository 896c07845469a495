package auction

import (
	"slices"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// Direct opens a sale on standing bids alone, of the lots for which they are enough:
// eight of them pass and have room, or the bids of all who are asked are at hand and one
// of them passes. It calls nobody, and its first Tick awards. The other lots are
// returned, to be called; so is, once a sale that stands alone has no bidder left, what
// its Outcomes leave unsold. The sale is nil if nothing is sold so.
func Direct(now clock.Instant, c Config) (*Sale, []Lot) {
	var rest []Lot
	if c.Known == nil {
		return nil, c.Lots
	}
	c.Lots, rest = splitLots(c.Lots, c.Find)
	if len(c.Lots) == 0 {
		return nil, append(c.Lots, rest...)
	}
	known := make([]*Self, 0, len(c.Asked))
	all := c.Asked[:min(len(c.Asked), MaxBidders)]
	var others []wire.PeerID // whose standing bids do not do
	c.Asked = nil
	for _, id := range all {
		if self := c.Known(id); self != nil {
			known, c.Asked = append(known, self), append(c.Asked, id)
		} else {
			others = append(others, id)
		}
	}
	if len(known) == 0 {
		return nil, append(c.Lots, rest...)
	}
	s := prepare(now, c, true)
	for call, lots := range s.calls {
		asks := s.message(call, lots)
		for _, self := range known {
			s.Bid(now, self.ID, Answer(self, asks, c.Find))
		}
	}
	rest = append(s.giveBack(others), rest...)
	if len(s.slots) == 0 {
		return nil, rest
	}
	return s, rest
}

// splitLots parts the slots that standing bids may sell from those to be called: which
// devices a peer's owner grants, and which are there, no such bid tells.
func splitLots(all []Lot, find Lookup) (direct, called []Lot) {
	for _, l := range all {
		if _, task, _ := find(l.Job, l.Life, l.Task, l.Spec); task != nil && len(task.Devices) > 0 {
			called = append(called, l)
			continue
		}
		if !slices.ContainsFunc(l.Slots, func(w Want) bool { return w.Call }) {
			direct = append(direct, l)
			continue
		}
		if l.Spread != nil { // all in one sale, which counts them together
			called = append(called, l)
			continue
		}
		some, others := l, l
		some.Slots, others.Slots = nil, nil
		for _, w := range l.Slots {
			if w.Call {
				others.Slots = append(others.Slots, w)
			} else {
				some.Slots = append(some.Slots, w)
			}
		}
		called = append(called, others)
		if len(some.Slots) > 0 {
			direct = append(direct, some)
		}
	}
	return direct, called
}

// giveBack takes the lots out of a sale for which the bids do not suffice, as others are to
// be asked, too.
func (s *Sale) giveBack(others []wire.PeerID) (rest []Lot) {
	complete, asked := len(others) == 0, len(s.asked)+len(others)
	var keep []*lot
	for _, l := range s.lots {
		if l.passing > 0 && (complete || l.passing >= EnoughBids && s.hasRoom(l) && s.reaches(l, others)) {
			keep = append(keep, l)
			continue
		}
		back := Lot{Job: l.wire.Job, Life: l.wire.Life, Task: l.wire.Task, Spec: l.wire.Spec, Needs: l.wire.Needs,
			Policy: l.policy, Records: l.from.Records, Spread: l.from.Spread, Most: s.threshold(l, asked), Hopeless: complete && l.passing == 0}
		for _, sl := range l.slots {
			back.Slots = append(back.Slots, sl.want)
			delete(s.byID, sl.want.Slot)
		}
		rest = append(rest, back)
	}
	s.lots = keep
	s.slots = slices.DeleteFunc(s.slots, func(sl *slot) bool { return s.byID[sl.want.Slot] == nil })
	s.open = len(s.slots)
	return rest
}

// hasRoom reports whether those who bid on a lot have room for all its slots, were it
// the only one.
func (s *Sale) hasRoom(l *lot) bool {
	left := len(l.slots)
	for _, b := range s.ranked {
		if b.offer(l) != nil {
			left -= fits(l.wire.Needs, b.room(), left)
		}
	}
	return left <= 0
}

// fits is how many times needs go into the room there is, at most n.
func fits(needs job.Resources, room space, n int) int {
	many := 0
	for many < n && room.holds(needs) {
		room.free = room.free.Minus(needs)
		if needs.GPUMilli > 0 {
			room.gpus = without(room.gpus, needs.GPUMilli)
		}
		many++
	}
	return many
}
