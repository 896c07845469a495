package api

import "encoding/json"

// A Ledger sums up what a peer holds.
type Ledger struct {
	Peer    string        `json:"peer"`
	PeerID  string        `json:"peerID"`
	Swarm   string        `json:"swarm"`
	Digest  string        `json:"digest"` // equal on peers that hold the same
	Records int           `json:"records"`
	Issuers []LedgerLog   `json:"issuers"` // by ID
	Removed []RemovedLife `json:"removed,omitempty"`
}

// A LedgerLog sums up what a peer holds of the records that one peer brought in.
type LedgerLog struct {
	Issuer  string `json:"issuer"`
	Name    string `json:"name"`
	Records int    `json:"records"`
	Mark    Number `json:"mark"` // all that was live up to it has been had
	Sum     string `json:"sum"`  // equal logs have equal sums
}

// A Number is a record's place in its issuer's log.
type Number struct {
	Incarnation uint32 `json:"incarnation"`
	Nonce       string `json:"nonce"` // hexadecimal: it does not fit a JSON number
	Sequence    uint64 `json:"sequence"`
}

// A RemovedLife says that all lives of a job up to Life are over and forgotten.
type RemovedLife struct {
	Job  string `json:"job"`
	Life uint64 `json:"life"`
}

// A LedgerRecord is one record of the ledger, without its body.
type LedgerRecord struct {
	Number     string `json:"number"` // short: end of the issuer's ID, incarnation, sequence
	Issuer     string `json:"issuer"`
	IssuerName string `json:"issuerName"`
	Place      Number `json:"place"`
	Kind       string `json:"kind"`
	Key        string `json:"key"`
	Job        string `json:"job,omitempty"`
	Peer       string `json:"peer,omitempty"` // whom it is about, by name
	State      string `json:"state"`          // "live", "ended", "lost", "deleted", "unknown kind"
	Detail     string `json:"detail,omitempty"`
	Size       int    `json:"size"` // bytes, as sent
	Age        Age    `json:"age"`  // as far as the answering peer can tell; null: it cannot
	Hash       string `json:"hash"`
	Raw        []byte `json:"raw,omitempty"` // the encoded record, where it was asked for
}

// A LedgerEntry is one record in full.
type LedgerEntry struct {
	LedgerRecord
	Signature  string          `json:"signature"`            // "valid" or "forged"
	Body       json.RawMessage `json:"body,omitempty"`       // decoded
	Diagnostic string          `json:"diagnostic,omitempty"` // of a body that is not: CBOR, as RFC 8949 spells it out
	Rank       string          `json:"rank,omitempty"`       // hexadecimal; of two with one key the greater wins
	Others     []string        `json:"others,omitempty"`     // numbers of other records with this key
}

// A LedgerDiff is one line of a comparison: of a whole issuer, and then of each of
// its records that only one side holds. The last line has Done alone, or Error.
type LedgerDiff struct {
	Issuer *IssuerDiff   `json:"issuer,omitempty"`
	Only   string        `json:"only,omitempty"` // the name of the peer that has Record
	Why    string        `json:"why,omitempty"`  // that the other has not: "not had yet" or "dropped"
	Record *LedgerRecord `json:"record,omitempty"`
	Done   *DiffDone     `json:"done,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// An IssuerDiff says how much of one issuer's log two peers do not share.
type IssuerDiff struct {
	Issuer string `json:"issuer"`
	Name   string `json:"name"`
	Both   int    `json:"both"`
	Here   int    `json:"here"`  // only at the answering peer
	There  int    `json:"there"` // only at the other
}

// DiffDone ends a comparison.
type DiffDone struct {
	Peer    string `json:"peer"`
	Other   string `json:"other"`
	Equal   bool   `json:"equal"` // the same records; marks may differ
	Records int    `json:"records"`
	Others  int    `json:"otherRecords"`
}

// A LedgerCheck is one line of a verification: a check that has ended, or with
// Progress alone how far the present one is.
type LedgerCheck struct {
	Check    string `json:"check,omitempty"`
	Checked  int    `json:"checked"`
	Wrong    int    `json:"wrong"`
	Detail   string `json:"detail,omitempty"`
	Progress string `json:"progress,omitempty"`
}

// An ImportRequest brings records into the ledger, at most node.MaxImport and 1 MiB
// at once, each encoded as peers send it.
type ImportRequest struct {
	Records [][]byte `json:"records"`
}

// An Import tells of each record, in order, what became of it, once all that was
// taken is on the answering peer's disk: "new", "kept as history", "known" or
// "older", which changes nothing, or refused: "dropped", "removed", "forged",
// "malformed".
type Import struct {
	Outcomes []string `json:"outcomes"`
}
