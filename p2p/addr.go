package p2p

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	"shoal/wire"
)

func idOf(key ed25519.PrivateKey) wire.PeerID {
	return wire.PeerID(key.Public().(ed25519.PublicKey))
}

func toPeerID(p wire.PeerID) peer.ID { return peer.ID(p.Multihash()) }

func fromPeerID(p peer.ID) (wire.PeerID, error) { return wire.PeerIDFromMultihash([]byte(p)) }

// negotiate agrees on proto on a fresh stream, one round trip.
func negotiate(s network.Stream, proto string) error {
	if err := multistream.SelectProtoOrFail(protocol.ID(proto), s); err != nil {
		return fmt.Errorf("protocol %s: %w", proto, asVersion(err, proto))
	}
	return s.SetProtocol(protocol.ID(proto))
}

// parseAddrs reads binary multiaddrs from a peer; what it does not understand it
// passes over, and more than maxAddrs it does not read.
func parseAddrs(bs [][]byte) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, b := range bs[:min(len(bs), maxAddrs)] {
		if len(b) > maxAddrBytes {
			continue // before it is taken apart: a part of two bytes becomes a hundred
		}
		if a, err := ma.NewMultiaddrBytes(b); err == nil && dialable(a) {
			out = append(out, a)
		}
	}
	return out
}

// maxAddrBytes bounds one address.
const maxAddrBytes = 256

// dialable reports whether a is an address a shoal peer can have.
func dialable(a ma.Multiaddr) bool {
	if len(a) < 2 || len(a.Bytes()) > maxAddrBytes {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
	default:
		return false
	}
	return !manet.IsIPUnspecified(a)
}

// parsePeerAddr reads a multiaddr that ends in /p2p/ID.
func parsePeerAddr(s string) (wire.PeerID, ma.Multiaddr, error) {
	info, err := peer.AddrInfoFromString(s)
	if err != nil || len(info.Addrs) != 1 {
		return wire.PeerID{}, nil, fmt.Errorf("address %q is not of the form /ip4/192.0.2.1/tcp/%d/p2p/12D3…, as `shoal peers` prints it", s, DefaultPort)
	}
	id, err := fromPeerID(info.ID)
	return id, info.Addrs[0], err
}

// hiddenInterfaces begin the names of bridges that container engines make: their
// addresses are the same on every machine and lead nobody here.
var hiddenInterfaces = []string{"docker", "br-", "virbr", "cni", "shoal", "podman"}

// hiddenIPs returns the addresses of such interfaces.
func hiddenIPs() map[string]bool {
	hidden := map[string]bool{}
	ifaces, _ := net.Interfaces()
	for _, i := range ifaces {
		if !slices.ContainsFunc(hiddenInterfaces, func(p string) bool { return strings.HasPrefix(i.Name, p) }) {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				hidden[n.IP.String()] = true
			}
		}
	}
	return hidden
}

// ownAddrs is libp2p's AddrsFactory: what others are told. Loopback and the bridges
// of container engines are left out unless there is nothing else.
func ownAddrs(all []ma.Multiaddr) []ma.Multiaddr {
	hidden := hiddenIPs()
	kept := slices.DeleteFunc(slices.Clone(all), func(a ma.Multiaddr) bool {
		ip, err := manet.ToIP(a)
		return err == nil && (ip.IsLoopback() || hidden[ip.String()])
	})
	if len(kept) == 0 {
		kept = slices.Clone(all)
	}
	return sortAddrs(kept)
}

func sortAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return cmp.Compare(addrRank(a), addrRank(b)) })
	return addrs
}

// addrRank orders addresses, best first: direct before relayed, IPv4 before IPv6, routable before
// link-local before loopback, QUIC before TCP.
func addrRank(a ma.Multiaddr) int {
	rank := 0
	if isRelayed(a) {
		rank = 16
	}
	if ip, err := manet.ToIP(a); err == nil {
		switch {
		case ip.IsLoopback():
			rank += 8
		case ip.IsLinkLocalUnicast():
			rank += 4
		}
		if ip.To4() == nil {
			rank += 2
		}
	}
	if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
		rank++
	}
	return rank
}
