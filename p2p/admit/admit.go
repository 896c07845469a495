// Package admit decides who belongs to a swarm. It makes and checks the two signed
// papers of admission and does no IO:
//
//	root key ──signs──► certificate of the first peer ──signs──► certificates of those it admits …
//	    or any member with the invite right ──signs──► ticket ──joining turns it into──► a certificate
//
// A certificate says: this peer is a member of that swarm, with these rights, until
// then. It carries the certificates of those who signed it, up to the root, so that
// whoever knows the swarm ID can check it alone. Rights and expiry only ever narrow
// along the chain. A ticket is an invitation, printed as one word; it holds a secret
// of its own and never the root key or a peer's key.
//
// Every signature covers a domain string, so none is good in place of another.
// Time is an argument; expiry is judged when somebody is admitted and never ends
// the work of a running peer.
package admit

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/mr-tron/base58"

	"shoal/wire"
)

// A SwarmID names a swarm: it is the public half of the swarm's root key. The zero
// SwarmID names none.
type SwarmID [32]byte

// SwarmIDOf returns the swarm that root is the key of.
func SwarmIDOf(root ed25519.PrivateKey) SwarmID {
	return SwarmID(root.Public().(ed25519.PublicKey))
}

// ParseSwarmID reads what String wrote.
func ParseSwarmID(s string) (SwarmID, error) {
	var id SwarmID
	b, err := base58.Decode(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("swarm ID %q is not 32 bytes in base58, as `shoal status` prints it", s)
	}
	return SwarmID(b), nil
}

// String returns the whole ID in base58.
func (s SwarmID) String() string { return base58.Encode(s[:]) }

// Short returns the first 12 hexadecimal digits: enough for protocol names, logs
// and the local network's announcements, where a clash is merely a lost dial.
func (s SwarmID) Short() string { return hex.EncodeToString(s[:6]) }

// IsZero reports whether s names no swarm.
func (s SwarmID) IsZero() bool { return s == SwarmID{} }

// MarshalText makes a SwarmID readable in JSON.
func (s SwarmID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *SwarmID) UnmarshalText(b []byte) (err error) { *s, err = ParseSwarmID(string(b)); return err }

// Rights is what a member may do, a set of bits. Zero is a right to nothing.
type Rights uint8

// The rights. A plain ticket gives Member, `shoal ticket --run` gives Run alone.
const (
	Run    Rights = 1 << iota // bid and hold
	Deploy                    // sign jobs
	Invite                    // make tickets, admit who shows one
	Admin                     // revoke, grant everything

	Member = Run | Deploy | Invite
	All    = Member | Admin
)

// Has reports whether r holds every right of want.
func (r Rights) Has(want Rights) bool { return r&want == want }

// String lists the rights, "run+deploy".
func (r Rights) String() string {
	var names []string
	for i, name := range []string{"run", "deploy", "invite", "admin"} {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, "+")
}

// The kinds of refusal, for errors.Is. What Error prints is the whole sentence.
var (
	ErrCut       = errors.New("ticket is cut or mistyped: checksum differs; paste the whole line that `shoal ticket` printed")
	ErrMalformed = errors.New("malformed")
	ErrExpired   = errors.New("expired")
	ErrForeign   = errors.New("of another swarm")
	ErrUsedUp    = errors.New("ticket is used up; ask a member for a new one: `shoal ticket`")
	ErrForged    = errors.New("signature does not fit")
	ErrRights    = errors.New("right missing")
	ErrRevoked   = errors.New("this peer was removed from the swarm")
)

// A Refusal is an error of one of the kinds above with its own sentence.
type Refusal struct {
	Kind error
	Text string
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// PeerAddrs are a member's addresses, as tickets and join replies carry them:
// multiaddrs without the /p2p part.
type PeerAddrs struct {
	Peer  wire.PeerID
	Addrs []string
}
