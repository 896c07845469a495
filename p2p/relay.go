package p2p

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/wire"
)

const (
	relaysKept     = 2 // relays at which a hidden peer holds a reservation
	circuitAddrs   = 2 // addresses told of each
	reserveTimeout = 5 * time.Second

	// What a relay gives: members alone get in, so these bound a swarm and not an abuse.
	// There is no bound on time or bytes: libp2p marks bounded connections, and gossip
	// and streams avoid those.
	reservationTTL  = time.Hour
	maxReservations = 256
	maxCircuits     = 256     // of one peer
	relayBuffer     = 4 << 10 // bytes, two for each circuit
)

// relaying is this peer's use of other members as relays.
type relaying struct {
	service *relayv2.Relay // nil: it carries nothing for others
	kick    chan struct{}  // 1 slot: look now

	refused backoffs // relays that did not want

	mu   sync.Mutex
	held map[peer.ID]time.Time // until when it may be reached through that relay
}

func newRelaying() *relaying {
	return &relaying{
		kick: make(chan struct{}, 1), refused: backoffs{peers: map[wire.PeerID]backoff{}}, held: map[peer.ID]time.Time{},
	}
}

// startRelaying begins to carry connections of members for members, where the profile
// and the owner let it, and to look for relays for this peer, should it need some.
func (h *Host) startRelaying() error {
	if !h.limits.traverse {
		return nil
	}
	h.members.SetStreamHandler(probeProto, h.hearProbe)
	if err := h.startPunching(); err != nil {
		return err
	}
	if !h.limits.relays {
		return nil
	}
	service, err := relayv2.New(h.members, relayv2.WithACL(relayACL{h}), relayv2.WithInfiniteLimits(),
		relayv2.WithReservationAddressFilter(func(ma.Multiaddr) bool { return true }),
		relayv2.WithResources(relayv2.Resources{
			ReservationTTL: reservationTTL, MaxReservations: maxReservations, MaxCircuits: maxCircuits, BufferSize: relayBuffer,
			MaxReservationsPerIP: maxReservations, MaxReservationsPerASN: maxReservations,
		}))
	if err != nil {
		return fmt.Errorf("start relay: %w", err)
	}
	h.relaying.service = service
	return nil
}

// relayACL lets members in, and members alone. A peer that is hidden itself takes no
// reservation: whoever cannot reach it could not use it.
type relayACL struct{ h *Host }

// AllowReserve reports whether p may be reached through this peer.
func (a relayACL) AllowReserve(p peer.ID, _ ma.Multiaddr) bool {
	return a.h.gate.isAdmitted(p) && !a.h.gate.isRevoked(p) && !a.h.reachable.hidden()
}

// AllowConnect reports whether src may reach dest through this peer.
func (a relayACL) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return a.h.gate.isAdmitted(src) && a.h.gate.isAdmitted(dest) && !a.h.gate.isRevoked(src) && !a.h.gate.isRevoked(dest)
}

func (r *relaying) look() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// keepRelays sees to it that members that cannot dial this peer can reach it through
// relaysKept others. A relay that falls silent is noticed within relayCheck and
// aliveTimeout, and replaced at once.
func (h *Host) keepRelays() {
	for {
		h.noteNATs()
		h.checkRelays()
		if h.reachable.hidden() {
			h.reserve()
		} else {
			h.relaying.release(h)
		}
		h.punchAgain()
		select {
		case <-time.After(h.limits.relayCheck - rand.N(h.limits.relayCheck/4)):
		case <-h.relaying.kick:
		case <-h.ctx.Done():
			return
		}
	}
}

// relaysInUse are those that this peer depends on: where it holds a reservation, and
// through which it reaches somebody or is reached.
func (h *Host) relaysInUse() map[peer.ID]bool {
	inUse := map[peer.ID]bool{}
	for _, p := range h.relaying.relays() {
		inUse[p] = true
	}
	for _, c := range h.host.Network().Conns() {
		if relay, _, ok := relayOf(c.RemoteMultiaddr()); ok {
			inUse[relay] = true
		}
	}
	return inUse
}

// checkRelays hangs up on the relays that this peer depends on and that are silent: of
// which no packet came since the last look, and which do not answer. Whoever was reached
// through one is dialled anew at once.
func (h *Host) checkRelays() {
	var wg sync.WaitGroup
	for p := range h.relaysInUse() {
		if h.heardSince(p) {
			continue
		}
		wg.Go(func() {
			behind := h.behind(p)
			if !h.hangUpIfDead(p) {
				for _, id := range behind {
					h.Redial(id)
				}
			}
		})
	}
	wg.Wait()
	h.relaying.mu.Lock()
	defer h.relaying.mu.Unlock()
	for p := range h.relaying.held {
		if h.directConn(p) == nil {
			h.relaying.drop(h, p)
		}
	}
}

// behind lists the members reached through a relay and in no other way.
func (h *Host) behind(relay peer.ID) []wire.PeerID {
	var out []wire.PeerID
	for _, c := range h.host.Network().Conns() {
		through, _, ok := relayOf(c.RemoteMultiaddr())
		id, err := fromPeerID(c.RemotePeer())
		if ok && through == relay && err == nil && h.directConn(c.RemotePeer()) == nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// reserve renews what is half over, and makes up for what is missing.
func (h *Host) reserve() {
	r := h.relaying
	for _, p := range r.relays() {
		r.mu.Lock()
		renew := time.Until(r.held[p]) < reservationTTL/2
		r.mu.Unlock()
		if renew {
			h.reserveAt(p)
		}
	}
	for _, p := range h.relayCandidates() {
		if len(r.relays()) >= relaysKept {
			return
		}
		h.reserveAt(p)
	}
}

// reserveAt asks p to carry connections to this peer.
func (h *Host) reserveAt(p peer.ID) {
	ctx, cancel := h.within(reserveTimeout)
	defer cancel()
	// No dial: a relay that this peer cannot dial now is none.
	got, err := client.Reserve(network.WithNoDial(ctx, "connected"), h.host, peer.AddrInfo{ID: p})
	r := h.relaying
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		h.log.Debug("relay refused", "relay", p, "err", err)
		if r.held[p].Before(time.Now()) {
			r.drop(h, p)
		}
		if id, err := fromPeerID(p); err == nil {
			r.refused.failed(id)
		}
		return
	}
	if id, err := fromPeerID(p); err == nil {
		r.refused.reset(id)
	}
	if _, had := r.held[p]; !had {
		h.log.Debug("relay found", "relay", p, "until", got.Expiration)
		h.host.ConnManager().Protect(p, "shoal-relay")
	}
	r.held[p] = got.Expiration
}

// relayCandidates lists the members that may be relays for this peer: dialled by it,
// so that others like it can, and offering to. Those that cannot dial this peer come
// first: they stand outside of what hides it. Then the nearest.
func (h *Host) relayCandidates() []peer.ID {
	type candidate struct {
		id     peer.ID
		inside int
		rtt    time.Duration
	}
	var found []candidate
	for c, at := range h.dialled() {
		p := c.RemotePeer()
		if !h.paths.of(c).relays || !h.relaying.mayAsk(p) || slices.ContainsFunc(found, func(f candidate) bool { return f.id == p }) {
			continue
		}
		inside := 1
		if h.reachable.hiddenFrom(at) {
			inside = 0
		}
		found = append(found, candidate{p, inside, h.roundTrip(c).Round(5 * time.Millisecond)})
	}
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Or(a.inside-b.inside, cmp.Compare(a.rtt, b.rtt)) })
	var ids []peer.ID
	for _, f := range found {
		ids = append(ids, f.id)
	}
	return ids
}

func (r *reachable) hiddenFrom(at vantage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, known := r.verdicts[at]
	return known && !v.ok
}

func (r *relaying) mayAsk(p peer.ID) bool {
	id, err := fromPeerID(p)
	r.mu.Lock()
	_, held := r.held[p]
	r.mu.Unlock()
	return err == nil && !held && !r.refused.closed(id)
}

// relays lists where this peer holds reservations, by ID.
func (r *relaying) relays() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []peer.ID
	for p := range r.held {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b peer.ID) int { return strings.Compare(string(a), string(b)) })
	return out
}

// drop forgets a reservation; r.mu is held.
func (r *relaying) drop(h *Host, p peer.ID) {
	if _, had := r.held[p]; had {
		delete(r.held, p)
		h.host.ConnManager().Unprotect(p, "shoal-relay")
		h.log.Debug("relay lost", "relay", p)
	}
}

// release gives up all reservations: nothing hides this peer any more.
func (r *relaying) release(h *Host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.held {
		r.drop(h, p)
	}
}

// relayedAddrs lists the addresses at which this peer is reached through its relays.
func (h *Host) relayedAddrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, p := range h.relaying.relays() {
		c := h.directConn(p)
		id, err := fromPeerID(p)
		if c == nil || err != nil {
			continue
		}
		tail, err := ma.NewMultiaddr("/p2p/" + p.String() + "/p2p-circuit")
		if err != nil {
			continue
		}
		known, _ := splitRelayed(h.book.addrs(id))
		n := 0
		for _, a := range slices.Concat([]ma.Multiaddr{c.RemoteMultiaddr()}, known) {
			full := a.Encapsulate(tail)
			if n < circuitAddrs && dialable(full) && !slices.ContainsFunc(out, full.Equal) {
				out, n = append(out, full), n+1
			}
		}
	}
	return out
}
