// Package inproc is the network of package p2p inside one process, for tests of
// whoever uses it: the same methods and events, no sockets, no admission. Frames
// between two connected peers arrive in order; what full queues do is as there.
package inproc

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"shoal/p2p"
	"shoal/wire"
)

// queueLen bounds the events of one peer; beyond it Send says no and gossip is lost.
const queueLen = 4096

// A Net joins peers. All are connected to all until Cut says otherwise.
type Net struct {
	mu    sync.Mutex
	peers map[wire.PeerID]*Host
	cut   map[[2]wire.PeerID]bool
}

// New returns a net without peers.
func New() *Net {
	return &Net{peers: map[wire.PeerID]*Host{}, cut: map[[2]wire.PeerID]bool{}}
}

// A Host is one peer of a Net.
type Host struct {
	net      *Net
	id       wire.PeerID
	events   chan p2p.Event
	topics   map[string]bool
	handlers map[string]func(wire.PeerID, net.Conn)
	stats    p2p.Stats
}

// Start adds a peer, which everybody in reach hears of. A peer of the same ID must
// have been closed before.
func (n *Net) Start(id wire.PeerID) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{
		net: n, id: id, events: make(chan p2p.Event, queueLen),
		topics: map[string]bool{}, handlers: map[string]func(wire.PeerID, net.Conn){},
	}
	n.peers[id] = h
	for _, other := range n.peers {
		if other != h && n.reach(id, other.id) {
			other.offer(p2p.Connected{Peer: id})
			h.offer(p2p.Connected{Peer: other.id})
		}
	}
	return h
}

// Cut ends the connection between a and b, or (false) makes it again.
func (n *Net) Cut(a, b wire.PeerID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut[pair(a, b)] == cut {
		return
	}
	n.cut[pair(a, b)] = cut
	ha, hb := n.peers[a], n.peers[b]
	if ha == nil || hb == nil {
		return
	}
	if cut {
		ha.offer(p2p.Disconnected{Peer: b})
		hb.offer(p2p.Disconnected{Peer: a})
		return
	}
	ha.offer(p2p.Connected{Peer: b})
	hb.offer(p2p.Connected{Peer: a})
}

func pair(a, b wire.PeerID) [2]wire.PeerID {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return [2]wire.PeerID{a, b}
}

// reach and all below are called with n.mu held.
func (n *Net) reach(a, b wire.PeerID) bool { return !n.cut[pair(a, b)] }

func (h *Host) offer(e p2p.Event) bool {
	select {
	case h.events <- e:
		return true
	default:
		return false
	}
}

// isUp reports whether h is the net's peer of its ID still.
func (h *Host) isUp() bool { return h.net.peers[h.id] == h }

// Close takes the peer off the net; the others hear of it.
func (h *Host) Close() error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if !h.isUp() {
		return nil
	}
	delete(h.net.peers, h.id)
	for _, other := range h.net.peers {
		if h.net.reach(h.id, other.id) {
			other.offer(p2p.Disconnected{Peer: h.id})
		}
	}
	return nil
}

// ID returns this peer's ID.
func (h *Host) ID() wire.PeerID { return h.id }

// Events is as of p2p.Host.
func (h *Host) Events() <-chan p2p.Event { return h.events }

// Send is as of p2p.Host.
func (h *Host) Send(to wire.PeerID, frame []byte) bool {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	other := h.net.peers[to]
	ok := h.isUp() && len(frame) <= p2p.MaxFrame && other != nil && other != h && h.net.reach(h.id, to) &&
		other.offer(p2p.Message{From: h.id, Bytes: slices.Clone(frame)})
	if !ok {
		h.stats.FramesRefused++
		return false
	}
	h.stats.FramesSent++
	other.stats.FramesReceived++
	return true
}

// Join is as of p2p.Host.
func (h *Host) Join(topic string) error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.topics[topic] = true
	return nil
}

// Publish is as of p2p.Host, and reaches at once all who are in direct reach.
func (h *Host) Publish(topic string, b []byte) error {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if len(b) > p2p.MaxGossip {
		return fmt.Errorf("publish on %s: %d bytes, at most %d", topic, len(b), p2p.MaxGossip)
	}
	h.stats.Published++
	for id, other := range h.net.peers {
		if other == h || !h.isUp() || !other.topics[topic] || !h.net.reach(h.id, id) {
			continue
		}
		if !other.offer(p2p.Message{From: h.id, Topic: topic, Bytes: slices.Clone(b)}) {
			other.stats.GossipDropped++
			continue
		}
		other.stats.Heard++
	}
	return nil
}

// Handle is as of p2p.Host.
func (h *Host) Handle(proto string, fn func(from wire.PeerID, c net.Conn)) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.handlers[proto] = fn
}

// Open is as of p2p.Host; the connection is a net.Pipe.
func (h *Host) Open(_ context.Context, to wire.PeerID, proto string) (net.Conn, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	other := h.net.peers[to]
	if !h.isUp() || other == nil || !h.net.reach(h.id, to) {
		return nil, fmt.Errorf("reach peer %s: no connection", to.Short())
	}
	fn := other.handlers[proto]
	if fn == nil {
		return nil, fmt.Errorf("open %s at peer %s: peer does not speak it", proto, to.Short())
	}
	here, there := net.Pipe()
	go fn(h.id, there)
	return here, nil
}

// Redial does nothing: whoever is in reach is connected.
func (h *Host) Redial(wire.PeerID) {}

// Shun does nothing: here are no connections to hang up.
func (h *Host) Shun(wire.PeerID, time.Duration) {}

// AddAddrs does nothing: there are no addresses.
func (h *Host) AddAddrs(wire.PeerID, []string) {}

// Addrs returns nothing.
func (h *Host) Addrs() []string { return nil }

// Peers lists the peers in reach, by ID.
func (h *Host) Peers() []p2p.PeerInfo {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	var infos []p2p.PeerInfo
	for id, other := range h.net.peers {
		if other != h && h.net.reach(h.id, id) {
			infos = append(infos, p2p.PeerInfo{ID: id, Path: p2p.Direct})
		}
	}
	slices.SortFunc(infos, func(a, b p2p.PeerInfo) int { return a.ID.Compare(b.ID) })
	return infos
}

// Stats returns the counts.
func (h *Host) Stats() p2p.Stats {
	peers := len(h.Peers())
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	s := h.stats
	s.Peers, s.Known = peers, peers
	return s
}
