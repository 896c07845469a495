package ledger

import (
	"encoding/binary"
	"slices"

	"shoal/ledger/sketch"
	"shoal/wire"
)

// A log is what a peer holds of one issuer, by number, and the mark: the number
// up to which it has had all that was live. A number at or below the mark that
// is not held has been dropped.
type log struct {
	issuer wire.PeerID
	recs   []*wire.Record
	mark   wire.Version
	lo, hi uint64    // sum over the hashes of all records held
	part   [2]uint64 // of this log in sums.total, as it was added there
	stale  bool      // part is not of what is held now
	tag    uint64    // names the issuer where 32 bytes are too many; its low byte is the bucket
	at     uint64    // when it changed last, by sums.clock
}

func (l *log) find(v wire.Version) (int, bool) {
	return slices.BinarySearchFunc(l.recs, v, func(r *wire.Record, v wire.Version) int {
		return r.Num.Version().Compare(v)
	})
}

// holds reports whether that very record is here. Several may have one number,
// where an issuer gave it twice.
func (l *log) holds(r *wire.Record) bool {
	at, _ := l.find(r.Num.Version())
	for ; at < len(l.recs) && l.recs[at].Num == r.Num; at++ {
		if l.recs[at] == r || l.recs[at].Hash() == r.Hash() {
			return true
		}
	}
	return false
}

// add puts a record in, and reports whether it was not there.
func (l *log) add(r *wire.Record) bool {
	at := len(l.recs)
	if at > 0 && l.recs[at-1].Num.Version().Compare(r.Num.Version()) >= 0 {
		if l.holds(r) {
			return false
		}
		at, _ = l.find(r.Num.Version())
	}
	l.recs = slices.Insert(l.recs, at, r)
	lo, hi := addend(r)
	l.lo, l.hi = l.lo+lo, l.hi+hi
	return true
}

// remove takes a record out, and reports whether it was there.
func (l *log) remove(r *wire.Record) bool {
	at, _ := l.find(r.Num.Version())
	for ; at < len(l.recs) && l.recs[at].Num == r.Num; at++ {
		if l.recs[at] == r {
			l.recs = slices.Delete(l.recs, at, at+1)
			lo, hi := addend(r)
			l.lo, l.hi = l.lo-lo, l.hi-hi
			return true
		}
	}
	return false
}

// addend is what a record adds to the sum of its log.
func addend(r *wire.Record) (lo, hi uint64) {
	h := r.Hash()
	return binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])
}

func (l *log) get(v wire.Version) *wire.Record {
	if at, ok := l.find(v); ok {
		return l.recs[at]
	}
	return nil
}

// covers reports whether a mark says that all up to v has been had. Of two starts of
// one peer with one incarnation, which a cloned key or a lost disk brings about,
// neither knows what the other wrote: the mark of one says nothing of the other, until
// one of them has taken a greater incarnation.
func covers(mark, v wire.Version) bool {
	if v.Inc != mark.Inc {
		return v.Inc < mark.Inc
	}
	return v.Nonce == mark.Nonce && v.Seq <= mark.Seq
}

// raise lifts the mark; it never falls.
func (l *log) raise(v wire.Version) bool {
	if v.Compare(l.mark) <= 0 {
		return false
	}
	l.mark = v
	return true
}

// summary returns the mark with its sum. The sum adds record hashes, so it does
// not depend on order and can hold any number of them.
func (l *log) summary() wire.Mark {
	m := wire.Mark{UpTo: l.number(l.mark), Count: uint32(len(l.recs))}
	binary.BigEndian.PutUint64(m.Sum[:8], l.lo)
	binary.BigEndian.PutUint64(m.Sum[8:], l.hi)
	return m
}

// isEmpty reports whether nothing was ever held or dropped of the issuer.
func (l *log) isEmpty() bool { return len(l.recs) == 0 && l.mark == wire.Version{} }

func (l *log) number(v wire.Version) wire.Number {
	return wire.Number{Issuer: l.issuer, Inc: v.Inc, Nonce: v.Nonce, Seq: v.Seq}
}

func (l *log) versions() []wire.Version {
	out := make([]wire.Version, len(l.recs))
	for i, r := range l.recs {
		out[i] = r.Num.Version()
	}
	return out
}

// sums holds all logs in the order of their issuers, and what they add up to, so
// that a Digest costs what has changed and not what is held.
type sums struct {
	logs    []*log // by issuer
	stale   []*log
	total   [2]uint64
	buckets [maxBuckets]uint64 // the low halves of the parts, by the low byte of the tag
	clock   uint64             // counts changes of logs
	held    [2]uint64          // over the hashes of all records
	ids     *sketch.Set        // of the records held, once that was asked for
}

// lookLog returns an issuer's log, or nil. Records of one issuer often come one after
// another, and each is looked up several times: the last log found is kept.
func (s *State) lookLog(p wire.PeerID) *log {
	if s.recent.log != nil && s.recent.log.issuer == p {
		return s.recent.log
	}
	l := s.logs[p]
	if l != nil {
		s.recent.log = l
	}
	return l
}

// logOf returns an issuer's log, making it if need be. A log is never taken away.
func (s *State) logOf(p wire.PeerID) *log {
	l := s.lookLog(p)
	if l == nil {
		l = &log{issuer: p, tag: tagOf(p)}
		s.logs[p] = l
		at, _ := slices.BinarySearchFunc(s.sums.logs, p, func(l *log, p wire.PeerID) int { return l.issuer.Compare(p) })
		s.sums.logs = slices.Insert(s.sums.logs, at, l)
	}
	return l
}

func (s *State) logAdd(r *wire.Record) {
	l := s.logOf(r.Num.Issuer)
	if l.add(r) {
		s.sums.came(r)
	}
	s.sums.changed(l)
}

func (s *State) logRemove(r *wire.Record) {
	l := s.logOf(r.Num.Issuer)
	if l.remove(r) {
		s.sums.went(r)
	}
	s.sums.changed(l)
}

func (t *sums) came(r *wire.Record) {
	lo, hi := addend(r)
	t.held[0], t.held[1] = t.held[0]+lo, t.held[1]+hi
	if t.ids != nil {
		t.ids.Add(idOf(r))
	}
}

func (t *sums) went(r *wire.Record) {
	lo, hi := addend(r)
	t.held[0], t.held[1] = t.held[0]-lo, t.held[1]-hi
	if t.ids != nil {
		t.ids.Remove(idOf(r))
	}
}

func (t *sums) changed(l *log) {
	t.clock++
	l.at = t.clock
	if !l.stale {
		l.stale = true
		t.stale = append(t.stale, l)
	}
}

// sum brings the total up to date and returns it. Each log adds a hash of its
// summary; one that is empty adds nothing, whether it is kept or not.
func (t *sums) sum() [2]uint64 {
	for _, l := range t.stale {
		l.stale = false
		var now [2]uint64
		if !l.isEmpty() {
			h := wire.HashOf(appendMark(nil, l.summary()))
			now = [2]uint64{binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])}
		}
		for i := range now {
			t.total[i] += now[i] - l.part[i]
		}
		t.buckets[l.tag%maxBuckets] += now[0] - l.part[0]
		l.part = now
	}
	t.stale = t.stale[:0]
	return t.total
}

// appendMark appends a mark in a fixed layout.
func appendMark(b []byte, m wire.Mark) []byte {
	b = append(b, m.UpTo.Issuer[:]...)
	b = binary.BigEndian.AppendUint32(b, m.UpTo.Inc)
	b = binary.BigEndian.AppendUint64(b, m.UpTo.Nonce)
	b = binary.BigEndian.AppendUint64(b, m.UpTo.Seq)
	b = append(b, m.Sum[:]...)
	return binary.BigEndian.AppendUint32(b, m.Count)
}
