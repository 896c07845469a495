package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"shoal/node"
	"shoal/wire"
)

// diskTrouble is what is wrong with a disk: room, pace, and what of the synced data
// will not be read back.
type diskTrouble struct {
	free    int64      // bytes
	ballast bool       // the store still has its room kept back
	fills   int64      // bytes that somebody else takes of it each second
	factor  int64      // a sync takes so many times as long; 0: as long as it does
	span    span       // a sync takes this long instead; zero: as long as it does
	rnd     *rand.Rand // for span

	rotten   map[string]bool // keys whose stored value was altered; see recordKey
	shadow   *disk           // the store as it will be found: what came later has rotted away
	promised bool            // a sync has succeeded since shadow was taken
}

const (
	diskTotal = 64 << 30
	diskFree  = 50 << 30
)

func newDiskTrouble() diskTrouble { return diskTrouble{free: diskFree, ballast: true} }

// Transactions of the real store are half of what Badger takes, a sixth of its
// memtable; a record takes at least its signature and its key.
const (
	surelyOne    = 32        // so few writes are one transaction, whatever is in them
	bigTxnBytes  = 300 << 10 // with memtables of 4 MiB
	smallTxnByte = 150 << 10 // with memtables of 2 MiB
)

// appendSplit writes a batch as the store does: puts, drops, locals, in as few
// transactions as it takes.
func (d *disk) appendSplit(writes []node.Write, small bool) {
	limit := bigTxnBytes
	if small {
		limit = smallTxnByte
	}
	size := 0
	for kind := range 3 {
		for i := range writes {
			w := &writes[i]
			if kindOfWrite(w) != kind {
				continue
			}
			d.pending = append(d.pending, *w)
			if size += bytesOf(w); size >= limit {
				d.ends = append(d.ends, len(d.pending))
				size = 0
			}
		}
	}
	if size > 0 || len(d.ends) == 0 {
		d.ends = append(d.ends, len(d.pending))
	}
}

func kindOfWrite(w *node.Write) int {
	switch {
	case w.Put != nil:
		return 0
	case w.Drop != nil:
		return 1
	default:
		return 2
	}
}

// bytesOf is about what a write takes of a transaction, in bytes.
func bytesOf(w *node.Write) int {
	const key, head = 120, 120 // of each entry; of a record's number, rank and signature
	switch {
	case w.Put != nil:
		return key + head + len(w.Put.Body)
	case w.Local != nil:
		return key + len(w.Local.Value)
	default:
		return key
	}
}

// tearOne is a power cut after which, of the transactions that were kept without a
// sync, one is gone from between others: no order of writing explains that, and the
// store's sums show it, so it opens damaged. What a transaction wrote goes together. It
// reports whether there was one to lose.
func (d *disk) tearOne(r *rand.Rand) (lost int, seen bool) {
	written, ends := slices.Clone(d.pending), slices.Clone(d.ends)
	lost = d.tear(r)
	var fresh [][]wire.Number
	for begin := 0; len(ends) > 0 && ends[0] <= len(written)-lost; ends = ends[1:] {
		if put := d.held(written[begin:ends[0]]); len(put) > 0 {
			fresh = append(fresh, put)
		}
		begin = ends[0]
	}
	if len(fresh) == 0 {
		return lost, false
	}
	gone := fresh[r.IntN(len(fresh))]
	for _, n := range gone {
		d.records.drop(n)
	}
	d.recountJobs()
	return lost + len(gone), true
}

// held returns what of some writes is on the disk.
func (d *disk) held(writes []node.Write) (out []wire.Number) {
	for i := range writes {
		if put := writes[i].Put; put != nil && d.records.get(put.Num) != nil {
			out = append(out, put.Num)
		}
	}
	return out
}

// recordKey names an entry of the store; locals have another first letter.
func recordKey(n wire.Number) string {
	return fmt.Sprintf("r%x/%d/%d/%d", n.Issuer[:], n.Inc, n.Nonce, n.Seq)
}

func localKey(key string) string { return "l" + key }

// spoil alters n stored entries, of which the store will know when it next reads
// them. It returns how many there were to alter.
func (d *disk) spoil(r *rand.Rand, n int) int {
	keys := make([]string, 0, d.records.count+len(d.locals))
	d.records.each(func(rec *wire.Record) { keys = append(keys, recordKey(rec.Num)) })
	for k := range d.locals {
		keys = append(keys, localKey(k))
	}
	slices.Sort(keys)
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	n = min(n, len(keys))
	if d.trouble.rotten == nil {
		d.trouble.rotten = map[string]bool{}
	}
	for _, k := range keys[:n] {
		d.trouble.rotten[k] = true
	}
	return n
}

// spoilLog alters the end of the log as it is now: what is written from here on
// cannot be read back.
func (d *disk) spoilLog() {
	if d.trouble.shadow == nil {
		d.trouble.shadow = &disk{records: d.records.clone(), locals: maps.Clone(d.locals)}
		d.trouble.promised = false
	}
}

// touches reports whether a batch overwrites or drops an entry that was altered:
// the store reads it first, sees that, and refuses to write any more.
func (d *disk) touches(writes []node.Write) bool {
	if len(d.trouble.rotten) == 0 {
		return false
	}
	return slices.ContainsFunc(writes, func(w node.Write) bool {
		switch {
		case w.Put != nil:
			return d.trouble.rotten[recordKey(w.Put.Num)]
		case w.Drop != nil:
			return d.trouble.rotten[recordKey(*w.Drop)]
		default:
			return w.Local != nil && d.trouble.rotten[localKey(w.Local.Key)]
		}
	})
}

// open is what a starting daemon's store finds: altered entries are left out, and
// the sums and the chain of promises show that something is missing. It reports
// whether they do.
func (d *disk) open() (damaged bool) {
	d.sync()
	if s := d.trouble.shadow; s != nil {
		d.records, d.locals, damaged = s.records, s.locals, d.trouble.promised
		d.recountJobs()
	}
	var gone []wire.Number
	d.records.each(func(rec *wire.Record) {
		if len(d.trouble.rotten) > 0 && d.trouble.rotten[recordKey(rec.Num)] {
			gone = append(gone, rec.Num)
		}
	})
	for _, num := range gone {
		d.records.drop(num)
		damaged = true
	}
	for k := range d.locals {
		if d.trouble.rotten[localKey(k)] {
			delete(d.locals, k)
			damaged = true
		}
	}
	if damaged {
		d.recountJobs()
	}
	d.trouble.rotten, d.trouble.shadow = nil, nil
	return damaged
}

// Room, as ledger/badger/disk.go has it: below least the store refuses to write and
// to open, below least and ballast it gives the ballast back, and it takes the
// ballast again when it is opened with plenty of room.
const (
	leastRoom      = 32 << 20
	leastRoomSmall = 6 << 20
	ballastBytes   = 16 << 20
	plenty         = 16 * ballastBytes
)

// takes reports whether the store may write a batch: one that drops records and puts
// none needs half as much room.
func (d *disk) takes(writes []node.Write, small bool) bool {
	if d.hasRoom(small) {
		return true
	}
	drops := slices.ContainsFunc(writes, func(w node.Write) bool { return w.Drop != nil })
	puts := slices.ContainsFunc(writes, func(w node.Write) bool { return w.Put != nil })
	return drops && !puts && d.trouble.free >= leastFor(small)/2
}

func leastFor(small bool) int64 {
	if small {
		return leastRoomSmall
	}
	return leastRoom
}

// hasRoom reports whether the store may be opened and written to.
func (d *disk) hasRoom(small bool) bool {
	least, t := leastFor(small), &d.trouble
	if !small && t.free < least+ballastBytes && t.ballast {
		t.free, t.ballast = t.free+ballastBytes, false
	}
	return t.free >= least
}

// takeBallast is for the opening of the store.
func (d *disk) takeBallast(small bool) {
	if t := &d.trouble; !small && !t.ballast && t.free >= plenty {
		t.free, t.ballast = t.free-ballastBytes, true
	}
}

// syncTime is how long a sync takes that takes usual on a sound disk.
func (d *disk) syncTime(usual time.Duration) time.Duration {
	switch t := &d.trouble; {
	case t.span != (span{}):
		return t.span.draw(t.rnd)
	case t.factor > 1:
		return usual * time.Duration(t.factor)
	default:
		return usual
	}
}
