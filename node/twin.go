package node

import (
	"fmt"

	"shoal/wire"
)

// A twin is the later of two starts that use one key at the same time.
type twin struct {
	inc   uint32
	nonce uint64
	told  int // so often that start was told of the earlier one
}

const (
	maxTwins = 64 // keys that are remembered to run twice

	// twinTold is how often the later start is told, once for each beat of it: what is sent
	// to a key may reach the earlier one, as long as that one is connected.
	twinTold = 8
)

// noteTwin takes note that a start of p asked whether a later one of its key is heard,
// and that it is: two machines use the key. Everybody who is asked tells of it once.
func (c *Core) noteTwin(p wire.PeerID, inc uint32, nonce uint64) {
	if t := c.twins[p]; t != nil && t.inc == inc && t.nonce == nonce || t == nil && len(c.twins) >= maxTwins {
		return
	}
	c.twins[p] = &twin{inc: inc, nonce: nonce}
	c.event(Event{Kind: "copied", Peer: p, Text: fmt.Sprintf("the key of %s is used by two machines: the one that was started earlier steps back", c.nameOf(p))})
}

// tellTwin answers the later start, when it is heard, what the earlier one asked: so it
// learns that there is another.
func (c *Core) tellTwin(p wire.PeerID, b *wire.Beat) {
	t := c.twins[p]
	if t == nil || t.told == twinTold || b.Inc != t.inc || b.Nonce != t.nonce {
		return
	}
	t.told++
	c.send(p, &wire.Probe{Of: p, Inc: t.inc, Nonce: t.nonce, Answer: true, Heard: true})
}

// isMe reports whether an answer is about this very start: another one asked.
func (c *Core) isMe(m *wire.Probe) bool {
	return m.Of == c.cfg.Self && m.Inc == c.self.inc && m.Nonce == c.cfg.Nonce
}

// copied tells, once, that this start is the later of two.
func (c *Core) copied() {
	if t := c.twins[c.cfg.Self]; t != nil && t.inc == c.self.inc {
		return
	}
	c.twins[c.cfg.Self] = &twin{inc: c.self.inc, nonce: c.cfg.Nonce, told: twinTold}
	c.event(Event{Kind: "copied", Peer: c.cfg.Self, Text: fmt.Sprintf("the key of %s runs on another machine too, started earlier: that one steps back; give it a key of its own", c.cfg.Name)})
}
