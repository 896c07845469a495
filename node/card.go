package node

import (
	"bytes"
	"time"

	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// settleCard publishes the card anew when what it says has changed.
func (c *Core) settleCard() {
	if c.self.cardOf == c.cardFrom() {
		return
	}
	c.self.cardOf = c.cardFrom()
	if !bytes.Equal(wire.MustMarshal(c.cardNow()), c.self.card) {
		c.publishCard()
	}
}

// cardFrom is what a card is made of, without the making: equal values, equal cards.
type cardFrom struct {
	facts    *runtime.Facts
	relabels int
	readdrs  int
	leaves   bool
	wait     time.Duration
}

func (c *Core) cardFrom() cardFrom {
	return cardFrom{c.facts, c.self.relabels, c.self.readdrs, c.givesWay(), c.self.wait}
}

func (c *Core) publishCard() {
	card := c.cardNow()
	c.self.card, c.self.cardOf = wire.MustMarshal(card), c.cardFrom()
	c.write(wire.KindCard, card)
}

func (c *Core) cardNow() *ledger.Card {
	card := &ledger.Card{
		Peer: c.cfg.Self, Name: c.cfg.Name, Datacenter: c.cfg.Datacenter, Labels: c.labels(),
		Profile: c.cfg.Profile, Version: c.cfg.Version, Addrs: c.self.addrs,
		Draining: c.givesWay(), WaitSec: uint32(c.self.wait / time.Second), Cert: c.cfg.Cert,
	}
	if f := c.facts; f != nil {
		card.Driver, card.Platform = f.Driver, f.OS+"/"+f.Arch
		card.Capacity = f.Capacity
		card.Battery, card.No = c.battery.told, c.idle.told
	}
	return card
}

// labels are the machine's, the owner's and those set while running, the later
// over the earlier.
func (c *Core) labels() map[string]string {
	out := map[string]string{}
	if c.facts != nil {
		for k, v := range c.facts.Labels {
			out[k] = v
		}
	}
	for k, v := range c.cfg.Labels {
		out[k] = v
	}
	for k, v := range c.self.labels {
		out[k] = v
		if v == "" {
			delete(out, k)
		}
	}
	return out
}
