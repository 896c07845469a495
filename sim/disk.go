package sim

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"

	"shoal/node"
	"shoal/wire"
)

// A disk is what one machine keeps of its peer: what is synced, and the writes
// since, in order. A power cut keeps some prefix of those; a dead daemon loses
// none of them, because the operating system has them.
type disk struct {
	records map[wire.Number]*wire.Record
	locals  map[string][]byte
	pending []node.Write
	version uint64 // grows with every write
}

func newDisk() *disk {
	return &disk{records: map[wire.Number]*wire.Record{}, locals: map[string][]byte{}}
}

// append writes without syncing.
func (d *disk) append(writes []node.Write) {
	if len(writes) > 0 {
		d.pending = append(d.pending, writes...)
		d.version++
	}
}

// sync makes everything written so far durable.
func (d *disk) sync() {
	for i := range d.pending {
		d.apply(&d.pending[i])
	}
	clear(d.pending)
	d.pending = d.pending[:0]
}

func (d *disk) apply(w *node.Write) {
	switch {
	case w.Put != nil:
		d.records[w.Put.Num] = w.Put
	case w.Drop != nil:
		delete(d.records, *w.Drop)
	case w.Local != nil && w.Local.Value == nil:
		delete(d.locals, w.Local.Key)
	case w.Local != nil:
		d.locals[w.Local.Key] = bytes.Clone(w.Local.Value)
	}
}

// tear is the power cut: of the writes not yet synced a prefix of random length is
// kept. It returns how many were lost.
func (d *disk) tear(r *rand.Rand) int {
	keep := r.IntN(len(d.pending) + 1)
	lost := len(d.pending) - keep
	d.pending = d.pending[:keep]
	d.sync()
	d.version++
	return lost
}

// discard loses the last n writes, those of a batch whose sync has failed.
func (d *disk) discard(n int) {
	d.pending = d.pending[:max(0, len(d.pending)-n)]
	d.version++
}

// rot loses every record with probability p; it returns how many were lost.
func (d *disk) rot(r *rand.Rand, p float64) (lost int) {
	for _, rec := range d.stored().Records {
		if chance(r, p) {
			delete(d.records, rec.Num)
			lost++
		}
	}
	d.version++
	return lost
}

// clone copies the disk, as an image written to a second card does.
func (d *disk) clone() *disk {
	d.sync()
	return &disk{records: maps.Clone(d.records), locals: maps.Clone(d.locals), version: d.version + 1}
}

// stored is what a starting daemon reads. The records are handed on by pointer:
// they are immutable and shared between all machines.
func (d *disk) stored() node.Stored {
	d.sync()
	s := node.Stored{Records: make([]*wire.Record, 0, len(d.records)), Locals: maps.Clone(d.locals)}
	for _, r := range d.records {
		s.Records = append(s.Records, r)
	}
	slices.SortFunc(s.Records, func(a, b *wire.Record) int { return a.Num.Compare(b.Num) })
	return s
}

// all calls f with every record written, synced or not, in no order.
func (d *disk) all(f func(*wire.Record)) {
	if len(d.pending) == 0 {
		for _, r := range d.records {
			f(r)
		}
		return
	}
	now := disk{records: maps.Clone(d.records), locals: map[string][]byte{}, pending: slices.Clone(d.pending)}
	now.sync()
	now.all(f)
}

// holds reports whether a record is synced.
func (d *disk) holds(n wire.Number) bool { return d.records[n] != nil }

// pends reports whether a record is written and not yet synced.
func (d *disk) pends(n wire.Number) bool {
	return slices.ContainsFunc(d.pending, func(w node.Write) bool { return w.Put != nil && w.Put.Num == n })
}
