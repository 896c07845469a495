package p2p

import (
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/quic-go/quic-go"
)

// retireEvery is the time between two looks at a relayed connection that a direct one
// has made superfluous.
const retireEvery = 3 * time.Second

// paths keeps what this peer knows of each connection over which somebody was
// admitted; libp2p knows the rest.
type paths struct {
	mu       sync.Mutex
	conns    map[network.Conn]*path
	retiring map[peer.ID]bool
}

type path struct {
	seen    ma.Multiaddr  // as what address the other end sees this peer; nil: not told
	relays  bool          // the other end carries connections for members
	punched bool          // through a NAT, by both ends at the same moment
	rtt     time.Duration // at the hello, or when last asked
	packets uint64        // received over QUIC until heardSince last looked
}

func newPaths() *paths {
	return &paths{conns: map[network.Conn]*path{}, retiring: map[peer.ID]bool{}}
}

func (ps *paths) admitted(c network.Conn, g guest) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	known := ps.conns[c]
	if known == nil {
		known = &path{}
		ps.conns[c] = known
	}
	known.relays, known.rtt = g.relays, g.rtt
	if g.seen != nil {
		known.seen = g.seen
	}
}

func (ps *paths) measured(c network.Conn, rtt time.Duration) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if known := ps.conns[c]; known != nil {
		known.rtt = rtt
	}
}

// punchedThrough notes how the direct connections among conns came about; they may
// have been admitted by now or not.
func (ps *paths) punchedThrough(conns []network.Conn) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, c := range conns {
		if isRelayed(c.RemoteMultiaddr()) || c.IsClosed() {
			continue
		}
		if ps.conns[c] == nil {
			ps.conns[c] = &path{}
		}
		ps.conns[c].punched = true
	}
}

func (ps *paths) closed(c network.Conn) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.conns, c)
}

func (ps *paths) of(c network.Conn) path {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if known := ps.conns[c]; known != nil {
		return *known
	}
	return path{}
}

// isRelayed reports whether a leads through a relay.
func isRelayed(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

// splitRelayed parts addresses into direct and relayed ones.
func splitRelayed(addrs []ma.Multiaddr) (direct, relayed []ma.Multiaddr) {
	for _, a := range addrs {
		if isRelayed(a) {
			relayed = append(relayed, a)
		} else {
			direct = append(direct, a)
		}
	}
	return direct, relayed
}

// relayOf returns the relay of a relayed address and where that is.
func relayOf(a ma.Multiaddr) (relay peer.ID, via ma.Multiaddr, ok bool) {
	head, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
	if len(head) == 0 || len(head) == len(a) {
		return "", nil, false
	}
	info, err := peer.AddrInfoFromP2pAddr(head)
	if err != nil || len(info.Addrs) != 1 {
		return "", nil, false
	}
	return info.ID, info.Addrs[0], true
}

// ipOf returns the address a begins with; for a relayed one that of its relay.
func ipOf(a ma.Multiaddr) net.IP {
	ip, _ := manet.ToIP(a)
	return ip
}

// directConn returns a connection to p without a relay, nil if there is none.
func (h *Host) directConn(p peer.ID) network.Conn {
	for _, c := range h.host.Network().ConnsToPeer(p) {
		if !c.IsClosed() && !isRelayed(c.RemoteMultiaddr()) {
			return c
		}
	}
	return nil
}

// roundTrip returns the latest measure of c: QUIC keeps its own.
func (h *Host) roundTrip(c network.Conn) time.Duration {
	var q *quic.Conn
	if !isRelayed(c.RemoteMultiaddr()) && c.As(&q) && q != nil {
		if rtt := q.ConnectionStats().SmoothedRTT; rtt > 0 {
			return rtt
		}
	}
	return h.paths.of(c).rtt
}

// heardSince reports whether packets of p came over QUIC since it last looked. They
// are encrypted, so nobody else can have sent them.
func (h *Host) heardSince(p peer.ID) bool {
	heard := false
	for _, c := range h.host.Network().ConnsToPeer(p) {
		now := packetsOf(c)
		h.paths.mu.Lock()
		if known := h.paths.conns[c]; known != nil && now > known.packets {
			known.packets, heard = now, true
		}
		h.paths.mu.Unlock()
	}
	return heard
}

// packetsOf counts the packets that came over a direct connection of QUIC; 0 of another.
func packetsOf(c network.Conn) uint64 {
	var q *quic.Conn
	if isRelayed(c.RemoteMultiaddr()) || !c.As(&q) || q == nil {
		return 0
	}
	return q.ConnectionStats().PacketsReceived
}

// retire closes the relayed connections to p once there is a direct one and nothing
// of a user runs over them. Frames and gossip move by themselves.
func (h *Host) retire(p peer.ID) {
	direct, relayed := false, false
	for _, c := range h.host.Network().ConnsToPeer(p) {
		if isRelayed(c.RemoteMultiaddr()) {
			relayed = true
		} else {
			direct = true
		}
	}
	h.paths.mu.Lock()
	wanted := direct && relayed && !h.paths.retiring[p]
	if wanted {
		h.paths.retiring[p] = true
	}
	h.paths.mu.Unlock()
	if wanted && !h.spawn(func() { h.retireSoon(p) }) {
		h.paths.retired(p)
	}
}

func (ps *paths) retired(p peer.ID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.retiring, p)
}

func (h *Host) retireSoon(p peer.ID) {
	defer h.paths.retired(p)
	for left := true; left; {
		select {
		case <-time.After(retireEvery):
		case <-h.ctx.Done():
			return
		}
		if left = false; h.directConn(p) == nil {
			return
		}
		for _, c := range h.host.Network().ConnsToPeer(p) {
			if !isRelayed(c.RemoteMultiaddr()) {
				continue
			}
			if carriesUser(c) {
				left = true
			} else {
				c.Close()
			}
		}
	}
}

// carriesUser reports whether a connection that somebody opened runs over c.
func carriesUser(c network.Conn) bool {
	for _, s := range c.GetStreams() {
		if s.Protocol() == streamProto {
			return true
		}
	}
	return false
}
