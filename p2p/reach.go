package p2p

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

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
	for at, v := range verdicts {
		out.NAT = out.NAT || !h.isOwnIP(at.seen)
		if v.asked {
			out.Asked++
			if v.ok {
				out.Reached++
			}
		}
	}
	return out
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
