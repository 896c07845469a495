package check

import (
	"time"

	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
)

// Yield is how a holder meets the verdict that its claim is lost. It refutes only
// with the claim's container still there, or when it knows of nobody else who took
// the slot; and a container that stands is not started again for a claim that all
// in reach know to be sold to another.
type Yield struct {
	w    World
	news news
	own  own
	ran  map[hostClaim]time.Duration // when its container was last seen running
	sold map[hostClaim]bool          // sold to another before its host's start
	away map[int]span                // the last time a host, or its engine, slept
}

// A span is from the last moment before something began to the last of it, as seen
// once a second.
type span struct{ from, to time.Duration }

type hostClaim struct {
	host int
	key  claimKey
}

// NewYield returns the checker.
func NewYield() *Yield {
	return &Yield{ran: map[hostClaim]time.Duration{}, sold: map[hostClaim]bool{}, away: map[int]span{}}
}

// Rule implements Checker.
func (*Yield) Rule() string { return "yield" }

// seenWithin is how old a peer's knowledge of its containers may be: it asks the
// engine once a second.
const seenWithin = 3 * time.Second

// takenUpWithin is how long a starting peer surely waits for an exchange: 5 s by its
// own clock, which may be fast.
const takenUpWithin = 4500 * time.Millisecond

// Tick implements Ticker.
func (y *Yield) Tick(w World) error {
	y.w = w
	for _, h := range w.Hosts() {
		y.watchSleep(h)
		for _, x := range h.Containers() {
			if x.State == runtime.StateRunning {
				y.ran[hostClaim{h.Index(), keyOfRef(&x.Ref)}] = w.Now()
			}
		}
	}
	return nil
}

// watchSleep notes that the daemon of h is paused or its engine hangs: what it knows
// of its containers grows no older to it.
func (y *Yield) watchSleep(h Host) {
	if h.Ledger() == nil || h.Up() && h.EngineWorks() {
		return
	}
	s := y.away[h.Index()]
	if y.w.Now()-s.to > seenWithin {
		s.from = y.w.Now() - time.Second
	}
	s.to = y.w.Now()
	y.away[h.Index()] = s
}

// Wrote implements WriteWatcher.
func (y *Yield) Wrote(h Host, writes []node.Write) error {
	before := map[claimKey]*ledger.Claim{}
	for i := range writes {
		r := writes[i].Put
		if r == nil {
			continue
		}
		c := claimOf(h, r)
		if c == nil {
			continue
		}
		k := keyOf(c)
		if before[k] == nil {
			before[k] = y.own.of(h).claims[k]
		}
		// What its disk forgot comes back from others, perhaps within this very step.
		if b := before[k]; y.news.knows(h, r) && (b == nil || c.Refuted > b.Refuted || c.Run > b.Run) {
			before[k] = c
		}
	}
	for i := range writes {
		y.own.wrote(h, &writes[i])
	}
	for _, r := range y.news.of(h, writes) {
		c := claimOf(h, r)
		if c == nil || c.Phase.Ended() || y.w == nil {
			continue
		}
		old := before[keyOf(c)]
		switch {
		case old == nil:
		case c.Refuted > old.Refuted && h.EngineWorks() && y.idle(h, c) && other(h.Ledger(), c) != nil:
			return violation("yield", "%s refutes that %s is lost without a container of it, and knows that %s took it with token %d",
				h.Name(), c.Slot, other(h.Ledger(), c).Peer.Short(), other(h.Ledger(), c).Token)
		case c.Run > old.Run && c.Spec == old.Spec && y.wasSold(h, c):
			return violation("yield", "%s starts %s again, token %d, which everybody in its reach knows to be sold to another",
				h.Name(), c.Slot, c.Token)
		}
	}
	return nil
}

// idle reports whether no container of the claim has run since h can last have
// asked its engine.
func (y *Yield) idle(h Host, c *ledger.Claim) bool {
	asked := y.w.Now()
	if s, ok := y.away[h.Index()]; ok && asked-s.to <= seenWithin {
		asked = s.from
	}
	at, ok := y.ran[hostClaim{h.Index(), keyOf(c)}]
	if ok && asked-at <= seenWithin {
		return false
	}
	for _, x := range h.Containers() {
		if x.State == runtime.StateRunning && keyOfRef(&x.Ref) == keyOf(c) {
			return false
		}
	}
	return true
}

// other returns a live claim of another peer on the slot of a claim, or nil.
func other(l *ledger.State, c *ledger.Claim) *ledger.Claim {
	if l == nil {
		return nil
	}
	for _, o := range l.LiveClaims(c.Slot) {
		if o.Peer != c.Peer {
			return o
		}
	}
	return nil
}

// wasSold reports whether, when h started a moment ago, every ready peer that it
// has reached since then knew the claim as lost and the slot as another's.
func (y *Yield) wasSold(h Host, c *ledger.Claim) bool {
	return y.w.Now()-h.Since() < takenUpWithin && y.sold[hostClaim{h.Index(), keyOf(c)}] && y.soldNow(h, c)
}

func (y *Yield) soldNow(h Host, c *ledger.Claim) bool {
	ready := 0
	for _, o := range y.w.Hosts() {
		l := o.Ledger()
		if o.Peer() == h.Peer() || l == nil || o.Joining() {
			continue
		}
		if !o.Counts() || !y.w.Reaches(h.Index(), o.Index()) {
			return false
		}
		if !l.IsLost(c) || other(l, c) == nil {
			return false
		}
		ready++
	}
	return ready > 0
}

// Booted implements LifeWatcher.
func (y *Yield) Booted(h Host) {
	y.own.reload(h)
	if y.w == nil {
		return
	}
	for _, c := range y.own.of(h).open() {
		y.sold[hostClaim{h.Index(), keyOf(c)}] = y.soldNow(h, c)
	}
}

// DiskLost implements LifeWatcher.
func (y *Yield) DiskLost(h Host) { y.own.reload(h) }
