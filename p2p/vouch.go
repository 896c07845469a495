package p2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"shoal/p2p/admit"
	"shoal/wire"
)

var (
	errUnvouched     = errors.New("a peer that was removed let it in, and nobody here knows it: it needs a new ticket")
	errTicketRevoked = errors.New("whoever made the ticket was removed from the swarm: ask another member for a new one")
)

// SetKnown says which peers are members whoever let them in: those that the ledger had
// a card of before the one who did was removed. It may not block. Without it nobody is.
func (h *Host) SetKnown(isKnown func(wire.PeerID) bool) {
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	h.gate.known = isKnown
}

// unvouched reports whether nobody who still may vouches for a peer with this
// certificate: going up its chain, a peer that was removed comes before one that is
// known. Whoever has the key of a removed peer can sign new certificates for ever, and
// they say nothing of when that was.
func (g *gate) unvouched(cert *admit.Certificate) (by wire.PeerID, is bool) {
	g.mu.Lock()
	revoked, known := g.revoked, g.known
	g.mu.Unlock()
	if revoked == nil {
		return by, false
	}
	for c := cert; c != nil; c = c.Issuer {
		switch {
		case revoked(c.Peer):
			return c.Peer, true
		case known != nil && known(c.Peer):
			return by, false
		}
	}
	return by, false
}

// vouched is unvouched as an error.
func (g *gate) vouched(cert *admit.Certificate) error {
	if by, is := g.unvouched(cert); is {
		return fmt.Errorf("%w; it was let in by %s", errUnvouched, by.Short())
	}
	return nil
}

// isUnvouched is unvouched for a connected peer.
func (h *Host) isUnvouched(p peer.ID) bool {
	id, err := fromPeerID(p)
	if err != nil {
		return false
	}
	cert, ok := h.gate.certificate(id)
	if !ok {
		return false
	}
	_, is := h.gate.unvouched(&cert)
	return is
}
