// Package ledgertest has what tests of the ledger's laws share: the values derived
// of a ledger as text, the laws that every merge of records must keep, and writers
// that issue records of every kind. The tests of package ledger use it on drawn
// records, those of package sim on the records of simulated peers.
package ledgertest

import (
	"fmt"
	"slices"
	"strings"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Derived returns, line by line, all that is derived of a ledger's records: heads and
// conflicts, what is wanted, who is live on each slot and wins it, which slots wait,
// verdicts, places of volumes, members. Ledgers that hold the same records give the
// same text.
func Derived(s *ledger.State) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for _, id := range s.Jobs() {
		deriveJob(s, id, line)
	}
	for _, slot := range s.ClaimedSlots() {
		deriveSlot(s, slot, line)
	}
	for _, p := range s.AllPeers() {
		line("peer %s member %v revoked %v claimed %v", p.Short(), s.IsMember(p), s.IsRevoked(p), s.Claimed(p))
		for _, v := range s.PlacesAt(p) {
			line("  keeps %s %s.%d of life %d, released %v", v.Job, v.Volume, v.Slot, v.Life, s.IsReleased(v))
		}
	}
	line("members %v, %d slots claimed, %d records", shorts(s.Members()), s.CountClaimed(), s.Len())
	return b.String()
}

func deriveJob(s *ledger.State, id job.ID, line func(string, ...any)) {
	line("job %s, removed up to life %d", id, s.RemovedLife(id))
	for _, r := range s.Heads(id) {
		h := r.Value.(*ledger.Head)
		line("  head %d.%d deleted %v %v over %d by %s", h.Life, h.Revision, h.Deleted, ledger.HeadHash(r), len(h.Over), h.Author.Short())
	}
	for _, h := range s.Conflicts(id) {
		line("  conflict %d.%d by %s", h.Life, h.Revision, h.Author.Short())
	}
	var bad []string
	for _, x := range s.BadSpecs(id) {
		bad = append(bad, fmt.Sprintf("%v of %d.%d at %s", x.Spec, x.Life, x.Revision, x.Slot))
	}
	slices.Sort(bad) // a set: no order is promised
	line("  bad %v", bad)
	for _, w := range s.Wanted(id) {
		line("  wanted %s %v of %v, %d copies, paused %v%s", w.Task.Name, w.Spec, w.JobSpec, w.Count, w.Paused, fallback(&w))
		for slot := range w.Slots {
			if s.Winner(slot) == nil {
				line("  %s waits", slot)
			}
			for _, v := range w.Task.Volumes() {
				if p := s.PlaceOf(id, v, slot); p != nil {
					line("  %s of %s is on %s", v, slot, p.Peer.Short())
				}
			}
		}
	}
}

func fallback(w *ledger.Wanted) string {
	if w.Fallback == nil {
		return ""
	}
	return fmt.Sprintf(", else %v", w.Fallback.Spec)
}

func deriveSlot(s *ledger.State, slot job.SlotID, line func(string, ...any)) {
	line("slot %s", slot)
	for _, c := range s.ClaimsOf(slot) {
		line("  claim %d.%d of %s %v live %v lost %v", c.Life, c.Token, c.Peer.Short(), c.Phase, s.IsLive(c), s.IsLost(c))
	}
	for _, c := range s.LiveClaims(slot) {
		line("  live, by rank: %d.%d of %s", c.Life, c.Token, c.Peer.Short())
	}
	for _, r := range s.VerdictRecords(slot) {
		line("  verdict %v", r.Num)
	}
}

func shorts(peers []wire.PeerID) []string {
	out := make([]string, len(peers))
	for i, p := range peers {
		out[i] = p.Short()
	}
	return out
}
