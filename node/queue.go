package node

import (
	"cmp"
	"slices"

	"shoal/auction"
	"shoal/clock"
)

// A queued is a lot with its place among what is to be sold now.
type queued struct {
	auction.Lot
	weight int // its task's priority
}

// inOrder puts lots into the order in which they are offered: by falling priority, then
// that of which some slot has waited longest, then by job and task. What is beyond the
// bounds of a sale is cut at the end of it, and waits.
func inOrder(lots []queued) []auction.Lot {
	slices.SortFunc(lots, func(a, b queued) int {
		return cmp.Or(-cmp.Compare(a.weight, b.weight), cmp.Compare(oldest(a.Slots), oldest(b.Slots)),
			cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task))
	})
	out := make([]auction.Lot, len(lots))
	called := 0 // the greatest priority of what is to be called
	for i, q := range lots {
		if slices.ContainsFunc(q.Slots, func(w auction.Want) bool { return w.Call }) {
			called = max(called, q.weight)
		}
		// On standing bids it would be sold at once, before the more urgent.
		for n := 0; q.weight < called && n < len(q.Slots); n++ {
			q.Slots[n].Call = true
		}
		out[i] = q.Lot
	}
	return out
}

// oldest is since when the one that has waited longest waits.
func oldest(slots []auction.Want) (since clock.Instant) {
	for i, w := range slots {
		if i == 0 || w.Since < since {
			since = w.Since
		}
	}
	return since
}
