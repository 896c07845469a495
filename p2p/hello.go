package p2p

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

const (
	helloProto = "/shoal/hello/1"
	maxHello   = admit.MaxCertificateBytes + 40<<10
	helloPeers = 16 // other members a hello tells of
)

// A hello is what two peers show one another first. The dialler begins, the other
// answers only to a member of its own swarm, and the dialler's last byte tells it
// that both are in:
//
//	dialler ──hello──► other     (verify; else close, no byte sent)
//	dialler ◄──hello── other     (verify; admitted)
//	dialler ───one 0──► other                   (admitted)
type hello struct {
	Certificate []byte   `cbor:"1,keyasint"`
	Addrs       [][]byte `cbor:"2,keyasint,omitempty"` // binary multiaddrs, best first
	Session     uint64   `cbor:"3,keyasint"`           // chance, alike while the process lives

	// Peers are other members, so that a swarm joined through one peer does not stay
	// a star around it. Only the answer has them: its receiver is known for a member.
	Peers []joinPeer `cbor:"4,keyasint,omitempty"`
}

func (h *Host) ownHello(answer bool) []byte {
	own := hello{Certificate: h.cfg.Certificate.Encode(), Session: h.session}
	for _, a := range h.bestAddrs() {
		if len(own.Addrs) < maxAddrs {
			own.Addrs = append(own.Addrs, a.Bytes())
		}
	}
	if answer {
		peers := h.Peers()
		rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
		for _, p := range peers[:min(len(peers), helloPeers)] {
			own.Peers = append(own.Peers, joinPeerOf(p.ID, h.book.addrs(p.ID)))
		}
	}
	return codec.Marshal(own)
}

// A guest is a peer whose hello was good.
type guest struct {
	admission
	cert  admit.Certificate
	addrs []ma.Multiaddr
	peers []joinPeer
}

// checkHello verifies what p showed.
func (h *Host) checkHello(p peer.ID, b []byte) (g guest, err error) {
	var m hello
	if err := codec.Unmarshal(b, maxHello, &m); err != nil {
		return g, fmt.Errorf("hello: %w", err)
	}
	id, err := fromPeerID(p)
	if err != nil {
		return g, err
	}
	cert, err := admit.DecodeCertificate(m.Certificate)
	switch {
	case err != nil:
		return g, err
	case cert.Peer != id:
		return g, fmt.Errorf("it showed the certificate of peer %s", cert.Peer.Short())
	case h.gate.isRevoked(p):
		return g, errRevoked
	}
	if err := cert.Verify(h.cfg.Swarm, time.Now()); err != nil {
		return g, err
	}
	return guest{admission{id: id, session: m.Session}, cert, parseAddrs(m.Addrs), m.Peers}, nil
}

// sayHello is the dialler's side, on a connection it has just opened.
func (h *Host) sayHello(c network.Conn) {
	ctx, cancel := context.WithTimeout(h.ctx, helloTimeout)
	defer cancel()
	if err := h.helloOn(ctx, c); err != nil {
		h.log.Debug("peer refused", "peer", c.RemotePeer(), "addr", c.RemoteMultiaddr(), "err", err)
		c.CloseWithError(network.ConnGated)
	}
}

func (h *Host) helloOn(ctx context.Context, c network.Conn) error {
	s, err := openOn(ctx, c, helloProto)
	if err != nil {
		return err
	}
	defer s.Close()
	begun := time.Now()
	if err := writeFrame(s, h.ownHello(false)); err != nil {
		return err
	}
	b, err := readFrame(s, maxHello)
	if err != nil {
		return fmt.Errorf("no answer to hello; is it of another swarm, or did it remove this peer? %w", err)
	}
	g, err := h.checkHello(c.RemotePeer(), b)
	if err != nil {
		return err
	}
	g.rtt = time.Since(begun)
	if err := writeFrame(s, nil); err != nil {
		return err
	}
	h.hearOf(g.peers)
	h.welcome(c, g)
	return nil
}

// hearHello is the other side.
func (h *Host) hearHello(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(helloTimeout))
	if err := h.answerHello(s); err != nil {
		h.log.Debug("peer refused", "peer", s.Conn().RemotePeer(), "addr", s.Conn().RemoteMultiaddr(), "err", err)
		// The reason stays here: who is not a member gets no byte.
		s.Conn().CloseWithError(network.ConnGated)
	}
}

func (h *Host) answerHello(s network.Stream) error {
	b, err := readFrame(s, maxHello)
	if err != nil {
		return err
	}
	g, err := h.checkHello(s.Conn().RemotePeer(), b)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := writeFrame(s, h.ownHello(true)); err != nil {
		return err
	}
	if _, err := readFrame(s, 0); err != nil {
		return fmt.Errorf("hello not confirmed: %w", err)
	}
	g.rtt = time.Since(begun)
	h.welcome(s.Conn(), g)
	return nil
}

// hearOf notes where other members may be, as a member says.
func (h *Host) hearOf(peers []joinPeer) {
	for _, p := range peers[:min(len(peers), helloPeers)] {
		if len(p.Peer) == len(wire.PeerID{}) && wire.PeerID(p.Peer) != h.self {
			h.book.hear(wire.PeerID(p.Peer), parseAddrs(p.Addrs))
		}
	}
}

// welcome admits the peer at the other end of c.
func (h *Host) welcome(c network.Conn, g guest) {
	p := c.RemotePeer()
	isNew, restarted := h.gate.admit(p, g.admission, g.cert)
	if restarted {
		// Its old process is gone, though its connections may look alive for 30 s.
		for _, old := range h.host.Network().ConnsToPeer(p) {
			if old != c && old.Stat().Opened.Before(c.Stat().Opened) {
				old.Close()
			}
		}
		h.events.note(g.id, false, nil)
	}
	if c.IsClosed() && h.host.Network().Connectedness(p) != network.Connected {
		h.gone(p) // it went between the last byte and here
		return
	}
	if c.Stat().Direction == network.DirOutbound {
		g.addrs = append([]ma.Multiaddr{c.RemoteMultiaddr()}, g.addrs...)
	}
	h.book.add(g.id, g.addrs, true)
	if isNew || restarted {
		h.events.note(g.id, true, nil)
		h.log.Debug("peer admitted", "peer", g.id, "rights", g.cert.Rights)
	}
	h.dhtAdd(p)
}

// gone ends the admission of a peer without connections, and the waiting for it.
func (h *Host) gone(p peer.ID) {
	if h.gate.forget(p) {
		if id, err := fromPeerID(p); err == nil {
			h.events.note(id, false, nil)
		}
	}
}

// openOn opens a stream on exactly this connection.
func openOn(ctx context.Context, c network.Conn, proto string) (network.Stream, error) {
	s, err := c.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.SetDeadline(deadline)
	}
	if err := negotiate(s, proto); err != nil {
		s.Reset()
		return nil, err
	}
	return s, nil
}
