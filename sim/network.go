package sim

import (
	"cmp"
	"time"

	"shoal/node"
	"shoal/wire"
)

// The network carries messages between machines. On a stream they come in order,
// once, and late after a loss; none comes over a cut. On a topic they go from
// neighbour to neighbour (gossipnet.go), and may be lost, doubled and overtaken.
type network struct {
	w     *World
	now   NetSpec // the weather
	links links
	cut   [][]bool // cut[a][b]: nothing goes from a to b
	drops []*drop
	traps []*trap

	forgeries []*forgery
	forged    int // records altered so far

	matrix    *Matrix // nil: none
	siteOf    func(index int) int32
	metered   bool           // bytes are counted, and queues: some bandwidth or queue is bounded
	uplink    int64          // of each machine, bits a second; 0: without bound
	gossipCap int            // messages of topics that wait for one neighbour
	strict    bool           // who may connect to whom depends on addresses
	addrs     map[string]int // public addresses that several share, counted from 1
	connCap   int            // 0: without bound
	punch     float64
	noRelay   bool

	watch func(wire.Message) // of tests: told of each message sent, if not nil

	sent, delivered, lost uint64 // delivered: on streams
	gossiped              uint64 // first copies of topics' messages that a daemon got
	overflow              uint64 // copies dropped at full queues
	sentKinds             [64]uint64
}

// setUp makes the network what the spec says; machines are added afterwards.
func (n *network) setUp(s *NetSpec) {
	n.matrix, n.connCap, n.punch, n.noRelay, n.uplink = s.Matrix, s.ConnCap, s.Punch, s.NoRelay, s.Uplink
	if s.Matrix != nil {
		n.siteOf = s.Matrix.sites(n.w.seed, !s.Indexed)
	}
	n.gossipCap = cmp.Or(s.GossipCap, gossipQueue)
	n.metered = s.Uplink > 0 || s.GossipCap > 0
	n.calm(s)
}

// calm ends what faults have made of the weather and of single links.
func (n *network) calm(s *NetSpec) {
	n.now = *s
	n.links.reset(s)
	for _, m := range n.w.machines {
		m.nic.out = outbox{} // nothing waits for what is no longer narrow
	}
	n.meter(s.Bandwidth > 0)
}

// meter begins to count bytes; it never ends, or what waits would be forgotten.
func (n *network) meter(on bool) { n.metered = n.metered || on }

// A drop is a wish of the scenario: lose the next count messages of a kind.
type drop struct {
	kind     wire.MessageKind // 0: any
	from, to int              // -1: any
	count    int
}

// A trap cuts the power of the machine that sends a message of a kind.
type trap struct {
	kind   wire.MessageKind
	from   int // -1: whoever is first
	before bool
	skip   int // messages to let pass first
	down   time.Duration
	done   bool
}

func (n *network) grow(count int) {
	for i := range n.cut {
		n.cut[i] = append(n.cut[i], make([]bool, count-len(n.cut[i]))...)
	}
	for len(n.cut) < count {
		n.cut = append(n.cut, make([]bool, count))
	}
}

// setCut cuts or mends one direction.
func (n *network) setCut(a, b int, cut bool) {
	n.cut[a][b] = cut && a != b
}

func (n *network) open(a, b int) bool { return !n.cut[a][b] }

// both reports whether a connection can exist.
func (n *network) both(a, b int) bool { return n.open(a, b) && n.open(b, a) }

// send carries one envelope. It returns false if a trap has killed the sender.
func (n *network) send(m *machine, e *wire.Envelope) bool {
	kind := e.Msg.Kind()
	n.sent++
	n.sentKinds[kind%64]++
	if n.watch != nil {
		n.watch(e.Msg)
	}
	n.w.census.sent(e.Msg)
	n.w.sales.says(e.Msg)
	t := n.sprung(m, kind)
	if t != nil && t.before {
		n.spring(m, t)
		return false
	}
	n.w.checks.sent(m, e)
	msg := e.Msg
	if len(n.forgeries) > 0 {
		msg = n.forge(m, msg)
	}
	msg = n.code(m, msg)
	if len(n.forgeries) > 0 && !e.To.IsZero() {
		msg = n.garble(m, msg)
	}
	for range 1 + m.repeats {
		n.emit(m, e, msg)
	}
	if t != nil {
		n.spring(m, t)
		return false
	}
	return true
}

// emit sends a message once.
func (n *network) emit(m *machine, e *wire.Envelope, msg wire.Message) {
	if e.To.IsZero() {
		n.publish(m, e.Topic, msg)
	} else if to := n.w.speaker(m, e.To); to != nil {
		n.stream(m, to, msg)
	}
}

// code runs a message through its encoding, where the scenario asks for that.
func (n *network) code(m *machine, msg wire.Message) wire.Message {
	if !n.w.encode && !n.w.mixed {
		return msg
	}
	again, err := m.recode(msg)
	if err == nil {
		return again
	}
	n.w.fail(Crash, "%s sent a %s that does not survive its encoding: %v", m.name, messageName(msg.Kind()), err)
	return msg
}

func (n *network) sprung(m *machine, kind wire.MessageKind) *trap {
	for _, t := range n.traps {
		if t.done || t.kind != kind || t.from >= 0 && t.from != m.index {
			continue
		}
		if t.skip > 0 {
			t.skip--
			continue
		}
		return t
	}
	return nil
}

func (n *network) spring(m *machine, t *trap) {
	t.done = true
	n.w.trace.note(n.w.now, m.name, "dies at its %s", messageName(t.kind))
	m.powerCut()
	m.backAfter(t.down)
}

// connectionPatience is how long a frame may be under way, its resends included,
// before the connection is given up for a new one.
const connectionPatience = 10 * time.Second

// stream sends in order and once; a lost packet is sent again a little later.
func (n *network) stream(m, to *machine, msg wire.Message) {
	if to == m {
		n.arrive(m, to, msg, n.w.now)
		return
	}
	dialled, ok := time.Duration(0), n.open(m.index, to.index) && to.hears()
	if ok {
		dialled, ok = n.hintUp(m, to)
	}
	if !ok {
		n.lost++
		if n.w.rec != nil {
			n.w.rec.remember(sentMessage{m.index, to.index, n.w.now, n.w.now, msg, true})
		}
		n.hintDown(m, to, span{500 * time.Millisecond, 3 * time.Second})
		return
	}
	at, ok := n.carry(m, to, msg)
	if !ok {
		n.lost++
		n.hintDown(m, to, span{time.Millisecond, time.Second})
		return
	}
	at = max(at+dialled, m.streams[to.index])
	if at-n.w.now > connectionPatience { // what waits behind it is lost with the connection
		n.lost++
		m.streams[to.index] = n.w.now
		n.hintDown(m, to, span{time.Millisecond, time.Second})
		return
	}
	m.streams[to.index] = at
	lost := n.dropped(m, to, msg)
	n.w.sales.carried(msg, n.w.sales.weight(msg))
	if n.w.rec != nil {
		n.w.rec.carried(sizeOf(msg) + streamOverhead)
		n.w.rec.remember(sentMessage{m.index, to.index, n.w.now, at, msg, lost})
	}
	if lost {
		return
	}
	n.arrive(m, to, msg, at)
	if chance(m.nic.luck, n.links.between(m.index, to.index).dup) {
		n.arrive(m, to, msg, at)
	}
}

// carry says when a message on a stream is at the other end; false if it never is.
func (n *network) carry(m, to *machine, msg wire.Message) (at time.Duration, ok bool) {
	if n.strict {
		r, up := n.relay(m, to)
		if !up {
			n.hintDown(m, to, span{time.Second, 8 * time.Second})
			n.hintDown(to, m, span{time.Second, 8 * time.Second})
			return 0, false
		}
		if r != nil {
			if at, ok = n.hop(m, r, msg); !ok {
				return 0, false
			}
			on, ok := n.hop(r, to, msg) // asked as of now: until it comes, the relay sends other things
			return at + on - n.w.now, ok
		}
	}
	return n.hop(m, to, msg)
}

// hop takes a message over one link.
func (n *network) hop(m, to *machine, msg wire.Message) (at time.Duration, ok bool) {
	at = n.w.now
	if n.metered {
		if at, ok = n.depart(m, to, sizeOf(msg)+streamOverhead, at, false); !ok {
			return 0, false
		}
	}
	way := n.travel(m, to)
	return at + way + n.links.between(m.index, to.index).resends(m.nic.luck, 2*way), true
}

func (n *network) arrive(m, to *machine, msg wire.Message, at time.Duration) {
	n.delivered++
	n.w.push(event{at: at, kind: evMessage, machine: int32(to.index), from: int32(m.index), boot: to.boot, msg: msg})
}

func (n *network) dropped(m, to *machine, msg wire.Message) bool {
	for _, d := range n.drops {
		if d.count > 0 && (d.kind == 0 || d.kind == msg.Kind()) &&
			(d.from < 0 || d.from == m.index) && (d.to < 0 || d.to == to.index) {
			d.count--
			n.w.trace.note(n.w.now, m.name, "%s to %s is lost", messageName(msg.Kind()), to.name)
			return true
		}
	}
	return false
}

// hintUp tells both ends of a connection that was not there before, and says how long
// it takes to make. It reports whether messages can go: over half a cut they still do,
// but nobody connects.
func (n *network) hintUp(m, to *machine) (took time.Duration, ok bool) {
	switch {
	case m.linked[to.index] && (!n.strict || to.linked[m.index]):
		return 0, true
	case !to.hears() || !n.both(m.index, to.index):
		return 0, !n.strict
	case n.turnedAway(m, to), !n.connect(m, to):
		return 0, false
	}
	there, back := n.travel(m, to), n.travel(to, m)
	took = n.dialling(m, to, there+back)
	n.link(m, to, true, took)
	n.link(to, m, true, took+there)
	return took, true
}

func (n *network) hintDown(m, to *machine, after span) {
	if m.linked[to.index] {
		n.link(m, to, false, after.draw(m.net))
	}
}

func (n *network) link(m, to *machine, up bool, after time.Duration) {
	if m.core == nil || m.linked[to.index] == up {
		return
	}
	m.setLinked(to, up)
	if !up && n.strict {
		n.hangUp(m, to)
	}
	boot := m.boot
	n.w.later(after, func() { // what is true by then is told, so that hints never come in the wrong order
		if now := m.linked[to.index]; m.boot == boot && m.core != nil && m.told[to.index] != now {
			m.told[to.index] = now
			m.give(node.Input{Linked: &node.Linked{Peer: to.id, Up: now}})
		}
	})
}

// maxDials is how many machines a starting daemon connects to by itself.
const maxDials = 32

// dialAll is what discovery does for a daemon that starts.
func (n *network) dialAll(m *machine) {
	clear(m.linked)
	clear(m.told)
	m.nic.mesh, m.nic.peers, m.nic.beat = nil, nil, 0
	clear(m.nic.met)
	clear(m.nic.copied)
	dialled := 0
	for _, to := range n.w.machines {
		if to == m || to.core == nil || dialled >= maxDials {
			continue
		}
		to.setLinked(m, false)
		dialled++
		n.dialLater(m, to, span{2 * time.Millisecond, 300 * time.Millisecond})
	}
}

func (n *network) dialLater(m, to *machine, after span) {
	boot := m.boot
	n.w.later(after.draw(m.net), func() {
		if m.boot == boot && m.core != nil && to.hears() && n.both(m.index, to.index) {
			n.hintUp(m, to)
		}
	})
}

// redial tries a lost peer now.
func (n *network) redial(m *machine, p wire.PeerID) {
	if to := n.w.speaker(m, p); to != nil && to.core != nil {
		n.dialLater(m, to, span{n.now.Delay.from, n.now.Delay.to * 2})
	}
}

// gone tells the others, some time later, that a machine's daemon is no more.
func (n *network) gone(m *machine) {
	for _, to := range n.w.machines {
		if to != m {
			n.hintDown(to, m, span{50 * time.Millisecond, 8 * time.Second})
		}
	}
	if n.strict {
		n.relayGone(m)
	}
}

// woken tells a machine, some time after it woke, that its connections ended.
func (n *network) woken(m *machine) {
	for _, to := range n.w.machines {
		if to != m {
			n.hintDown(m, to, span{10 * time.Millisecond, 3 * time.Second})
		}
	}
}

// broken drops the connections that a new cut runs through.
func (n *network) broken() {
	n.pairs(func(a, b *machine) {
		if !n.open(a.index, b.index) && !n.open(b.index, a.index) {
			n.hintDown(a, b, span{time.Second, 8 * time.Second})
		}
	})
}

// mended lets background dialling find the heal.
func (n *network) mended() {
	n.pairs(func(a, b *machine) {
		if a.core != nil && !a.linked[b.index] {
			n.dialLater(a, b, span{200 * time.Millisecond, 8 * time.Second})
		}
	})
}

func (n *network) pairs(f func(a, b *machine)) {
	for _, a := range n.w.machines {
		for _, b := range n.w.machines {
			if a != b {
				f(a, b)
			}
		}
	}
}
