package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/mr-tron/base58"
)

// A PeerID is a peer's identity: its raw Ed25519 public key. Printed, it is the
// libp2p peer ID of that key, "12D3KooW…". The zero PeerID names nobody.
type PeerID [32]byte

// identity is the multihash and protobuf prefix libp2p puts before an Ed25519
// key to make a peer ID: identity hash of 36 bytes, key type 1, key of 32 bytes.
var identity = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

// Multihash returns the bytes libp2p uses as peer ID.
func (p PeerID) Multihash() []byte { return append(bytes.Clone(identity), p[:]...) }

// String returns libp2p's text form.
func (p PeerID) String() string { return base58.Encode(p.Multihash()) }

// Short returns the last eight characters of the text form, for logs and tables
// where a peer has no name.
func (p PeerID) Short() string { s := p.String(); return s[len(s)-8:] }

// IsZero reports whether p names nobody.
func (p PeerID) IsZero() bool { return p == PeerID{} }

// Compare orders peer IDs by their bytes; it favours nobody only where the order
// itself decides nothing.
func (p PeerID) Compare(q PeerID) int { return bytes.Compare(p[:], q[:]) }

// maxPeerText is more than any 38 bytes take in base 58, whose decoding takes time by
// the square of its length.
const maxPeerText = 64

// ParsePeerID reads libp2p's text form of an Ed25519 peer ID.
func ParsePeerID(s string) (PeerID, error) {
	if len(s) > maxPeerText {
		return PeerID{}, fmt.Errorf("peer ID %.20q… has %d characters, at most %d are one", s, len(s), maxPeerText)
	}
	b, err := base58.Decode(s)
	if err != nil {
		return PeerID{}, fmt.Errorf("peer ID %q: %w", s, err)
	}
	return PeerIDFromMultihash(b)
}

// PeerIDFromMultihash reads libp2p's byte form.
func PeerIDFromMultihash(b []byte) (PeerID, error) {
	var p PeerID
	if len(b) != len(identity)+len(p) || !bytes.HasPrefix(b, identity) {
		return p, fmt.Errorf("peer ID of %d bytes is not an Ed25519 key", len(b))
	}
	copy(p[:], b[len(identity):])
	return p, nil
}

// MarshalText and UnmarshalText make a PeerID readable in JSON.
func (p PeerID) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *PeerID) UnmarshalText(b []byte) (err error) { *p, err = ParsePeerID(string(b)); return err }

// UnmarshalCBOR reads a byte string of 32 bytes. The library would fill an array one
// byte at a time by reflection, which was half of what decoding a record took.
func (p *PeerID) UnmarshalCBOR(b []byte) error { return readBytes32(b, p[:]) }

// UnmarshalCBOR is as PeerID's.
func (h *Hash) UnmarshalCBOR(b []byte) error { return readBytes32(b, h[:]) }

// bytes32 begins a CBOR byte string of 32 bytes.
var bytes32 = []byte{0x58, 32}

func readBytes32(b, into []byte) error {
	if len(b) != len(bytes32)+32 || !bytes.HasPrefix(b, bytes32) {
		return fmt.Errorf("%w: %d bytes where a byte string of 32 is wanted", ErrInvalid, len(b))
	}
	copy(into, b[len(bytes32):])
	return nil
}

// A Hash is a SHA-256 sum; it names job specs and records.
type Hash [32]byte

// HashOf returns the sum of b.
func HashOf(b []byte) Hash { return sha256.Sum256(b) }

// String returns the first 12 hexadecimal digits, enough to tell apart what one
// swarm holds; Hex returns all 64.
func (h Hash) String() string { return hex.EncodeToString(h[:6]) }

// Hex returns the whole sum.
func (h Hash) Hex() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h names nothing.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText makes a Hash readable in JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.Hex()), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("hash of %d digits, want 64", len(b))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// A Token numbers the awards of one slot within one life of its job; each award
// has a greater one than any before it that the steward knew of. 0 is none.
type Token uint64

// Order is the tie-break of bids and rankings: hash(context, peer), so that no
// peer is favoured everywhere. Equal input gives equal order on every peer.
func Order(context string, p PeerID) uint64 {
	h := sha256.New()
	h.Write([]byte(context))
	h.Write(p[:])
	return binary.BigEndian.Uint64(h.Sum(nil))
}
