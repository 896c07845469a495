package sim

import (
	"math"
	"slices"
	"time"

	"shoal/wire"
)

// Gossip is modelled after go-libp2p-pubsub as p2p sets it up: an author sends to
// every neighbour, each who hears a message for the first time passes it on along
// its mesh, and tells a few others, with the next heartbeat, that it has it. What
// finds a queue full is dropped and nobody is told. The numbers are p2p/topic.go's
// and pubsub's own defaults.
const (
	meshDegree = 4 // neighbours in a mesh; grafted when there are fewer than meshLow
	meshLow    = 3
	meshHigh   = 6 // pruned to meshDegree when there are as many
	lazyDegree = 6 // neighbours outside the mesh who are told of a message
	meshBeat   = time.Second

	// publishCost is an author's work on one publication: sign, encode. Those of one
	// step leave one after the other.
	publishCost = 60 * time.Microsecond

	// hopCost is the work of each peer on the way: read, check, verify, pass on.
	hopCost = 500 * time.Microsecond

	// inboxBound is how many events wait for a daemon that is slow or stopped before
	// topics' messages are dropped: the bound of p2p's queue of events.
	inboxBound = 4096
)

// Times of a publication at one machine, other than a time.
const (
	never time.Duration = math.MaxInt64 // no copy is on its way
	heard time.Duration = -1            // it has it, or will never take it
)

// A publication is one message on a topic on its way to all. Its events carry it
// in the place of the message.
type publication struct {
	wire.Message
	topic   wire.Topic
	author  *machine
	bytes   int             // 0 where nobody measures
	weight  int             // of its encoding, for the sales
	due     []time.Duration // by machine: when the earliest copy arrives
	missing int             // machines to which no copy is on its way
}

// has reports whether a machine needs no copy any more. One that came after the
// publication gets none: the ledger's exchanges tell it.
func (p *publication) has(i int) bool { return i >= len(p.due) || p.due[i] == heard }

// publish sends a message to every neighbour of its author.
func (n *network) publish(m *machine, topic wire.Topic, msg wire.Message) {
	p := &publication{Message: msg, topic: topic, author: m, weight: n.w.sales.weight(msg), due: make([]time.Duration, len(n.w.machines))}
	if n.metered {
		p.bytes = sizeOf(msg) + gossipOverhead
	}
	for i, to := range n.w.machines {
		switch p.due[i] = never; {
		case to == m:
			p.due[i] = heard
		case to.core == nil:
		case len(n.drops) > 0 && n.dropped(m, to, msg):
			n.lost++
			p.due[i] = heard
		default:
			p.missing++
		}
	}
	ready := max(n.w.now, m.nic.published) + publishCost
	m.nic.published = ready
	for _, i := range m.nic.peers {
		if to := n.w.machines[i]; !p.has(to.index) && n.gossips(m, to) {
			n.w.sales.carried(msg, p.weight)
			if n.w.rec != nil {
				n.w.rec.carried(sizeOf(msg) + gossipOverhead)
			}
			n.copyTo(m, to, p, ready)
		}
	}
	if n.w.rec != nil {
		n.w.rec.remember(sentMessage{m.index, -1, n.w.now, n.w.now, msg, false})
	}
	n.tellLater(m, p)
}

// gossips reports whether a topic's messages go from one to the other now: over a
// connection, a relayed one too. (pubsub avoids those that a relay limits, and the
// relays of p2p limit none.)
func (n *network) gossips(m, to *machine) bool {
	return to.core != nil && m.linked[to.index] && n.open(m.index, to.index) && (!n.strict || n.joined(m, to))
}

// copyTo sends one copy, unless the queue for that neighbour is full, or a copy
// gets there sooner.
func (n *network) copyTo(m, to *machine, p *publication, ready time.Duration) {
	first := n.nextHop(m, to)
	if n.metered {
		at, ok := n.depart(m, first, p.bytes, ready, true)
		if !ok {
			n.overflow++
			return
		}
		ready = at
	}
	if p.has(to.index) {
		return
	}
	at := ready + n.flight(m, first)
	if first != to {
		on, ok := n.relayed(first, to, p)
		if !ok {
			return
		}
		at += on
	}
	l := n.links.between(m.index, to.index)
	at = m.nic.inOrder(to.index, l, at) + hopCost
	if chance(m.nic.luck, l.reorder) {
		at += holdBack.draw(m.nic.luck)
	}
	n.copyAt(m, to, p, at)
}

// flight draws how long a copy is on one link, its resends included.
func (n *network) flight(m, to *machine) time.Duration {
	way := n.travel(m, to)
	return way + n.links.between(m.index, to.index).resends(m.nic.luck, 2*way)
}

// relayed draws how long a copy takes from its relay to its receiver; false if too
// much waits there already. The relay carries bytes and knows of no topics.
func (n *network) relayed(r, to *machine, p *publication) (took time.Duration, ok bool) {
	if n.metered { // asked as of now: until the copy comes, the relay sends other things
		at, ok := n.depart(r, to, p.bytes, n.w.now, false)
		if !ok {
			n.overflow++
			return 0, false
		}
		took = at - n.w.now
	}
	return took + n.flight(r, to), true
}

// way draws how long a packet takes between two neighbours, through whoever relays it.
func (n *network) way(m, to *machine) time.Duration {
	if r := n.nextHop(m, to); r != to {
		return n.travel(m, r) + n.travel(r, to)
	}
	return n.travel(m, to)
}

// inOrder keeps a copy that comes at a time behind those sent before it on the same
// stream, where a loss may hold one up.
func (c *nic) inOrder(to int, l *link, at time.Duration) time.Duration {
	if l.loss == 0 {
		return at
	}
	if missing := to + 1 - len(c.copied); missing > 0 {
		c.copied = append(c.copied, make([]time.Duration, missing)...)
	}
	c.copied[to] = max(c.copied[to], at)
	return c.copied[to]
}

// holdBack is how much later a reordered copy comes.
var holdBack = span{10 * time.Millisecond, 250 * time.Millisecond}

func (n *network) copyAt(m, to *machine, p *publication, at time.Duration) {
	if at >= p.due[to.index] {
		return
	}
	if p.due[to.index] == never {
		p.missing--
	}
	p.due[to.index] = at
	n.w.push(event{at: at, kind: evGossip, machine: int32(to.index), from: int32(m.index), boot: to.boot, topic: p.topic, msg: p})
}

// heardGossip takes a copy at its receiver: the first is passed on and given to the
// daemon, every other is nothing new.
func (n *network) heardGossip(to *machine, e event) {
	p, ok := e.msg.(*publication)
	if !ok || to.core == nil || e.boot != to.boot || p.due[to.index] == heard {
		return
	}
	p.due[to.index] = heard
	l := n.links.between(int(e.from), to.index)
	if chance(to.nic.luck, l.topicLoss) || to.inboxFull() {
		n.lost++
		return
	}
	if wait := n.vouch(to, &e, p.author); wait > 0 {
		n.w.later(wait, func() {
			if to.core != nil && e.boot == to.boot {
				n.passOn(to, e, p)
			}
		})
		return
	}
	n.passOn(to, e, p)
}

// vouch returns how long a machine waits before it passes on the first publication of
// an author it was never connected to: it asks whoever sent it for the author's
// certificate, one round trip. Measured on the real stack: with 25 ms one way a
// publication takes 25, 50, 75 ms over one, two, three hops, an author's first 25,
// 100, 175.
func (n *network) vouch(to *machine, e *event, author *machine) time.Duration {
	if n.met(to, author) || to.linked[author.index] {
		return 0
	}
	from := n.w.machines[e.from]
	there, back := n.way(to, from), n.way(from, to)
	asked := n.links.between(to.index, from.index).resends(to.nic.luck, there+back)
	return there + asked + back + n.links.between(from.index, to.index).resends(to.nic.luck, there+back)
}

// met reports whether a daemon had the certificate of another machine before, and
// notes that it has it by now.
func (n *network) met(to, author *machine) bool {
	if missing := len(n.w.machines) - len(to.nic.met); missing > 0 {
		to.nic.met = append(to.nic.met, make([]bool, missing)...)
	}
	before := to.nic.met[author.index]
	to.nic.met[author.index] = true
	return before
}

// passOn sends a publication along the mesh, and gives it to the daemon.
func (n *network) passOn(to *machine, e event, p *publication) {
	dup := n.links.between(int(e.from), to.index).dup
	n.beatMesh(to)
	for _, i := range to.nic.mesh {
		if i == e.from || int(i) == p.author.index {
			continue
		}
		n.w.sales.carried(p.Message, p.weight) // also the copies that come second, which nobody waits for
		if n.w.rec != nil {
			n.w.rec.carried(sizeOf(p.Message) + gossipOverhead)
		}
		if p.has(int(i)) && !n.metered {
			continue
		}
		if nb := n.w.machines[i]; n.gossips(to, nb) {
			n.copyTo(to, nb, p, n.w.now)
		}
	}
	n.tellLater(to, p)
	n.gossiped++
	e.kind, e.from, e.msg = evMessage, int32(p.author.index), p.Message
	to.handle(e)
	if chance(to.nic.luck, dup) {
		e.at = n.w.now + n.travel(p.author, to)
		n.w.push(e)
	}
}

// tellLater tells some neighbours, with the next heartbeat, what this machine has:
// those who lack it ask for it. It costs something only while somebody is missing.
func (n *network) tellLater(m *machine, p *publication) {
	if p.missing <= 0 {
		return
	}
	peers := m.nic.peers
	for range min(lazyDegree, len(peers)) {
		to := n.w.machines[peers[m.nic.luck.IntN(len(peers))]]
		if !p.has(to.index) && p.due[to.index] == never && n.gossips(m, to) && n.gossips(to, m) {
			ready := n.w.now + span{0, meshBeat}.draw(m.nic.luck)
			if n.metered { // who cannot take a copy now is not told of it either: this was measured
				at, ok := n.depart(m, n.nextHop(m, to), p.bytes, n.w.now, true)
				if !ok {
					n.overflow++
					continue
				}
				ready = max(ready, at)
			}
			n.copyAt(m, to, p, ready+n.way(m, to)+n.way(to, m)+n.way(m, to)+hopCost)
		}
	}
}

// beatMesh is a machine's gossip heartbeat, done when it next matters: neighbours
// that are gone leave the mesh, others are grafted, too many are pruned. A mesh is
// mutual.
func (n *network) beatMesh(m *machine) {
	if n.w.now < m.nic.beat {
		return
	}
	m.nic.beat = n.w.now + meshBeat
	m.nic.mesh = slices.DeleteFunc(m.nic.mesh, func(i int32) bool { return !n.gossips(m, n.w.machines[i]) })
	if len(m.nic.mesh) < meshLow {
		n.graft(m)
	}
	for excess := len(m.nic.mesh) >= meshHigh; excess && len(m.nic.mesh) > meshDegree; {
		at := m.nic.luck.IntN(len(m.nic.mesh))
		n.w.machines[m.nic.mesh[at]].nic.leave(m.index)
		m.nic.mesh = slices.Delete(m.nic.mesh, at, at+1)
	}
}

// graft adds neighbours by chance until the mesh has its degree, if there are so many.
func (n *network) graft(m *machine) {
	peers := m.nic.peers // in no order that matters
	for k := range peers {
		if len(m.nic.mesh) >= meshDegree {
			return
		}
		j := k + m.nic.luck.IntN(len(peers)-k)
		peers[k], peers[j] = peers[j], peers[k]
		i := peers[k]
		if nb := n.w.machines[i]; n.gossips(m, nb) && !slices.Contains(m.nic.mesh, i) {
			m.nic.mesh = append(m.nic.mesh, i)
			if !slices.Contains(nb.nic.mesh, int32(m.index)) {
				nb.nic.mesh = append(nb.nic.mesh, int32(m.index))
			}
		}
	}
}

func (c *nic) leave(index int) {
	c.mesh = slices.DeleteFunc(c.mesh, func(i int32) bool { return i == int32(index) })
}
