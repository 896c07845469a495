package check

import (
	"fmt"
	"time"

	"shoal/wire"
)

// Equal is V1: ready peers hold equal ledgers. One whose engine is silent may keep a
// claim that all others have dropped: it cannot end it yet.
type Equal struct{}

// Rule implements Checker.
func (Equal) Rule() string { return "V1" }

// Bound implements Progress: 5 s at 100 peers of a LAN, and room for lossy links.
func (Equal) Bound() time.Duration { return 10 * time.Second }

// Unmet implements Progress.
func (Equal) Unmet(w World) string {
	var first Host
	var want wire.Hash
	records := 0
	for _, h := range w.Hosts() {
		l := h.Ledger()
		if !h.Counts() || l == nil || !h.EngineWorks() {
			continue
		}
		switch got := l.Hash(); {
		case first == nil:
			first, want, records = h, got, l.Len()
		case got != want:
			return fmt.Sprintf("%s holds ledger %s of %d records, %s holds %s of %d", first.Name(), want, records, h.Name(), got, l.Len())
		}
	}
	return ""
}
