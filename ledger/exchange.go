package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"

	"shoal/wire"
)

// An exchange makes two ledgers equal. The one who opens it sends a Digest; the
// other answers that it is equal, or with its Vector of marks. Then Lists of the
// numbers held of each issuer on which the two differ, a Delta back, and a Delta
// that closes. What the other lacks above its mark is sent; what it lacks at or
// below its mark it has dropped, and so must we (a spec that is still named here is brought in again
// under our own number). When nothing was cut for size,
// both raise their marks to the greater of the two: a complete exchange is the
// only thing that raises marks, since only it proves that nothing is missing.
//
// After Demers et al., "Epidemic algorithms", PODC 1987 (anti-entropy), and van
// Renesse et al., "Scuttlebutt", LADIS 2008 (logs per writer).

// Bounds of one message of an exchange; what does not fit goes next time.
const (
	maxDeltaBytes   = 1 << 20
	maxDeltaRecords = 4096
	maxListNumbers  = 40_000
)

// Digest is one hash over everything held and every mark.
func (s *State) Digest() wire.Hash {
	total := s.sums.sum()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], total[0])
	binary.BigEndian.PutUint64(b[8:], total[1])
	return wire.HashOf(b[:])
}

// Hash is over the records alone: equal on peers that hold the same.
func (s *State) Hash() wire.Hash {
	var b []byte
	for _, l := range s.sums.logs {
		if len(l.recs) == 0 {
			continue
		}
		m := l.summary()
		m.UpTo = wire.Number{Issuer: l.issuer}
		b = appendMark(b, m)
	}
	return wire.HashOf(b)
}

// Marks returns what is held of each issuer, by issuer.
func (s *State) Marks() []wire.Mark {
	out := make([]wire.Mark, 0, len(s.sums.logs))
	for _, l := range s.sums.logs {
		if !l.isEmpty() {
			out = append(out, l.summary())
		}
	}
	return out
}

// Lists names what is held of each issuer on which theirs differs from ours. It
// takes marks in any order, once each.
func (s *State) Lists(theirs []wire.Mark) (lists []wire.IssuerList, more bool) {
	byIssuer := func(a, b wire.Mark) int { return a.UpTo.Issuer.Compare(b.UpTo.Issuer) }
	if !slices.IsSortedFunc(theirs, byIssuer) {
		theirs = slices.Clone(theirs)
		slices.SortStableFunc(theirs, byIssuer)
	}
	room := maxListNumbers
	list := func(l *log) bool {
		if len(l.recs) > room && len(lists) > 0 {
			return false
		}
		room -= len(l.recs)
		lists = append(lists, wire.IssuerList{Mark: l.summary(), Numbers: l.versions()})
		return true
	}
	mine := s.sums.logs
	for len(mine) > 0 || len(theirs) > 0 {
		var l *log
		switch {
		case len(theirs) == 0 || len(mine) > 0 && mine[0].issuer.Compare(theirs[0].UpTo.Issuer) < 0:
			l, mine = mine[0], mine[1:]
			if l.isEmpty() {
				continue
			}
		case len(mine) == 0 || mine[0].issuer != theirs[0].UpTo.Issuer:
			l, theirs = &log{issuer: theirs[0].UpTo.Issuer}, theirs[1:]
		default:
			equal := mine[0].summary() == theirs[0]
			l, mine, theirs = mine[0], mine[1:], theirs[1:]
			if equal {
				continue
			}
		}
		if !list(l) {
			return lists, true
		}
	}
	return lists, false
}

// Answer compares their lists with what is held here. It returns the Delta that
// tells them what to drop, gives what they lack and asks for what we lack, and what
// we are to drop because they have: when the closing Delta has brought all that we
// lack, and not before. What they dropped may be a claim's old version, and to be
// without the old and the new one is to know nothing of its slot.
func (s *State) Answer(lists []wire.IssuerList) (d *wire.Delta, drops []wire.Number) {
	d = &wire.Delta{}
	size := 0
	for _, l := range lists {
		drops = append(drops, s.answerOne(l, d, &size)...)
	}
	return d, drops
}

func (s *State) answerOne(theirs wire.IssuerList, d *wire.Delta, size *int) (drops []wire.Number) {
	issuer := theirs.Mark.UpTo.Issuer
	mine := s.lookLog(issuer)
	if mine == nil {
		mine = &log{issuer: issuer} // not kept: a list of numbers is no record
	}
	d.Marks = append(d.Marks, mine.summary())
	numbers := theirs.Numbers
	if !slices.IsSortedFunc(numbers, wire.Version.Compare) {
		numbers = slices.Clone(numbers)
		slices.SortFunc(numbers, wire.Version.Compare)
	}
	recs := mine.recs
	for len(numbers) > 0 || len(recs) > 0 {
		var order int
		switch {
		case len(recs) == 0:
			order = -1
		case len(numbers) == 0:
			order = 1
		default:
			order = numbers[0].Compare(recs[0].Num.Version())
		}
		switch {
		case order < 0: // theirs alone
			if v := numbers[0]; covers(mine.mark, v) {
				d.Drop = append(d.Drop, mine.number(v))
			} else {
				d.Want = append(d.Want, mine.number(v))
			}
			numbers = numbers[1:]
		case order == 0:
			v := numbers[0] // several of ours may have it
			for numbers = numbers[1:]; len(numbers) > 0 && numbers[0] == v; numbers = numbers[1:] {
			}
			for recs = recs[1:]; len(recs) > 0 && recs[0].Num.Version() == v; recs = recs[1:] {
			}
		default: // ours alone
			if covers(theirs.Mark.UpTo.Version(), recs[0].Num.Version()) {
				drops = append(drops, recs[0].Num)
			} else {
				addTo(d, recs[0], size)
			}
			recs = recs[1:]
		}
	}
	return drops
}

// dropBy drops a record because another peer has. A claim of our own that has
// not ended is kept: its holder ends it first.
func (s *State) dropBy(r *wire.Record) {
	if c, ok := r.Value.(*Claim); ok && c.Peer == s.self && !c.Phase.Ended() {
		s.disowned = append(s.disowned, c)
		return
	}
	named := r.Kind == wire.KindSpec && s.IsNamed(r)
	s.drop(r)
	if named {
		s.revive = append(s.revive, r)
	}
	if h, ok := r.Value.(*Head); ok && h.Deleted {
		s.Remove(h.Job, h.Life)
	}
}

// Disowned returns this peer's own open claims that others have dropped, since the
// last call. Nobody drops what its issuer has not: this peer has ended them once and
// does not know it any more.
func (s *State) Disowned() []*Claim {
	d := slices.DeleteFunc(s.disowned, func(c *Claim) bool {
		r := s.ClaimRecord(c.Slot, c.Life, c.Token, c.Peer)
		return r == nil || r.Value != c
	})
	s.disowned = nil
	return d
}

// Lacks reports whether something they ask for is not held any more. Asked before
// their Delta is absorbed it means that it was beaten or dropped here since our
// Lists: they then get neither it nor what beat it, and must drop nothing for it.
func (s *State) Lacks(want []wire.Number) bool {
	return slices.ContainsFunc(want, func(n wire.Number) bool {
		l := s.lookLog(n.Issuer)
		return l == nil || l.get(n.Version()) == nil
	})
}

// Give returns the closing Delta: what they asked for, with our marks as they
// were in our Lists.
func (s *State) Give(want []wire.Number, marks []wire.Mark) *wire.Delta {
	d := &wire.Delta{Close: true, Marks: marks}
	size := 0
	for _, n := range want {
		if l := s.lookLog(n.Issuer); l != nil {
			if r := l.get(n.Version()); r != nil {
				addTo(d, r, &size)
			}
		}
	}
	return d
}

// Absorb takes in a Delta: it merges, and, if nothing was cut for size, drops what
// the Delta and our own Answer (drops) name and raises the marks. It returns the
// records that were new. On an invalid record it stops, without dropping anything
// or raising any mark.
func (s *State) Absorb(d *wire.Delta, drops []wire.Number) ([]*wire.Record, error) {
	var fresh []*wire.Record
	for _, r := range d.Records {
		out, err := s.Merge(r)
		if err != nil && wire.Judge(err) == wire.Reject {
			return fresh, fmt.Errorf("exchange: %w", err)
		}
		if out == Merged {
			fresh = append(fresh, r)
		}
	}
	if d.More {
		return fresh, nil
	}
	for _, n := range slices.Concat(d.Drop, drops) {
		if l := s.lookLog(n.Issuer); l != nil {
			if r := l.get(n.Version()); r != nil {
				s.dropBy(r)
			}
		}
	}
	for _, m := range d.Marks {
		s.raise(m.UpTo)
	}
	return fresh, nil
}

func (s *State) raise(n wire.Number) {
	if n.Issuer.IsZero() || n.Version() == (wire.Version{}) {
		return
	}
	l := s.logOf(n.Issuer)
	if !l.raise(n.Version()) {
		return
	}
	s.sums.changed(l)
	s.version++
	s.changes = append(s.changes, Change{Mark: &n})
}

// addTo puts a record into a Delta, or notes that it did not fit.
func addTo(d *wire.Delta, r *wire.Record, size *int) {
	if *size+len(r.Body) > maxDeltaBytes || len(d.Records) >= maxDeltaRecords {
		d.More = true
		return
	}
	*size += len(r.Body) + 160
	d.Records = append(d.Records, r)
}
