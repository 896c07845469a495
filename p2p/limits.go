package p2p

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// A Profile fits this peer to its link and its memory.
type Profile string

// The profiles: a machine on a good network; one whose traffic costs money; one
// with little memory.
const (
	ProfileLAN     Profile = "lan"
	ProfileMetered Profile = "metered"
	ProfileSmall   Profile = "small"
)

func (p Profile) orDefault() Profile {
	if p == "" {
		return ProfileLAN
	}
	return p
}

// limits are what a profile sets.
type limits struct {
	low, high int           // connections kept when trimming, and when trimming starts
	strangers int           // connections without a certificate yet, at once
	enough    int           // members it keeps dialling for, see Host.stayConnected
	redial    time.Duration // between attempts to reach anybody, plus as much jitter
	alive     time.Duration // between two questions over a silent connection of TCP, see muxer
	memory    int64         // of connections and streams in bytes; 0: by the machine's
	fds       int

	traverse   bool          // find out what hides this peer, punch through it, use relays
	relays     bool          // be a relay for other members
	relayCheck time.Duration // between two looks at the relays in use, at most

	relayPatience time.Duration // for a sign of life of a relay, or through one
}

// A swarm of up to 192 peers may be fully connected on a LAN. After a power cut all
// of them come at once without a certificate in the cache, hence the strangers.
var profiles = map[Profile]limits{
	ProfileLAN: {
		low: 192, high: 256, strangers: 256, enough: 8, redial: time.Second,
		traverse: true, relays: true, relayCheck: time.Second, relayPatience: 2 * time.Second,
	},
	ProfileMetered: {
		low: 24, high: 48, strangers: 64, enough: 4, redial: 8 * time.Second, alive: 2 * time.Minute,
		traverse: true, relayCheck: 16 * time.Second, relayPatience: aliveTimeout,
	},
	ProfileSmall: {low: 24, high: 48, strangers: 64, enough: 6, redial: time.Second, memory: 64 << 20, fds: 256},
}

// of is the profile as far as cfg makes use of it.
func (l limits) of(cfg Config) limits {
	l.traverse = l.traverse && !cfg.Flat
	l.relays = l.relays && l.traverse && !cfg.NoRelay
	return l
}

// perAddress is how many connections one IP address may have here: 256 peers behind
// one address, each with QUIC and TCP at once while they race. libp2p's own 8 breaks
// any swarm behind one NAT.
const perAddress = 512

// newPerSecond is how many connections one IP address may open in a second, once it
// has opened perAddress: with libp2p's own bound of one in five seconds after sixteen,
// the eighth machine of a house cannot join through its NAT.
const newPerSecond = 32

// maxConns is how many connections a host has at once, at most.
const maxConns = 1024

// resources builds libp2p's resource manager.
func (l limits) resources() (libp2p.Option, error) {
	manager, err := l.resourceManager()
	if err != nil {
		return nil, err
	}
	return libp2p.ResourceManager(manager), nil
}

func (l limits) resourceManager() (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	// A member forwards ports over streams: one per user's connection.
	for _, b := range []*rcmgr.BaseLimit{&scaling.PeerBaseLimit, &scaling.ProtocolPeerBaseLimit} {
		b.Streams, b.StreamsInbound, b.StreamsOutbound = 2048, 1024, 1024
	}
	for _, b := range []*rcmgr.BaseLimit{&scaling.ProtocolBaseLimit, &scaling.SystemBaseLimit} {
		b.Streams, b.StreamsInbound, b.StreamsOutbound = 16384, 8192, 8192
	}
	scaling.SystemBaseLimit.Conns, scaling.SystemBaseLimit.ConnsInbound, scaling.SystemBaseLimit.ConnsOutbound = maxConns, 768, 768
	scaling.TransientBaseLimit.Conns, scaling.TransientBaseLimit.ConnsInbound, scaling.TransientBaseLimit.ConnsOutbound = 512, 384, 384
	l.relayLimits(&scaling)
	// One stream of frames each way, and its successor while it ends.
	scaling.AddProtocolPeerLimit(messageProto,
		rcmgr.BaseLimit{Streams: 16, StreamsInbound: 8, StreamsOutbound: 8, Memory: 64 << 20}, rcmgr.BaseLimitIncrease{})
	concrete := scaling.AutoScale()
	if l.memory > 0 {
		concrete = scaling.Scale(l.memory, l.fds)
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(concrete),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithConnRateLimiters(newRates()),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: perAddress}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: perAddress}, {PrefixLength: 48, ConnCount: 2 * perAddress}},
		))
}

// newRates bounds how fast connections come from one address; the machine's own are
// free.
func newRates() *rate.Limiter {
	each := rate.Limit{RPS: newPerSecond, Burst: perAddress}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: each}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: each}},
			GracePeriod:      time.Minute,
		},
	}
}

// relayLimits make room for what a relay may give: two streams for each circuit, and
// for a peer that others reach through it one with each of them.
func (l limits) relayLimits(scaling *rcmgr.ScalingLimitConfig) {
	if !l.traverse {
		return
	}
	peer := rcmgr.BaseLimit{Streams: 2 * maxCircuits, StreamsInbound: maxCircuits, StreamsOutbound: maxCircuits, Memory: 8 << 20}
	all := rcmgr.BaseLimit{Streams: 8 * maxCircuits, StreamsInbound: 4 * maxCircuits, StreamsOutbound: 4 * maxCircuits, Memory: 64 << 20}
	scaling.AddServiceLimit(relayv2.ServiceName, all, rcmgr.BaseLimitIncrease{})
	scaling.AddServicePeerLimit(relayv2.ServiceName, peer, rcmgr.BaseLimitIncrease{})
	for _, p := range []protocol.ID{circuit.ProtoIDv2Hop, circuit.ProtoIDv2Stop} {
		scaling.AddProtocolLimit(p, all, rcmgr.BaseLimitIncrease{})
		scaling.AddProtocolPeerLimit(p, peer, rcmgr.BaseLimitIncrease{})
	}
}

// connections builds libp2p's connection manager; Host.Protect exempts a peer.
func (l limits) connections() (libp2p.Option, error) {
	manager, err := connmgr.NewConnManager(l.low, l.high, connmgr.WithGracePeriod(20*time.Second))
	if err != nil {
		return nil, err
	}
	return libp2p.ConnectionManager(manager), nil
}
