package check

import (
	"fmt"
	"time"

	"shoal/wire"
)

// Ready is the rule on joining: every running peer comes to be ready, where it
// reaches one that is, and alone too if it was ready before and its store has lost
// nothing since. Nothing is asked of one that was removed from the swarm, that has
// stepped back or shares its key, or that was made to forge: others do not listen.
type Ready struct {
	seen []int // by host: ticks at which it was ready, since its disk last lost anything
}

// NewReady returns the checker.
func NewReady() *Ready { return &Ready{} }

// surelyKept is for how many seconds a peer is seen ready until its disk has surely
// been synced with the word of it.
const surelyKept = 10

// Rule implements Checker.
func (*Ready) Rule() string { return "ready" }

// Bound implements Progress: a link is dialled again within seconds, an exchange
// takes a few, and who waits for a ready peer in vain waits 20 s for each in reach.
func (*Ready) Bound() time.Duration { return 60 * time.Second }

// Tick implements Ticker.
func (r *Ready) Tick(w World) error {
	for _, h := range w.Hosts() {
		if n := r.of(h); h.Counts() {
			*n++
		}
	}
	return nil
}

func (r *Ready) of(h Host) *int {
	for len(r.seen) <= h.Index() {
		r.seen = append(r.seen, 0)
	}
	return &r.seen[h.Index()]
}

// Booted implements LifeWatcher.
func (*Ready) Booted(Host) {}

// DiskLost implements LifeWatcher.
func (r *Ready) DiskLost(h Host) { *r.of(h) = 0 }

// Unmet implements Progress.
func (r *Ready) Unmet(w World) string {
	for _, h := range w.Hosts() {
		if !h.Up() || h.Counts() || h.SteppedBack() || h.Shared() || h.Forges(h.Peer()) || isRemoved(w, h.Peer()) {
			continue
		}
		if o := readyNear(w, h); o != nil {
			return fmt.Sprintf("%s is not ready, and reaches %s, which is", h.Name(), o.Name())
		}
		if *r.of(h) >= surelyKept {
			return fmt.Sprintf("%s was ready before, lost nothing, and is not ready again", h.Name())
		}
	}
	return ""
}

// readyNear returns a ready peer that h reaches, nil if there is none.
func readyNear(w World, h Host) Host {
	for _, o := range w.Hosts() {
		if o.Counts() && !o.Shared() && !o.Forges(o.Peer()) && w.Reaches(h.Index(), o.Index()) {
			return o
		}
	}
	return nil
}

// isRemoved reports whether somebody knows that a peer was removed from the swarm.
func isRemoved(w World, p wire.PeerID) bool {
	for _, h := range w.Hosts() {
		if l := h.Ledger(); l != nil && l.IsRevoked(p) {
			return true
		}
	}
	return false
}
