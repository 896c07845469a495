package check

import (
	"fmt"
	"time"

	"shoal/wire"
)

// Keys is the rule for a key that two machines use: of those that run and reach one
// another all but one step back.
type Keys struct{}

// Rule implements Checker.
func (Keys) Rule() string { return "keys" }

// Bound implements Progress: the card of the later start must come round, and
// somebody who hears it must be asked.
func (Keys) Bound() time.Duration { return 90 * time.Second }

// goesOn reports whether a host runs with a key that another machine has used, too.
func goesOn(h Host) bool { return h.Shared() && h.Up() && !h.SteppedBack() }

// twins counts by key the machines that go on with it, where several have used it.
func twins(w World) map[wire.PeerID]int {
	out := map[wire.PeerID]int{}
	for _, h := range w.Hosts() {
		if goesOn(h) {
			out[h.Peer()]++
		}
	}
	return out
}

// Unmet implements Progress.
func (Keys) Unmet(w World) string {
	first := map[wire.PeerID]Host{}
	for _, h := range w.Hosts() {
		if !goesOn(h) {
			continue
		}
		if o := first[h.Peer()]; o != nil {
			return fmt.Sprintf("%s and %s both go on with one key", o.Name(), h.Name())
		}
		first[h.Peer()] = h
	}
	return ""
}
