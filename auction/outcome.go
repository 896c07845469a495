package auction

import (
	"math"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A Result is how a sale ended for one slot.
type Result uint8

// The results.
const (
	Sold   Result = iota + 1 // Peer accepted it under Token; its claim is durable
	Taken                    // someone's live claim made the sale needless
	Unsold                   // it waits; Reasons say why
)

func (r Result) String() string { return [...]string{"?", "sold", "taken", "unsold"}[min(r, Unsold)] }

// An Outcome is what became of one slot.
type Outcome struct {
	Slot      job.SlotID
	Result    Result
	Peer      wire.PeerID   // the winner, when sold
	Token     wire.Token    // of the winner's claim, when sold
	LastToken wire.Token    // the greatest awarded; 0: none was
	Attempts  int           // awards made
	Asked     int           // peers that were called, or whose standing bids were looked at
	Standing  bool          // on standing bids alone: what is unsold is to be called
	Answered  int           // peers that answered, asked or not
	Reasons   []wire.Reason // when unsold: every peer counted under one class, most frequent first
	NearMiss  wire.PeerID   // when unsold: the peer that lacked least, all else being right; zero: none
	Lacked    string        // what that peer lacked
}

// Outcomes returns what became known since it was last called: sold and taken
// slots at once, unsold ones when the sale is over. Every slot is returned once;
// a taken or unsold one that is accepted after that comes again, as sold.
func (s *Sale) Outcomes() []Outcome {
	var out []Outcome
	for _, sl := range s.news {
		if o := s.outcome(sl); o.Result != sl.told {
			sl.told = o.Result
			out = append(out, o)
		}
	}
	s.news = nil
	if s.told || !s.Over() {
		return out
	}
	s.told = true
	explained := make(map[*lot]Outcome)
	for _, sl := range s.slots {
		if sl.state != unsold {
			continue
		}
		o := s.outcome(sl)
		sl.told = Unsold
		if alike := len(sl.tries) == 0 && !sl.lot.bound && len(sl.want.Exclude) == 0 && sl.next != 0; !alike {
			s.explain(sl, &o)
		} else if e, done := explained[sl.lot]; done {
			o.Reasons, o.NearMiss, o.Lacked = e.Reasons, e.NearMiss, e.Lacked
		} else {
			s.explain(sl, &o)
			explained[sl.lot] = o
		}
		out = append(out, o)
	}
	return append(out, s.excess...)
}

func (s *Sale) outcome(sl *slot) Outcome {
	o := Outcome{Slot: sl.want.Slot, Attempts: len(sl.tries), Asked: len(s.asked), Answered: s.answered, Standing: s.standing}
	if n := len(sl.tries); n > 0 {
		o.LastToken = sl.tries[n-1].token
	}
	switch sl.state {
	case sold:
		o.Result, o.Peer, o.Token = Sold, sl.tries[sl.won].to.id, sl.tries[sl.won].token
	case taken:
		o.Result = Taken
	default:
		o.Result = Unsold
	}
	return o
}

// explain counts why no bidder has the slot and finds the near miss.
func (s *Sale) explain(sl *slot, o *Outcome) {
	var t tally
	least := int64(math.MaxInt64)
	for _, b := range s.ranked {
		reason, gap := b.reason(sl)
		if reason == "" {
			continue
		}
		t.add(reason)
		if gap > 0 && gap < least {
			least, o.NearMiss, o.Lacked = gap, b.id, reason
		}
	}
	o.Reasons = t.sorted()
	o.Reasons = o.Reasons[:min(len(o.Reasons), wire.MaxSummaryNoes)]
}

// reason says why b does not have a slot, and how far it missed if resources are
// all it lacked.
func (b *bidder) reason(sl *slot) (string, int64) {
	for _, t := range sl.tries {
		if t.to == b {
			return t.reason(), 0
		}
	}
	a := b.said(sl.lot.call)
	switch {
	case b.gone:
		return Doubted, 0
	case a == nil:
		return NoAnswer, 0
	case a.no != "":
		return a.no, 0
	}
	o := &a.offers[sl.lot.place]
	needs := sl.lot.wire.Needs
	switch text, gap := shortage(needs, b.room()); {
	case o.No != "" && lacksResources(o.No):
		_, gap := shortage(needs, space{b.free, b.total, b.gpus})
		return o.No, gap
	case o.No != "":
		return o.No, 0
	case !covers(o, sl):
		return VolumeElsewhere, 0
	case b.silent:
		return NoReply, 0
	case text != "":
		return clip(text), gap
	case sl.next == 0:
		return TokensUsedUp, 0
	default:
		return NotTried, 0
	}
}

func lacksResources(reason string) bool {
	class := Class(reason)
	return class == CPU || class == Memory || class == Disk || class == GPU
}

func (t *try) reason() string {
	switch t.state {
	case declined:
		return t.why
	case void:
		return Doubted
	default:
		return NoReply
	}
}

// Of a summary, which a claim carries for ever, at most 1 KB: the greatest
// encoding of all but the refusals is 430 bytes.
const maxNoesBytes = 540

// refusals counts why bidders do not bid on a lot.
func (s *Sale) refusals(l *lot) []wire.Reason {
	var t tally
	for _, b := range s.ranked {
		switch a := b.said(l.call); {
		case b.gone:
			t.add(Doubted)
		case a == nil:
			t.add(NoAnswer)
		case a.no != "":
			t.add(a.no)
		case a.offers[l.place].No != "":
			t.add(a.offers[l.place].No)
		case b.silent:
			t.add(NoReply)
		}
	}
	return t.sorted()
}

// noesOf are the refusals of a slot, as much as a summary holds: with those of its lot
// they say why each bidder that did not pass did not. Who declined it comes first.
func (s *Sale) noesOf(sl *slot, ofLot []wire.Reason, passed int) []wire.Reason {
	var t tally
	left := len(s.ranked) - passed
	for _, try := range sl.tries {
		if !try.to.silent && !try.to.gone { // else it is counted for the lot
			t.add(try.reason())
			left--
		}
	}
	reasons := append(t.sorted(), ofLot...)
	for _, r := range ofLot {
		left -= int(r.Count)
	}
	if left > 0 {
		why := FilledUp
		if sl.lot.bound {
			why = VolumeElsewhere
		}
		reasons = append(reasons, wire.Reason{Text: why, Count: uint32(left)})
	}
	reasons = reasons[:min(len(reasons), wire.MaxSummaryNoes)]
	bytes := 0
	for i, r := range reasons {
		if bytes += len(r.Text) + 8; bytes > maxNoesBytes {
			return reasons[:i]
		}
	}
	return reasons
}

// summary is what the winner's claim will tell of the sale.
func (s *Sale) summary(now clock.Instant, sl *slot, best []candidate, passed int, noes []wire.Reason) wire.Summary {
	sum := wire.Summary{Steward: s.cfg.Self.Tag(), Standing: s.standing, Asked: uint32(len(s.asked)), Passed: uint32(passed),
		Noes: noes, Took: now.Sub(s.opened), Waited: waited(sl.want.Since, s.opened)}
	for _, c := range best {
		sum.Bids = append(sum.Bids, wire.ScoredBid{Peer: c.by.id.Tag(), Copies: c.score.Copies, Bucket: c.score.Bucket,
			Room: c.score.Room, Terms: c.parts(sl.lot)})
	}
	return sum
}

// parts are what the bucket of a candidate is made of, with the fragments that it leaves,
// and the copies around it.
func (c *candidate) parts(l *lot) []byte {
	parts := c.terms[:min(len(c.terms), TermSpread)]
	if l.policy == PolicyPack {
		parts = append(make([]byte, 0, TermSpread), parts...)[:TermSpread]
		parts[TermFragments] = byte(c.score.Bucket % (fragClasses + 1))
	}
	if l.from.Spread != nil {
		parts = l.from.Spread.terms(parts, c.around)
	}
	return parts
}

func waited(since, opened clock.Instant) time.Duration {
	if since <= 0 {
		return 0
	}
	return max(opened.Sub(since), 0)
}
