package node

import (
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// Ready is all that the outside must do after one Step, in field order: make
// Records durable, then send Messages and Replies, then begin Actions. If Records
// cannot be made durable, nothing below them may happen.
type Ready struct {
	Records  []Write
	Messages []wire.Envelope
	Replies  []Reply
	Actions  []runtime.Action
	Volumes  []VolumeRef   // to be deleted, their data with them
	Redial   []wire.PeerID // lost peers to try again now, back-off cleared
	Shun     []Shun        // peers to hang up on, and to take nothing of for a while
	Events   []Event       // what a person may want to know; kept by the daemon, bounded
	Halt     Halt          // not zero: stop this daemon, for this reason
	WakeAt   clock.Instant // a tick is due no later than this; 0 means none
}

// A Write is one change to the store. One of Put, Drop and Local is set; with none
// of them and Sync it is a barrier: everything written so far must be on disk.
type Write struct {
	Put   *wire.Record
	Drop  *wire.Number // this record is gone
	Local *Local       // a fact of this peer alone, never sent
	Sync  bool         // must be on disk before what follows; otherwise it can be had again
}

// A Local is a fact that concerns only this peer's own disk. A nil Value deletes it.
type Local struct {
	Key   string
	Value []byte
}

// MustSync reports whether any write must be synced before what follows.
func (r *Ready) MustSync() bool {
	if mutant.Is(mutant.SkipSync) {
		return false
	}
	for i := range r.Records {
		if r.Records[i].Sync {
			return true
		}
	}
	return false
}

// A VolumeRef names a slot's volume on this peer.
type VolumeRef struct {
	Job    job.ID
	Volume string
	Slot   int
}

// Halt says why a core wants its daemon to end.
type Halt string

// The reasons.
const (
	HaltLeft     Halt = "left the swarm"
	HaltExpelled Halt = "this peer was removed from the swarm"
)

// A Reply answers a Request. Err is empty on success and one clear sentence
// otherwise; Code says what kind of error it is.
type Reply struct {
	ID        uint64
	Err       string
	Code      Code
	Job       job.ID
	Revision  uint64
	Life      uint64
	Changed   bool          // false: the same as before, nothing written
	Stores    []wire.PeerID // peers, this one among them, that have the submission on disk
	Unreached []wire.PeerID // ready peers that were asked and did not answer
	Conflict  string        // a head written elsewhere at the same time, and which of the two wins
	Warnings  []string
	Imported  []ledger.Offered `cbor:",omitempty"` // of an Import: what became of each record, in order
}

// A Code classes the error of a Reply as an HTTP status does.
type Code int

// The codes of replies.
const (
	CodeOK        Code = 0
	CodeInvalid   Code = 400
	CodeForbidden Code = 403
	CodeNotFound  Code = 404
	CodeConflict  Code = 409
	CodeNotReady  Code = 503
)

// An Event is one thing that happened, told for people. The daemon adds the wall
// time; At is this peer's own.
type Event struct {
	At   clock.Instant
	Kind string // past tense: "accepted", "sold", "declined", "lost", "superseded", "joined", "died", …
	Job  job.ID
	Slot string // text form; empty: not about a slot
	Peer wire.PeerID
	Text string // one sentence: what and why
}

// Ages in views are durations before now, as the answering peer knows them.

// A PeerView is what this peer knows of another.
type PeerView struct {
	ID          wire.PeerID       `json:"id"`
	Name        string            `json:"name"`
	Self        bool              `json:"self,omitempty"`
	State       string            `json:"state"`    // "ready", "joining", "suspect", "dead", "unheard", "left", "removed"
	Heard       time.Duration     `json:"heardAgo"` // since its last beat, which observers alone hear; 0 for oneself; -1: never
	Spoke       time.Duration     `json:"spokeAgo"` // since its last message of any kind; likewise
	Incarnation uint32            `json:"incarnation"`
	Datacenter  string            `json:"datacenter"`
	Labels      map[string]string `json:"labels,omitempty"`
	Profile     string            `json:"profile"`
	Version     string            `json:"version"`
	Driver      string            `json:"driver"`
	Platform    string            `json:"platform"`
	Addrs       []string          `json:"addrs,omitempty"`
	Capacity    job.Resources     `json:"capacity"`
	Claimed     job.Resources     `json:"claimed"` // needs of its claims, as the ledger has them
	Slots       int               `json:"slots"`
	Draining    bool              `json:"draining,omitempty"`     // or leaving
	Leaving     bool              `json:"leaving,omitempty"`      // known of oneself alone
	No          string            `json:"takesNothing,omitempty"` // for the time being, and why
	Steward     []int             `json:"stewardOf,omitempty"`    // lanes
	Observers   int               `json:"observers"`
	Votes       int               `json:"votes"`                // that it is gone
	Doubters    []wire.PeerID     `json:"doubters,omitempty"`   // the observers whose votes these are
	Faults      map[string]uint64 `json:"faults,omitempty"`     // what was dropped of what it sent, by wire.Fault
	Score       int               `json:"score,omitempty"`      // points for what no correct peer sends; they fade
	Ignored     bool              `json:"ignored,omitempty"`    // for its score: what it pushes is not looked at
	RefusedFor  time.Duration     `json:"refusedFor,omitempty"` // for its score: nothing of it is taken for so long
}

// A JobView is one job's head and how far it is.
type JobView struct {
	ID        job.ID      `json:"id"`
	Life      uint64      `json:"life"`
	Revision  uint64      `json:"revision"`
	Deleted   bool        `json:"deleted,omitempty"`
	Spec      wire.Hash   `json:"spec"`
	Tasks     []TaskView  `json:"tasks"`
	Author    wire.PeerID `json:"author"`
	State     string      `json:"state"` // "running", "deploying", "waiting", "paused: bad spec", "stopped", "completed", "failed", "removed"
	Conflicts []string    `json:"conflicts,omitempty"`
	History   []uint64    `json:"history,omitempty"` // revisions that rollback can name
}

// A TaskView counts a task's slots.
type TaskView struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Image     string     `json:"image"`
	Wanted    int        `json:"wanted"`
	Claimed   int        `json:"claimed"`
	Serving   int        `json:"serving"`
	Completed int        `json:"completed"`
	Current   int        `json:"current"` // on the head's spec
	Ports     []job.Port `json:"ports,omitempty"`
}

// A SlotView is one slot: who holds it and how it is, or why nobody does.
type SlotView struct {
	Slot      string        `json:"slot"`
	ID        job.SlotID    `json:"-"`
	Phase     string        `json:"phase"` // of the claim, or "waiting", "unclaimed"
	Peer      wire.PeerID   `json:"peer,omitzero"`
	PeerName  string        `json:"peerName,omitempty"`
	Token     wire.Token    `json:"token,omitempty"`
	Life      uint64        `json:"life"`
	Spec      wire.Hash     `json:"spec,omitzero"`
	Current   bool          `json:"current"` // runs the head's spec
	Run       uint32        `json:"run,omitempty"`
	Exit      int           `json:"exit,omitempty"`
	Detail    string        `json:"detail,omitempty"` // last error, or what it waits for
	InVain    bool          `json:"inVain,omitempty"` // it waits for what has failed for good
	Since     time.Duration `json:"forNow"`           // in this phase, as far as this peer saw; -1: since before its start
	Heard     time.Duration `json:"heardAgo"`         // age of the holder's last word
	Doubted   bool          `json:"doubted,omitempty"`
	Container string        `json:"container,omitempty"`
	Surplus   bool          `json:"surplus,omitempty"` // a claim that loses and will end
	Ports     []job.Port    `json:"ports,omitempty"`
	Image     string        `json:"image,omitempty"`
}

// A WhyView explains a slot: the sale behind its claim, or what is missing.
type WhyView struct {
	Slot     SlotView          `json:"slot"`
	Summary  *wire.Summary     `json:"summary,omitempty"` // of the winning claim
	Waiting  *WaitingView      `json:"waiting,omitempty"`
	WaysOut  string            `json:"waysOut,omitempty"` // of a wait for a volume, or its peer: what a person can do
	Losers   []SlotView        `json:"surplus,omitempty"`
	Stewards []wire.PeerID     `json:"stewards"` // of its lane, first in charge; only they know why a slot waits
	Names    map[string]string `json:"names"`    // peer ID to name, for the peers above
}

// A WaitingView is what a steward remembers of a slot it could not sell.
type WaitingView struct {
	Slot    string        `json:"slot"`
	Reason  string        `json:"reason"` // "0 of 3 peers: 2 memory, 1 label"
	Noes    []wire.Reason `json:"noes,omitempty"`
	Closest string        `json:"closest,omitempty"`
	Asked   int           `json:"asked"`
	Since   time.Duration `json:"since"`
	NextTry time.Duration `json:"nextTry"` // 0: Next says when
	Next    string        `json:"next"`    // "once that is so", if no time is set
	Fails   uint32        `json:"fails"`
}

// A StatusView is this peer in a few words.
type StatusView struct {
	Self       PeerView      `json:"self"`
	Swarm      string        `json:"swarm"`
	State      string        `json:"state"`         // "joining", "ready", "stepped back: …"
	Why        string        `json:"why,omitempty"` // what a joining peer waits for
	Uptime     time.Duration `json:"uptime"`
	Peers      int           `json:"peers"`
	ReadyPeers int           `json:"readyPeers"`
	Jobs       int           `json:"jobs"`
	Slots      int           `json:"slots"`   // held here
	Records    int           `json:"records"` // in the ledger
	Ledger     wire.Hash     `json:"ledger"`  // equal on peers that agree
	Engine     string        `json:"engine"`  // version, or why it is silent
	Free       job.Resources `json:"free"`
	Missing    []string      `json:"missing,omitempty"` // metrics that cannot be read: the peer does not bid

	Faults map[string]uint64 `json:"faults,omitempty"` // what was dropped since the start, whoever sent it, by wire.Fault
}

// An Endpoint is where a ready slot of a task answers, for the forwarding of ports.
type Endpoint struct {
	Slot    job.SlotID
	Peer    wire.PeerID
	Address string // IP on the holder; meaningful there only
	Serving bool
}

// A Service is one task of a job as reach needs it: its ports and who answers.
type Service struct {
	Job       job.ID
	Task      string
	Aliases   []string
	Ports     []job.Port
	Endpoints []Endpoint
	Local     bool // a slot of the job runs on this peer, so its names must resolve here
}
