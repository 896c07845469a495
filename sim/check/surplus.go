package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
)

// Surplus is V3: on working engines of running daemons no slot runs twice, and
// nothing runs that is not wanted. The two containers that one claim has while it
// starts the new spec first count as one: a rollout may take as long as it needs.
type Surplus struct{}

// Rule implements Checker.
func (Surplus) Rule() string { return "V3" }

// Bound implements Progress.
func (Surplus) Bound() time.Duration { return 30 * time.Second }

// Unmet implements Progress.
func (Surplus) Unmet(w World) string {
	l := anyLedger(w)
	if l == nil {
		return ""
	}
	running := map[job.SlotID][]string{}
	for _, h := range w.Hosts() {
		if !h.Up() || !h.EngineWorks() || h.Shared() {
			continue
		}
		for _, c := range h.Containers() {
			if c.State != runtime.StateRunning {
				continue
			}
			if !l.WantsSlot(c.Ref.Slot, c.Ref.Life) {
				return fmt.Sprintf("%s runs %s of life %d, which nobody wants", h.Name(), c.Ref.Slot, c.Ref.Life)
			}
			if p, owned := ledger.OwnerOf(c.Ref.Slot); owned && p != h.Peer() {
				return fmt.Sprintf("%s runs %s, which is another peer's own", h.Name(), c.Ref.Slot)
			}
			on := fmt.Sprintf("%s (token %d)", h.Name(), c.Ref.Token)
			if !slices.Contains(running[c.Ref.Slot], on) {
				running[c.Ref.Slot] = append(running[c.Ref.Slot], on)
			}
		}
	}
	for _, slot := range slices.SortedFunc(maps.Keys(running), job.SlotID.Compare) {
		if on := running[slot]; len(on) > 1 {
			return fmt.Sprintf("%s runs on %v", slot, on)
		}
	}
	return ""
}
