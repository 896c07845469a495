package sim

import (
	"fmt"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
)

// A peer that misbehaves keeps to the protocol in form: each of its messages is one that
// a correct peer may send. What it forges, forge.go has.

// addMisbehaviour fills in the verbs.
func addMisbehaviour() {
	verbs["flood"] = verb{args: 1, usage: "PEER factor=20 [for=10s]: each message it sends goes out so many times",
		opts: []string{"factor", "for"}, check: needs("factor", floodArgs), do: (*run).flood}
	verbs["lie"] = verb{args: 1,
		usage: "PEER factor=4, PEER starts=no|never, or both: it says it has so many times what it has; runs what it does not; it never begins",
		opts:  []string{"factor", "starts"}, check: lieArgs, do: (*run).lie}
}

// idlesFor is how long a machine that never begins does as if it did: then it tries again.
const idlesFor = 6 * time.Minute

const (
	maxFlood = 1000
	maxBoast = 1000
)

func floodArgs(op *Op) error {
	if n := op.number("factor", 1); n < 1 || n > maxFlood {
		return fmt.Errorf("factor=%s: want a number from 1 to %d", op.Opts["factor"], maxFlood)
	}
	return refArgs(op)
}

func lieArgs(op *Op) error {
	if !hasKey(op.Opts, "factor") && !hasKey(op.Opts, "starts") {
		return fmt.Errorf("want factor=4, starts=no or never, or both")
	}
	if n := op.number("factor", 1); n < 1 || n > maxBoast {
		return fmt.Errorf("factor=%s: want a number from 1 to %d", op.Opts["factor"], maxBoast)
	}
	return refArgs(op)
}

// flood has a machine repeat each message, as a bug that sends in a loop does.
func (r *run) flood(op *Op) error {
	return r.each(op, func(m *machine) {
		m.flood++
		mine, again := m.flood, op.number("factor", 1)-1
		m.repeats = again
		r.after(op, func() {
			if m.flood == mine {
				m.repeats = 0
			}
		})
	})
}

// lie has a machine tell the swarm what is not so. The checkers take it at its word, as
// its swarm does: to find a lie is the core's task. What it takes beyond what it has, the
// kernel ends for want of memory.
func (r *run) lie(op *Op) error {
	return r.each(op, func(m *machine) {
		m.pretends = m.pretends || op.Opts["starts"] == "no"
		m.idles = m.idles || op.Opts["starts"] == "never"
		if f := op.number("factor", 0); f > 0 {
			m.boast = int64(f)
			m.give(node.Input{Facts: m.facts()})
		}
	})
}

// confess ends a machine's lies about what it does: it begins with what it has taken.
// What it says that it runs stays said: nobody can tell.
func (m *machine) confess() {
	m.pretends, m.idles = false, false
	for _, answer := range m.engine.idle {
		answer()
	}
	m.engine.idle = nil
}

// capacity is what the machine says that it has.
func (m *machine) capacity() job.Resources {
	c := m.spec.Capacity
	if m.boast > 1 {
		c.CPUMilli, c.MemBytes = c.CPUMilli*m.boast, c.MemBytes*m.boast
		c.GPUMilli = min(c.GPUMilli*m.boast, job.MaxGPUs*job.WholeGPU)
	}
	return c
}

// isReal reports whether a container runs, and is not only said to.
func (c *container) isReal() bool { return c.State == runtime.StateRunning && !c.pretended }

// hasRoom reports whether what runs fits the machine, whatever it says that it has.
func (e *engine) hasRoom() bool {
	var needs job.Resources
	for _, c := range e.containers {
		if c.isReal() {
			needs = needs.Plus(c.task.Needs)
		}
	}
	return needs.Fits(e.m.spec.Capacity)
}
