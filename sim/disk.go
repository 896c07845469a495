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
	records recordSet
	locals  map[string][]byte
	pending []node.Write
	version uint64 // grows with every write
}

func newDisk() *disk {
	return &disk{records: newRecordSet(), locals: map[string][]byte{}}
}

// maxUnsynced is how many writes wait at most for a sync that nobody asks for: the
// operating system writes back by itself what is old.
const maxUnsynced = 512

// append writes without syncing.
func (d *disk) append(writes []node.Write) {
	if len(writes) == 0 {
		return
	}
	d.pending = append(d.pending, writes...)
	d.version++
	if old := len(d.pending) - maxUnsynced; old >= maxUnsynced {
		for i := range d.pending[:old] {
			d.apply(&d.pending[i])
		}
		d.pending = slices.Delete(d.pending, 0, old)
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
		d.records.put(w.Put)
	case w.Drop != nil:
		d.records.drop(*w.Drop)
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
			d.records.drop(rec.Num)
			lost++
		}
	}
	d.version++
	return lost
}

// clone copies the disk, as an image written to a second card does.
func (d *disk) clone() *disk {
	d.sync()
	return &disk{records: d.records.clone(), locals: maps.Clone(d.locals), version: d.version + 1}
}

// stored is what a starting daemon reads. The records are handed on by pointer:
// they are immutable and shared between all machines.
func (d *disk) stored() node.Stored {
	d.sync()
	s := node.Stored{Records: make([]*wire.Record, 0, d.records.count), Locals: maps.Clone(d.locals)}
	d.records.each(func(r *wire.Record) { s.Records = append(s.Records, r) })
	return s
}

// all calls f with every record written, synced or not, by number.
func (d *disk) all(f func(*wire.Record)) {
	if len(d.pending) == 0 {
		d.records.each(f)
		return
	}
	now := disk{records: d.records.clone(), locals: map[string][]byte{}, pending: slices.Clone(d.pending)}
	now.sync()
	now.all(f)
}

// ofJobs calls f with every head and spec written, synced or not, in no order.
func (d *disk) ofJobs(f func(*wire.Record)) {
	gone := map[wire.Number]bool{}
	for i := len(d.pending) - 1; i >= 0; i-- { // the last word on a number counts
		switch w := &d.pending[i]; {
		case w.Drop != nil:
			gone[*w.Drop] = true
		case w.Put != nil && isOfJob(w.Put) && !gone[w.Put.Num]:
			gone[w.Put.Num] = true
			f(w.Put)
		}
	}
	for n, r := range d.records.jobs {
		if !gone[n] {
			f(r)
		}
	}
}

// holds reports whether a record is synced.
func (d *disk) holds(n wire.Number) bool { return d.records.has(n) }

// pends reports whether a record is written and not yet synced.
func (d *disk) pends(n wire.Number) bool {
	return slices.ContainsFunc(d.pending, func(w node.Write) bool { return w.Put != nil && w.Put.Num == n })
}
