package check

import (
	"shoal/node"
)

// Fair is the rule on scores: whoever a peer blames for what it sent was made to send
// such things. Replays, repetitions, damage on the way and records of a later version
// are held against nobody.
type Fair struct{ compared uint64 }

// Rule implements Checker.
func (*Fair) Rule() string { return "fair" }

// Compared implements Counter: how often somebody was blamed.
func (f *Fair) Compared() uint64 { return f.compared }

// Told implements EventWatcher.
func (f *Fair) Told(h Host, e *node.Event) error {
	if e.Kind != "refused" {
		return nil
	}
	f.compared++
	if !h.Forges(e.Peer) {
		return violation("fair", "%s blames a peer that sent nothing bad: %s", h.Name(), e.Text)
	}
	return nil
}
