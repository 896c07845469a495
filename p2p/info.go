package p2p

import (
	"slices"
	"sync/atomic"
	"time"

	"shoal/p2p/admit"
	"shoal/wire"
)

// A Path is how a peer is reached.
type Path string

// The paths.
const (
	Direct  Path = "direct"
	Relayed Path = "relayed"
)

// PeerInfo is a member with a connection.
type PeerInfo struct {
	ID     wire.PeerID
	Addrs  []string // of its connections, without /p2p/ID
	Path   Path
	RTT    time.Duration // measured when it was admitted
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
		for _, c := range h.host.Network().ConnsToPeer(toPeerID(infos[i].ID)) {
			infos[i].Addrs = append(infos[i].Addrs, c.RemoteMultiaddr().String())
			if !c.Stat().Limited {
				infos[i].Path = Direct
			}
		}
	}
	slices.SortFunc(infos, func(a, b PeerInfo) int { return a.ID.Compare(b.ID) })
	return infos
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
