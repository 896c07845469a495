package auction

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A Book is what a steward knows of standing bids, the latest of each peer, and of
// the awards that no such bid accounts for yet, in all its sales. The caller lets
// members alone into it, and so bounds it.
//
// A peer that lies in its standing bid gains nothing: it judges each award against its
// true state, and what it declines goes to the next bidder.
type Book struct{ of map[wire.PeerID]*entry }

type entry struct {
	bid     wire.Standing
	heard   clock.Instant
	flights []flight // in order of until
}

// A flight is one awarded slot whose reply is awaited.
type flight struct {
	needs job.Resources
	until clock.Instant
}

// flightFor is how long an award is deducted from a standing bid if its reply never
// comes: by then the bid has been renewed, or is soon.
const flightFor = 2 * time.Second

// NewBook makes an empty one.
func NewBook() *Book { return &Book{of: make(map[wire.PeerID]*entry)} }

// Len is how many peers have a bid in the book.
func (b *Book) Len() int { return len(b.of) }

// Hear takes a standing bid in. Of two the newer counts, by start and sequence; one
// that only says "still so" renews that very bid, and is nothing if it is not known.
// Improved reports whether the peer may now take what it could not before.
func (b *Book) Hear(now clock.Instant, from wire.PeerID, m *wire.Standing) (improved bool) {
	e := b.of[from]
	if e != nil && e.bid.Inc == m.Inc && e.bid.Seq == m.Seq {
		e.heard = now
		return false
	}
	if m.Still || e != nil && (m.Inc < e.bid.Inc || m.Inc == e.bid.Inc && m.Seq < e.bid.Seq) {
		return false
	}
	bid := *m
	bid.Free, bid.No = clampTo(m.Free, mostReported), clip(m.No)
	if e == nil {
		b.of[from] = &entry{bid: bid, heard: now}
		return bid.No == ""
	}
	improved = IsBetter(&e.bid, &bid)
	e.bid, e.heard = bid, now
	return improved
}

// IsBetter reports whether a peer may take after a change of its standing bid what it
// could not before.
func IsBetter(was, is *wire.Standing) bool {
	if is.No != "" {
		return false
	}
	for i, free := range is.GPUs {
		if i >= len(was.GPUs) || free > was.GPUs[i] {
			return true
		}
	}
	return was.No != "" || !is.Free.Fits(was.Free)
}

// Get returns a peer's standing bid if it was heard within the last fresh, less what it
// was awarded since.
func (b *Book) Get(now clock.Instant, p wire.PeerID, fresh time.Duration) (wire.Standing, bool) {
	e := b.of[p]
	if e == nil || now.Sub(e.heard) > fresh {
		return wire.Standing{}, false
	}
	bid := e.bid
	for len(e.flights) > 0 && now >= e.flights[0].until {
		e.flights = e.flights[1:]
	}
	for _, f := range e.flights {
		bid.Free = bid.Free.Minus(f.needs)
		if f.needs.GPUMilli > 0 {
			bid.GPUs = without(bid.GPUs, f.needs.GPUMilli)
		}
	}
	return bid, true
}

// fly deducts an awarded slot from its winner's bid until land or flightFor.
func (b *Book) fly(now clock.Instant, to wire.PeerID, needs job.Resources) {
	if b == nil {
		return
	}
	if e := b.of[to]; e != nil {
		e.flights = append(e.flights, flight{needs, now.Add(flightFor)})
	}
}

// land ends the deduction of one slot: its winner has replied, or is given up.
func (b *Book) land(to wire.PeerID, needs job.Resources) {
	if b == nil || b.of[to] == nil {
		return
	}
	e := b.of[to]
	if i := slices.IndexFunc(e.flights, func(f flight) bool { return f.needs == needs }); i >= 0 {
		e.flights = slices.Delete(e.flights, i, i+1)
	}
}

// Retain forgets the peers that keep does not name.
func (b *Book) Retain(keep func(wire.PeerID) bool) {
	for p := range b.of {
		if !keep(p) {
			delete(b.of, p)
		}
	}
}

// LoadClass is how a machine's load counts in its bids, and LoadOf a load of that class:
// thousandths of its cores.
func LoadClass(loadMilli int64) uint8 {
	switch {
	case loadMilli > overLoad:
		return 2
	case loadMilli > highLoad:
		return 1
	}
	return 0
}

// LoadOf returns a load of a class.
func LoadOf(class uint8) int64 { return [...]int64{0, highLoad + 1, overLoad + 1}[min(class, 2)] }
