package p2p

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	maxPunchAddrs = 8 // told for making a hole
	punchesAtOnce = 4 // begun at one look at the relays

	// Between two tries at a hole, the second time twice as long.
	punchFirst = 10 * time.Second
	punchMost  = 10 * time.Minute
)

// A retry is when the next try at a hole is due.
type retry struct {
	at   time.Time
	wait time.Duration
}

// startPunching lets two peers that met through a relay try to do without: both dial
// at the same moment, and each one's packets open its own NAT for the other's.
func (h *Host) startPunching() error {
	ids, ok := h.host.(interface{ IDService() identify.IDService })
	if !ok {
		return nil
	}
	s, err := holepunch.NewService(h.members, ids.IDService(), h.punchAddrs,
		holepunch.DirectDialTimeout(dialTimeout), holepunch.WithTracer(punchTracer{h}))
	if err != nil {
		return fmt.Errorf("start hole punching: %w", err)
	}
	h.punching = s
	return nil
}

// punchAddrs are where packets to this peer may arrive: as what others see its QUIC
// socket, and its own addresses, which lead here in the same house.
func (h *Host) punchAddrs() []ma.Multiaddr {
	var out []ma.Multiaddr
	add := func(a ma.Multiaddr) {
		if _, err := a.ValueForProtocol(ma.P_QUIC_V1); err == nil && len(out) < maxPunchAddrs && !slices.ContainsFunc(out, a.Equal) {
			out = append(out, a)
		}
	}
	for _, c := range h.host.Network().Conns() {
		if seen := h.paths.of(c).seen; seen != nil && !isRelayed(c.RemoteMultiaddr()) && h.gate.isAdmitted(c.RemotePeer()) {
			add(seen)
		}
	}
	direct, _ := splitRelayed(h.bestAddrs())
	for _, a := range direct {
		add(a)
	}
	return out
}

type punchTracer struct{ h *Host }

// Trace notes which connections came through a hole.
func (t punchTracer) Trace(e *holepunch.Event) {
	end, ok := e.Evt.(*holepunch.EndHolePunchEvt)
	if !ok || !end.Success {
		return
	}
	t.h.paths.punchedThrough(t.h.host.Network().ConnsToPeer(e.Remote))
	t.h.log.Debug("hole punched", "peer", e.Remote)
}

// punchAgain tries once more to do without a relay, where the other end opened the
// relayed connection: it is the one that expects us to begin.
func (h *Host) punchAgain() {
	now, begun := time.Now(), 0
	relayed := map[peer.ID]bool{}
	for _, c := range h.host.Network().Conns() {
		if p := c.RemotePeer(); isRelayed(c.RemoteMultiaddr()) && c.Stat().Direction == network.DirInbound && h.directConn(p) == nil {
			relayed[p] = true
		}
	}
	for p := range h.retries {
		if !relayed[p] {
			delete(h.retries, p)
		}
	}
	for p := range relayed {
		r, known := h.retries[p]
		if known && now.Before(r.at) || begun == punchesAtOnce {
			continue
		}
		r.wait = min(max(2*r.wait, punchFirst), punchMost)
		r.at = now.Add(r.wait - rand.N(r.wait/4))
		h.retries[p] = r
		if known && len(h.punchAddrs()) > 0 { // the first try is libp2p's own
			begun++
			go func() { _ = h.punching.DirectConnect(p) }() // ends with the service
		}
	}
}
