// Package p2p connects the peers of one swarm over libp2p: frames to a peer, gossip
// on topics, connections for members, and who may have them. Payloads are opaque to
// it. It decides nothing about jobs, liveness or the ledger.
//
// Nobody but members gets through: see gate for admission, package admit for the
// papers. It keeps no truth: the addresses it remembers are hints, and each frame or
// publication may be lost, which it tells where it knows.
//
// Every queue is bounded: frames to a peer (Send says no), events (a frame's sender
// is held up; gossip is dropped and counted), dials (they wait), strangers (closed).
package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"shoal/p2p/admit"
	"shoal/wire"
)

// dialsAtOnce bounds the dials in flight; redialsAtOnce those that wait as well.
const (
	dialsAtOnce   = 32
	redialsAtOnce = 256
)

// A Host is this peer in its swarm. All methods may be called at any time from any
// goroutine.
type Host struct {
	cfg     Config
	self    wire.PeerID
	limits  limits
	log     *slog.Logger
	session uint64
	started bool

	host    host.Host
	members gatedHost // the host as admitted peers see it
	gate    *gate
	book    *book
	dht     *dht.IpfsDHT // nil without
	topics  topics
	events  *eventQueue
	stats   counters
	uses    *useCount

	paths     *paths
	reachable *reachable
	relaying  *relaying
	punching  *holepunch.Service // nil without
	retries   map[peer.ID]retry  // of keepRelays alone
	versions  reminder           // of peers of another version
	others    others             // who they are
	behindNAT atomic.Bool        // has been said, see warnBehindNAT
	search    search             // on the local network

	ctx      context.Context
	cancel   context.CancelFunc
	tasks    sync.WaitGroup
	closing  sync.RWMutex // no task begins once Close waits for them
	closed   bool
	dials    chan struct{}
	redials  *semaphore.Weighted
	backoffs backoffs
	reaching singleflight.Group // by peer, and so below
	asking   singleflight.Group
	authors  singleflight.Group

	mu       sync.Mutex
	links    map[wire.PeerID]*link
	handlers map[string]func(wire.PeerID, net.Conn)
}

func init() {
	// libp2p writes errors of single connections to stderr, where our user reads.
	// Who hunts a fault in it sets its own variable.
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
}

// New makes the host and begins to listen and to dial; nothing is heard before every
// protocol is in place. A busy port, a bad address and a wrong certificate are each
// an error of one sentence. The end of ctx stops it; Close is still to be called.
func New(ctx context.Context, cfg Config) (*Host, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	listen, err := cfg.listenAddrs()
	if err != nil {
		return nil, err
	}
	if cfg.Sockets == nil {
		err = probe(listen)
	}
	if err != nil {
		return nil, err
	}
	bootstrap, err := parseBootstrap(cfg.Bootstrap)
	if err != nil {
		return nil, err
	}
	h := newHost(ctx, cfg)
	for _, b := range bootstrap {
		h.book.add(b.Peer, b.addrs, false)
	}
	if err := h.start(listen); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func newHost(ctx context.Context, cfg Config) *Host {
	h := &Host{
		cfg: cfg, self: idOf(cfg.Key), limits: profiles[cfg.Profile.orDefault()].of(cfg), log: cfg.Logger,
		session: rand.Uint64(), book: newBook(), uses: newUseCount(cfg.UsesFile, cfg.Logger),
		search: newSearch(), others: others{seen: map[wire.PeerID]other{}},
		dials: make(chan struct{}, dialsAtOnce), redials: semaphore.NewWeighted(redialsAtOnce),
		backoffs: backoffs{peers: map[wire.PeerID]backoff{}},
		paths:    newPaths(), reachable: newReachable(), relaying: newRelaying(), retries: map[peer.ID]retry{},
		links: map[wire.PeerID]*link{}, handlers: map[string]func(wire.PeerID, net.Conn){},
	}
	h.ctx, h.cancel = context.WithCancel(ctx)
	h.events = newEventQueue(h.ctx.Done())
	h.gate = newGate(h.limits.strangers, cfg.IsRevoked)
	if err := h.book.load(cfg.RememberFile); cfg.RememberFile != "" && err != nil {
		h.log.Warn("remembered peers not read; going on without", "err", err)
	}
	return h
}

func (h *Host) start(listen []ma.Multiaddr) error {
	options, err := options(h.cfg, h.limits, h.gate, h.announced)
	if err != nil {
		return err
	}
	if h.host, err = libp2p.New(options...); err != nil {
		return fmt.Errorf("start libp2p: %w", err)
	}
	h.members = gatedHost{h.host, h.gate}
	h.host.Network().Notify(&network.NotifyBundle{ConnectedF: h.connected, DisconnectedF: h.disconnected})
	h.host.SetStreamHandler(helloProto, h.hearHello)
	h.host.SetStreamHandler(joinProto, h.hearJoin)
	h.members.SetStreamHandler(messageProto, h.hearMessages)
	h.members.SetStreamHandler(streamProto, h.hearOpen)
	h.members.SetStreamHandler(certProto, h.hearCertificate)
	h.members.SetStreamHandler(aliveProto, h.hearAlive)
	h.members.SetStreamHandler(peersProto, h.hearPeers)
	h.members.SetStreamHandler(topicsProto, h.hearTopics)
	if err := h.startTopics(); err != nil {
		return err
	}
	if err := h.startDHT(); err != nil {
		return err
	}
	if err := h.startRelaying(); err != nil {
		return err
	}
	// Only now: identify tells each newcomer our protocols once, and libp2p limits
	// how often a whole /24 may be told of later ones.
	if err := h.host.Network().Listen(listen...); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	h.started = true
	h.spawn(h.events.run)
	h.spawn(h.stayConnected)
	h.spawn(h.keepExchanging)
	h.spawn(h.keepNeighbours)
	h.spawn(h.rememberPeers)
	if h.limits.traverse {
		h.spawn(h.keepRelays)
		h.spawn(h.keepProbing)
	}
	h.startMDNS()
	return nil
}

// options are those of every host; a joiner's has neither gate nor limits of its own.
// announced makes of the addresses libp2p knows those that others are told.
func options(cfg Config, l limits, g *gate, announced func([]ma.Multiaddr) []ma.Multiaddr) ([]libp2p.Option, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("peer key: %w", err)
	}
	resources, err := l.resources()
	if err != nil {
		return nil, err
	}
	connections, err := l.connections()
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key), resources, connections,
		libp2p.NoListenAddrs,
		transports(cfg.Sockets),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		muxer(l.alive),
		libp2p.AddrsFactory(announced),
		libp2p.UserAgent("shoal"), libp2p.ProtocolVersion("shoal/1"),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.DisableMetrics(),
		libp2p.Ping(false), libp2p.WithDialTimeout(dialTimeout),
	}
	if l.traverse {
		opts = append(opts, libp2p.EnableRelay()) // the transport alone: see startRelaying for the service
	} else {
		opts = append(opts, libp2p.DisableRelay())
	}
	if g != nil {
		opts = append(opts, libp2p.ConnectionGater(g))
	}
	return opts, nil
}

// muxer shares a connection among streams and asks over a silent one each alive whether
// the other end is there (0: every 30 s, libp2p's own).
func muxer(alive time.Duration) libp2p.Option {
	config := *yamux.DefaultTransport
	if alive > 0 {
		config.KeepAliveInterval, config.MeasureRTTInterval = alive, alive
	}
	return libp2p.Muxer(yamux.ID, &config)
}

func transports(sockets ListenUDP) libp2p.Option {
	if sockets != nil {
		return sockets.transport()
	}
	return libp2p.ChainOptions(
		// A TCP port shared with another program would get half of our connections.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
	)
}

// spawn runs fn as a task that Close waits for; false if the host is closed.
func (h *Host) spawn(fn func()) bool {
	h.closing.RLock()
	defer h.closing.RUnlock()
	if h.closed || h.ctx.Err() != nil {
		return false
	}
	h.tasks.Go(fn)
	return true
}

// within is a context of this host's life and at most d.
func (h *Host) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.ctx, d)
}

// Close ends every connection, waits for all goroutines, and saves the remembered
// peers. Twice is once.
func (h *Host) Close() error {
	h.cancel()
	h.closing.Lock()
	again := h.closed
	h.closed = true
	h.closing.Unlock()
	if again {
		h.tasks.Wait()
		return nil
	}
	var err error
	if h.dht != nil {
		h.dht.Close()
	}
	if h.punching != nil {
		_ = h.punching.Close()
	}
	if h.relaying.service != nil {
		_ = h.relaying.service.Close()
	}
	if h.host != nil {
		err = h.host.Close()
	}
	h.gate.close()
	h.tasks.Wait()
	if !h.started {
		return err // what was asked for was refused: leave the file alone
	}
	if saveErr := h.book.save(h.cfg.RememberFile); err == nil {
		err = saveErr
	}
	return err
}

func (h *Host) connected(_ network.Network, c network.Conn) {
	h.gate.watch(c)
	if c.Stat().Direction == network.DirOutbound {
		h.spawn(func() { h.sayHello(c) })
	}
}

func (h *Host) disconnected(n network.Network, c network.Conn) {
	h.gate.unwatch(c)
	h.paths.closed(c)
	if c.Stat().Direction == network.DirInbound {
		h.noteSilent(c)
	}
	if n.Connectedness(c.RemotePeer()) != network.Connected {
		h.gone(c.RemotePeer())
		h.relaying.look()
	}
}

// ID returns this peer's ID.
func (h *Host) ID() wire.PeerID { return h.self }

// Swarm returns the swarm's ID.
func (h *Host) Swarm() admit.SwarmID { return h.cfg.Swarm }

// Events is where everything heard comes out, in order per peer and carrier. There
// is one reader; while it pauses, senders of frames are held up, and gossip beyond
// 4,096 events is dropped and counted. The channel is never closed.
func (h *Host) Events() <-chan Event { return h.events.out }

// SetRevoked replaces Config.IsRevoked and applies it to all who are connected.
// Notice returns the frame that proves to a removed peer that it was, at most 32 KiB:
// its reader of Events gets it when it is cut off, and whenever it comes again. nil,
// and an empty notice, let it find out for itself. Neither may block.
func (h *Host) SetRevoked(isRevoked func(wire.PeerID) bool, notice func(wire.PeerID) []byte) {
	h.gate.mu.Lock()
	h.gate.revoked, h.gate.notice = isRevoked, notice
	h.gate.mu.Unlock()
	h.Recheck()
}

// Recheck ends the admission of those who are revoked by now, and of those whom only one
// of these let in, see SetKnown; call it when the ledger learns of one. Nothing of theirs is taken any more; their connections close as soon
// as they have read their notice.
func (h *Host) Recheck() {
	for _, p := range h.host.Network().Peers() {
		if !h.gate.isRevoked(p) && !h.isUnvouched(p) {
			continue
		}
		wasIn := h.gate.isAdmitted(p)
		h.gone(p)
		if id, err := fromPeerID(p); err == nil {
			h.book.remove(id)
		}
		end := func() { h.host.Network().ClosePeer(p) }
		if !wasIn || !h.spawn(func() { h.farewell(p); end() }) {
			end()
		}
	}
}

// Protect keeps the connection to p when others are trimmed, or no longer so.
func (h *Host) Protect(p wire.PeerID, on bool) {
	if on {
		h.host.ConnManager().Protect(toPeerID(p), "shoal")
		return
	}
	h.host.ConnManager().Unprotect(toPeerID(p), "shoal")
}

// Disconnect closes all connections to p.
func (h *Host) Disconnect(p wire.PeerID) { h.host.Network().ClosePeer(toPeerID(p)) }

// AddAddrs notes where p may be found: multiaddrs with or without /p2p/ID. What is
// not understood is passed over.
func (h *Host) AddAddrs(p wire.PeerID, addrs []string) {
	var known []ma.Multiaddr
	for _, s := range addrs[:min(len(addrs), maxAddrs)] {
		a, err := ma.NewMultiaddr(strings.TrimSuffix(s, "/p2p/"+p.String()))
		if err == nil && dialable(a) {
			known = append(known, a)
		}
	}
	if p != h.self && len(known) > 0 {
		h.book.add(p, known, false)
	}
}

// bestAddrs lists this peer's addresses as announced, best first.
func (h *Host) bestAddrs() []ma.Multiaddr { return sortAddrs(slices.Clone(h.host.Addrs())) }

// announced makes of the addresses libp2p knows those that others are told: ownAddrs,
// ports that are forwarded here, and the ways through relays, maxAddrs at most.
func (h *Host) announced(all []ma.Multiaddr) []ma.Multiaddr {
	relayed := h.relayedAddrs()
	direct := sortAddrs(append(ownAddrs(all), h.reachable.external()...))
	return append(direct[:min(len(direct), maxAddrs-len(relayed))], relayed...)
}

// Addrs returns this peer's own addresses, best first, each with /p2p/ID: what to
// write into a ticket or after --bootstrap.
func (h *Host) Addrs() []string {
	var out []string
	for _, a := range h.bestAddrs() {
		out = append(out, a.String()+"/p2p/"+h.self.String())
	}
	return out
}

func (h *Host) clearDialBackoff(p peer.ID) {
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
}

type bootstrapPeer struct {
	Peer  wire.PeerID
	addrs []ma.Multiaddr
}

func parseBootstrap(texts []string) ([]bootstrapPeer, error) {
	var out []bootstrapPeer
	for _, t := range texts {
		id, a, err := parsePeerAddr(t)
		if err != nil {
			return nil, fmt.Errorf("--bootstrap: %w", err)
		}
		out = append(out, bootstrapPeer{id, []ma.Multiaddr{a}})
	}
	return out, nil
}

// stayConnected dials known members, the latest met first and then by chance, while
// fewer than enough of them are here: gossip needs a graph, not a star. Beyond that
// whoever calls Send and Redial knows better.
func (h *Host) stayConnected() {
	for first := true; ; first = false {
		known := slices.DeleteFunc(h.book.all(), func(p wire.PeerID) bool { return p == h.self || h.gate.isAdmitted(toPeerID(p)) })
		if !first {
			rand.Shuffle(len(known), func(i, j int) { known[i], known[j] = known[j], known[i] })
		}
		missing := max(h.limits.enough-h.Stats().Peers, 0)
		if first {
			missing = dialsAtOnce
		}
		for _, p := range known[:min(len(known), missing)] {
			h.Redial(p)
		}
		select {
		case <-time.After(h.limits.redial + rand.N(h.limits.redial)):
		case <-h.ctx.Done():
			return
		}
	}
}

// rememberPeers writes the file some seconds after a change.
func (h *Host) rememberPeers() {
	for {
		select {
		case <-time.After(5 * time.Second):
			if err := h.book.save(h.cfg.RememberFile); err != nil {
				h.log.Warn("peers not remembered", "file", h.cfg.RememberFile, "err", err)
			}
		case <-h.ctx.Done():
			return
		}
	}
}
