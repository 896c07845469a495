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
// since, in the transactions that the store made of them. A power cut keeps the
// first so many of those, each as a whole: the store's log is read up to the first
// transaction that is not complete. A dead daemon loses none, because the operating
// system has them. See ledger/badger for what the real store promises.
type disk struct {
	records recordSet
	locals  map[string][]byte
	pending []node.Write
	ends    []int // of the transactions in pending, each the index after its last write

	jobs []*wire.Record // heads and specs, synced or not, by number: few, and often asked for

	trouble diskTrouble
}

func newDisk() *disk {
	return &disk{
		locals: map[string][]byte{}, trouble: newDiskTrouble(),
	}
}

// noteJobs keeps up which heads and specs are written.
func (d *disk) noteJobs(writes []node.Write) {
	for i := range writes {
		switch w := &writes[i]; {
		case w.Put != nil && isOfJob(w.Put):
			if at, found := d.findJob(w.Put.Num); found {
				d.jobs[at] = w.Put
			} else {
				d.jobs = slices.Insert(d.jobs, at, w.Put)
			}
		case w.Drop != nil:
			if at, found := d.findJob(*w.Drop); found {
				d.jobs = slices.Delete(d.jobs, at, at+1)
			}
		}
	}
}

func (d *disk) findJob(n wire.Number) (int, bool) {
	return slices.BinarySearchFunc(d.jobs, n, func(r *wire.Record, n wire.Number) int { return r.Num.Compare(n) })
}

// recountJobs is for when synced records were lost, or writes before their sync.
func (d *disk) recountJobs() {
	d.jobs = nil
	d.records.each(func(r *wire.Record) {
		if isOfJob(r) {
			d.jobs = append(d.jobs, r)
		}
	})
}

// maxUnsynced is how many writes wait at most for a sync that nobody asks for: the
// operating system writes back by itself what is old.
const maxUnsynced = 512

// append writes one batch without syncing; small says that the store has the buffers
// of the small profile.
func (d *disk) append(writes []node.Write, small bool) {
	if len(writes) == 0 {
		return
	}
	if len(d.pending) >= 2*maxUnsynced {
		d.writeBack(len(d.pending) - maxUnsynced)
	}
	d.noteJobs(writes)
	if len(writes) <= surelyOne {
		d.pending = append(d.pending, writes...)
		d.ends = append(d.ends, len(d.pending))
		return
	}
	d.appendSplit(writes, small)
}

// writeBack applies the oldest transactions, of at most n writes in all.
func (d *disk) writeBack(n int) {
	done, last := 0, 0
	for last < len(d.ends) && d.ends[last] <= n {
		done = d.ends[last]
		last++
	}
	for i := range d.pending[:done] {
		d.apply(&d.pending[i])
	}
	d.pending = slices.Delete(d.pending, 0, done)
	d.ends = slices.Delete(d.ends, 0, last)
	for i := range d.ends {
		d.ends[i] -= done
	}
}

// sync makes everything written so far durable.
func (d *disk) sync() {
	for i := range d.pending {
		d.apply(&d.pending[i])
	}
	clear(d.pending)
	d.pending, d.ends = d.pending[:0], d.ends[:0]
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

// tear is the power cut: of the transactions not yet synced the first so many are
// kept, how many is chance. It returns how many writes were lost.
func (d *disk) tear(r *rand.Rand) int {
	end := 0
	if keep := r.IntN(len(d.ends) + 1); keep > 0 {
		end = d.ends[keep-1]
	}
	lost := len(d.pending) - end
	d.pending = d.pending[:end]
	d.sync()
	d.recountJobs()
	return lost
}

// rot loses every record with probability p; it returns how many were lost.
func (d *disk) rot(r *rand.Rand, p float64) (lost int) {
	for _, rec := range d.stored().Records {
		if chance(r, p) {
			d.records.drop(rec.Num)
			lost++
		}
	}
	d.recountJobs()
	return lost
}

// clone copies the disk, as an image written to a second card does.
func (d *disk) clone() *disk {
	d.sync()
	c := &disk{
		records: d.records.clone(), locals: maps.Clone(d.locals), jobs: slices.Clone(d.jobs),
		trouble: newDiskTrouble(),
	}
	c.trouble.rotten, c.trouble.promised = maps.Clone(d.trouble.rotten), d.trouble.promised
	if s := d.trouble.shadow; s != nil {
		c.trouble.shadow = s.clone()
	}
	return c
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

// ofJobs calls f with every head and spec written, synced or not, by number.
func (d *disk) ofJobs(f func(*wire.Record)) {
	for _, r := range d.jobs {
		f(r)
	}
}

// holds reports whether a record is synced.
func (d *disk) holds(n wire.Number) bool { return d.records.get(n) != nil }

// pends reports whether a record is written and not yet synced.
func (d *disk) pends(n wire.Number) bool {
	return slices.ContainsFunc(d.pending, func(w node.Write) bool { return w.Put != nil && w.Put.Num == n })
}
