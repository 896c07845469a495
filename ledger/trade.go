package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"shoal/job"
	"shoal/ledger/sketch"
	"shoal/wire"
)

// Ledgers that differ a little are made equal in four messages whose size follows
// the difference: Digest, Sketch, Trade, Settle. The rules are those of an exchange
// by Vector and Lists; only how the two find out what differs is another way.
//
// The one who answers the Digest sends coded symbols of all it holds and, for each
// bucket of issuers, a sum of its marks. The one who opened makes out the records
// that only one of the two has, gives its own with its marks, and asks for the
// others. The first then knows all: it keeps or refuses by its own marks, gives or
// drops by those of the other, and says which.
//
// It speaks for the state of its Sketch. Of a log that has changed since it says no
// mark and drops nothing, since the other has not seen all that its mark now covers.
//
// A sketch proves nothing (see package sketch). The Trade therefore has a sum over all
// that its sender holds, 16 bytes of each record's hash and not 6: if that is not what
// the other held, with what was given and without what was asked for, nobody raises a
// mark or drops a record, and an exchange by Vector follows. So it does where symbols
// cannot be read, ask for what nobody has, or explain nothing.

// ErrUnclear means that a Sketch does not tell what differs. It is nobody's fault.
var ErrUnclear = errors.New("the sketch does not tell what differs")

// Buckets of issuers in a Sketch, powers of two.
const (
	minBuckets = 16
	maxBuckets = 256
)

// A Trade is one that was made, with what is needed to read the answer.
type Trade struct {
	Msg   *wire.Trade
	marks []wire.Number // as in Msg
}

// tagOf names an issuer among those that two peers know.
func tagOf(p wire.PeerID) uint64 { return wire.Order("shoal/issuer", p) }

// idOf names a record in a sketch: the first bytes of its hash.
func idOf(r *wire.Record) uint64 {
	lo, _ := addend(r)
	return lo >> (64 - 8*sketch.IDSize)
}

// sketch returns the standing sketch of what is held; the first call makes it.
func (s *State) sketch() *sketch.Set {
	if s.sums.ids == nil {
		s.sums.ids = new(sketch.Set)
		for _, l := range s.sums.logs {
			for _, r := range l.recs {
				s.sums.ids.Add(idOf(r))
			}
		}
	}
	return s.sums.ids
}

// Parity tells another peer about how much its ledger differs from this one.
func (s *State) Parity() []byte { return s.sketch().Parity().Bytes() }

// A Moment is the state of a ledger that a Sketch tells of.
type Moment struct {
	clock uint64
	held  [2]uint64
}

// Sketch answers the parity of a Digest. It is nil if the other does not take
// sketches or the difference is too great for one. The Moment is for Settle.
func (s *State) Sketch(parity []byte) (*wire.Sketch, Moment) {
	theirs, ok := sketch.ParseParity(parity)
	if !ok {
		return nil, Moment{}
	}
	apart, ok := s.sketch().Parity().Apart(theirs)
	enough := sketch.Enough(apart)
	if !ok || enough > sketch.Standing {
		return nil, Moment{}
	}
	buckets := minBuckets
	for buckets < maxBuckets && buckets < len(s.sums.logs) {
		buckets *= 2
	}
	m := &wire.Sketch{Sums: s.sums.fold(buckets), Symbols: s.sketch().Symbols(enough)}
	return m, Moment{s.sums.clock, s.sums.held}
}

// fold returns the sums of the buckets, n of them, two bytes each.
func (t *sums) fold(n int) []byte {
	t.sum()
	b := make([]byte, 0, 2*n)
	for i := range n {
		var total uint64
		for j := i; j < len(t.buckets); j += n {
			total += t.buckets[j]
		}
		b = binary.BigEndian.AppendUint16(b, uint16(total>>48))
	}
	return b
}

// within returns the logs of the buckets whose bits are set, by issuer.
func (t *sums) within(bits []byte) []*log {
	var out []*log
	n := uint64(len(bits)) * 8
	for _, l := range t.logs {
		if bit := l.tag % n; bits[bit/8]&(1<<(bit%8)) != 0 && !l.isEmpty() {
			out = append(out, l)
		}
	}
	return out
}

func isBuckets(n int) bool { return n >= minBuckets && n <= maxBuckets && n&(n-1) == 0 }

// Trade answers a Sketch. It returns wire.ErrInvalid for one that no peer sends, and
// ErrUnclear where an exchange by Vector must follow.
func (s *State) Trade(m *wire.Sketch) (*Trade, error) {
	if n := len(m.Sums); n%2 != 0 || !isBuckets(n/2) {
		return nil, fmt.Errorf("sketch: %w: %d bytes of sums, want two for each of 16, 32 … 256 buckets", wire.ErrInvalid, n)
	}
	theirs, mine, err := s.sketch().Decode(m.Symbols)
	switch {
	case errors.Is(err, sketch.ErrMalformed):
		return nil, fmt.Errorf("sketch: %w: %d bytes of symbols: %w", wire.ErrInvalid, len(m.Symbols), err)
	case err != nil:
		return nil, ErrUnclear
	}
	ours := s.sums.fold(len(m.Sums) / 2)
	bits := make([]byte, len(m.Sums)/16)
	differ := false
	for i := range len(m.Sums) / 2 {
		if m.Sums[2*i] != ours[2*i] || m.Sums[2*i+1] != ours[2*i+1] {
			bits[i/8] |= 1 << (i % 8)
			differ = true
		}
	}
	logs := s.sums.within(bits)
	recs, all := find(logs, mine)
	if !differ || !all {
		return nil, ErrUnclear
	}
	t := &Trade{Msg: &wire.Trade{Buckets: bits, Sum: sumBytes(s.sums.held)}}
	d, size := &wire.Delta{}, 0
	for _, r := range recs {
		addTo(d, r, &size)
	}
	t.Msg.Records, t.Msg.More = d.Records, d.More
	for _, l := range logs {
		t.marks = append(t.marks, l.number(l.mark))
		t.Msg.Marks = appendShort(t.Msg.Marks, l)
	}
	for _, id := range theirs {
		t.Msg.Want = sketch.AppendID(t.Msg.Want, id)
	}
	return t, nil
}

// find returns the records of some logs that ids name, in the order of the logs, and
// whether there is one for each. Ids are sorted.
func find(logs []*log, ids []uint64) (recs []*wire.Record, all bool) {
	if len(ids) == 0 {
		return nil, true
	}
	found := make([]bool, len(ids))
	left := len(ids)
	for _, l := range logs {
		for _, r := range l.recs {
			at, ok := slices.BinarySearch(ids, idOf(r))
			if !ok {
				continue
			}
			recs = append(recs, r)
			if !found[at] {
				found[at] = true
				left--
			}
		}
	}
	return recs, left == 0
}

// appendShort appends a log's mark as a Trade carries it.
func appendShort(b []byte, l *log) []byte {
	b = binary.BigEndian.AppendUint64(b, l.tag)
	b = binary.AppendUvarint(b, uint64(l.mark.Inc))
	b = binary.BigEndian.AppendUint64(b, l.mark.Nonce)
	return binary.AppendUvarint(b, l.mark.Seq)
}

// A shortMark is a mark of an issuer that only its tag names.
type shortMark struct {
	tag  uint64
	upTo wire.Version
}

func readShort(b []byte) (out []shortMark, err error) {
	bad := func() ([]shortMark, error) {
		return nil, fmt.Errorf("trade: %w: mark %d is cut short, twice there or beyond its bounds", wire.ErrInvalid, len(out)+1)
	}
	seen := map[uint64]bool{}
	for len(b) > 0 {
		if len(b) < 8 {
			return bad()
		}
		m := shortMark{tag: binary.BigEndian.Uint64(b)}
		inc, n := binary.Uvarint(b[8:])
		if n <= 0 || inc > 1<<32-1 || len(b) < 8+n+8 || seen[m.tag] {
			return bad()
		}
		b = b[8+n:]
		seq, n := binary.Uvarint(b[8:])
		if n <= 0 {
			return bad()
		}
		m.upTo = wire.Version{Inc: uint32(inc), Nonce: binary.BigEndian.Uint64(b), Seq: seq}
		b = b[8+n:]
		seen[m.tag] = true
		out = append(out, m)
	}
	return out, nil
}

// Settle answers a Trade on the Sketch of a moment. It merges what the Trade brings,
// drops what the other has dropped, raises the marks, and returns the records that
// were new. On an invalid Trade or record it drops and raises nothing.
func (s *State) Settle(t *wire.Trade, then Moment) (*wire.Settle, []*wire.Record, error) {
	if !isBuckets(len(t.Buckets)*8) || len(t.Want)%sketch.IDSize != 0 {
		return nil, nil, fmt.Errorf("trade: %w: %d bytes of buckets, %d of ids", wire.ErrInvalid, len(t.Buckets), len(t.Want))
	}
	theirs, err := readShort(t.Marks)
	if err != nil {
		return nil, nil, err
	}
	logs := s.sums.within(t.Buckets)
	wanted, all := find(logs, readIDs(t.Want))
	exact := all && !t.More && then.explains(t, wanted)
	m := &wire.Settle{Gone: s.gone(t.Records, then.clock)}
	says, others := answerMarks(logs, theirs, then.clock)

	fresh, err := s.Absorb(&wire.Delta{Records: t.Records, More: t.More}, nil)
	if err != nil {
		return nil, fresh, err
	}
	m.Over = s.addRemoved(m.Gone, t.Records)
	upTo := s.byIssuer(theirs, says)
	m.Marks, m.Others = appendSays(nil, says), others
	given := &wire.Delta{More: !exact}
	drops := s.sort(wanted, upTo, given)
	m.Records, m.More = given.Records, given.More
	if !exact {
		return m, fresh, nil
	}
	for _, r := range drops {
		if !slices.ContainsFunc(t.Records, func(x *wire.Record) bool { return x.Num == r.Num }) && s.isOnly(r) {
			s.dropBy(r)
		}
	}
	for _, l := range slices.Clone(s.sums.logs) {
		if v, ok := upTo[l.issuer]; ok {
			s.raise(l.number(v))
		}
	}
	return m, fresh, nil
}

// explains reports whether what was held at the Sketch, with what a Trade gives and
// without what it wants, is what its sender holds.
func (then Moment) explains(t *wire.Trade, wanted []*wire.Record) bool {
	sum := then.held
	for _, r := range t.Records {
		lo, hi := addend(r)
		sum[0], sum[1] = sum[0]+lo, sum[1]+hi
	}
	for _, r := range wanted {
		lo, hi := addend(r)
		sum[0], sum[1] = sum[0]-lo, sum[1]-hi
	}
	return sumBytes(sum) == t.Sum
}

func sumBytes(sum [2]uint64) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], sum[0])
	binary.BigEndian.PutUint64(b[8:], sum[1])
	return b
}

// readIDs returns the ids in b, sorted; its length is a multiple of sketch.IDSize.
func readIDs(b []byte) (ids []uint64) {
	for ; len(b) > 0; b = b[sketch.IDSize:] {
		ids = append(ids, sketch.ID(b))
	}
	slices.Sort(ids)
	return ids
}

// sort gives what is wanted, and returns what the other wants because it has dropped
// it and not because it lacks it. upTo are the other's marks.
func (s *State) sort(wanted []*wire.Record, upTo map[wire.PeerID]wire.Version, given *wire.Delta) (drops []*wire.Record) {
	size := 0
	for _, r := range wanted {
		switch {
		case !s.holds(r): // what they gave has beaten it
		case covers(upTo[r.Num.Issuer], r.Num.Version()):
			drops = append(drops, r)
		default:
			addTo(given, r, &size)
		}
	}
	return drops
}

// isOnly reports whether no other record has this one's number.
func (s *State) isOnly(r *wire.Record) bool {
	l := s.lookLog(r.Num.Issuer)
	at, _ := l.find(r.Num.Version())
	return at+1 >= len(l.recs) || l.recs[at+1].Num != r.Num
}

// byIssuer names the issuers of marks that are known here. One that the records of
// the Trade have made known is unknown no more.
func (s *State) byIssuer(marks []shortMark, says []uint64) map[wire.PeerID]wire.Version {
	byTag := make(map[uint64]int, len(marks))
	for i, m := range marks {
		byTag[m.tag] = i
	}
	out := make(map[wire.PeerID]wire.Version, len(marks))
	for _, l := range s.sums.logs {
		if i, ok := byTag[l.tag]; ok {
			out[l.issuer] = marks[i].upTo
			says[i] = max(says[i], saysNothing)
		}
	}
	return out
}

// gone tells which of the other's records have been dropped here: one bit each. One
// of a log that has changed since the sketch is left for the next exchange: what has
// beaten it may have come since, and the other does not have it.
func (s *State) gone(recs []*wire.Record, since uint64) []byte {
	bits := make([]byte, (len(recs)+7)/8)
	for i, r := range recs {
		l := s.lookLog(r.Num.Issuer)
		if l != nil && l.at <= since && covers(l.mark, r.Num.Version()) && l.get(r.Num.Version()) == nil {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}

// addRemoved adds to what is gone what belongs to a life that was removed here. No
// mark need cover it: where the issuer was gone before it could vouch for its number,
// nobody's does. For each that is gone it tells the greatest removed life of its job:
// who has been away must open the next one above that.
func (s *State) addRemoved(bits []byte, recs []*wire.Record) (over []byte) {
	for i, r := range recs {
		id, life, ok := lifeOf(r)
		if ok && life <= s.removed[id] && !s.holds(r) {
			bits[i/8] |= 1 << (i % 8)
		}
		if bits[i/8]&(1<<(i%8)) != 0 {
			over = binary.AppendUvarint(over, s.removed[id])
		}
	}
	return over
}

// MaxLife bounds the lives that another's word is taken for.
const MaxLife = 1 << 48

// believed returns which of the records offered are to be dropped because the other
// has dropped them, and the removed lives of their jobs. It says so by its marks, as
// ever, or because it remembers a life as removed: that alone, which nobody has signed,
// counts only for a life that is known here to be over.
func (s *State) believed(recs []*wire.Record, marks []wire.Mark, m *wire.Settle) (gone []wire.Number, lives map[job.ID]uint64) {
	upTo := make(map[wire.PeerID]wire.Version, len(marks))
	for i := range marks {
		upTo[marks[i].UpTo.Issuer] = marks[i].UpTo.Version()
	}
	lives = map[job.ID]uint64{}
	over := m.Over
	for i, r := range recs {
		if i/8 >= len(m.Gone) || m.Gone[i/8]&(1<<(i%8)) == 0 {
			continue
		}
		removed, n := binary.Uvarint(over)
		over = over[max(n, 0):]
		id, life, ofLife := lifeOf(r)
		if !covers(upTo[r.Num.Issuer], r.Num.Version()) && !(ofLife && s.isOver(id, life)) {
			continue
		}
		gone = append(gone, r.Num)
		if ofLife && n > 0 && removed < MaxLife {
			lives[id] = max(lives[id], removed)
		}
	}
	return gone, lives
}

// isOver reports whether a head that is held shows that a life of a job has ended.
func (s *State) isOver(id job.ID, life uint64) bool {
	h := s.Head(id)
	return h != nil && (h.Life > life || h.Life == life && h.Deleted)
}

// Answers to one mark of a Trade; any greater number is a sequence plus saysSeq.
const (
	saysUnknown = 0 // no such issuer here
	saysNothing = 1 // its log has changed since the sketch, or the mark is in Others
	saysSeq     = 2
)

// answerMarks answers their marks in order, and gives in full what cannot be said
// that way. A log that has changed since the Sketch is not spoken of.
func answerMarks(logs []*log, theirs []shortMark, since uint64) (says []uint64, others []wire.Number) {
	at := make(map[uint64]int, len(theirs))
	for i, m := range theirs {
		at[m.tag] = i
	}
	says = make([]uint64, len(theirs))
	for _, l := range logs {
		i, ok := at[l.tag]
		if ok {
			says[i] = saysNothing
		}
		switch {
		case l.at > since || l.mark == wire.Version{}:
		case ok && l.mark.Inc == theirs[i].upTo.Inc && l.mark.Nonce == theirs[i].upTo.Nonce:
			says[i] = l.mark.Seq + saysSeq
		default:
			others = append(others, l.number(l.mark))
		}
	}
	return says, others
}

func appendSays(b []byte, says []uint64) []byte {
	for _, n := range says {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// Conclude takes in the answer to a Trade. It returns the records that were new, and
// whether something was left that an exchange by Vector must find: nothing that the
// sketch showed differs, the other does not know an issuer, or the answer is cut.
func (s *State) Conclude(t *Trade, m *wire.Settle) (fresh []*wire.Record, left bool, err error) {
	d := &wire.Delta{Records: m.Records, More: m.More}
	moved := len(t.Msg.Records)+len(t.Msg.Want) > 0
	for i, b := 0, m.Marks; i < len(t.marks); i++ {
		says, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false, fmt.Errorf("settle: %w: %d marks, %d are answered", wire.ErrInvalid, len(t.marks), i)
		}
		b = b[n:]
		mark := t.marks[i]
		switch {
		case says == saysUnknown:
			left = true
		case says >= saysSeq:
			moved = moved || mark.Seq != says-saysSeq
			mark.Seq = says - saysSeq
			d.Marks = append(d.Marks, wire.Mark{UpTo: mark})
		}
	}
	for _, n := range m.Others {
		moved = true
		d.Marks = append(d.Marks, wire.Mark{UpTo: n})
	}
	gone, lives := s.believed(t.Msg.Records, d.Marks, m)
	d.Drop = gone
	fresh, err = s.Absorb(d, nil)
	if err == nil && !m.More {
		for _, id := range slices.Sorted(maps.Keys(lives)) {
			if lives[id] > s.removed[id] {
				s.Remove(id, lives[id])
			}
		}
	}
	return fresh, left || !moved || m.More, err
}
