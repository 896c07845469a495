package job

import (
	"fmt"
	"slices"
	"strings"
)

// MaxSpread is the greatest number of labels that the copies of one task are spread over.
const MaxSpread = 4

// ParseSpread reads what copies are spread over: the name of a label of peers, or of a
// fact, which may be written as Swarm writes it, "node.labels.zone". The error is one
// sentence that names a form which would be right.
func ParseSpread(text string) (string, error) {
	name := strings.TrimSpace(text)
	label, isLabel := labelOf(name)
	if !isLabel || !isLabelName(label) {
		return "", fmt.Errorf("%s is no label of peers; write one such as zone or node.labels.zone", quote(name))
	}
	return label, nil
}

// labelOf is a label's or fact's name under any of its names; false for one that a node
// of Swarm has and a peer does not.
func labelOf(name string) (label string, ok bool) {
	if fact, ok := swarmNames[name]; ok {
		return fact, true
	}
	if label, ok := strings.CutPrefix(name, "node.labels."); ok {
		return label, true
	}
	return name, !strings.HasPrefix(name, "node.") && !strings.HasPrefix(name, "engine.")
}

// spread checks the labels that a task is spread over.
func (c *checker) spread(t *Task) {
	if n := len(t.Spread); n > MaxSpread {
		c.add("spread", "%d labels are too many, at most %d are allowed", n, MaxSpread)
		return
	}
	if len(t.Spread) > 0 && t.Type == System {
		c.add("spread", "a system task has none: each peer has its own copy")
	}
	for i, label := range t.Spread {
		field := fmt.Sprintf("spread[%d]", i)
		switch {
		case !isLabelName(label):
			c.add(field, "%s is no label of peers; write one such as zone", quote(label))
		case slices.Contains(t.Spread[:i], label):
			c.add(field, "%s stands there twice; remove one of the two", quote(label))
		}
	}
}
