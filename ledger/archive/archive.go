// Package archive is the format in which a ledger leaves a swarm and comes back: as
// an export of everything held, or as a backup of what brings a swarm back.
//
// An archive is a CBOR sequence (RFC 8742): the text string "shoal ledger archive",
// then byte strings, each with one item in deterministic CBOR, a map with one entry:
//
//	1  header    first: the format's version, what this is, whose and when
//	2  record    as peers send it, with its issuer's number and signature
//	3  removed   a job and the greatest of its lives that is over and forgotten
//	4  keys      what a swarm is brought back with; only in backups that were asked for it
//	5  end       last: how many items came before, and the SHA-256 of all bytes before it
//
// Items of other numbers are a later version's and are passed over. The sum tells a
// damaged or cut file from a whole one; that a record is its issuer's is told by its
// own signature, whoever has had the file in hand.
package archive

import (
	"errors"

	"shoal/job"
	"shoal/wire"
)

// Format is the version of the format that is written, and the greatest one read.
const Format = 1

const magic = "shoal ledger archive"

// maxItem bounds an item: the greatest record, and room for what it is wrapped in.
const maxItem = wire.MaxRecordBytes + 4<<10

// Errors of reading. Each is the end of the archive: what was read before it is as
// it was written, except that after ErrDamaged any of it may have been altered.
var (
	ErrForeign = errors.New("is no shoal ledger archive")
	ErrNewer   = errors.New("was written by a newer shoal: update this one")
	ErrCut     = errors.New("breaks off before its end")
	ErrDamaged = errors.New("is damaged")
)

// Content says what an archive holds.
type Content string

// The contents. A later version may have others.
const (
	Export Content = "export" // all that one peer held
	Backup Content = "backup" // what brings a swarm back, without what peers only say of their work
)

// A Header is the first item.
type Header struct {
	Format  int         `cbor:"1,keyasint"`
	Content Content     `cbor:"2,keyasint"`
	Swarm   wire.Hash   `cbor:"3,keyasint"` // the public half of its root key
	Peer    wire.PeerID `cbor:"4,keyasint"` // whose ledger it was
	Name    string      `cbor:"5,keyasint,omitempty"`
	Unix    int64       `cbor:"6,keyasint,omitempty"` // when, by that peer's clock; for people alone
	Shoal   string      `cbor:"7,keyasint,omitempty"` // the version that wrote it
}

// Removed says that every life of a job up to Life is over and forgotten. Nobody has
// signed it: it is the word of whoever wrote the archive.
type Removed struct {
	Job  job.ID `cbor:"1,keyasint"`
	Life uint64 `cbor:"2,keyasint"`
}

// Keys are secrets: whoever has them can act as the swarm's owner.
type Keys struct {
	Root        []byte `cbor:"1,keyasint,omitempty"` // seed of the swarm's root key, where the peer had it
	Peer        []byte `cbor:"2,keyasint,omitempty"` // seed of the peer's own key
	Certificate []byte `cbor:"3,keyasint,omitempty"` // of the peer, public
}

// An Item is one thing that an archive holds: one field is set, or none in an item
// of a later version.
type Item struct {
	Header  *Header  `cbor:"1,keyasint,omitempty"`
	Record  []byte   `cbor:"2,keyasint,omitempty"` // the encoded record
	Removed *Removed `cbor:"3,keyasint,omitempty"`
	Keys    *Keys    `cbor:"4,keyasint,omitempty"`
	End     *End     `cbor:"5,keyasint,omitempty"`
}

// End is the last item.
type End struct {
	Items uint64    `cbor:"1,keyasint"` // before it, the header counted
	Sum   wire.Hash `cbor:"2,keyasint"` // SHA-256 of all bytes before it
}
