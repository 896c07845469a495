package node

import (
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/wire"
)

const (
	pastAfter = 10 * time.Second // a card of our own that nobody hears is our past
	pastMost  = 30 * time.Second // the same where most of those asked say nothing
)

// past is a card of our own key that this run did not write: either our own past,
// which a lost disk forgot, or our key at work elsewhere.
type past struct {
	inc   uint32
	nonce uint64
	since clock.Instant
	asked clock.Instant
	no    map[wire.PeerID]bool // who has answered that it does not hear it
}

// settlePast watches for a card of ours that this run did not write. Observers
// are asked whether they hear that other start still: if one does, the key runs
// elsewhere and this, the older start, steps back; if none does, it was our past.
func (c *Core) settlePast() {
	r := c.led.CardRecord(c.cfg.Self)
	p := c.self.past
	if r == nil || r.Num.Inc < c.self.inc || r.Num.Inc == c.self.inc && r.Num.Nonce <= c.cfg.Nonce {
		c.self.past = nil
		return
	}
	if p == nil || p.inc != r.Num.Inc || p.nonce != r.Num.Nonce {
		p = &past{inc: r.Num.Inc, nonce: r.Num.Nonce, since: c.now, no: map[wire.PeerID]bool{}}
		c.self.past = p
	}
	waited := c.now.Sub(p.since)
	if waited >= pastMost || waited >= pastAfter && c.isDenied(p) {
		c.self.past = nil
		c.outlive()
		return
	}
	if waited < pastAfter {
		c.wake(p.since.Add(pastAfter))
	}
	if p.asked != 0 && c.now.Sub(p.asked) < time.Second {
		c.wake(p.asked.Add(time.Second))
		return
	}
	p.asked = c.now
	for _, peer := range c.reachable() {
		c.send(peer, &wire.Probe{Of: c.cfg.Self, Inc: p.inc, Nonce: p.nonce, AtMs: uint32(c.now.Sub(p.since).Milliseconds())})
	}
}

// isDenied reports whether at least half of those linked have said that they do not hear
// the start that p is of. Silence says nothing: two machines with one key cut each
// other's connections, and the answers may go to the other.
func (c *Core) isDenied(p *past) bool {
	no, asked := 0, c.reachable()
	for _, peer := range asked {
		if p.no[peer] {
			no++
		}
	}
	return len(asked) > 0 && 2*no >= len(asked)
}

// outlive takes the incarnation above that of our own past and says everything
// that holds anew, since others may have taken it for stale.
func (c *Core) outlive() {
	c.chooseIncarnation()
	disowned := c.endDisowned()
	for _, cl := range c.led.ClaimsBy(c.cfg.Self) {
		if slices.Contains(disowned, cl) {
			continue // it had ended
		}
		again := *cl
		c.write(wire.KindClaim, &again)
	}
	for _, p := range c.led.PlacesAt(c.cfg.Self) {
		again := *p
		c.write(wire.KindVolumePlace, &again)
	}
	c.rec.Repeat() // what it has told meanwhile was written under numbers that the earlier start's beat
	if c.self.stage == ready {
		c.publishCard()
	}
	c.event(Event{Kind: "outlived", Peer: c.cfg.Self, Text: fmt.Sprintf("an earlier start of %s, which its store does not know, is over; this one goes on as incarnation %d", c.cfg.Name, c.self.inc)})
}

func (c *Core) probed(from wire.PeerID, m *wire.Probe) {
	if !m.Answer {
		if !c.mem.MayJudge(c.now) {
			return // neither what it hears nor what it misses says anything yet
		}
		answer := &wire.Probe{Of: m.Of, Inc: m.Inc, Nonce: m.Nonce, Answer: true, AtMs: m.AtMs}
		if ago, heard := c.mem.HeardAgo(m.Of, m.Inc, m.Nonce); heard && ago <= pastAfter {
			answer.Heard, answer.AgoMs = true, uint32(ago.Milliseconds())
		}
		c.send(from, answer)
		if answer.Heard && answer.AgoMs < answer.AtMs && from == m.Of {
			c.noteTwin(from, m.Inc, m.Nonce)
		}
		return
	}
	if m.Heard && c.isMe(m) {
		c.copied()
		return
	}
	p := c.self.past
	if p == nil || m.Of != c.cfg.Self || m.Inc != p.inc || m.Nonce != p.nonce || mutant.Is(mutant.NoStepBack) {
		return
	}
	if !m.Heard {
		if _, linked := c.self.linked[from]; linked {
			p.no[from] = true
		}
		return
	}
	if m.AgoMs < m.AtMs { // what was heard before we found the card may be ourselves before an older store was put back
		c.stepBack()
	}
}

func (c *Core) stepBack() {
	c.self.stage = muted
	c.self.past = nil
	c.holding.dirty = true
	c.event(Event{Kind: "stepped-back", Peer: c.cfg.Self, Text: fmt.Sprintf("the key of %s runs elsewhere, started later: this start stops its containers and says nothing more", c.cfg.Name)})
}
