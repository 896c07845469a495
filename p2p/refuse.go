package p2p

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p/admit"
	"shoal/wire"
)

// maxShunned bounds who is shunned at once; of more, the one whose time is up first
// comes back early.
const maxShunned = 1024

// Refused says that Count things were dropped that Peer handed over, for Fault, since
// the last such event. The zero Peer stands for all who were never admitted.
type Refused struct {
	Peer  wire.PeerID
	Fault wire.Fault
	Count uint32
}

func (Refused) event() {}

// refuse counts what p sent and this host dropped because of err, if it was p's
// fault, and tells the reader of Events. That a connection broke is nobody's.
func (h *Host) refuse(p peer.ID, err error) {
	f := faultOf(err)
	if f == 0 {
		return
	}
	h.stats.refused[f].Add(1)
	var id wire.PeerID
	if h.gate.isAdmitted(p) {
		id, _ = fromPeerID(p)
	}
	h.events.refuse(id, f)
}

func faultOf(err error) wire.Fault {
	switch {
	case errors.Is(err, admit.ErrForeign):
		return wire.FaultSwarm
	case errors.Is(err, admit.ErrForged):
		return wire.FaultForged
	case errors.Is(err, admit.ErrMalformed):
		return wire.FaultMalformed
	case errors.Is(err, admit.ErrExpired), errors.Is(err, admit.ErrRevoked), errors.Is(err, admit.ErrRights),
		errors.Is(err, admit.ErrUsedUp), errors.Is(err, errRevoked), errors.Is(err, errUnvouched), errors.Is(err, errTicketRevoked):
		return wire.FaultStranger
	}
	return wire.FaultOf(err)
}

// Shun hangs up on p and refuses it, either way, for d; then all is as before. What
// was decided about p's membership is not touched.
func (h *Host) Shun(p wire.PeerID, d time.Duration) {
	if p == h.self || d <= 0 {
		return
	}
	id := toPeerID(p)
	h.gate.shun(id, time.Now().Add(d))
	h.log.Debug("peer refused for a while", "peer", p, "for", d)
	h.spawn(func() { h.host.Network().ClosePeer(id) })
}

// Mute hangs up on everybody and lets nobody in or out any more: this peer's key runs
// elsewhere, and whoever is connected here does not look for that one.
func (h *Host) Mute() {
	h.gate.mute.Store(true)
	h.spawn(func() {
		for _, p := range h.host.Network().Peers() {
			_ = h.host.Network().ClosePeer(p)
		}
	})
}

// shun refuses p until then.
func (g *gate) shun(p peer.ID, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.shunned) >= maxShunned {
		var first peer.ID
		for q, t := range g.shunned {
			if first == "" || t.Before(g.shunned[first]) {
				first = q
			}
		}
		delete(g.shunned, first)
	}
	g.shunned[p] = until
}

func (g *gate) isShunned(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, is := g.shunned[p]
	if is && !time.Now().Before(until) {
		delete(g.shunned, p)
		return false
	}
	return is
}
