package check

import (
	"fmt"
	"time"

	"shoal/job"
	"shoal/ledger"
)

// Resold is V2 for slots that have failed: one that failed a few times is sold
// again, if a peer has room that has not failed it; of a system task, by its own peer. Nothing is asked of a batch run
// that is not to be repeated, nor while its spec is known to be bad.
type Resold struct{}

// Rule implements Checker.
func (Resold) Rule() string { return "V2" }

// Bound implements Progress: as of Runs. The delays after the failures looked at are
// shorter by far, and a slot that fails for ever is soon past them.
func (Resold) Bound() time.Duration { return 90 * time.Second }

// fewFails is how many failures the last failed claim of a slot may have had before
// it: the next sale then follows within 4 s (1 s, doubled by each).
const fewFails = 2

// Unmet implements Progress.
func (Resold) Unmet(w World) string {
	l := anyLedger(w)
	if l == nil {
		return ""
	}
	for _, id := range l.Jobs() {
		for _, want := range l.Wanted(id) {
			if want.Paused {
				continue
			}
			for slot := range want.Slots {
				if why := unsold(w, l, slot, &want); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

// unsold says that a slot has failed and should have been sold again, or "".
func unsold(w World, l *ledger.State, slot job.SlotID, want *ledger.Wanted) string {
	if l.Winner(slot) != nil {
		return ""
	}
	last := lastOf(l, slot, want.Life)
	if last == nil || last.Phase != ledger.Failed || last.Fails > fewFails || hasRun(l, slot, want) {
		return ""
	}
	h := roomAt(w, l, slot, want.Task)
	if slot.At == "" {
		h = roomWhere(w, l, want.Task, func(h Host) bool {
			return !bound(l, slot, want.Task, h) && !failedOn(l, slot, h)
		})
	}
	if h == nil {
		return ""
	}
	return fmt.Sprintf("%s failed with token %d and is not sold again, and %s has room", slot, last.Token, h.Name())
}

// lastOf returns the claim on a slot with the greatest token in a life, or nil.
func lastOf(l *ledger.State, slot job.SlotID, life uint64) (last *ledger.Claim) {
	for _, c := range l.ClaimsOf(slot) {
		if c.Life == life && (last == nil || c.Token > last.Token) {
			last = c
		}
	}
	return last
}

// hasRun reports whether a batch slot is not to be run again.
func hasRun(l *ledger.State, slot job.SlotID, want *ledger.Wanted) bool {
	for _, c := range l.ClaimsOf(slot) {
		if c.Life == want.Life && want.Task.Type == job.Batch && ledger.IsFinal(want.Task, c) {
			return true
		}
	}
	return false
}

func failedOn(l *ledger.State, slot job.SlotID, h Host) bool {
	for _, c := range l.ClaimsOf(slot) {
		if c.Phase == ledger.Failed && c.Peer == h.Peer() {
			return true
		}
	}
	return false
}
