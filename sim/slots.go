package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shoal/job"
)

// A slotCensus is what the lines of a scenario can make of slots.
type slotCensus struct {
	height int64                     // slots wanted at a time, at most
	most   map[job.ID]map[string]int // slots of a task, at most
	now    map[job.ID]map[string]int // while it is taken; a removed job keeps its counts for a redeploy
	gone   map[job.ID]bool
	sum    int64
}

// census counts the slots that the lines ask for, in the order of their times;
// workloads are not drawn.
func (s *Scenario) census() *slotCensus {
	c := &slotCensus{most: map[job.ID]map[string]int{}, now: map[job.ID]map[string]int{}, gone: map[job.ID]bool{}}
	var asked []*Op
	for i := range s.Ops {
		if op := &s.Ops[i]; op.Moment == At && len(op.Args) > 0 {
			asked = append(asked, op)
		}
	}
	slices.SortStableFunc(asked, func(a, b *Op) int { return cmp.Compare(a.Time, b.Time) })
	for _, op := range asked {
		c.take(s, op)
	}
	return c
}

// take counts what one line asks for.
func (c *slotCensus) take(s *Scenario, op *Op) {
	id, task, err := jobTask(op.Args[0])
	if err != nil {
		return
	}
	switch op.Verb {
	case "deploy":
		if spec := s.job(id); spec != nil {
			c.back(id)
			for i := range spec.Tasks {
				c.set(id, spec.Tasks[i].Name, spec.Tasks[i].Count)
			}
		}
	case "submit", "update":
		c.back(id)
		count, known := c.now[id][task]
		if !known {
			count = 1
		}
		c.set(id, task, op.number("replicas", count))
	case "scale":
		if _, known := c.now[id][task]; known {
			c.set(id, task, op.number("replicas", 1))
		}
	case "redeploy":
		c.back(id)
	case "remove":
		if !c.gone[id] {
			c.gone[id] = true
			c.sum -= total(c.now[id])
		}
	}
	c.height = max(c.height, c.sum)
}

// back takes up a removed job where it was.
func (c *slotCensus) back(id job.ID) {
	if c.gone[id] {
		delete(c.gone, id)
		c.sum += total(c.now[id])
	}
}

func (c *slotCensus) set(id job.ID, task string, count int) {
	if c.now[id] == nil {
		c.now[id], c.most[id] = map[string]int{}, map[string]int{}
	}
	if !c.gone[id] {
		c.sum += int64(count - c.now[id][task])
	}
	c.now[id][task] = count
	c.most[id][task] = max(c.most[id][task], count)
}

func total(counts map[string]int) (n int64) {
	for _, count := range counts {
		n += int64(count)
	}
	return n
}

// slotsExist refuses to do something to a slot that no line and no workload can make:
// during the run it would look like a failure of the peers, or like nothing at all.
func (p *parser) slotsExist(op *Op) error {
	if op.Verb == "held" && len(op.Args) > 0 {
		if slot, err := parseSlot(op.Args[0]); err == nil {
			return p.slotExists(op.Verb+": ", slot)
		}
	}
	if op.Moment != At || hasKey(op.Opts, "fails") {
		return nil
	}
	for _, r := range op.refs() {
		switch {
		case r.kind == "holder":
			if err := p.slotExists(op.Verb+": ", r.slot); err != nil {
				return err
			}
		case r.kind == "acceptor" && !p.submits(r.job):
			return fmt.Errorf("%s: no line submits the job %s", op.Verb, r.job.Name())
		}
	}
	if op.Verb == "exit" || op.Verb == "oom" {
		if slot, err := parseSlot(op.Args[0]); err == nil && !p.left(slot) {
			return p.slotExists(op.Verb+": ", slot)
		}
	}
	return nil
}

// left reports whether a line leaves a container of the slot behind.
func (p *parser) left(slot job.SlotID) bool {
	return slices.ContainsFunc(p.s.Ops, func(op Op) bool {
		if op.Verb != "orphan" {
			return false
		}
		other, err := parseSlot(op.Args[1])
		return err == nil && other == slot
	})
}

// slotExists refuses a slot that no line makes; the error begins with head.
func (p *parser) slotExists(head string, slot job.SlotID) error {
	if !p.submits(slot.Job) {
		return fmt.Errorf("%sno line makes the slot %s: none submits the job %s", head, slot, slot.Job.Name())
	}
	if p.census == nil {
		p.census = p.s.census()
	}
	counts, known := p.census.most[slot.Job]
	if !known {
		return nil // of a workload: what it draws is not known yet
	}
	switch n := counts[slot.Task]; {
	case n == 0:
		return fmt.Errorf("%sno line makes the slot %s: the job %s has the tasks %s", head, slot, slot.Job.Name(), strings.Join(sortedKeys(counts), ", "))
	case slot.Index >= n:
		return fmt.Errorf("%sno line makes the slot %s: the task never has more than %d, from %s.0 to %s.%d", head, slot, n,
			slot.Task, slot.Task, n-1)
	}
	return nil
}

// refs are the machines that an op names by what they are, or by number.
func (o *Op) refs() (out []ref) {
	var words []string
	for _, arg := range o.Args[:min(namedPeers[o.Verb], len(o.Args))] {
		words = append(words, strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(",|>", r) })...)
	}
	for _, key := range refOptions {
		words = append(words, strings.TrimPrefix(o.Opts[key], "clone-of:"))
	}
	for _, word := range words {
		if r, err := parseRef(word); err == nil {
			out = append(out, r)
		}
	}
	return out
}
