package check

import (
	"fmt"
	"time"

	"shoal/ledger"
)

// Rollout is V2 for updates: every slot that is held comes to run the spec its head
// wants. Nothing is asked of a task of which some slot holds the others up: its
// holder is down, its engine silent, it is being drained, or it does not serve.
type Rollout struct{}

// Rule implements Checker.
func (Rollout) Rule() string { return "V2" }

// Bound implements Progress: slots move one after the other, and each may take its
// grace to stop, an image to fetch and its time to serve.
func (Rollout) Bound() time.Duration { return 200 * time.Second }

// Unmet implements Progress.
func (Rollout) Unmet(w World) string {
	l := anyLedger(w)
	if l == nil {
		return ""
	}
	for _, id := range l.Jobs() {
		for _, want := range l.Wanted(id) {
			if why := behind(w, l, &want); why != "" {
				return why
			}
		}
	}
	return ""
}

// behind names a slot of a task that runs another spec than is wanted, or "".
func behind(w World, l *ledger.State, want *ledger.Wanted) (why string) {
	if want.Paused {
		return ""
	}
	for slot := range want.Slots {
		c := l.Winner(slot)
		if c == nil {
			continue
		}
		h := hostOf(w, c)
		if h == nil || !h.EngineWorks() || c.Leaving || c.NotServing || c.Phase == ledger.Backoff {
			return ""
		}
		if c.Spec != want.Spec && why == "" {
			why = fmt.Sprintf("%s holds %s (%v, token %d) on an earlier spec than its head's", h.Name(), slot, c.Phase, c.Token)
		}
	}
	return why
}

// hostOf returns the host that holds a claim, if it counts.
func hostOf(w World, c *ledger.Claim) Host {
	for _, h := range w.Hosts() {
		if h.Peer() == c.Peer && h.Counts() && !h.Shared() {
			return h
		}
	}
	return nil
}
