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

// tellAfter is how long something of this peer must have been so before its card says
// it: a plug that wobbles, or a sensor that fails now and then, writes no cards.
const tellAfter = 30 * time.Second

// A slow value is told once it has been the same for tellAfter.
type slow[T comparable] struct {
	is, told T
	since    clock.Instant
}

func (s *slow[T]) see(now clock.Instant, is T) {
	if s.is != is {
		s.is, s.since = is, now
	} else if now.Sub(s.since) >= tellAfter {
		s.told = is
	}
}

// takesNothing is why this peer takes nothing for the time being, in words that stay
// the same while it is so; "" if it takes what fits.
func (c *Core) takesNothing() string {
	switch f := c.facts; {
	case f == nil:
		return ""
	case c.rec.Silent(c.now):
		return auction.EngineSilent
	case c.noRoomOnDisk():
		return auction.DiskFull
	case len(f.Missing) > 0:
		return Brief(auction.MissingMetric + ": " + f.Missing[0])
	default:
		return c.cfg.Accept.Closed(auction.Condition{Minute: f.Minute, Battery: f.Battery, TempC: f.TempC})
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
