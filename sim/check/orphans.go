package check

import (
	"time"

	"shoal/node"
	"shoal/runtime"
)

// Orphans is S7: every container with our label belongs to a claim of its peer, or
// is gone in bounded time of a working engine; and none runs once its claim has
// ended, for its room is sold again by then.
type Orphans struct {
	own   own
	since map[string]time.Duration // by host and container: without a claim
}

// NewOrphans returns the checker.
func NewOrphans() *Orphans { return &Orphans{since: map[string]time.Duration{}} }

// orphanBound is the time of a working engine and a running daemon in which a
// container that belongs to no claim must go: a stop may take its grace, and an
// action that a hung engine swallowed its deadline.
const orphanBound = 60 * time.Second

// Rule implements Checker.
func (*Orphans) Rule() string { return "S7" }

// Wrote implements WriteWatcher: a claim that ends must have no running container, as
// far as its daemon could see.
func (o *Orphans) Wrote(h Host, writes []node.Write) error {
	for i := range writes {
		c := o.own.wrote(h, &writes[i])
		if c == nil || !c.Phase.Ended() || h.Shared() || !h.EngineWorks() {
			continue
		}
		for _, x := range h.Containers() {
			if x.State == runtime.StateRunning && x.Ref.Peer == h.Peer() && keyOfRef(&x.Ref) == keyOf(c) && !h.Unseen(x.Container) {
				return violation("S7", "%s ends its claim on %s, token %d, as %v while its container runs", h.Name(), c.Slot, c.Token, c.Phase)
			}
		}
	}
	return nil
}

func keyOfRef(r *runtime.Ref) claimKey { return claimKey{r.Slot, r.Life, r.Token} }

// Tick implements Ticker.
func (o *Orphans) Tick(w World) error {
	for _, h := range w.Hosts() {
		if h.Shared() {
			continue
		}
		claims := o.own.of(h).claims
		for _, x := range h.Containers() {
			c := claims[keyOfRef(&x.Ref)]
			id := h.Name() + " " + x.ID
			owned := c != nil && (!c.Phase.Ended() || x.State != runtime.StateRunning)
			if owned || !h.Up() || !h.EngineWorks() {
				delete(o.since, id)
				continue
			}
			if _, ok := o.since[id]; !ok {
				o.since[id] = w.Now()
			}
			if since := max(o.since[id], h.Since()); w.Now()-since > orphanBound {
				return violation("S7", "%s has container %s (%v, %v) without a claim for %v", h.Name(), x.Container, x.Ref.Slot, x.State, w.Now()-since)
			}
		}
	}
	return nil
}

// Booted implements LifeWatcher.
func (o *Orphans) Booted(h Host) { o.own.reload(h) }

// DiskLost implements LifeWatcher.
func (o *Orphans) DiskLost(h Host) { o.own.reload(h) }
