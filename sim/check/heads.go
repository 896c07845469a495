package check

import (
	"slices"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// heads follows, by host, which job each head on the disk is of, so that a write
// tells for which jobs there may be something to look at.
type heads struct {
	of []map[wire.Number]job.ID // by host; nil: not followed
}

// reload follows a host from what is on its disk now.
func (t *heads) reload(h Host) {
	for len(t.of) <= h.Index() {
		t.of = append(t.of, nil)
	}
	t.of[h.Index()] = map[wire.Number]job.ID{}
	h.DiskJobs(func(r *wire.Record) {
		if head := headOf(r); head != nil {
			t.of[h.Index()][r.Num] = head.Job
		}
	})
}

// wrote returns the jobs of which a followed host's disk gets a head or loses one, each
// once, in the order of the writes.
func (t *heads) wrote(h Host, writes []node.Write) (ids []job.ID) {
	if h.Index() >= len(t.of) || t.of[h.Index()] == nil {
		return nil
	}
	known := t.of[h.Index()]
	for i := range writes {
		var id job.ID
		switch w := &writes[i]; {
		case w.Put != nil:
			head := headOf(w.Put)
			if head == nil {
				continue
			}
			id = head.Job
			known[w.Put.Num] = id
		case w.Drop != nil:
			had, ok := known[*w.Drop]
			if !ok {
				continue
			}
			id = had
			delete(known, *w.Drop)
		default:
			continue
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// headOf returns the head that a record holds, or nil.
func headOf(r *wire.Record) *ledger.Head {
	if r.Kind != wire.KindHead || ledger.Open(r) != nil {
		return nil
	}
	h, _ := r.Value.(*ledger.Head)
	return h
}
