package ledger

import (
	"encoding/binary"
	"slices"

	"shoal/wire"
)

// A log is what a peer holds of one issuer, by number, and the mark: the number
// up to which it has had all that was live. A number at or below the mark that
// is not held has been dropped.
type log struct {
	issuer wire.PeerID
	recs   []*wire.Record
	mark   wire.Version
	sum    [16]byte // over all records held
	fresh  bool     // sum is right
}

func (l *log) find(v wire.Version) (int, bool) {
	return slices.BinarySearchFunc(l.recs, v, func(r *wire.Record, v wire.Version) int {
		return r.Num.Version().Compare(v)
	})
}

func (l *log) add(r *wire.Record) {
	at, found := l.find(r.Num.Version())
	if found && l.recs[at].Hash() == r.Hash() {
		return
	}
	l.recs = slices.Insert(l.recs, at, r)
	l.fresh = false
}

func (l *log) remove(r *wire.Record) {
	l.recs = slices.DeleteFunc(l.recs, func(x *wire.Record) bool { return x == r })
	l.fresh = false
}

func (l *log) get(v wire.Version) *wire.Record {
	if at, ok := l.find(v); ok {
		return l.recs[at]
	}
	return nil
}

// raise lifts the mark; it never falls.
func (l *log) raise(v wire.Version) bool {
	if v.Compare(l.mark) <= 0 {
		return false
	}
	l.mark = v
	l.fresh = false
	return true
}

// summary returns the mark with its sum. The sum adds record hashes, so it does
// not depend on order and can hold any number of them.
func (l *log) summary() wire.Mark {
	if !l.fresh {
		var lo, hi uint64
		for _, r := range l.recs {
			h := r.Hash()
			lo += binary.BigEndian.Uint64(h[:8])
			hi += binary.BigEndian.Uint64(h[8:16])
		}
		binary.BigEndian.PutUint64(l.sum[:8], lo)
		binary.BigEndian.PutUint64(l.sum[8:], hi)
		l.fresh = true
	}
	return wire.Mark{UpTo: l.number(l.mark), Sum: l.sum, Count: uint32(len(l.recs))}
}

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
