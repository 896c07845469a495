package node

import (
	"maps"
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

const (
	deputyFor  = 10 * time.Second // by then the silent steward is doubted, or it has sold the job itself
	maxDeputed = 4096             // jobs a peer is deputy of; for more it waits until the steward is doubted
)

// depute makes this peer deputy of a job: it acts as steward of that job alone, for one
// that has not answered for askNextAfter, or that has not begun itself. No failure
// detector is waited for. Should the steward wake, two sell at once, which is harmless.
func (c *Core) depute(id job.ID) {
	if len(c.deputy) >= maxDeputed {
		maps.DeleteFunc(c.deputy, func(_ job.ID, until clock.Instant) bool { return c.now >= until })
	}
	if len(c.deputy) >= maxDeputed {
		return
	}
	c.reach(BranchDeputed)
	c.deputy[id] = c.now.Add(deputyFor)
	c.lanes[laneOf(id)].dirty = true
}

// welcome takes up a new head at once where this peer is first in the ranking, but not for
// long enough to begin with all there is.
func (c *Core) welcome(h *ledger.Head) {
	if l := &c.lanes[laneOf(h.Job)]; !h.Deleted && l.first != 0 && c.now < l.first.Add(firstAfter) && !c.alone() {
		c.depute(h.Job)
	}
}

// deputyIn returns the jobs of a lane of which this peer is deputy, in order.
func (c *Core) deputyIn(i int) []job.ID {
	var out []job.ID
	for id, until := range c.deputy {
		switch {
		case laneOf(id) != i:
		case c.due(until):
			delete(c.deputy, id)
		default:
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// settleDeputy sees to it that a submission is sold though the steward of its lane is
// silent: once somebody who was asked has not answered for askNextAfter, the first in
// the ranking who has stored it, which may be this peer, is told to sell it.
func (c *Core) settleDeputy(id uint64, s *submission) {
	h := s.head.Value.(*ledger.Head)
	if s.deputed || h.Deleted || len(s.asked) == 0 || !c.due(s.firstAsk.Add(askNextAfter)) {
		return
	}
	for n, p := range c.stewards(laneOf(h.Job)) {
		switch {
		case p != c.cfg.Self && !slices.Contains(s.stored, p):
			continue // silent, or not asked yet
		case n == 0: // the steward has it
		case p == c.cfg.Self:
			c.depute(h.Job)
		default:
			c.send(p, &wire.Store{ID: id, Records: []*wire.Record{s.head}, Sell: true})
		}
		s.deputed = true
		return
	}
}
