package p2p

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/wire"
)

// Reach is whether others can dial this peer, as far as it is known.
type Reach struct {
	Tries    bool     // false: this peer neither finds out nor uses relays, see Config.Flat
	Asked    int      // networks from which members have tried to dial it
	Reached  int      // and could, on all its ports
	Hidden   bool     // some cannot, or stand behind a NAT and have not tried
	NAT      bool     // some see it as an address that it has not
	Seen     []string // those addresses
	Dialled  bool     // a member on another network has dialled it, and is connected
	External []string // multiaddrs that lead here though no interface has them
	Relays   []wire.PeerID
	Carries  bool // it carries connections of members for members
}

// Reach returns what members found when they tried to dial this peer, and who carries
// connections to it.
func (h *Host) Reach() Reach {
	hidden, relays := h.Hidden()
	out := Reach{Tries: h.limits.traverse, Hidden: hidden, Relays: relays, Carries: h.relaying.service != nil}
	for _, a := range h.reachable.external() {
		out.External = append(out.External, a.String())
	}
	h.reachable.mu.Lock()
	verdicts := maps.Clone(h.reachable.verdicts)
	h.reachable.mu.Unlock()
	seen := map[string]bool{}
	for at, v := range verdicts {
		seen[at.seen] = true
		if v.asked {
			out.Asked++
			if v.ok {
				out.Reached++
			}
		}
	}
	for _, at := range h.dialled() { // who does not try to find out is told in hellos all the same
		seen[at.seen] = true
	}
	for _, ip := range slices.Sorted(maps.Keys(seen)) {
		if !h.isOwnIP(ip) {
			out.NAT, out.Seen = true, append(out.Seen, ip)
		}
	}
	out.Dialled = h.isDialled()
	return out
}

// isDialled reports whether a member on another network has opened one of the direct
// connections: the same house reaches what a NAT hides from others.
func (h *Host) isDialled() bool {
	near := map[netip.Prefix]bool{}
	own, _ := h.host.Network().InterfaceListenAddresses()
	for _, a := range own {
		if n, ok := networkOf(ipOf(a)); ok {
			near[n] = true
		}
	}
	return slices.ContainsFunc(h.host.Network().Conns(), func(c network.Conn) bool {
		n, ok := networkOf(ipOf(c.RemoteMultiaddr()))
		return ok && !near[n] && c.Stat().Direction == network.DirInbound && !isRelayed(c.RemoteMultiaddr()) &&
			h.gate.isAdmitted(c.RemotePeer()) && !h.paths.of(c).punched
	})
}

// warnBehindNAT says once that this peer is behind a NAT and does nothing about it, if
// c shows that: by its profile it neither finds out whether it can be dialled nor lets
// relays carry anything to it.
func (h *Host) warnBehindNAT(c network.Conn) {
	if h.limits.traverse || h.cfg.Flat || c.Stat().Direction != network.DirOutbound {
		return
	}
	if at, ok := h.vantageOf(c); ok && !h.isOwnIP(at.seen) && h.behindNAT.CompareAndSwap(false, true) {
		h.log.Warn("this peer is behind a NAT, and its profile uses no relays: members that it cannot dial do not reach it; "+
			"forward its port (UDP and TCP) in the router, or start it with --profile lan or metered", "seen as", at.seen)
	}
}

// Conns are a host's connections, those to peers not yet admitted among them.
type Conns struct {
	Open int
	High int // above it the connection manager closes idle ones
	Max  int // above it none is taken
}

// Conns counts connections.
func (h *Host) Conns() Conns {
	return Conns{Open: len(h.host.Network().Conns()), High: h.limits.high, Max: maxConns}
}

// Bound lists the multiaddrs that are listened on; libp2p is content with any one of
// those it was given.
func (h *Host) Bound() []string {
	var out []string
	for _, a := range h.host.Network().ListenAddresses() {
		if !isRelayed(a) {
			out = append(out, a.String())
		}
	}
	return out
}

// Hello is the first protocol that this peer speaks, with its version.
const Hello = helloProto

// memberProtos are what every member speaks, whatever its profile.
var memberProtos = []string{helloProto, messageProto, streamProto, certProto, aliveProto, peersProto, topicsProto}

// Lacks lists, by connected member, those of this peer's protocols that it does not
// speak: it runs another version. A member that has not said what it speaks is left
// out.
func (h *Host) Lacks() map[wire.PeerID][]string {
	out := map[wire.PeerID][]string{}
	for _, info := range h.Peers() {
		p := toPeerID(info.ID)
		all, err := h.host.Peerstore().GetProtocols(p)
		if err != nil || len(all) == 0 {
			continue
		}
		for _, proto := range memberProtos {
			if !slices.ContainsFunc(all, func(has protocol.ID) bool { return string(has) == proto }) {
				out[info.ID] = append(out[info.ID], proto)
			}
		}
	}
	return out
}

// Answers dials this host's own TCP addresses from this machine and reports the first
// that does not answer: a firewall here may close what is listened on.
func (h *Host) Answers(ctx context.Context) error {
	for _, a := range h.host.Network().ListenAddresses() {
		network, host, err := manet.DialArgs(a)
		if err != nil || !strings.HasPrefix(network, "tcp") || isRelayed(a) {
			continue
		}
		ip, port, _ := net.SplitHostPort(host)
		switch addr := net.ParseIP(ip); {
		case !addr.IsUnspecified():
		case addr.To4() != nil:
			host = net.JoinHostPort("127.0.0.1", port)
		default:
			host = net.JoinHostPort("::1", port)
		}
		d := net.Dialer{Timeout: time.Second}
		c, err := d.DialContext(ctx, network, host)
		if err != nil {
			return fmt.Errorf("this peer listens on %s and cannot be dialled there from this machine: %w", a, cause(err))
		}
		_ = c.Close()
	}
	return nil
}

// cause is the system's own word on a failed dial.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
