package node

import (
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// setPolicy gives a bidder its owner's policy, and what that looks at.
func (c *Core) setPolicy(s *auction.Self) {
	s.Accept = c.cfg.Accept
	s.HasDevice = func(host string) bool { return slices.Contains(c.facts.Devices, host) }
	if s.Accept == nil {
		return
	}
	// The battery as it is, not as it is told of: the owner is not to wait.
	s.Closed = s.Accept.Closed(auction.Condition{Minute: c.facts.Minute, Battery: c.facts.Battery, TempC: c.facts.TempC})
	for _, cl := range c.led.ClaimsBy(c.cfg.Self) {
		if !cl.Phase.Ended() {
			s.Held++
		}
	}
	s.SignerOf = c.signerOf
}

// signerOf is the peer that accepted a job, and its name if no other has that: names
// are what peers say of themselves.
func (c *Core) signerOf(id job.ID) (wire.PeerID, string) {
	head := c.led.Head(id)
	if head == nil {
		return wire.PeerID{}, ""
	}
	name := c.nameOf(head.Author)
	for _, p := range c.led.Members() {
		if p != head.Author && c.nameOf(p) == name {
			return head.Author, ""
		}
	}
	return head.Author, name
}

// batteryAfter is how long a peer must have been on its battery, or off it, before the
// others are told: a plug that wobbles writes no cards.
const batteryAfter = 30 * time.Second

// A battery is whether this peer runs on one, and since when.
type battery struct {
	on, told bool
	since    clock.Instant // 0: nothing was seen yet
}

func (b *battery) see(now clock.Instant, on bool) {
	switch {
	case b.since == 0:
		b.on, b.told, b.since = on, on, max(now, 1)
	case b.on != on:
		b.on, b.since = on, now
	case now.Sub(b.since) >= batteryAfter:
		b.told = on
	}
}

// hotC is where machines begin to slow themselves down, in °C.
const hotC = 90

// heatLoad is the load, in thousandths of the cores, as which heat counts: a machine
// that slows itself down is as good as overloaded.
func heatLoad(tempC int) int64 {
	if tempC >= hotC {
		return 1001
	}
	return 0
}
