package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// What a steward tells of slots that wait.

// A nearKey names a task, of which many slots may wait for the same.
type nearKey struct {
	job  job.ID
	task string
}

// waitView tells of a slot that waits; near remembers which peer comes closest, by task.
func (c *Core) waitView(slot job.SlotID, wt *waiting, near map[nearKey]string) WaitingView {
	v := WaitingView{
		Slot: c.SlotName(slot), Reason: wt.reason, Noes: wt.noes, Closest: wt.closest, Asked: wt.asked,
		Since: c.now.Sub(wt.since), Fails: wt.fails,
	}
	if f, ok := c.failing[slot]; ok && wt.fails > 0 && f.life == wt.life && f.spec == wt.spec {
		v.Since = max(v.Since, c.now.Sub(f.since))
	}
	if vain := c.waitsInVain(slot); vain != "" {
		v.Reason, v.Next = vain, "once that runs again"
		return v
	}
	if wt.next > c.now {
		v.NextTry = wt.next.Sub(c.now)
	} else {
		v.Next = c.nextTry(slot, wt)
	}
	if v.Closest == "" && wt.asked > 0 && (slot.At == "" || slot.At == nowhere) {
		key := nearKey{slot.Job, slot.Task}
		text, known := near[key]
		if !known {
			text = c.closest(key)
			near[key] = text
		}
		v.Closest = text
	}
	return v
}

// nextTry says when a slot is offered again for which no time is set.
func (c *Core) nextTry(slot job.SlotID, wt *waiting) string {
	switch {
	case slot.At == nowhere:
		return "as soon as it suits a peer"
	case wt.held:
		return "once that is so"
	case c.selling[slot]:
		return "under way"
	case slot.At != "":
		return "each second"
	}
	return "within a second"
}

// closest is the peer that lacks the fewest of what a task wants of a peer's card, with
// all that it lacks: "n3: wants zone == roof, disk == ssd". "": none, or some lack
// nothing of it, and what is against those is told otherwise. Every peer with the same
// records says the same.
func (c *Core) closest(key nearKey) (text string) {
	for _, w := range c.led.Wanted(key.job) {
		if w.Task.Name != key.task {
			continue
		}
		fewest := 0
		for _, p := range c.stewards(0) {
			lacks := c.lacksOf(p, w)
			if len(lacks) == 0 {
				return ""
			}
			is := c.nameOf(p) + ": " + strings.Join(lacks, ", ")
			if fewest == 0 || cmp.Or(cmp.Compare(len(lacks), fewest), cmp.Compare(is, text)) < 0 {
				fewest, text = len(lacks), is
			}
		}
	}
	return text
}

// lacksOf lists what of a task's filters a peer's card does not meet.
func (c *Core) lacksOf(p wire.PeerID, w ledger.Wanted) (lacks []string) {
	card, spec := c.led.Card(p), c.led.Spec(w.JobSpec)
	if card == nil || spec == nil {
		return []string{"nothing is known of it here"}
	}
	facts := card.Facts()
	if len(spec.Datacenters) > 0 && !slices.Contains(spec.Datacenters, card.Datacenter) {
		lacks = append(lacks, "wants datacenter "+strings.Join(spec.Datacenters, " or "))
	}
	if !job.SamePlatform(w.Task.Platform, facts.OS, facts.Arch) {
		lacks = append(lacks, fmt.Sprintf("wants %s, and is %s/%s", w.Task.Platform, facts.OS, facts.Arch))
	}
	for _, text := range w.Task.Constraints {
		if facts.Meets([]string{text}) != "" {
			lacks = append(lacks, "wants "+text)
		}
	}
	return lacks
}

// A failing slot is one that has failed since its spec changed, and since when: each of
// its waits ends with a sale, but a person asks since when it does not run.
type failing struct {
	since clock.Instant
	life  uint64
	spec  wire.Hash
}

// noteFailing remembers since when a slot fails.
func (c *Core) noteFailing(wt *waiting, slot job.SlotID) {
	if f, ok := c.failing[slot]; !ok || f.life != wt.life || f.spec != wt.spec {
		c.failing[slot] = failing{wt.since, wt.life, wt.spec}
	}
}

// forgetFailing drops what is no longer wanted of a lane.
func (c *Core) forgetFailing(i int) {
	for slot, f := range c.failing {
		if laneOf(slot.Job) == i && !c.led.WantsSlot(slot, f.life) {
			delete(c.failing, slot)
		}
	}
}
