package admit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/mr-tron/base58"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/internal/codec"
	"shoal/wire"
)

const (
	invitationDomain = "shoal/invitation/1\x00"
	secretDomain     = "shoal/invitation-key/1\x00"
	proofDomain      = "shoal/join/1\x00"
	checksumDomain   = "shoal/ticket/1\x00"

	// Prefix begins every printed ticket.
	Prefix = "shoal1"

	// MaxTicketText bounds a printed ticket in characters; MaxTicketPeers and
	// MaxTicketAddrs bound whom it names. What exceeds the last two is left out.
	MaxTicketText  = 12 << 10
	MaxTicketPeers = 4
	MaxTicketAddrs = 4

	maxTicketBytes = 9 << 10
	secretBytes    = 16
	checksumBytes  = 4
)

// A TicketID names a ticket in the count of its uses: the hash of its public key.
type TicketID [16]byte

// String returns the ID in hexadecimal.
func (t TicketID) String() string { return hex.EncodeToString(t[:]) }

// An Invitation is the part of a ticket that a joining peer shows: signed by its
// issuer, and of use only to who also knows the secret behind Key.
type Invitation struct {
	Swarm    SwarmID
	Key      ed25519.PublicKey // the joiner proves it knows the secret of this key
	Rights   Rights
	NotAfter time.Time    // whole seconds; zero means never
	MaxUses  int          // peers it admits; 0 means no bound
	Issuer   *Certificate // nil if the root signed

	body []byte
	sig  []byte
}

// A Ticket is an invitation, its secret, and where to go with it.
type Ticket struct {
	Invitation
	Peers  []PeerAddrs
	secret []byte
}

type invitationBody struct {
	Swarm    []byte `cbor:"1,keyasint"`
	Key      []byte `cbor:"2,keyasint"`
	Rights   uint64 `cbor:"3,keyasint"`
	NotAfter int64  `cbor:"4,keyasint,omitempty"`
	MaxUses  uint32 `cbor:"5,keyasint,omitempty"`
}

type ticketBody struct {
	Invitation []byte       `cbor:"1,keyasint"`
	Secret     []byte       `cbor:"2,keyasint"`
	Peers      []ticketPeer `cbor:"3,keyasint"`
}

type ticketPeer struct {
	Peer  []byte   `cbor:"1,keyasint"`
	Addrs [][]byte `cbor:"2,keyasint"` // binary multiaddrs, shorter than text
}

// Invite makes a ticket that admits maxUses peers (0: any number) with rights until
// notAfter (zero: as long as the signer's own certificate). peers are asked in that
// order; addresses that are no multiaddrs are an error. ErrRights as for Issue.
func (s Signer) Invite(rights Rights, notAfter time.Time, maxUses int, peers []PeerAddrs) (Ticket, error) {
	notAfter, err := s.narrow(rights, notAfter)
	if err != nil {
		return Ticket{}, err
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	inv := Invitation{
		Swarm: s.swarm(), Key: secretKey(secret).Public().(ed25519.PublicKey), Rights: rights,
		NotAfter: notAfter, MaxUses: max(maxUses, 0), Issuer: s.Certificate,
	}
	inv.body = codec.Marshal(invitationBody{
		Swarm: inv.Swarm[:], Key: inv.Key, Rights: uint64(rights), NotAfter: unix(notAfter), MaxUses: uint32(inv.MaxUses),
	})
	inv.sig = sign(s.Key, invitationDomain, inv.body)
	t := Ticket{Invitation: inv, secret: secret, Peers: peers[:min(len(peers), MaxTicketPeers)]}
	_, err = t.peers()
	return t, err
}

func (t Ticket) peers() ([]ticketPeer, error) {
	var out []ticketPeer
	for _, p := range t.Peers {
		q := ticketPeer{Peer: p.Peer[:]}
		for _, a := range p.Addrs[:min(len(p.Addrs), MaxTicketAddrs)] {
			m, err := ma.NewMultiaddr(a)
			if err != nil {
				return nil, refuse(ErrMalformed, "ticket: address %q of peer %s: %v", a, p.Peer.Short(), err)
			}
			q.Addrs = append(q.Addrs, m.Bytes())
		}
		out = append(out, q)
	}
	return out, nil
}

// String prints the ticket: one word, without characters a shell or a double click
// would stop at. It holds the secret.
func (t Ticket) String() string {
	peers, err := t.peers()
	if err != nil {
		return ""
	}
	b := codec.Marshal(ticketBody{Invitation: t.Invitation.Encode(), Secret: t.secret, Peers: peers})
	return Prefix + base58.Encode(append(b, checksum(b)...))
}

// ParseTicket reads a printed ticket; spaces and line breaks a mail program put in
// are passed over. ErrCut if it was shortened or mistyped, ErrMalformed if it is
// something else altogether. Whether it is good, Invitation.Verify tells.
func ParseTicket(s string) (Ticket, error) {
	s = strings.Join(strings.Fields(s), "")
	text, ok := strings.CutPrefix(s, Prefix)
	switch {
	case !ok:
		return Ticket{}, refuse(ErrMalformed, "not a ticket: it does not begin with %q; paste the whole line that `shoal ticket` printed", Prefix)
	case len(s) > MaxTicketText:
		return Ticket{}, refuse(ErrMalformed, "not a ticket: %d characters, at most %d; paste only the line that `shoal ticket` printed", len(s), MaxTicketText)
	}
	b, err := base58.Decode(text)
	if err != nil || len(b) < checksumBytes {
		return Ticket{}, ErrCut
	}
	b, sum := b[:len(b)-checksumBytes], b[len(b)-checksumBytes:]
	if !bytes.Equal(sum, checksum(b)) {
		return Ticket{}, ErrCut
	}
	return decodeTicket(b)
}

func decodeTicket(b []byte) (Ticket, error) {
	var body ticketBody
	if err := codec.Unmarshal(b, maxTicketBytes, &body); err != nil {
		return Ticket{}, refuse(ErrMalformed, "ticket of a version this shoal cannot read: %v", err)
	}
	inv, err := DecodeInvitation(body.Invitation)
	if err != nil {
		return Ticket{}, err
	}
	if len(body.Secret) != secretBytes || !bytes.Equal(secretKey(body.Secret).Public().(ed25519.PublicKey), inv.Key) {
		return Ticket{}, refuse(ErrForged, "ticket: its secret does not fit its invitation")
	}
	t := Ticket{Invitation: inv, secret: body.Secret}
	for _, p := range body.Peers[:min(len(body.Peers), MaxTicketPeers)] {
		if len(p.Peer) != len(wire.PeerID{}) {
			return Ticket{}, refuse(ErrMalformed, "ticket: peer of %d bytes, want 32", len(p.Peer))
		}
		q := PeerAddrs{Peer: wire.PeerID(p.Peer)}
		for _, a := range p.Addrs[:min(len(p.Addrs), MaxTicketAddrs)] {
			if m, err := ma.NewMultiaddrBytes(a); err == nil { // an address form of a newer version
				q.Addrs = append(q.Addrs, m.String())
			}
		}
		t.Peers = append(t.Peers, q)
	}
	return t, nil
}

// Prove signs with the ticket's secret that joiner shows it to member. It is good
// for these two only, so who sees it can do nothing with it.
func (t Ticket) Prove(joiner, member wire.PeerID) []byte {
	return sign(secretKey(t.secret), proofDomain, slices.Concat(t.Swarm[:], joiner[:], member[:]))
}

// CheckProof reports whether joiner knows the secret behind the invitation.
func (i Invitation) CheckProof(joiner, member wire.PeerID, proof []byte) bool {
	return verify(i.Key, proofDomain, slices.Concat(i.Swarm[:], joiner[:], member[:]), proof)
}

// ID names the invitation in the count of its uses.
func (i Invitation) ID() TicketID {
	sum := sha256.Sum256(i.Key)
	return TicketID(sum[:len(TicketID{})])
}

// Encode returns the invitation with its issuer's chain, without any secret.
func (i Invitation) Encode() []byte {
	e := envelope{Body: i.body, Sig: i.sig}
	if i.Issuer != nil {
		e.Issuer = i.Issuer.Encode()
	}
	return codec.Marshal(e)
}

// DecodeInvitation reads what Encode wrote and checks its form: ErrMalformed.
func DecodeInvitation(b []byte) (Invitation, error) {
	var (
		e    envelope
		body invitationBody
	)
	if err := codec.Unmarshal(b, maxTicketBytes, &e); err != nil {
		return Invitation{}, refuse(ErrMalformed, "invitation: %v", err)
	}
	if err := codec.Unmarshal(e.Body, maxTicketBytes, &body); err != nil {
		return Invitation{}, refuse(ErrMalformed, "invitation body: %v", err)
	}
	if len(body.Swarm) != 32 || len(body.Key) != ed25519.PublicKeySize || len(e.Sig) != ed25519.SignatureSize {
		return Invitation{}, refuse(ErrMalformed, "invitation: swarm of %d, key of %d, signature of %d bytes, want 32, 32, 64",
			len(body.Swarm), len(body.Key), len(e.Sig))
	}
	inv := Invitation{
		Swarm: SwarmID(body.Swarm), Key: body.Key, Rights: Rights(body.Rights), NotAfter: fromUnix(body.NotAfter),
		MaxUses: int(body.MaxUses), body: e.Body, sig: e.Sig,
	}
	if len(e.Issuer) == 0 {
		return inv, nil
	}
	issuer, err := DecodeCertificate(e.Issuer)
	inv.Issuer = &issuer
	return inv, err
}

// Verify reports whether the invitation is good for swarm at now: ErrForeign,
// ErrExpired, ErrForged or ErrRights with a sentence. How often it was used is the
// ledger's to know.
func (i Invitation) Verify(swarm SwarmID, now time.Time) error {
	if i.Swarm != swarm {
		return refuse(ErrForeign, "ticket is of another swarm: of %s, not of %s", i.Swarm.Short(), swarm.Short())
	}
	if expired(i.NotAfter, now) {
		return refuse(ErrExpired, "ticket expired on %s; ask a member for a new one: `shoal ticket`", date(i.NotAfter))
	}
	if err := verifyLink(i.Issuer, i.Swarm, i.Rights, i.NotAfter); err != nil {
		return err
	}
	if !verify(signerKey(i.Swarm, i.Issuer), invitationDomain, i.body, i.sig) {
		return refuse(ErrForged, "ticket: signature does not fit")
	}
	if i.Issuer == nil {
		return nil
	}
	return i.Issuer.verifyChain()
}

func secretKey(secret []byte) ed25519.PrivateKey {
	seed := sha256.Sum256(slices.Concat([]byte(secretDomain), secret))
	return ed25519.NewKeyFromSeed(seed[:])
}

func checksum(b []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(checksumDomain), b))
	return sum[:checksumBytes]
}
