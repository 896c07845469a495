package p2p

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
	"shoal/wire"
)

var (
	errNotAdmitted = errors.New("peer has shown no certificate of this swarm")
	errRevoked     = errors.New("peer was removed from the swarm")
	errShunned     = errors.New("nothing of it is taken for now: it sent what no correct peer sends")
	errExpelled    = errors.New("it says that this peer was removed from the swarm")
)

// maxCertificates bounds the cache of verified certificates.
const maxCertificates = 4096

// maxWaiting bounds the streams of one peer that wait for its admission.
const maxWaiting = 16

// The gate knows who is admitted: who is connected, and has exchanged certificates
// with this peer on a connection that lasts.
//
//	connected ──hello both ways──► admitted ──last connection gone, or revoked──► forgotten
//	    └── 5 s without, or too many such ──► closed
//
// Until then a peer may speak hello and join, and nothing else: streams of every
// other protocol wait, a few at a time, and ours to it do too.
type gate struct {
	strangersMax int
	mute         atomic.Bool // lets nobody in or out, see Host.Mute

	mu       sync.Mutex
	revoked  func(wire.PeerID) bool
	known    func(wire.PeerID) bool   // nil: nobody is
	notice   func(wire.PeerID) []byte // nil: none
	admitted map[peer.ID]*admission
	waiting  map[peer.ID]*waitRoom // only while somebody waits
	strange  map[network.Conn]*stranger
	shunned  map[peer.ID]time.Time             // refused until then, see Host.Shun
	certs    map[wire.PeerID]admit.Certificate // verified; of admitted peers and of authors
}

type admission struct {
	id      wire.PeerID
	session uint64 // of the peer's process: another one is a restart
	rtt     time.Duration
}

type waitRoom struct {
	n    int
	done chan struct{} // closed on admission, or when the last connection is gone
}

// A stranger is a connection with a deadline.
type stranger struct {
	timer *time.Timer
	until time.Time
}

func newGate(strangersMax int, revoked func(wire.PeerID) bool) *gate {
	return &gate{
		strangersMax: strangersMax, revoked: revoked,
		admitted: map[peer.ID]*admission{}, waiting: map[peer.ID]*waitRoom{},
		strange: map[network.Conn]*stranger{}, shunned: map[peer.ID]time.Time{}, certs: map[wire.PeerID]admit.Certificate{},
	}
}

func (g *gate) isRevoked(p peer.ID) bool {
	id, err := fromPeerID(p)
	if err != nil {
		return true // a key of another kind is nobody of ours
	}
	g.mu.Lock()
	revoked := g.revoked
	g.mu.Unlock()
	return revoked != nil && revoked(id)
}

// noticeFor returns what a removed peer is told of its removal; empty: nothing.
func (g *gate) noticeFor(id wire.PeerID) []byte {
	g.mu.Lock()
	notice := g.notice
	g.mu.Unlock()
	if notice == nil {
		return nil
	}
	if b := notice(id); len(b) <= maxNotice {
		return b
	}
	return nil
}

func (g *gate) isAdmitted(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.admitted[p] != nil
}

// admit lets p in. It reports whether p was outside before, and whether it runs in
// another process than when it was last let in.
func (g *gate) admit(p peer.ID, a admission, cert admit.Certificate) (isNew, restarted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.admitted[p]
	g.admitted[p] = &a
	g.remember(a.id, cert)
	g.empty(p)
	for c, s := range g.strange {
		if c.RemotePeer() == p {
			s.timer.Stop()
			delete(g.strange, c)
		}
	}
	return before == nil, before != nil && before.session != a.session
}

// empty ends the waiting for p.
func (g *gate) empty(p peer.ID) {
	if room := g.waiting[p]; room != nil {
		close(room.done)
		delete(g.waiting, p)
	}
}

// remember keeps a verified certificate. When full, any that is not of an admitted
// peer goes; it can be asked for again.
func (g *gate) remember(id wire.PeerID, cert admit.Certificate) {
	if len(g.certs) >= maxCertificates {
		for old := range g.certs {
			if g.admitted[toPeerID(old)] == nil {
				delete(g.certs, old)
				break
			}
		}
	}
	g.certs[id] = cert
}

func (g *gate) certificate(id wire.PeerID) (admit.Certificate, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.certs[id]
	return c, ok
}

// forget ends p's admission and reports whether it had one.
func (g *gate) forget(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, was := g.admitted[p]
	delete(g.admitted, p)
	g.empty(p)
	return was
}

// await returns once p is admitted, or errNotAdmitted after helloTimeout, when p's
// last connection goes, at the end of ctx, or at once if too many wait for p already.
func (g *gate) await(ctx context.Context, p peer.ID) error {
	g.mu.Lock()
	if g.admitted[p] != nil {
		g.mu.Unlock()
		return nil
	}
	room := g.waiting[p]
	if room == nil {
		room = &waitRoom{done: make(chan struct{})}
		g.waiting[p] = room
	}
	if room.n >= maxWaiting {
		g.mu.Unlock()
		return errNotAdmitted
	}
	room.n++
	g.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	select {
	case <-room.done:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.admitted[p] != nil {
		return nil
	}
	if room.n--; room.n == 0 && g.waiting[p] == room {
		delete(g.waiting, p)
	}
	return errNotAdmitted
}

// watch closes c unless its peer is admitted in time. Too many such connections:
// closed at once.
func (g *gate) watch(c network.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.admitted[c.RemotePeer()] != nil {
		return
	}
	if len(g.strange) >= g.strangersMax {
		go c.CloseWithError(network.ConnGarbageCollected)
		return
	}
	g.strange[c] = &stranger{
		timer: time.AfterFunc(helloTimeout, func() { c.CloseWithError(network.ConnGated) }),
		until: time.Now().Add(helloTimeout),
	}
}

// extend gives c time for a joining, once.
func (g *gate) extend(c network.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.strange[c]
	if s == nil || time.Until(s.until) > helloTimeout {
		return
	}
	if s.timer.Stop() {
		s.until = time.Now().Add(helloTimeout + joinTimeout)
		s.timer.Reset(helloTimeout + joinTimeout)
	}
}

// unwatch forgets a closed connection.
func (g *gate) unwatch(c network.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.strange[c]; s != nil {
		s.timer.Stop()
		delete(g.strange, c)
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c, s := range g.strange {
		s.timer.Stop()
		delete(g.strange, c)
	}
}

// The gate is libp2p's connection gater: those removed from the swarm are dialled no
// more. When they dial they are strangers, and their hello is answered with a notice.

// InterceptPeerDial refuses to dial a removed peer, or one that is shunned.
func (g *gate) InterceptPeerDial(p peer.ID) bool {
	return !g.mute.Load() && !g.isRevoked(p) && !g.isShunned(p)
}

// InterceptAddrDial refuses nothing: who is behind an address shows later.
func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept refuses what comes through a relay that is no member. Else it refuses
// nothing: who comes shows later.
func (g *gate) InterceptAccept(c network.ConnMultiaddrs) bool {
	if g.mute.Load() {
		return false
	}
	if !isRelayed(c.RemoteMultiaddr()) {
		return true
	}
	relay, _, ok := relayOf(c.RemoteMultiaddr())
	return ok && g.isAdmitted(relay)
}

// InterceptSecured refuses a removed peer that was dialled. One that dials is to hear
// that it was removed. One that is shunned gets no further.
func (g *gate) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.mute.Load() && !g.isShunned(p) && (dir == network.DirInbound || !g.isRevoked(p))
}

// InterceptUpgraded refuses nothing that InterceptSecured let pass.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// gatedHost is the host as protocols for members see it: their streams, in and out,
// wait for admission. pubsub and the DHT run on it unchanged.
type gatedHost struct {
	host.Host
	gate *gate
}

func (h gatedHost) guard(fn network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		if h.gate.await(context.Background(), s.Conn().RemotePeer()) != nil {
			s.ResetWithError(network.StreamGated)
			return
		}
		fn(s)
	}
}

func (h gatedHost) SetStreamHandler(p protocol.ID, fn network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.guard(fn))
}

func (h gatedHost) SetStreamHandlerMatch(p protocol.ID, match func(protocol.ID) bool, fn network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(p, match, h.guard(fn))
}

func (h gatedHost) NewStream(ctx context.Context, p peer.ID, protos ...protocol.ID) (network.Stream, error) {
	if h.gate.isRevoked(p) {
		return nil, errRevoked
	}
	if err := h.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return nil, err
	}
	if err := h.gate.await(ctx, p); err != nil {
		return nil, err
	}
	return h.Host.NewStream(ctx, p, protos...)
}
