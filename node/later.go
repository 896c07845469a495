package node

import (
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A task may have fields, or values in fields, that only a later version knows. This
// one cannot tell what they promise to the user, and leaves such a task to others: it
// does not bid, gives a slot up rather than move to such a spec, and starts no
// container of one that it held before it was put back to this version. One that runs
// goes on.

// unstartedFor is how long a held slot of such a task may be without a running container
// before it is given up: a started peer hears of its containers only after a while.
const unstartedFor = 15 * time.Second

// later is what of a task, or of its job, this peer does not know, such as "field 13.4"
// or "type 99"; "" for nothing.
func (c *Core) later(spec *job.Spec, task *job.Task) string {
	for _, w := range c.led.Wanted(spec.ID()) {
		switch {
		case w.Task == task:
			return c.laterOf(w.JobSpec, task.Name)
		case w.Fallback != nil && w.Fallback.Task == task:
			return c.laterOf(w.Fallback.JobSpec, task.Name)
		}
	}
	return ""
}

func (c *Core) laterOf(spec wire.Hash, task string) string {
	if c.cfg.Extend != nil {
		return ""
	}
	if field := c.led.LaterField(spec, task); field != "" {
		return "field " + field
	}
	return c.led.LaterValue(spec, task)
}

// judgeLater gives an own claim up whose task this peer does not wholly know, once
// nothing of it has run for a while.
func (c *Core) judgeLater(cl *ledger.Claim) {
	id := idOf(cl)
	what := c.laterOf(cl.JobSpec, cl.Slot.Task)
	if what == "" || c.runs(cl) || c.rec.Silent(c.now) {
		delete(c.holding.unstarted, id)
		return
	}
	since, ok := c.holding.unstarted[id]
	if !ok {
		c.holding.unstarted[id] = max(c.now, 1)
	} else if c.due(since.Add(unstartedFor)) {
		c.end(cl, ledger.Stopped, laterText(what))
	}
}

func laterText(what string) string {
	return "the task has " + what + ", which this peer does not know: only a later version of shoal starts it"
}
