package sim

import (
	"slices"
	"strings"

	"shoal/node"
	"shoal/wire"
)

// A rare branch is one that a soak must have been through: what thousands of plans
// never reach, nothing has tested. Most show in what cores tell and send; what does
// not they count themselves, see node.Branch.

// rareEvents are events by kind; with a text, only those that hold it.
var rareEvents = []struct{ name, kind, text string }{
	{"steps back after its key was cloned", "stepped-back", ""},
	{"takes over its own past card", "outlived", ""},
	{"refutes a verdict", "refuted", ""},
	{"verdict: its peer is gone", "lost", "its peer is gone"},
	{"verdict: its peer was removed", "lost", "was removed from the swarm"},
	{"two heads conflict", "conflict", ""},
	{"a spec turns out bad", "bad-spec", ""},
	{"a peer is removed", "expelled", ""},
	{"a peer leaves", "left", ""},
	{"an engine is silent", "engine-silent", ""},
	{"a dead peer returns", "returned", ""},
	{"ready without a ready peer", "ready", "no ready peer answers"},
	{"superseded on return: incumbent", "ending", "onReturn: incumbent"},
	{"superseded on return: newest", "ending", "onReturn: newest"},
	{"superseded by the wanted spec", "ending", "runs the wanted spec"},
	{"sold again while away", "ending", "sold again"},
	{"a new revision's needs do not fit", "ending", "needs do not fit"},
	{"drained", "ending", "being drained"},
	{"job removed under its claim", "ending", "the job was removed"},
	{"scaled down", "ending", "fewer copies"},
	{"a slot waits", "waiting", ""},
	{"a claim fails for good", "failed", ""},
	{"a batch run completes", "completed", ""},
}

// rareDeclines are beginnings of the reasons for which an award is declined.
var rareDeclines = []string{"stale:", "taken:", "held here still", "cpu", "not ready", "engine silent", "draining"}

// A census counts in how many ways a run went through rare branches.
type census struct{ counts map[string]uint64 }

func (c *census) add(name string) {
	if c.counts == nil {
		c.counts = map[string]uint64{}
	}
	c.counts[name]++
}

func (c *census) event(e *node.Event) {
	for i := range rareEvents {
		if r := &rareEvents[i]; r.kind == e.Kind && strings.Contains(e.Text, r.text) {
			c.add(r.name)
		}
	}
}

func (c *census) sent(m wire.Message) {
	switch m := m.(type) {
	case *wire.Reply:
		for i := range m.Decisions {
			c.declined(m.Decisions[i].Decline)
		}
	case *wire.Stored:
		if m.Conflict != nil {
			c.add("a store answers with another head")
		}
	case *wire.Probe:
		if m.Answer && m.Heard {
			c.add("an observer hears the other start")
		}
	case *wire.Delta:
		if len(m.Drop) > 0 {
			c.add("told to drop what others dropped")
		}
	case *wire.Settle:
		if slices.ContainsFunc(m.Gone, func(b byte) bool { return b != 0 }) {
			c.add("told to drop what others dropped")
		}
	}
}

func (c *census) declined(reason string) {
	for _, r := range rareDeclines {
		if strings.HasPrefix(reason, r) {
			c.add("declines: " + strings.TrimSuffix(r, ":"))
		}
	}
}

// ended takes over what a core has counted itself.
func (c *census) ended(core *node.Core) {
	if core == nil {
		return
	}
	for _, b := range core.Branches() {
		c.add(b.String())
	}
}

// RareBranches are the names of all rare branches, in order.
func RareBranches() []string {
	var out []string
	for i := range rareEvents {
		out = append(out, rareEvents[i].name)
	}
	for _, r := range rareDeclines {
		out = append(out, "declines: "+strings.TrimSuffix(r, ":"))
	}
	for b := range node.NumBranches {
		out = append(out, b.String())
	}
	out = append(out, "a store answers with another head", "an observer hears the other start", "told to drop what others dropped")
	slices.Sort(out)
	return out
}
