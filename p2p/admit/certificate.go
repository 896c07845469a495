package admit

import (
	"crypto/ed25519"
	"slices"
	"time"

	"shoal/p2p/internal/codec"
	"shoal/wire"
)

const (
	certificateDomain = "shoal/certificate/1\x00"

	// MaxChain is how many certificates may lie between a peer and the root, its own
	// included. A swarm in which each admits only the next reaches it; any peer nearer
	// to the root can still admit.
	MaxChain = 16

	// MaxCertificateBytes bounds an encoded certificate with its chain.
	MaxCertificateBytes = 8 << 10
)

// A Certificate says that Peer is a member of Swarm. It is made by Issue or read by
// DecodeCertificate and not changed afterwards; the zero value is no certificate.
type Certificate struct {
	Swarm    SwarmID
	Peer     wire.PeerID
	Rights   Rights
	NotAfter time.Time    // whole seconds; zero means never
	Issuer   *Certificate // whose key signed this; nil if the root's did

	body []byte // what was signed, kept with the fields a newer version put in
	sig  []byte
}

// certificateBody is the signed part. The issuer is not named: it is the peer of
// the chain's next certificate or the root, so the two cannot disagree.
type certificateBody struct {
	Swarm    []byte `cbor:"1,keyasint"`
	Peer     []byte `cbor:"2,keyasint"`
	Rights   uint64 `cbor:"3,keyasint"`
	NotAfter int64  `cbor:"4,keyasint,omitempty"` // unix seconds
}

// envelope is a signed body, its signature, and the signer's own certificate.
type envelope struct {
	Body   []byte `cbor:"1,keyasint"`
	Sig    []byte `cbor:"2,keyasint"`
	Issuer []byte `cbor:"3,keyasint,omitempty"`
}

// A Signer is who may sign certificates and tickets: the root (nil Certificate) or
// a member.
type Signer struct {
	Key         ed25519.PrivateKey
	Certificate *Certificate
}

func (s Signer) swarm() SwarmID {
	if s.Certificate == nil {
		return SwarmIDOf(s.Key)
	}
	return s.Certificate.Swarm
}

// narrow returns the expiry nearer than the signer's own, or an error if it must
// not hand rights on at all.
func (s Signer) narrow(rights Rights, notAfter time.Time) (time.Time, error) {
	notAfter = notAfter.Truncate(time.Second)
	c := s.Certificate
	if c == nil {
		return notAfter, nil
	}
	if err := mayGrant(c.Rights, rights); err != nil {
		return notAfter, err
	}
	if c.depth() >= MaxChain {
		return notAfter, refuse(ErrRights, "this peer is %d admissions away from the root key, the most there may be: use a peer nearer to it", MaxChain)
	}
	return earlier(notAfter, c.NotAfter), nil
}

func mayGrant(own, granted Rights) error {
	switch {
	case own&(Invite|Admin) == 0:
		return refuse(ErrRights, "a peer with the rights %s may invite nobody: the right invite is missing", own)
	case !own.Has(granted):
		return refuse(ErrRights, "a peer with the rights %s may not hand on %s", own, granted)
	}
	return nil
}

// Issue signs a certificate for peer. notAfter is cut to the signer's own; zero
// means the signer's. ErrRights if the signer may not grant these rights.
func (s Signer) Issue(peer wire.PeerID, rights Rights, notAfter time.Time) (Certificate, error) {
	notAfter, err := s.narrow(rights, notAfter)
	if err != nil {
		return Certificate{}, err
	}
	swarm := s.swarm()
	c := Certificate{Swarm: swarm, Peer: peer, Rights: rights, NotAfter: notAfter, Issuer: s.Certificate}
	c.body = codec.Marshal(certificateBody{Swarm: swarm[:], Peer: peer[:], Rights: uint64(rights), NotAfter: unix(notAfter)})
	c.sig = sign(s.Key, certificateDomain, c.body)
	return c, nil
}

// Encode returns the certificate with its chain; nil for the zero value.
func (c Certificate) Encode() []byte {
	if c.body == nil {
		return nil
	}
	e := envelope{Body: c.body, Sig: c.sig}
	if c.Issuer != nil {
		e.Issuer = c.Issuer.Encode()
	}
	return codec.Marshal(e)
}

// DecodeCertificate reads a certificate with its chain and checks its form only:
// ErrMalformed. Verify tells whether it is good.
func DecodeCertificate(b []byte) (Certificate, error) { return decodeCertificate(b, MaxChain) }

func decodeCertificate(b []byte, left int) (Certificate, error) {
	var (
		e    envelope
		body certificateBody
	)
	if left == 0 {
		return Certificate{}, refuse(ErrMalformed, "certificate: chain of more than %d", MaxChain)
	}
	if err := codec.Unmarshal(b, MaxCertificateBytes, &e); err != nil {
		return Certificate{}, refuse(ErrMalformed, "certificate: %v", err)
	}
	if err := codec.Unmarshal(e.Body, MaxCertificateBytes, &body); err != nil {
		return Certificate{}, refuse(ErrMalformed, "certificate body: %v", err)
	}
	if len(body.Swarm) != 32 || len(body.Peer) != 32 || len(e.Sig) != ed25519.SignatureSize {
		return Certificate{}, refuse(ErrMalformed, "certificate: swarm of %d, peer of %d, signature of %d bytes, want 32, 32, 64",
			len(body.Swarm), len(body.Peer), len(e.Sig))
	}
	c := Certificate{
		Swarm: SwarmID(body.Swarm), Peer: wire.PeerID(body.Peer), Rights: Rights(body.Rights),
		NotAfter: fromUnix(body.NotAfter), body: e.Body, sig: e.Sig,
	}
	if len(e.Issuer) == 0 {
		return c, nil
	}
	issuer, err := decodeCertificate(e.Issuer, left-1)
	if err != nil {
		return Certificate{}, err
	}
	c.Issuer = &issuer
	return c, nil
}

// Verify reports whether c makes its peer a member of swarm at now: ErrForeign,
// ErrExpired, ErrForged or ErrRights with a sentence, nil if all is well. The cost
// is one signature check per link of the chain.
func (c Certificate) Verify(swarm SwarmID, now time.Time) error {
	if c.body == nil {
		return refuse(ErrMalformed, "no certificate")
	}
	if c.Swarm != swarm {
		return refuse(ErrForeign, "certificate of peer %s is of swarm %s, not of %s", c.Peer.Short(), c.Swarm.Short(), swarm.Short())
	}
	if expired(c.NotAfter, now) {
		return refuse(ErrExpired, "certificate of peer %s expired on %s", c.Peer.Short(), date(c.NotAfter))
	}
	return c.verifyChain()
}

func (c Certificate) verifyChain() error {
	if err := verifyLink(c.Issuer, c.Swarm, c.Rights, c.NotAfter); err != nil {
		return err
	}
	if !verify(signerKey(c.Swarm, c.Issuer), certificateDomain, c.body, c.sig) {
		return refuse(ErrForged, "certificate of peer %s: signature does not fit", c.Peer.Short())
	}
	if c.Issuer == nil {
		return nil
	}
	return c.Issuer.verifyChain()
}

// verifyLink checks that issuer could hand on these rights until then.
func verifyLink(issuer *Certificate, swarm SwarmID, rights Rights, notAfter time.Time) error {
	if issuer == nil {
		return nil
	}
	if issuer.Swarm != swarm {
		return refuse(ErrForeign, "signed by a member of swarm %s, not of %s", issuer.Swarm.Short(), swarm.Short())
	}
	if !notAfter.Equal(earlier(notAfter, issuer.NotAfter)) {
		return refuse(ErrRights, "valid for longer than the certificate of peer %s, which signed it", issuer.Peer.Short())
	}
	return mayGrant(issuer.Rights, rights)
}

func (c Certificate) depth() int {
	n := 0
	for p := &c; p != nil; p = p.Issuer {
		n++
	}
	return n
}

// signerKey is the key that signs for issuer; the root's if nil.
func signerKey(swarm SwarmID, issuer *Certificate) ed25519.PublicKey {
	if issuer == nil {
		return swarm[:]
	}
	return issuer.Peer[:]
}

func sign(key ed25519.PrivateKey, domain string, body []byte) []byte {
	return ed25519.Sign(key, slices.Concat([]byte(domain), body))
}

func verify(key ed25519.PublicKey, domain string, body, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(key, slices.Concat([]byte(domain), body), sig)
}

// earlier returns the nearer of two expiries; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func expired(notAfter, now time.Time) bool { return !notAfter.IsZero() && now.After(notAfter) }

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func fromUnix(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
