package check

import (
	"fmt"

	"shoal/job"
	"shoal/ledger"
)

// Removed is S8: what was removed stays removed. On no peer does a job's (life,
// deleted) fall while its disk lasts, and nobody opens a claim of a removed life.
type Removed struct {
	hosts []map[job.ID]ledger.Head
	seen  []uint64
}

// NewRemoved returns the checker.
func NewRemoved() *Removed { return &Removed{} }

// Rule implements Checker.
func (*Removed) Rule() string { return "S8" }

// Tick implements Ticker.
func (r *Removed) Tick(w World) error {
	for _, h := range w.Hosts() {
		for len(r.hosts) <= h.Index() {
			r.hosts = append(r.hosts, map[job.ID]ledger.Head{})
			r.seen = append(r.seen, 0)
		}
		l := h.Ledger()
		if l == nil || r.seen[h.Index()] == l.Version() {
			continue
		}
		r.seen[h.Index()] = l.Version()
		if err := look(h, l, r.hosts[h.Index()]); err != nil {
			return err
		}
	}
	return nil
}

func look(h Host, l *ledger.State, before map[job.ID]ledger.Head) error {
	for _, id := range l.Jobs() {
		head, old := l.Head(id), before[id]
		if head.Life < old.Life || head.Life == old.Life && old.Deleted && !head.Deleted {
			return &Violation{"S8", fmt.Sprintf("on %s %s is back in life %d (deleted: %v) after life %d (deleted: %v)",
				h.Name(), id, head.Life, head.Deleted, old.Life, old.Deleted)}
		}
		if gone := l.RemovedLife(id); head.Life <= gone {
			return &Violation{"S8", fmt.Sprintf("%s holds life %d of %s, and every life up to %d is over", h.Name(), head.Life, id, gone)}
		}
		before[id] = ledger.Head{Life: head.Life, Deleted: head.Deleted}
	}
	return nil
}

// Booted implements LifeWatcher: a version starts anew with its core.
func (r *Removed) Booted(h Host) {
	if h.Index() < len(r.seen) {
		r.seen[h.Index()] = 0
	}
}

// DiskLost implements LifeWatcher: who lost its disk may have to be told again.
func (r *Removed) DiskLost(h Host) {
	if h.Index() < len(r.hosts) {
		clear(r.hosts[h.Index()])
	}
}
