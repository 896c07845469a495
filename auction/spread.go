package auction

import (
	"slices"
	"strconv"

	"shoal/job"
	"shoal/wire"
)

// A Spread is where the copies of a task are that is spread over labels of peers. Of each
// label in turn the peers that say the same of it, and of those before it, are one place;
// what has no such label, or is not known, is of the value "". The steward alone counts, so
// that both kinds of bid are judged alike; a sale adds what it gives.
type Spread struct {
	labels []string
	facts  func(wire.PeerID) *job.Facts
	copies map[string]*uint32        // by place: the values up to its label
	places map[wire.PeerID][]*uint32 // of a peer, by label; found once
}

// copiesAround are the copies of a task in the places of a peer, by label, zeros at the end.
type copiesAround [job.MaxSpread]uint32

// NewSpread makes one without copies. facts tells what a peer's labels are; nil: not known.
// Of no labels it is nil.
func NewSpread(labels []string, facts func(wire.PeerID) *job.Facts) *Spread {
	if len(labels) == 0 {
		return nil
	}
	return &Spread{labels: labels[:min(len(labels), job.MaxSpread)], facts: facts,
		copies: map[string]*uint32{}, places: map[wire.PeerID][]*uint32{}}
}

// Add counts a copy at a peer.
func (s *Spread) Add(p wire.PeerID) { s.add(p, 1) }

// add counts so many more copies at a peer, or fewer.
func (s *Spread) add(p wire.PeerID, n int) {
	for _, at := range s.of(p) {
		*at = uint32(max(0, int(*at)+n))
	}
}

// around counts the copies in the places of a peer; of no Spread there are none.
func (s *Spread) around(p wire.PeerID) (n copiesAround) {
	if s == nil {
		return n
	}
	for i, at := range s.of(p) {
		n[i] = *at
	}
	return n
}

// of returns the counts of a peer's places.
func (s *Spread) of(p wire.PeerID) []*uint32 {
	if at, ok := s.places[p]; ok {
		return at
	}
	facts := s.facts(p)
	if facts == nil {
		facts = &job.Facts{}
	}
	var place []byte
	var at []*uint32
	for _, label := range s.labels {
		value, _ := facts.Value(label)
		place = strconv.AppendQuote(place, value)
		n := s.copies[string(place)]
		if n == nil {
			n = new(uint32)
			s.copies[string(place)] = n
		}
		at = append(at, n)
	}
	s.places[p] = at
	return at
}

// terms appends to those of a bid how many copies there are around it, one more than that,
// so that none shows.
func (s *Spread) terms(of []byte, around copiesAround) []byte {
	of = append(make([]byte, 0, numTerms), of[:min(len(of), TermSpread)]...)
	of = of[:TermSpread]
	for _, n := range around[:len(s.labels)] {
		of = append(of, byte(1+min(n, 254)))
	}
	return of
}

// give notes that b has so many copies more of a lot's task, in all its lots, or fewer.
func (s *Sale) give(b *bidder, l *lot, n int) {
	b.given[l.group] += n
	b.scored = nil
	for _, sp := range s.spreads[l.group] {
		sp.add(b.id, n)
	}
}

// isSpread reports whether some lot is to be spread over labels, and hence no bid is to be
// left out: an early one may be of a place that has enough.
func (s *Sale) isSpread() bool { return len(s.spreads) > 0 }

// reaches reports whether those who bid on a lot are of all places that there are of the
// others.
func (s *Sale) reaches(l *lot, others []wire.PeerID) bool {
	if l.from.Spread == nil {
		return true
	}
	for _, other := range others {
		deepest := len(l.from.Spread.labels) - 1
		at := l.from.Spread.of(other)[deepest]
		if !slices.ContainsFunc(s.ranked, func(b *bidder) bool {
			return b.offer(l) != nil && l.from.Spread.of(b.id)[deepest] == at
		}) {
			return false
		}
	}
	return true
}
