package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
	"shoal/wire"
)

const (
	lanService  = "_shoal._udp"
	lanDomain   = "local"
	findTimeout = 3 * time.Second
	maxHeard    = 256 // announcements kept in one listening
)

// startDHT begins the swarm's own DHT, if wanted. It holds no values: only who is
// where, for members alone, and never on the path of a placement.
func (h *Host) startDHT() error {
	if !h.cfg.DHT {
		return nil
	}
	mode := dht.ModeServer
	if h.cfg.Profile == ProfileSmall {
		mode = dht.ModeClient // it asks, and leaves answering to others
	}
	d, err := dht.New(h.members,
		dht.Mode(mode),
		dht.ProtocolPrefix(protocol.ID("/shoal/"+h.cfg.Swarm.Short())),
		// With refresh on, a small swarm is meshed fully and stays so.
		dht.DisableAutoRefresh(), dht.DisableProviders(), dht.DisableValues(),
		dht.RoutingTableFilter(func(_ any, p peer.ID) bool { return h.gate.isAdmitted(p) }),
	)
	if err != nil {
		return fmt.Errorf("start DHT: %w", err)
	}
	h.dht = d
	return nil
}

// dhtAdd offers an admitted peer to the routing table: identify spoke of it before
// it was admitted, when the filter said no.
func (h *Host) dhtAdd(p peer.ID) {
	if h.dht != nil {
		_, _ = h.dht.RoutingTable().TryAddPeer(p, true, true) // a full bucket needs it not
	}
}

func (h *Host) findByDHT(ctx context.Context, p peer.ID) (peer.AddrInfo, bool) {
	if h.dht == nil || h.dht.RoutingTable().Size() == 0 {
		return peer.AddrInfo{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	info, err := h.dht.FindPeer(ctx, p)
	info.Addrs = slices.DeleteFunc(info.Addrs, func(a ma.Multiaddr) bool { return !dialable(a) })
	return info, err == nil && len(info.Addrs) > 0
}

// Heard is a swarm announced on the local network.
type Heard struct {
	Swarm string // admit.SwarmID.Short
	Peers []admit.PeerAddrs
}

// Listen hears for d which swarms announce themselves on the local network. Nothing
// of it is proved: it is for telling a person, and for addresses to try.
func Listen(ctx context.Context, d time.Duration) ([]Heard, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var all []Heard
	err := browse(ctx, func(swarm string, p admit.PeerAddrs) {
		i := slices.IndexFunc(all, func(h Heard) bool { return h.Swarm == swarm })
		if i < 0 {
			if len(all) >= maxHeard {
				return
			}
			all = append(all, Heard{Swarm: swarm})
			i = len(all) - 1
		}
		known := slices.ContainsFunc(all[i].Peers, func(q admit.PeerAddrs) bool { return q.Peer == p.Peer })
		if !known && len(all[i].Peers) < maxHeard {
			all[i].Peers = append(all[i].Peers, p)
		}
	})
	slices.SortFunc(all, func(a, b Heard) int { return strings.Compare(a.Swarm, b.Swarm) })
	return all, err
}

// browse calls fn for each announcement until the end of ctx.
func browse(ctx context.Context, fn func(swarm string, p admit.PeerAddrs)) error {
	entries := make(chan *zeroconf.ServiceEntry, 64)
	ended := make(chan error, 1)
	go func() { ended <- zeroconf.Browse(ctx, lanService, lanDomain, entries) }()
	for {
		select {
		case e, open := <-entries:
			if !open {
				entries = nil // zeroconf closes it, unless it could not even begin
				continue
			}
			if swarm, p, ok := parseAnnouncement(e.Text); ok {
				fn(swarm, p)
			}
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("listen on the local network: %w", err)
			}
			return nil
		}
	}
}

func parseAnnouncement(texts []string) (swarm string, p admit.PeerAddrs, ok bool) {
	for _, t := range texts[:min(len(texts), 2+maxAddrs)] {
		key, value, _ := strings.Cut(t, "=")
		switch key {
		case "swarm":
			swarm = value
		case "peer":
			p.Peer, _ = wire.ParsePeerID(value)
		case "addr":
			if a, err := ma.NewMultiaddr(value); err == nil && dialable(a) {
				p.Addrs = append(p.Addrs, a.String())
			}
		}
	}
	isHex := len(swarm) == 12 && strings.Trim(swarm, "0123456789abcdef") == ""
	return swarm, p, isHex && !p.Peer.IsZero()
}
