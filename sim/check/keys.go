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

// Unmet implements Progress.
func (Keys) Unmet(w World) string {
	first := map[wire.PeerID]Host{}
	for _, h := range w.Hosts() {
		if !h.Shared() || !h.Up() || h.SteppedBack() {
			continue
		}
		if o := first[h.Peer()]; o != nil {
			return fmt.Sprintf("%s and %s both go on with one key", o.Name(), h.Name())
		}
		first[h.Peer()] = h
	}
	return ""
}
