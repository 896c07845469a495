package wire

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
)

// A Number is a record's place in the log of the peer that brought it into the
// ledger: that peer's Issuer key, its incarnation and boot nonce, and a sequence
// that grows by one with each record. It stays with the record for ever. Numbers
// of one issuer are ordered; those of two issuers say nothing about each other.
type Number struct {
	_      struct{} `cbor:",toarray"`
	Issuer PeerID
	Inc    uint32
	Nonce  uint64
	Seq    uint64
}

// Compare orders by issuer, incarnation, nonce and sequence.
func (n Number) Compare(o Number) int {
	if c := n.Issuer.Compare(o.Issuer); c != 0 {
		return c
	}
	return n.Version().Compare(o.Version())
}

// Version returns the number's (incarnation, nonce, sequence), by which the
// records that one peer writes about itself follow one another.
func (n Number) Version() Version { return Version{n.Inc, n.Nonce, n.Seq} }

func (n Number) String() string {
	return fmt.Sprintf("%s/%d.%d", n.Issuer.Short(), n.Inc, n.Seq)
}

// A Version orders what one peer says of itself, later over earlier, across its
// restarts (incarnation) and even if its disk was cloned (nonce).
type Version struct {
	Inc   uint32
	Nonce uint64
	Seq   uint64
}

// Compare orders versions.
func (v Version) Compare(o Version) int {
	switch { // ledgers do little else than this
	case v.Inc != o.Inc:
		return cmp.Compare(v.Inc, o.Inc)
	case v.Nonce != o.Nonce:
		return cmp.Compare(v.Nonce, o.Nonce)
	}
	return cmp.Compare(v.Seq, o.Seq)
}

// A RecordKind says what a record's body is. Kinds from FirstOpenKind on carry
// their key and rank in the record, so that a peer which does not know the kind
// can still merge, keep and pass it on.
type RecordKind uint8

// The kinds of record; the numbers are part of the wire format.
const (
	KindSpec        RecordKind = 1
	KindHead        RecordKind = 2
	KindClaim       RecordKind = 3
	KindVerdict     RecordKind = 4
	KindBadSpec     RecordKind = 5
	KindVolumePlace RecordKind = 6
	KindCard        RecordKind = 7
	KindMember      RecordKind = 8

	FirstOpenKind RecordKind = 16
)

func (k RecordKind) String() string {
	names := [...]string{"?", "spec", "head", "claim", "verdict", "bad-spec", "volume-place", "card", "member"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind-%d", uint8(k))
}

// A Record is one versioned fact of the ledger, signed by the peer that issued
// it. It is immutable once sealed and may be shared between peers of one process.
type Record struct {
	_    struct{} `cbor:",toarray"`
	Num  Number
	Kind RecordKind
	Key  []byte // only from FirstOpenKind on: what it is about
	Rank []byte // only from FirstOpenKind on: of two with one key the greater bytes win
	Body []byte // the kind's body, deterministic CBOR; bytes are kept as received
	Sig  []byte // Issuer's, over SignedBytes

	Value any    `cbor:"-"` // the decoded body; set by the ledger, nil for a kind it does not know
	Cell  string `cbor:"-"` // the ledger's key of it; set by the ledger

	hash     Hash // of the whole record; zero until asked for
	body     Hash // of Body; zero until asked for
	verified struct {
		at    *Record // this record, if it was found to be its issuer's; a copy is not
		swarm Hash    // for that swarm
	}
}

// MaxRecordBytes is the greatest size of an encoded record; a job spec with its
// envelope is the largest there is.
const MaxRecordBytes = 300 << 10

const recordDomain = "shoal/record/1"

// SignedBytes returns what the issuer signs: the record without its signature,
// bound to this use and this swarm.
func (r *Record) SignedBytes(swarm Hash) []byte {
	b, err := Marshal([]any{recordDomain, swarm, r.Num, r.Kind, r.Key, r.Rank, r.Body})
	if err != nil {
		panic("wire: record of plain fields does not encode: " + err.Error())
	}
	return b
}

// Seal signs the record in place. It must not change afterwards.
func (r *Record) Seal(swarm Hash, key Signer) { r.Sig = key.Sign(r.SignedBytes(swarm)) }

// Verify reports whether the issuer signed the record for this swarm. A yes is
// remembered: a record that many peers of one process share is checked once.
func (r *Record) Verify(swarm Hash, verify Verifier) bool {
	if r.verified.at == r && r.verified.swarm == swarm {
		return true
	}
	if !verify(r.Num.Issuer, r.SignedBytes(swarm), r.Sig) {
		return false
	}
	r.verified.at, r.verified.swarm = r, swarm
	return true
}

// Check returns nil if the issuer signed the record for this swarm, else FaultForged,
// at the cost of one verification. A record signed for another swarm is forged to this
// one: what is signed names the swarm, what is sent does not.
func (r *Record) Check(swarm Hash, verify Verifier) error {
	if r.Verify(swarm, verify) {
		return nil
	}
	return fmt.Errorf("record %v: %w: its signature is not its issuer's for this swarm", r.Num, FaultForged)
}

// SignedAs returns the kind of record as which the issuer of one that is forged signed
// the same for this swarm; 0 if there is none. It costs a verification for each kind.
func (r *Record) SignedAs(swarm Hash, verify Verifier) RecordKind {
	for kind := KindSpec; kind <= KindMember; kind++ {
		other := Record{Num: r.Num, Kind: kind, Key: r.Key, Rank: r.Rank, Body: r.Body, Sig: r.Sig}
		if kind != r.Kind && other.Verify(swarm, verify) {
			return kind
		}
	}
	return 0
}

// BodyHash is the hash of the body's bytes, by which job specs are named.
func (r *Record) BodyHash() Hash {
	if r.body.IsZero() {
		r.body = HashOf(r.Body)
	}
	return r.body
}

// Hash names the record by its signed part; it is the last tie-break between
// records, and what digests sum up.
func (r *Record) Hash() Hash {
	if r.hash.IsZero() {
		b := make([]byte, 0, 128+2*len(r.Key)+2*len(r.Rank)+len(r.Body))
		b = append(hex.AppendEncode(b, r.Num.Issuer[:]), '/')
		for _, n := range []uint64{uint64(r.Num.Inc), r.Num.Nonce, r.Num.Seq, uint64(r.Kind)} {
			b = append(strconv.AppendUint(b, n, 10), '/')
		}
		b = append(hex.AppendEncode(b, r.Key), '/')
		b = append(hex.AppendEncode(b, r.Rank), '/')
		r.hash = HashOf(append(b, r.Body...))
	}
	return r.hash
}

// A Signer signs with this peer's key.
type Signer interface{ Sign(msg []byte) []byte }

// A Verifier reports whether sig is by's signature of msg. It must be a pure
// function; the simulator remembers its answers.
type Verifier func(by PeerID, msg, sig []byte) bool

var recordShape = ShapeOf((*Record)(nil))

// DecodeRecord reads a record by itself, as it lies on disk. Its body is not opened.
func DecodeRecord(b []byte) (*Record, error) {
	r := new(Record)
	if err := recordShape.Unmarshal(b, r); err != nil {
		return nil, err
	}
	return r, nil
}
