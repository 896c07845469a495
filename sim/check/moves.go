package check

import (
	"shoal/job"
	"shoal/ledger"
	"shoal/node"
)

// Moves is how an update proceeds: a holder takes its slot to the wanted spec only
// while, by its own ledger, fewer than parallelism of the lower slots are still on
// their way there. Those of holders that it doubts hold nobody up.
type Moves struct {
	news news
	own  own
}

// NewMoves returns the checker.
func NewMoves() *Moves { return &Moves{} }

// Rule implements Checker.
func (*Moves) Rule() string { return "moves" }

// Wrote implements WriteWatcher. The ledger is as the step has left it: of slots
// that the step itself wrote it tells only which have moved.
func (m *Moves) Wrote(h Host, writes []node.Write) error {
	var moved []*ledger.Claim
	wrote := map[job.SlotID]bool{}  // slots of which a claim was written
	moving := map[job.SlotID]bool{} // those of moved
	back := m.back(h, writes)
	for _, r := range m.news.of(h, writes) {
		c := claimOf(h, r)
		if c == nil {
			continue
		}
		wrote[c.Slot] = true
		old := m.own.of(h).claims[keyOf(c)]
		if b := back[keyOf(c)]; b != nil {
			old = b
		}
		if old != nil && !c.Phase.Ended() && c.Spec != old.Spec && !moving[c.Slot] {
			moved, moving[c.Slot] = append(moved, c), true
		}
	}
	for i := range writes {
		m.own.wrote(h, &writes[i])
	}
	for _, c := range moved {
		n, most := 0, 0
		for slot, w := range lowerSlots(h.Ledger(), c) {
			most = max(1, w.Task.Update.Parallelism)
			if moving[slot] || !wrote[slot] && isBehind(h, slot, w) {
				n++
			}
		}
		if n > 0 && n >= most {
			return violation("moves", "%s moves %s to a new spec while %d lower slots have yet to serve on it, and at most %d may",
				h.Name(), c.Slot, n, most-1)
		}
	}
	return nil
}

// back returns the claims that h's disk had forgotten, and that come back from others
// within this very step.
func (m *Moves) back(h Host, writes []node.Write) map[claimKey]*ledger.Claim {
	var out map[claimKey]*ledger.Claim
	for i := range writes {
		r := writes[i].Put
		if r == nil || !m.news.knows(h, r) {
			continue
		}
		if c := claimOf(h, r); c != nil {
			if out == nil {
				out = map[claimKey]*ledger.Claim{}
			}
			out[keyOf(c)] = c
		}
	}
	return out
}

// Booted implements LifeWatcher: a claim that a crash took back is no move when it
// is bought again.
func (m *Moves) Booted(h Host) { m.own.reload(h) }

// DiskLost implements LifeWatcher.
func (m *Moves) DiskLost(h Host) { m.own.reload(h) }

// lowerSlots goes over the slots below that of a claim which runs what its task is
// to run; over none if it runs something else.
func lowerSlots(l *ledger.State, c *ledger.Claim) func(func(job.SlotID, *ledger.Wanted) bool) {
	return func(yield func(job.SlotID, *ledger.Wanted) bool) {
		if l == nil {
			return
		}
		wanted := l.Wanted(c.Slot.Job)
		for i := range wanted {
			w := &wanted[i]
			if w.Task.Name != c.Slot.Task || w.Spec != c.Spec || w.Life != c.Life {
				continue
			}
			for slot := range w.Slots {
				if slot == c.Slot || !yield(slot, w) {
					return
				}
			}
		}
	}
}

// isBehind reports whether h knows a holder of the slot, does not doubt it, and does
// not see it serve what is wanted.
func isBehind(h Host, slot job.SlotID, w *ledger.Wanted) bool {
	c := h.Ledger().Winner(slot)
	if c == nil || c.Phase == ledger.Completed || !h.Trusts(c.Peer) {
		return false
	}
	return c.Spec != w.Spec || c.Phase != ledger.Serving
}
