package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

const (
	joinProto      = "/shoal/join/1"
	maxJoinRequest = 16 << 10
	maxJoinReply   = 64 << 10
	maxJoinPeers   = 32 // members a joiner is told of
)

type joinRequest struct {
	Invitation []byte `cbor:"1,keyasint"`
	Proof      []byte `cbor:"2,keyasint"`

	// Hellos are the versions of the first protocol that the joiner will speak as a
	// member; none from earlier ones, which speak /shoal/hello/1.
	Hellos []string `cbor:"3,keyasint,omitempty"`
}

type joinReply struct {
	Refusal     uint8      `cbor:"1,keyasint,omitempty"` // index into refusals; 0: none
	Certificate []byte     `cbor:"2,keyasint,omitempty"`
	Peers       []joinPeer `cbor:"3,keyasint,omitempty"`
}

type joinPeer struct {
	Peer  []byte   `cbor:"1,keyasint"`
	Addrs [][]byte `cbor:"2,keyasint"`
}

// refusals are what a member may answer, by number; the joiner writes the sentence,
// so that no text of a stranger reaches a terminal. New ones go to the end.
var refusals = []error{
	nil,
	admit.ErrMalformed, admit.ErrExpired, admit.ErrForeign, admit.ErrUsedUp, admit.ErrForged, admit.ErrRights, admit.ErrRevoked,
	errCannotAdmit, errNotIssuer, errTicketRevoked, ErrVersion,
}

var (
	errCannotAdmit = errors.New("that member cannot admit anybody now")
	errNotIssuer   = errors.New("its uses are counted by the member that made it; that one must be up")
)

func refusalOf(err error) uint8 {
	other := 0
	for i, kind := range refusals[1:] {
		switch {
		case errors.Is(err, kind):
			return uint8(i + 1)
		case errors.Is(errCannotAdmit, kind):
			other = i + 1
		}
	}
	return uint8(other)
}

// hearJoin admits who shows a good ticket.
func (h *Host) hearJoin(s network.Stream) {
	defer s.Close()
	h.gate.extend(s.Conn())
	s.SetDeadline(time.Now().Add(joinTimeout))
	b, err := readFrame(s, maxJoinRequest)
	if err != nil {
		h.refuse(s.Conn().RemotePeer(), err)
		s.Reset()
		return
	}
	reply, err := h.answerJoin(s.Conn().RemotePeer(), b)
	if err != nil {
		h.refuse(s.Conn().RemotePeer(), err)
		h.log.Info("joining refused", "peer", s.Conn().RemotePeer(), "err", err)
		reply = joinReply{Refusal: refusalOf(err)}
	}
	_ = writeFrame(s, codec.Marshal(reply)) // who misses it asks again
}

func (h *Host) answerJoin(p peer.ID, b []byte) (joinReply, error) {
	id, err := fromPeerID(p)
	if err != nil {
		return joinReply{}, err
	}
	if h.gate.isRevoked(p) {
		return joinReply{}, admit.ErrRevoked
	}
	var req joinRequest
	if err := codec.Unmarshal(b, maxJoinRequest, &req); err != nil {
		return joinReply{}, fmt.Errorf("request: %w: %w", admit.ErrMalformed, err)
	}
	if len(req.Hellos) > 0 && !slices.Contains(req.Hellos, helloProto) {
		return joinReply{}, ErrVersion // it would be a member that no other lets in
	}
	inv, err := admit.DecodeInvitation(req.Invitation)
	if err != nil {
		return joinReply{}, err
	}
	if err := inv.Verify(h.cfg.Swarm, time.Now()); err != nil {
		return joinReply{}, err
	}
	if _, is := h.gate.unvouched(inv.Issuer); is {
		return joinReply{}, errTicketRevoked
	}
	if !inv.CheckProof(id, h.self, req.Proof) {
		return joinReply{}, fmt.Errorf("proof: %w", admit.ErrForged)
	}
	if inv.MaxUses > 0 && inv.Issuer != nil && inv.Issuer.Peer != h.self {
		return joinReply{}, errNotIssuer // nobody else knows how often it was used
	}
	own := h.cfg.Certificate
	// Membership outlives the ticket: it lasts as long as the admitting peer's own.
	cert, err := admit.Signer{Key: h.cfg.Key, Certificate: &own}.Issue(id, inv.Rights, time.Time{})
	if err != nil {
		return joinReply{}, fmt.Errorf("%w: %w", errCannotAdmit, err)
	}
	if err := h.count(JoinRequest{Ticket: inv.ID(), MaxUses: inv.MaxUses, NotAfter: inv.NotAfter, Peer: id, Certificate: cert}); err != nil {
		return joinReply{}, err
	}
	return joinReply{Certificate: cert.Encode(), Peers: h.joinPeers()}, nil
}

func (h *Host) count(r JoinRequest) error {
	if h.cfg.OnJoin == nil {
		return h.uses.count(r, time.Now())
	}
	done := make(chan error, 1)
	go func() { done <- h.cfg.OnJoin(r) }()
	select {
	case err := <-done:
		return err
	case <-time.After(joinTimeout / 2):
		return fmt.Errorf("counting the ticket's use takes too long: %w", errCannotAdmit)
	}
}

// joinPeers lists this peer and others the newcomer can dial.
func (h *Host) joinPeers() []joinPeer {
	peers := []joinPeer{joinPeerOf(h.self, h.bestAddrs())}
	for _, id := range h.book.all() {
		if len(peers) < maxJoinPeers {
			peers = append(peers, joinPeerOf(id, h.book.addrs(id)))
		}
	}
	return peers
}

func joinPeerOf(id wire.PeerID, addrs []ma.Multiaddr) joinPeer {
	p := joinPeer{Peer: id[:]}
	for _, a := range addrs[:min(len(addrs), maxAddrs)] {
		p.Addrs = append(p.Addrs, a.Bytes())
	}
	return p
}

// A Joined is what a ticket was turned into.
type Joined struct {
	Certificate admit.Certificate
	Members     []admit.PeerAddrs // whom to dial first; put them into Config.Bootstrap or AddAddrs
}

// Join shows the ticket to the peers it names, one after the other, and returns the
// membership it is given. It needs no port of its own. The peers that answered with
// a refusal decide the error (admit.ErrUsedUp, admit.ErrExpired …, or ErrVersion); that none could
// be reached names each address tried. ctx bounds the whole; each peer has 15 s.
func Join(ctx context.Context, key ed25519.PrivateKey, t admit.Ticket) (Joined, error) {
	if err := t.Verify(t.Swarm, time.Now()); err != nil {
		return Joined{}, err
	}
	if len(t.Peers) == 0 {
		return Joined{}, &admit.Refusal{Kind: admit.ErrMalformed, Text: "ticket names no peer to go to; ask for a new one: `shoal ticket`"}
	}
	opts, err := options(Config{Key: key}, profiles[ProfileSmall], nil, ownAddrs)
	if err != nil {
		return Joined{}, err
	}
	hst, err := libp2p.New(opts...)
	if err != nil {
		return Joined{}, fmt.Errorf("start libp2p: %w", err)
	}
	defer hst.Close()
	var refused error
	var tried []string
	for _, p := range t.Peers {
		joined, err := joinAt(ctx, hst, idOf(key), t, p)
		switch {
		case err == nil:
			return joined, nil
		case errors.Is(err, ErrVersion):
			if refused == nil { // what a peer says of the ticket itself tells more
				refused = err
			}
		case slices.ContainsFunc(refusals[1:], func(kind error) bool { return errors.Is(err, kind) }):
			refused = err
		default:
			tried = append(tried, fmt.Sprintf("%s at %s (%v)", p.Peer.Short(), strings.Join(p.Addrs, ", "), rootCause(err)))
		}
	}
	if refused != nil {
		return Joined{}, refused
	}
	return Joined{}, fmt.Errorf("no peer of the ticket answers: %s; is one of them up, and is port %d open to it?", strings.Join(tried, "; "), DefaultPort)
}

// rootCause takes from libp2p's list of every address and attempt the first reason.
func rootCause(err error) error {
	var dial *swarm.DialError
	if errors.As(err, &dial) && len(dial.DialErrors) > 0 {
		err = dial.DialErrors[len(dial.DialErrors)-1].Cause
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer in time")
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(text)
}

func joinAt(ctx context.Context, hst host.Host, self wire.PeerID, t admit.Ticket, at admit.PeerAddrs) (Joined, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+joinTimeout)
	defer cancel()
	info := peer.AddrInfo{ID: toPeerID(at.Peer)}
	for _, s := range at.Addrs {
		if a, err := ma.NewMultiaddr(s); err == nil && dialable(a) {
			info.Addrs = append(info.Addrs, a)
		}
	}
	dialCtx, stop := context.WithTimeout(ctx, dialTimeout)
	err := hst.Connect(dialCtx, info)
	stop()
	if err != nil {
		return Joined{}, err
	}
	if theirs := otherHello(hst, info.ID); theirs != "" {
		return Joined{}, fmt.Errorf("peer %s cannot take this machine in: %w; that one speaks %s, this one %s", at.Peer.Short(), ErrVersion, theirs, helloProto)
	}
	s, err := hst.NewStream(ctx, info.ID, joinProto)
	if err != nil {
		if err = asVersion(err, joinProto); errors.Is(err, ErrVersion) {
			err = fmt.Errorf("peer %s cannot take the ticket: %w", at.Peer.Short(), err)
		}
		return Joined{}, err
	}
	defer s.Reset()
	deadline, _ := ctx.Deadline()
	s.SetDeadline(deadline)
	req := joinRequest{Invitation: t.Invitation.Encode(), Proof: t.Prove(self, at.Peer), Hellos: []string{helloProto}}
	if err := writeFrame(s, codec.Marshal(req)); err != nil {
		return Joined{}, err
	}
	// Only an answer counts: a connection that is about to be refused looks good.
	b, err := readFrame(s, maxJoinReply)
	if err != nil {
		return Joined{}, fmt.Errorf("connected, but no answer: %w", err)
	}
	return readJoinReply(b, self, t, at.Peer)
}

func readJoinReply(b []byte, self wire.PeerID, t admit.Ticket, from wire.PeerID) (Joined, error) {
	var reply joinReply
	if err := codec.Unmarshal(b, maxJoinReply, &reply); err != nil {
		return Joined{}, fmt.Errorf("answer of peer %s: %w", from.Short(), err)
	}
	if reply.Refusal != 0 {
		kind := errCannotAdmit
		if int(reply.Refusal) < len(refusals) {
			kind = refusals[reply.Refusal]
		}
		return Joined{}, fmt.Errorf("peer %s refuses the ticket: %w", from.Short(), kind)
	}
	cert, err := admit.DecodeCertificate(reply.Certificate)
	if err != nil {
		return Joined{}, fmt.Errorf("answer of peer %s: %w", from.Short(), err)
	}
	if err := cert.Verify(t.Swarm, time.Now()); err != nil {
		return Joined{}, fmt.Errorf("answer of peer %s: %w", from.Short(), err)
	}
	if cert.Peer != self {
		return Joined{}, fmt.Errorf("answer of peer %s: certificate is of peer %s", from.Short(), cert.Peer.Short())
	}
	joined := Joined{Certificate: cert}
	for _, p := range reply.Peers[:min(len(reply.Peers), maxJoinPeers)] {
		if len(p.Peer) != len(wire.PeerID{}) {
			continue
		}
		m := admit.PeerAddrs{Peer: wire.PeerID(p.Peer)}
		for _, a := range parseAddrs(p.Addrs) {
			m.Addrs = append(m.Addrs, a.String())
		}
		joined.Members = append(joined.Members, m)
	}
	return joined, nil
}

// TicketPeers lists up to admit.MaxTicketPeers members to name in a ticket, this one
// first, with their best addresses. Who has no certificate gets through no relay, so a
// peer that is reached through relays stands last, behind those that can be dialled.
func (h *Host) TicketPeers() []admit.PeerAddrs {
	own := h.bestAddrs()
	var first, last []admit.PeerAddrs
	add := func(id wire.PeerID, addrs []ma.Multiaddr) {
		direct, relayed := splitRelayed(addrs)
		p := admit.PeerAddrs{Peer: id}
		for _, a := range direct[:min(len(direct), admit.MaxTicketAddrs)] {
			p.Addrs = append(p.Addrs, a.String())
		}
		if len(relayed) > 0 {
			last = append(last, p)
		} else {
			first = append(first, p)
		}
	}
	add(h.self, own)
	for _, p := range h.Peers() {
		if p.Rights.Has(admit.Invite) {
			add(p.ID, h.book.addrs(p.ID))
		}
	}
	all := slices.Concat(first, last)
	return all[:min(len(all), admit.MaxTicketPeers)]
}
