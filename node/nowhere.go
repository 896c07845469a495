package node

import (
	"fmt"
	"slices"
	"strings"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A system task may be wanted and suit no peer that is there. It has no slot then, but it
// is not stopped: it waits for a peer, and what depends on it waits with it. One row stands
// for it, "ops/agent", with why each peer is to have none. All of that follows from cards
// and membership, at any peer; since when, the steward of its lane and the second remember.

// nowhere is where the slot is that stands for those which such a task does not have. No
// peer is called so.
const nowhere = "*"

// isNowhere reports whether a task of type system is wanted and no peer is to have it.
func (c *Core) isNowhere(w ledger.Wanted) bool {
	if w.Task.Type != job.System || w.Count == 0 {
		return false
	}
	for slot := range w.Slots {
		if p, ok := ledger.OwnerOf(slot); !ok || c.isToHave(p, slot, w) {
			return false
		}
	}
	return true
}

func nowhereOf(w ledger.Wanted) job.SlotID {
	return job.SlotID{Job: w.Job, Task: w.Task.Name, At: nowhere}
}

// noteNowhere remembers, as steward or second, since when a system task is nowhere.
func (c *Core) noteNowhere(w ledger.Wanted) {
	if !c.isNowhere(w) {
		return
	}
	c.restless = true // a calm job's waits are forgotten
	wt := c.waitOf(nowhereOf(w), w)
	wt.seen = c.now
	wt.reason, wt.noes, wt.asked = c.waitsNowhere(w)
}

// waitsNowhere says why a system task is nowhere: in a sentence, and counted; of peers.
func (c *Core) waitsNowhere(w ledger.Wanted) (reason string, noes []wire.Reason, peers int) {
	for _, p := range c.led.Members() {
		peers++
		no := c.noCopyAt(p, w)
		if i := slices.IndexFunc(noes, func(r wire.Reason) bool { return r.Text == no }); i >= 0 {
			noes[i].Count++
		} else {
			noes = append(noes, wire.Reason{Text: no, Count: 1})
		}
	}
	slices.SortStableFunc(noes, func(a, b wire.Reason) int { return int(b.Count) - int(a.Count) })
	noes = noes[:min(len(noes), wire.MaxSummaryNoes)]
	var texts []string
	for _, r := range noes {
		texts = append(texts, fmt.Sprintf("%d: %s", r.Count, r.Text))
	}
	return fmt.Sprintf("suits 0 of %d peers: %s", peers, strings.Join(texts, "; ")), noes, peers
}

// noCopyAt says why a member is to have no copy of a system task, "" if it is.
func (c *Core) noCopyAt(p wire.PeerID, w ledger.Wanted) string {
	if spec := c.led.Spec(w.JobSpec); spec != nil {
		if why := c.led.Unsuited(p, spec, w.Task); why != "" {
			return why
		}
	}
	if p != c.cfg.Self && c.mem.Dead(p) {
		return "it is gone"
	}
	return c.cannotStart(p, w.Task)
}

// becauseNowhere ends the reason of what waits for a task, if that is nowhere.
func (c *Core) becauseNowhere(w ledger.Wanted) string {
	if !c.isNowhere(w) {
		return ""
	}
	reason, _, _ := c.waitsNowhere(w)
	return ", which " + reason
}

// nowhereView is the row that stands for a system task that is nowhere.
func (c *Core) nowhereView(w ledger.Wanted) SlotView {
	v := c.waitingView(w, nowhereOf(w))
	v.Detail, _, _ = c.waitsNowhere(w)
	return v
}

// whyNowhere explains that row, named as it is.
func (c *Core) whyNowhere(name string) (WhyView, bool) {
	cut := max(strings.LastIndex(name, "/"), 0)
	id, err := job.ParseID(name[:cut])
	if err != nil {
		return WhyView{}, false
	}
	for _, w := range c.led.Wanted(id) {
		if name[cut+1:] != w.Task.Name || !c.isNowhere(w) {
			continue
		}
		wt := waiting{since: c.now}
		if had := c.waits[nowhereOf(w)]; had != nil {
			wt = *had
		}
		wt.reason, wt.noes, wt.asked = c.waitsNowhere(w)
		waits := c.waitView(nowhereOf(w), &wt, map[nearKey]string{})
		return WhyView{Slot: c.nowhereView(w), Waiting: &waits, Stewards: c.stewards(laneOf(id))}, true
	}
	return WhyView{}, false
}
