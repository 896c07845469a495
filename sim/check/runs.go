package check

import (
	"fmt"
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// Runs is V2: every slot that can run, runs. A slot can run if some peer that
// counts has room, the labels asked for and a working engine, or if its own holder
// counts.
type Runs struct{}

// Rule implements Checker.
func (Runs) Rule() string { return "V2" }

// Bound implements Progress: death is believed after 7 beats, repair starts 5 s
// later, or 30 s when much went at once; a refutation may double that once.
func (Runs) Bound() time.Duration { return 90 * time.Second }

// Unmet implements Progress.
func (Runs) Unmet(w World) string {
	l := anyLedger(w)
	if l == nil {
		return ""
	}
	for _, id := range l.Jobs() {
		for _, want := range l.Wanted(id) {
			if want.Paused && want.Fallback != nil {
				want = *want.Fallback // while its spec is known to be bad the one before is sold
			}
			inVain := waitsInVain(l, &want)
			for slot := range want.Slots {
				if inVain && l.MaxToken(slot, want.Life) == 0 {
					continue
				}
				look := unmet
				if slot.At != "" {
					look = ownUnmet
				}
				if why := look(w, l, slot, want.Task, want.Life); why != "" {
					return why
				}
			}
		}
	}
	return ""
}

// anyLedger returns the ledger of the first host that counts; V1 says that it is
// everybody's.
func anyLedger(w World) *ledger.State {
	for _, h := range w.Hosts() {
		if l := h.Ledger(); l != nil && h.Counts() {
			return l
		}
	}
	return nil
}

func unmet(w World, l *ledger.State, slot job.SlotID, t *job.Task, life uint64) string {
	for _, c := range l.ClaimsOf(slot) {
		if c.Life == life && (c.Phase == ledger.Completed && t.Type == job.Batch || c.Phase == ledger.Backoff && l.IsLive(c)) {
			return ""
		}
	}
	if failing(l, slot, life) {
		return "" // Resold looks at it
	}
	holder := l.Winner(slot)
	if holder == nil {
		if h := roomFor(w, l, t); h != nil && !bound(l, slot, t, h) {
			return fmt.Sprintf("nobody holds %s, and %s has room", slot, h.Name())
		}
		return ""
	}
	for _, h := range w.Hosts() {
		if h.Peer() != holder.Peer || !h.Up() {
			continue
		}
		if !h.EngineWorks() || h.Shared() || runsOn(h, slot, life) {
			return ""
		}
		return fmt.Sprintf("%s holds %s (%v, token %d) and does not run it", h.Name(), slot, holder.Phase, holder.Token)
	}
	if t.Failover.Never || len(t.Volumes()) > 0 {
		return "" // it waits for its own peer
	}
	if t.Failover.InIsland == "wait" && slices.ContainsFunc(w.Hosts(), func(h Host) bool { return h.Counts() && h.Awaits(holder.Peer) }) {
		return "" // it waits for whoever went with many, however many of them are back
	}
	if holder.Refuted > 1 {
		return "" // each refutation doubles how long its peer is waited for
	}
	if h := roomFor(w, l, t); h != nil {
		return fmt.Sprintf("%s is held by a peer that is gone, and %s has room", slot, h.Name())
	}
	return ""
}

// waitsInVain reports whether a task depends on one of which a slot has failed for good,
// or on a system task: some peer may be full, or not let it in.
func waitsInVain(l *ledger.State, want *ledger.Wanted) bool {
	for _, other := range l.Wanted(want.Job) {
		depends := slices.ContainsFunc(want.Task.DependsOn, func(d job.Dependency) bool { return d.Task == other.Task.Name })
		if !depends {
			continue
		}
		if other.Task.Type == job.System {
			return true
		}
		for slot := range other.Slots {
			for _, c := range l.ClaimsOf(slot) {
				if c.Life == other.Life && c.Spec == other.Spec && c.Phase == ledger.Failed && ledger.IsFinal(other.Task, c) {
					return true
				}
			}
		}
	}
	return false
}

// ownUnmet is unmet for the slot of a system task that is a peer's own.
func ownUnmet(w World, l *ledger.State, slot job.SlotID, t *job.Task, life uint64) string {
	for _, c := range l.ClaimsOf(slot) {
		if c.Life == life && (c.Phase == ledger.Completed || c.Phase == ledger.Backoff && l.IsLive(c)) {
			return ""
		}
	}
	if failing(l, slot, life) {
		return "" // Resold looks at it
	}
	holder := l.Winner(slot)
	if holder == nil {
		if h := roomAt(w, l, slot, t); h != nil {
			return fmt.Sprintf("%s does not hold its own %s, and has room", h.Name(), slot)
		}
		return ""
	}
	if h := hostOf(w, holder); h != nil && h.EngineWorks() && !runsOn(h, slot, life) {
		return fmt.Sprintf("%s holds its own %s (%v, token %d) and does not run it", h.Name(), slot, holder.Phase, holder.Token)
	}
	return ""
}

// roomAt returns the host whose own a slot is if it can take it, or nil.
func roomAt(w World, l *ledger.State, slot job.SlotID, t *job.Task) Host {
	owner, _ := ledger.OwnerOf(slot)
	return roomWhere(w, l, t, func(h Host) bool { return h.Peer() == owner && !h.Shared() })
}

// failing reports whether a slot waits out a failure, or has failed twice and may do
// so for ever.
func failing(l *ledger.State, slot job.SlotID, life uint64) bool {
	for _, c := range l.ClaimsOf(slot) {
		if c.Life == life && c.Phase == ledger.Failed && (c.Fails > 0 || l.Winner(slot) == nil) {
			return true
		}
	}
	return false
}

// bound reports whether a volume keeps the slot from running on h.
func bound(l *ledger.State, slot job.SlotID, t *job.Task, h Host) bool {
	if t.Failover.Volume == "empty" {
		return false
	}
	for _, v := range t.Volumes() {
		if p := l.PlaceOf(slot.Job, v, slot); p != nil && p.Peer != h.Peer() {
			return true
		}
	}
	return false
}

func roomFor(w World, l *ledger.State, t *job.Task) Host {
	return roomWhere(w, l, t, func(Host) bool { return true })
}

// roomWhere returns a host that can take a slot of a task and of which ok says yes,
// nil if there is none.
func roomWhere(w World, l *ledger.State, t *job.Task, ok func(Host) bool) Host {
	for _, h := range w.Hosts() {
		if !h.Counts() || !h.EngineWorks() || !eligible(l, h.Peer(), t) || !ok(h) {
			continue
		}
		have := h.Capacity()
		gpus := l.FreeGPUs(h.Peer(), have.GPUMilli/job.WholeGPU)
		if t.Needs.Fits(have.Minus(l.Claimed(h.Peer()))) && job.FitsGPUs(gpus, t.Needs.GPUMilli) {
			return h
		}
	}
	return nil
}

// eligible reports whether a peer suits a task. Of one with a required affinity that depends
// on where others are, and nothing is demanded.
func eligible(l *ledger.State, p wire.PeerID, t *job.Task) bool {
	required := func(a job.Affinity) bool { return a.Required }
	if slices.ContainsFunc(t.Near, required) || slices.ContainsFunc(t.Apart, required) {
		return false
	}
	card := l.Card(p)
	if card == nil || card.Draining || l.IsRevoked(p) {
		return false
	}
	return card.Facts().Meets(t.Constraints) == ""
}

func runsOn(h Host, slot job.SlotID, life uint64) bool {
	for _, c := range h.Containers() {
		if c.Ref.Slot == slot && c.Ref.Life == life && c.State == runtime.StateRunning {
			return true
		}
	}
	return false
}
