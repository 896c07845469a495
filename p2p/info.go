package p2p

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/p2p/admit"
	"shoal/wire"
)

// A Path is how a peer is reached.
type Path string

// The paths: dialled as anybody is; through a hole that both ends made in their NATs;
// carried by another member.
const (
	Direct  Path = "direct"
	Punched Path = "punched"
	Relayed Path = "relayed"
)

// better is the order of the paths.
var better = map[Path]int{Direct: 0, Punched: 1, Relayed: 2}

// PeerInfo is a member with a connection.
type PeerInfo struct {
	ID     wire.PeerID
	Addrs  []string      // of its connections, without /p2p/ID, the one in use first
	Path   Path          // of the best
	Relay  wire.PeerID   // who carries it; zero unless Relayed
	RTT    time.Duration // round trip of the best, the latest measure
	Rights admit.Rights
}

// Peers lists the members admitted now, by ID.
func (h *Host) Peers() []PeerInfo {
	h.gate.mu.Lock()
	var infos []PeerInfo
	for _, a := range h.gate.admitted {
		infos = append(infos, PeerInfo{ID: a.id, RTT: a.rtt, Path: Relayed, Rights: h.gate.certs[a.id].Rights})
	}
	h.gate.mu.Unlock()
	for i := range infos {
		h.describePath(&infos[i])
	}
	slices.SortFunc(infos, func(a, b PeerInfo) int { return a.ID.Compare(b.ID) })
	return infos
}

// describePath fills in how info's peer is reached.
func (h *Host) describePath(info *PeerInfo) {
	conns := h.host.Network().ConnsToPeer(toPeerID(info.ID))
	slices.SortStableFunc(conns, func(a, b network.Conn) int { return better[h.pathOf(a)] - better[h.pathOf(b)] })
	for _, c := range conns {
		info.Addrs = append(info.Addrs, c.RemoteMultiaddr().String())
	}
	if len(conns) == 0 {
		return
	}
	info.Path = h.pathOf(conns[0])
	if rtt := h.roundTrip(conns[0]); rtt > 0 {
		info.RTT = rtt
	}
	if relay, _, ok := relayOf(conns[0].RemoteMultiaddr()); ok {
		info.Relay, _ = fromPeerID(relay)
	}
}

func (h *Host) pathOf(c network.Conn) Path {
	switch {
	case isRelayed(c.RemoteMultiaddr()):
		return Relayed
	case h.paths.of(c).punched:
		return Punched
	default:
		return Direct
	}
}

// Hidden reports whether some members cannot dial this peer, so that it is reached
// through relays, and which members those are.
func (h *Host) Hidden() (hidden bool, relays []wire.PeerID) {
	for _, p := range h.relaying.relays() {
		if id, err := fromPeerID(p); err == nil {
			relays = append(relays, id)
		}
	}
	return h.reachable.hidden(), relays
}

// Certificate returns the certificate of a member this host has met or heard.
func (h *Host) Certificate(p wire.PeerID) (admit.Certificate, bool) {
	if p == h.self {
		return h.cfg.Certificate, true
	}
	return h.gate.certificate(p)
}

// Stats returns the counts.
func (h *Host) Stats() Stats {
	h.gate.mu.Lock()
	peers := len(h.gate.admitted)
	h.gate.mu.Unlock()
	return Stats{
		FramesSent: h.stats.framesSent.Load(), FramesReceived: h.stats.framesReceived.Load(),
		FramesRefused: h.stats.framesRefused.Load(), FramesLost: h.stats.framesLost.Load(),
		Published: h.stats.published.Load(), Heard: h.stats.heard.Load(), GossipDropped: h.stats.gossipDropped.Load(),
		Peers: peers, Known: len(h.book.all()), Refused: h.stats.faults(),
	}
}

// Stats are counts since the host was made.
type Stats struct {
	FramesSent     uint64 // written to a stream
	FramesReceived uint64
	FramesRefused  uint64 // Send returned false
	FramesLost     uint64 // Send returned true, then the peer was given up
	Published      uint64
	Heard          uint64 // gossip handed to the reader of Events
	GossipDropped  uint64 // gossip that found Events full

	Refused wire.FaultCounts // what others sent and this host dropped

	Peers int // admitted now
	Known int // with an address
}

type counters struct {
	framesSent, framesReceived, framesRefused, framesLost atomic.Uint64
	published, heard, gossipDropped                       atomic.Uint64
	refused                                               [wire.NumFaults]atomic.Uint64
}

func (c *counters) faults() (out wire.FaultCounts) {
	for i := range c.refused {
		out[i] = c.refused[i].Load()
	}
	return out
}
