package node

import (
	"fmt"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// waysOut says what a person can do for a slot that waits for its volume: "" if its
// volume is not elsewhere.
func (c *Core) waysOut(w ledger.Wanted, slot job.SlotID) string {
	for _, name := range w.Task.Volumes() {
		at, _, known := c.volumePlace(slot.Job, name, slot.Index)
		if !known || at == c.cfg.Self {
			continue
		}
		state := c.peerState(at)
		where := fmt.Sprintf("volume %s/%s is on %s (%s)", slot.Job, name, c.nameOf(at), state)
		const fresh = "`failover.volume: empty` has the task start elsewhere without it"
		if state == "ready" || state == "joining" {
			return where + ": " + fresh
		}
		return fmt.Sprintf("%s: `shoal peers rm %s` gives it up, or %s", where, c.callOf(at), fresh)
	}
	return ""
}

// callOf is what a person calls a peer: its name, or the end of its ID where another
// that is not removed has that name, too.
func (c *Core) callOf(p wire.PeerID) string {
	name := c.nameOf(p)
	for _, o := range c.led.AllPeers() {
		if o != p && c.nameOf(o) == name && !c.led.IsRevoked(o) {
			return p.Short()
		}
	}
	return name
}
