package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/wire"
)

const (
	backoffFirst = time.Second
	backoffMost  = 30 * time.Second

	// A peer that can be had through relays is dialled directly for directTimeout, and
	// after directAhead, or as soon as that has failed, through at most relaysTried of
	// them, one after the other: those first that answer first.
	directTimeout  = 2 * time.Second
	directAhead    = 300 * time.Millisecond
	circuitTimeout = 3 * time.Second
	relaysTried    = 3
)

// connect returns once to is admitted: at once if it is, else by dialling what the
// book, libp2p and the DHT know of it, directly and then through relays, all within
// dialTimeout and helloTimeout. Two who want the same peer share one attempt.
func (h *Host) connect(ctx context.Context, to wire.PeerID) error {
	p := toPeerID(to)
	switch {
	case h.gate.isAdmitted(p):
		return nil
	case h.gate.isRevoked(p):
		return errRevoked
	case h.gate.isShunned(p):
		return errShunned
	}
	reached := h.reaching.DoChan(string(p), func() (any, error) {
		select {
		case h.dials <- struct{}{}:
			defer func() { <-h.dials }()
		case <-h.ctx.Done():
			return nil, h.ctx.Err()
		}
		ctx, cancel := context.WithTimeout(h.ctx, dialTimeout+helloTimeout)
		defer cancel()
		return nil, h.reach(ctx, to)
	})
	select {
	case r := <-reached:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Host) reach(ctx context.Context, to wire.PeerID) error {
	p := toPeerID(to)
	err := h.dial(ctx, p, h.book.addrs(to))
	if err != nil {
		if info, found := h.findByDHT(ctx, p); found {
			err = h.dial(ctx, p, info.Addrs)
		}
	}
	if err != nil {
		return err
	}
	if err := h.awaitAdmission(ctx, p); err != nil {
		return err
	}
	h.backoffs.reset(to)
	return nil
}

func (h *Host) awaitAdmission(ctx context.Context, p peer.ID) error {
	if h.host.Network().Connectedness(p) != network.Connected {
		return errNotAdmitted // one of the two has refused already
	}
	return h.gate.await(ctx, p)
}

// dial connects to p at addrs, directly if it can be.
func (h *Host) dial(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) error {
	direct, circuits := splitRelayed(addrs)
	ways := h.byRelay(circuits)
	if len(ways) == 0 || !h.limits.traverse {
		return h.dialDirect(ctx, p, direct, dialTimeout)
	}
	// Whichever comes first; if that is a relay's, the direct one retires it later.
	firsts := make(chan error, 1)
	if !h.spawn(func() { firsts <- h.dialDirect(h.ctx, p, direct, directTimeout) }) {
		return context.Canceled
	}
	ahead := time.NewTimer(directAhead)
	defer ahead.Stop()
	select {
	case err := <-firsts:
		if err == nil {
			return nil
		}
		return h.dialThroughAny(ctx, p, ways)
	case <-ahead.C:
	}
	seconds := make(chan error, 1)
	if !h.spawn(func() { seconds <- h.dialThroughAny(ctx, p, ways) }) {
		return context.Canceled
	}
	var err error
	for range 2 {
		select {
		case err = <-firsts:
		case err = <-seconds:
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// dialThroughAny connects to p through one of at most relaysTried relays. All are asked
// at once for a sign of life, so that a dead one holds nobody up; then, since libp2p lets
// a second circuit to a peer wait for the first, one is tried after the other, in the
// order of their answers.
func (h *Host) dialThroughAny(ctx context.Context, p peer.ID, ways []way) error {
	type answer struct {
		way way
		err error
	}
	ways = ways[:min(len(ways), relaysTried)]
	answers := make(chan answer, len(ways))
	for _, w := range ways {
		if !h.spawn(func() { answers <- answer{w, h.meetRelay(ctx, w)} }) {
			return context.Canceled
		}
	}
	var err error
	for range ways {
		a := <-answers
		if err = a.err; err != nil {
			continue
		}
		if err = h.dialThrough(ctx, p, a.way); err == nil {
			return nil
		}
	}
	return err
}

// dialDirect connects to p without a relay, even if it is connected through one.
func (h *Host) dialDirect(ctx context.Context, p peer.ID, addrs []ma.Multiaddr, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "direct"), limit)
	defer cancel()
	h.clearDialBackoff(p) // our own back-off decides, libp2p's is unaware of Redial
	return h.host.Connect(ctx, peer.AddrInfo{ID: p, Addrs: addrs})
}

// A way is one relay's way to a peer.
type way struct {
	relay peer.ID
	via   []ma.Multiaddr // the relay's own addresses
	addr  ma.Multiaddr   // the whole: relay and what is behind it
}

// byRelay groups relayed addresses: one for each relay, those connected already first,
// and the rest by chance.
func (h *Host) byRelay(addrs []ma.Multiaddr) []way {
	var out []way
	for _, a := range addrs {
		relay, via, ok := relayOf(a)
		if !ok || relay == h.host.ID() {
			continue
		}
		i := slices.IndexFunc(out, func(c way) bool { return c.relay == relay })
		if i < 0 {
			out = append(out, way{relay: relay, addr: a})
			i = len(out) - 1
		}
		out[i].via = append(out[i].via, via)
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	slices.SortStableFunc(out, func(a, b way) int {
		return boolRank(h.directConn(b.relay) != nil) - boolRank(h.directConn(a.relay) != nil)
	})
	return out
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// meetRelay connects to a relay and returns once that is known to live and serves this
// peer: a relay serves members alone, so this peer must be admitted there.
func (h *Host) meetRelay(ctx context.Context, w way) error {
	ctx, cancel := context.WithTimeout(ctx, circuitTimeout)
	defer cancel()
	c := h.directConn(w.relay)
	if c == nil {
		relay, err := fromPeerID(w.relay)
		if err != nil {
			return err
		}
		known, _ := splitRelayed(h.book.addrs(relay))
		if err := h.dialDirect(ctx, w.relay, append(w.via, known...), directTimeout); err != nil {
			return err
		}
	} else if _, alive := h.isAlive(c); !alive {
		h.spawn(func() { h.hangUpIfDead(w.relay) })
		return errSilent
	}
	return h.awaitAdmission(ctx, w.relay)
}

// dialThrough connects to p through a relay that was met. One at a time: libp2p lets a
// second circuit to the same peer wait for the first.
func (h *Host) dialThrough(ctx context.Context, p peer.ID, w way) error {
	ctx, cancel := context.WithTimeout(ctx, circuitTimeout)
	defer cancel()
	h.host.Peerstore().ClearAddrs(p)
	h.clearDialBackoff(p)
	err := h.host.Connect(ctx, peer.AddrInfo{ID: p, Addrs: []ma.Multiaddr{w.addr}})
	if errors.Is(err, context.DeadlineExceeded) {
		h.spawn(func() { h.hangUpIfDead(w.relay) })
	}
	return err
}

// Redial clears the back-off on a peer and dials it in the background; Connected
// tells of success, nothing of failure. A peer that is connected is asked whether it
// is still there, and hung up on if it does not answer: who calls this hears nothing
// of it. Beyond 256 at once it does nothing.
func (h *Host) Redial(to wire.PeerID) {
	h.backoffs.reset(to)
	if to == h.self || !h.redials.TryAcquire(1) {
		return
	}
	started := h.spawn(func() {
		defer h.redials.Release(1)
		if h.gate.isAdmitted(toPeerID(to)) && h.hangUpIfDead(toPeerID(to)) {
			return
		}
		if err := h.connect(h.ctx, to); err != nil {
			h.log.Debug("peer not reached", "peer", to, "err", err)
			h.backoffs.failed(to)
		}
	})
	if !started {
		h.redials.Release(1)
	}
}

// backoffs holds the peers whose last dial failed.
type backoffs struct {
	mu    sync.Mutex
	peers map[wire.PeerID]backoff
}

type backoff struct {
	n     int
	until time.Time
}

func (b *backoffs) closed(p wire.PeerID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.peers[p].until)
}

// failed doubles the wait, from backoffFirst to backoffMost, less up to a quarter by
// chance, so that not all come back at once.
func (b *backoffs) failed(p wire.PeerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.peers) >= maxBook {
		clear(b.peers) // at worst some dials come too soon
	}
	n := b.peers[p].n
	wait := min(backoffFirst<<n, backoffMost)
	wait -= rand.N(wait / 4)
	b.peers[p] = backoff{n: min(n+1, 8), until: time.Now().Add(wait)}
}

func (b *backoffs) reset(p wire.PeerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.peers, p)
}
