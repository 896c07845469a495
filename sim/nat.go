package sim

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A nic is a machine's connection to the network.
type nic struct {
	luck   *rand.Rand // of losses, copies, meshes and relays
	site   int32      // its row of the matrix
	uplink int64      // bits a second; 0: the network's

	natted  bool // nobody can dial it
	punches bool // but a hole may be punched
	addr    int  // the public address it shares with others, counted from 1; 0: its own

	out       outbox
	published time.Duration   // its last publication is signed and encoded by then
	mesh      []int32         // neighbours that get every message
	peers     []int32         // all machines it is linked to, in no order
	beat      time.Duration   // the next heartbeat of its gossip
	copied    []time.Duration // by machine: when the last copy sent to it arrives; used where packets are lost
	met       []bool          // by machine: its daemon has that one's certificate

	conns    []conn   // by machine; nil unless some machine cannot be dialled, or counts
	accepted []uint16 // connections accepted from each public address
}

// A conn is what a machine knows of its connection to another.
type conn struct {
	relay   int32         // the machine in between, counted from 1; 0: none
	counted bool          // the other accepted it, and counts it against this one's address
	refused time.Duration // no new attempt before then
}

// redialAfter is how long a machine waits after a failed dial, as p2p does first.
const redialAfter = time.Second

// join gives a machine its place in the network.
func (n *network) join(m *machine, spec *nicSpec) {
	m.nic = nic{luck: stream(n.w.seed, m.index, "luck"), uplink: spec.Uplink, natted: spec.NAT != "", punches: spec.NAT == "yes"}
	if n.siteOf != nil {
		m.nic.site = n.siteOf(m.index)
	}
	if spec.Addr != "" {
		if n.addrs[spec.Addr] == 0 {
			if n.addrs == nil {
				n.addrs = map[string]int{}
			}
			n.addrs[spec.Addr] = len(n.addrs) + 1
		}
		m.nic.addr = n.addrs[spec.Addr]
	}
	n.strict = n.strict || m.nic.natted || n.connCap > 0 && m.nic.addr > 0
	n.metered = n.metered || spec.Uplink > 0
}

func (m *machine) conn(to *machine) *conn {
	if len(m.nic.conns) <= to.index {
		m.nic.conns = append(m.nic.conns, make([]conn, len(m.w.machines)-len(m.nic.conns))...)
	}
	return &m.nic.conns[to.index]
}

// setLinked notes that there is a connection, or no longer.
func (m *machine) setLinked(to *machine, up bool) {
	if m.linked[to.index] == up {
		return
	}
	m.linked[to.index] = up
	if up {
		m.nic.peers = append(m.nic.peers, int32(to.index))
		return
	}
	last := len(m.nic.peers) - 1
	m.nic.peers[slices.Index(m.nic.peers, int32(to.index))] = m.nic.peers[last]
	m.nic.peers = m.nic.peers[:last]
}

// direct reports whether packets go straight from one to the other; both know of
// the connection. It is asked only where n.strict.
func (n *network) direct(m, to *machine) bool {
	return m.linked[to.index] && to.linked[m.index] && m.conn(to).relay == 0
}

// connect tries to make a connection that is not there and that no cut prevents.
func (n *network) connect(m, to *machine) bool {
	if !n.strict {
		return true
	}
	c := m.conn(to)
	if n.w.now < c.refused {
		return false
	}
	n.hangUp(m, to) // what one of the two may still believe in is gone
	switch {
	case m.nic.addr > 0 && m.nic.addr == to.nic.addr: // within one site, by its own addresses
		return true
	case !to.nic.natted && n.accepts(m, to):
		return true
	case !to.nic.natted: // it has enough of this address
	case m.nic.punches && to.nic.punches && chance(m.nic.luck, n.punch):
		return true
	default:
		r := n.findRelay(m, to)
		if r != nil && (m.nic.natted || !n.accepts(to, m)) { // else it is asked, through the relay, to dial back
			c.relay, to.conn(m).relay = int32(r.index+1), int32(r.index+1)
		}
		if r != nil {
			return true
		}
	}
	c.refused = n.w.now + redialAfter
	return false
}

// accepts counts one more connection from a public address, unless the cap is
// reached: libp2p's own is 8, p2p/limits.go says ours.
func (n *network) accepts(m, to *machine) bool {
	if n.connCap == 0 || m.nic.addr == 0 {
		return true
	}
	t := &to.nic
	if len(t.accepted) <= m.nic.addr {
		t.accepted = append(t.accepted, make([]uint16, m.nic.addr+1-len(t.accepted))...)
	}
	if int(t.accepted[m.nic.addr]) >= n.connCap {
		return false
	}
	t.accepted[m.nic.addr]++
	m.conn(to).counted = true
	return true
}

// findRelay picks a member by chance that both have a direct connection to and that
// can itself be dialled.
func (n *network) findRelay(m, to *machine) *machine {
	if n.noRelay {
		return nil
	}
	from := m.nic.luck.IntN(len(n.w.machines))
	for k := range n.w.machines {
		if r := n.w.machines[(from+k)%len(n.w.machines)]; n.relays(r, m, to) {
			return r
		}
	}
	return nil
}

func (n *network) relays(r, a, b *machine) bool {
	return r != a && r != b && r.core != nil && !r.paused && !r.nic.natted && n.both(a.index, r.index) && n.both(r.index, b.index) &&
		n.direct(a, r) && n.direct(r, b)
}

// relay returns who is between two machines; nil for a direct connection. ok is
// false if that one no longer does it.
func (n *network) relay(m, to *machine) (r *machine, ok bool) {
	i := m.conn(to).relay
	if i == 0 {
		return nil, true
	}
	r = n.w.machines[i-1]
	return r, n.relays(r, m, to)
}

// joined reports whether there is a connection that both know of, and whoever relays
// it still does. It is asked only where n.strict.
func (n *network) joined(m, to *machine) bool {
	if !m.linked[to.index] || !to.linked[m.index] {
		return false
	}
	_, ok := n.relay(m, to)
	return ok
}

// nextHop is where a packet to a neighbour goes first: to the relay in between, if
// there is one.
func (n *network) nextHop(m, to *machine) *machine {
	if n.strict {
		if r, _ := n.relay(m, to); r != nil {
			return r
		}
	}
	return to
}

// hangUp forgets the connection between two machines on both sides.
func (n *network) hangUp(m, to *machine) {
	for _, s := range [][2]*machine{{m, to}, {to, m}} {
		c := s[0].conn(s[1])
		if c.counted {
			s[1].nic.accepted[s[0].nic.addr]--
		}
		c.counted, c.relay = false, 0
	}
}

// relayGone breaks the connections that a machine has relayed.
func (n *network) relayGone(r *machine) {
	for _, a := range n.w.machines {
		for i := range a.nic.conns {
			if a.nic.conns[i].relay == int32(r.index+1) {
				n.hintDown(a, n.w.machines[i], span{time.Second, 8 * time.Second})
			}
		}
	}
}
