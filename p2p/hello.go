package p2p

import (
	"context"
	"errors"
	"fmt"
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

	// maxNotice bounds what a removed peer is told; a longer notice is not told.
	maxNotice       = 32 << 10
	farewellTimeout = 2 * time.Second
)

// A hello is what two peers show one another first. The dialler begins, the other
// answers only to a member of its own swarm, and the dialler's last byte tells it
// that both are in:
//
//	dialler ──hello──► other     (verify; else close, no byte sent)
//	dialler ◄──hello── other     (verify; admitted)
//	dialler ───one 0──► other                   (admitted)
//
// To a dialler that was removed from the swarm the other shows its certificate and a
// notice, which is handed up as a frame of that member; then both hang up.
type hello struct {
	Certificate []byte   `cbor:"1,keyasint"`
	Addrs       [][]byte `cbor:"2,keyasint,omitempty"` // binary multiaddrs, best first
	Session     uint64   `cbor:"3,keyasint"`           // chance, alike while the process lives

	// Peers are other members, so that a swarm joined through one peer does not stay
	// a star around it. Only the answer has them: its receiver is known for a member.
	Peers []joinPeer `cbor:"4,keyasint,omitempty"`

	// Notice refuses a dialler that was removed: a frame that proves it.
	Notice []byte `cbor:"5,keyasint,omitempty"`

	// Relays says that the sender carries connections of members for members.
	Relays bool `cbor:"6,keyasint,omitempty"`

	// Seen is where the dialler's packets come from, as the answering peer sees it; not
	// over a relay.
	Seen []byte `cbor:"7,keyasint,omitempty"`
}

// ownHello is what this peer shows at the other end of c.
func (h *Host) ownHello(c network.Conn, answer bool) []byte {
	own := hello{Certificate: h.cfg.Certificate.Encode(), Session: h.session, Relays: h.relaying.service != nil}
	for _, a := range h.bestAddrs() {
		if len(own.Addrs) < maxAddrs {
			own.Addrs = append(own.Addrs, a.Bytes())
		}
	}
	if answer {
		if from := c.RemoteMultiaddr(); !isRelayed(from) {
			own.Seen = from.Bytes()
		}
		if to, err := fromPeerID(c.RemotePeer()); err == nil {
			own.Peers = h.otherPeers(to)
		}
	}
	return codec.Marshal(own)
}

// A guest is a peer whose hello was good.
type guest struct {
	admission
	cert   admit.Certificate
	addrs  []ma.Multiaddr
	peers  []joinPeer
	notice []byte
	relays bool
	seen   ma.Multiaddr // nil: not told
}

// checkHello verifies what p showed. With errRevoked it returns the guest all the
// same: a former member.
func (h *Host) checkHello(p peer.ID, b []byte) (g guest, err error) {
	var m hello
	if err := codec.Unmarshal(b, maxHello, &m); err != nil {
		return g, fmt.Errorf("hello: %w: %w", wire.FaultUndecodable, err)
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
		return g, fmt.Errorf("%w: it showed the certificate of peer %s", wire.FaultForged, cert.Peer.Short())
	}
	if err := cert.Verify(h.cfg.Swarm, time.Now()); err != nil {
		return g, err
	}
	g = guest{
		admission: admission{id: id, session: m.Session}, cert: cert, addrs: parseAddrs(m.Addrs), peers: m.Peers,
		notice: m.Notice, relays: m.Relays,
	}
	if seen := parseAddrs([][]byte{m.Seen}); len(seen) == 1 && !isRelayed(seen[0]) {
		g.seen = seen[0]
	}
	if h.gate.isRevoked(p) {
		return g, errRevoked
	}
	return g, h.gate.vouched(&cert)
}

// sayHello is the dialler's side, on a connection it has just opened.
func (h *Host) sayHello(c network.Conn) {
	ctx, cancel := context.WithTimeout(h.ctx, helloTimeout)
	defer cancel()
	if err := h.helloOn(ctx, c); err != nil {
		h.refuse(c.RemotePeer(), err)
		log := h.log.Debug
		if errors.Is(err, ErrVersion) {
			h.noteOther(c.RemotePeer())
			if h.versions.due(time.Now()) {
				log = h.log.Warn
			}
		}
		log("peer refused", "peer", c.RemotePeer(), "addr", c.RemoteMultiaddr(), "err", err)
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
	if err := writeFrame(s, h.ownHello(c, false)); err != nil {
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
	if len(g.notice) > 0 {
		h.events.offer(Message{From: g.id, Bytes: g.notice}) // if lost, the next dial brings it again
		return errExpelled
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
		h.refuse(s.Conn().RemotePeer(), err)
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
		if errors.Is(err, errRevoked) {
			h.tellRemoved(s, g.id)
		}
		return err
	}
	begun := time.Now()
	if err := writeFrame(s, h.ownHello(s.Conn(), true)); err != nil {
		return err
	}
	if _, err := readFrame(s, 0); err != nil {
		return fmt.Errorf("hello not confirmed: %w", err)
	}
	g.rtt = time.Since(begun)
	h.welcome(s.Conn(), g)
	return nil
}

// tellRemoved answers the hello of a former member with the notice of its removal, if
// there is one, and gives it the time to read it before the connection ends.
func (h *Host) tellRemoved(s network.Stream, id wire.PeerID) {
	notice := h.gate.noticeFor(id)
	if len(notice) == 0 {
		return
	}
	b := codec.Marshal(hello{Certificate: h.cfg.Certificate.Encode(), Session: h.session, Notice: notice})
	if writeFrame(s, b) == nil {
		_, _ = readFrame(s, 0) // it hangs up
	}
}

// farewell cuts all that a connected peer sends or hears, hands it the notice of its
// removal as a frame, and returns once that is read or farewellTimeout is over.
func (h *Host) farewell(p peer.ID) {
	id, err := fromPeerID(p)
	conns := h.host.Network().ConnsToPeer(p)
	if err != nil || len(conns) == 0 {
		return
	}
	for _, c := range conns {
		for _, s := range c.GetStreams() {
			s.ResetWithError(network.StreamGated)
		}
	}
	notice := h.gate.noticeFor(id)
	if len(notice) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, farewellTimeout)
	defer cancel()
	s, err := openOn(ctx, conns[0], messageProto)
	if err != nil {
		return
	}
	defer s.Reset()
	if writeFrame(s, notice) == nil && s.CloseWrite() == nil {
		_, _ = s.Read(make([]byte, 1)) // it resets a stream that it has read to the end
	}
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
	h.others.forget(g.id)
	h.paths.admitted(c, g)
	if c.IsClosed() {
		h.paths.closed(c) // it may have been told so before
	}
	if c.Stat().Direction == network.DirOutbound && !isRelayed(c.RemoteMultiaddr()) {
		g.addrs = append([]ma.Multiaddr{c.RemoteMultiaddr()}, g.addrs...)
	}
	h.book.add(g.id, g.addrs, true)
	h.warnBehindNAT(c)
	if isNew || restarted {
		h.events.note(g.id, true, nil)
		h.log.Debug("peer admitted", "peer", g.id, "rights", g.cert.Rights)
	}
	h.dhtAdd(p)
	h.retire(p)
	if c.Stat().Direction == network.DirInbound && len(h.host.Network().ConnsToPeer(p)) > 1 {
		// It dials since it has lost what this peer believes to have.
		h.spawn(func() { h.hangUpIfDead(p) })
	}
	h.relaying.look()
}

// gone ends the admission of a peer without connections, and the waiting for it.
func (h *Host) gone(p peer.ID) {
	h.topics.streams.forget(p)
	if h.gate.forget(p) {
		if id, err := fromPeerID(p); err == nil {
			h.events.note(id, false, nil)
		}
		if h.Stats().Peers < h.limits.enough {
			h.search.again()
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
