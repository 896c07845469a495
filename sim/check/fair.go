package check

import (
	"shoal/node"
)

// Fair is the rule on scores: whoever a peer blames for what it sent was made to send
// such things. Replays, repetitions, damage on the way and records of a later version
// are held against nobody.
type Fair struct{}

// Rule implements Checker.
func (Fair) Rule() string { return "fair" }

// Told implements EventWatcher.
func (Fair) Told(h Host, e *node.Event) error {
	if e.Kind == "refused" && !h.Forges(e.Peer) {
		return violation("fair", "%s blames a peer that sent nothing bad: %s", h.Name(), e.Text)
	}
	return nil
}
