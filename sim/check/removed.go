package check

import (
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// Removed is S8: what was removed stays removed. In no running peer does a job's
// (life, deleted) fall: it looks at a job whenever a head of it comes or goes, and at
// all of them once a second where heads have changed, for rights decide whose count. A power cut may take back what a peer had merely heard, so
// over a restart that holds of the swarm: once it is calm again, no life whose
// removal was accepted, on a store that is there, is wanted or runs anywhere.
type Removed struct {
	hosts   []map[job.ID]stand
	seen    []uint64 // by host: the version of the heads that were all looked at
	heads   heads
	removed map[job.ID]removal
	now     time.Duration
	looks   uint64
}

// A stand is how far a job has come on one host.
type stand struct {
	life    uint64
	deleted bool
}

type removal struct {
	life   uint64
	stores []wire.PeerID
	at     time.Duration
}

// NewRemoved returns the checker.
func NewRemoved() *Removed { return &Removed{removed: map[job.ID]removal{}} }

// Rule implements Checker.
func (*Removed) Rule() string { return "S8" }

// Compared implements Counter: jobs looked at on a host.
func (r *Removed) Compared() uint64 { return r.looks }

func (r *Removed) grow(h Host) {
	for len(r.hosts) <= h.Index() {
		r.hosts = append(r.hosts, map[job.ID]stand{})
		r.seen = append(r.seen, 0)
	}
}

// Wrote implements WriteWatcher.
func (r *Removed) Wrote(h Host, writes []node.Write) error {
	ids, l := r.heads.wrote(h, writes), h.Ledger()
	if len(ids) == 0 || l == nil {
		return nil
	}
	r.grow(h)
	return r.look(h, l, ids)
}

// Tick implements Ticker.
func (r *Removed) Tick(w World) error {
	r.now = w.Now()
	for _, h := range w.Hosts() {
		r.grow(h)
		l := h.Ledger()
		if l == nil || r.seen[h.Index()] == l.HeadsVersion() {
			continue
		}
		r.seen[h.Index()] = l.HeadsVersion()
		if err := r.look(h, l, l.Jobs()); err != nil {
			return err
		}
	}
	return nil
}

// look compares how far some jobs have come on a host with how far they had.
func (r *Removed) look(h Host, l *ledger.State, ids []job.ID) error {
	before := r.hosts[h.Index()]
	if h.Tainted() {
		return nil // of two logs under one name each drops what the other has
	}
	for _, id := range ids {
		head, old := l.Head(id), before[id]
		if head == nil {
			continue
		}
		r.looks++
		if head.Life < old.life || head.Life == old.life && old.deleted && !head.Deleted {
			return violation("S8", "on %s %s is back in life %d (deleted: %v) after life %d (deleted: %v)",
				h.Name(), id, head.Life, head.Deleted, old.life, old.deleted)
		}
		if gone := l.RemovedLife(id); head.Life <= gone {
			return violation("S8", "%s holds life %d of %s, and every life up to %d is over", h.Name(), head.Life, id, gone)
		}
		before[id] = stand{head.Life, head.Deleted}
	}
	return nil
}

// Replied implements ReplyWatcher.
func (r *Removed) Replied(_ Host, asked *node.Request, rep *node.Reply) error {
	if asked.Remove == nil || rep.Err != "" {
		return nil
	}
	if id := asked.Remove.Job; rep.Life >= r.removed[id].life {
		r.removed[id] = removal{rep.Life, slices.Clone(rep.Stores), r.now}
	}
	return nil
}

// stopBound is how long after its removal a job's containers may take to stop: the
// grace of each, and the way of the word.
const stopBound = 30 * time.Second

// isStored reports whether a removal was on the store of somebody who is here, so that
// the others have heard of it, and whose key nobody else uses: of two logs under one name
// each drops what the other has.
func isStored(w World, gone *removal) bool {
	return slices.ContainsFunc(w.Hosts(), func(h Host) bool {
		return !h.Shared() && h.Counts() && slices.Contains(gone.stores, h.Peer())
	})
}

// Finish implements Finisher.
func (r *Removed) Finish(w World) error {
	for _, h := range w.Hosts() {
		l := h.Ledger()
		if l == nil || !h.Counts() {
			continue
		}
		for _, id := range l.Jobs() {
			gone := r.removed[id]
			if head := l.Head(id); isStored(w, &gone) && !head.Deleted && head.Life <= gone.life {
				return violation("S8", "%s wants %s in life %d, whose removal was accepted", h.Name(), id, head.Life)
			}
		}
		for _, c := range h.Containers() {
			gone := r.removed[c.Ref.Slot.Job]
			if w.Now()-max(gone.at, h.Since()) < stopBound {
				continue // it may still be stopping
			}
			if isStored(w, &gone) && c.Ref.Life <= gone.life && c.State == runtime.StateRunning && h.EngineWorks() && !h.Shared() {
				return violation("S8", "%s runs %s of life %d, whose removal was accepted", h.Name(), c.Ref.Slot, c.Ref.Life)
			}
		}
	}
	return nil
}

// Booted implements LifeWatcher: what was only heard may be gone.
func (r *Removed) Booted(h Host) {
	r.grow(h)
	r.seen[h.Index()] = 0
	clear(r.hosts[h.Index()])
	r.heads.reload(h)
}

// DiskLost implements LifeWatcher.
func (r *Removed) DiskLost(h Host) {
	for id, gone := range r.removed {
		gone.stores = slices.DeleteFunc(gone.stores, func(p wire.PeerID) bool { return p == h.Peer() })
		r.removed[id] = gone
	}
}
