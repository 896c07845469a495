// Package api serves one peer over HTTP and JSON: to the command line on a unix
// socket (Server.Handler), and, as a small part of it, to other members on a stream
// (Server.PeerHandler). It changes nothing by itself: each change is a node.Request,
// each answer a copy of what the core knows, with its age.
//
// Paths begin with /v1/. Errors are application/problem+json (RFC 9457) with one
// sentence in detail. Streams, logs and events, are one JSON object a line. Durations
// are seconds, fractions allowed; null means never.
package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"shoal/job"
)

// Version is the version of the paths and types of this package.
const Version = "v1"

// Proto is the name under which members serve Server.PeerHandler to one another.
const Proto = "api/1"

// An Age is a duration that JSON shows in seconds. Negative means never: null.
type Age time.Duration

// Bounds of what a request may ask for.
const (
	Longest      = 366 * 24 * time.Hour // a deadline, or that a ticket is good
	LongestPause = 24 * time.Hour       // that the others wait for a peer that is down
	MaxUses      = 1_000_000            // of a ticket
)

// Never is the age of what has not been heard since the answering peer's start.
const Never Age = -1

// MarshalJSON writes seconds, to the millisecond; what is less is written as it is, since
// in a request 0 may mean something else.
func (a Age) MarshalJSON() ([]byte, error) {
	if a < 0 {
		return []byte("null"), nil
	}
	if d := time.Duration(a); d < time.Millisecond {
		return strconv.AppendFloat(nil, d.Seconds(), 'f', -1, 64), nil
	}
	return strconv.AppendFloat(nil, math.Round(time.Duration(a).Seconds()*1000)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (a *Age) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*a = Never
		return nil
	}
	s, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsNaN(s) || s < 0 || s > math.MaxInt64/1e9 {
		return fmt.Errorf("duration %q is no number of seconds", b)
	}
	*a = Age(math.Ceil(s * float64(time.Second)))
	return nil
}

// Freshness says how far an answer that needed other peers can be trusted. Whatever
// comes from this peer's own ledger carries the age of its source beside it.
type Freshness struct {
	Unanswered []string `json:"unanswered,omitempty"` // peers that were asked and did not answer within a second
}

// A Peer is a member as the answering peer knows it.
type Peer struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	Self bool   `json:"self,omitempty"`
	// State is "ready", "joining", "suspect", "dead", "unheard", "left" or "removed";
	// "unknown" to one that stepped back.
	State       string            `json:"state"`
	HeardAgo    Age               `json:"heardAgo"` // its last beat; those whom it does not observe need not hear any
	SpokeAgo    Age               `json:"spokeAgo"` // its last message of any kind: how old is what is known of it
	Incarnation uint32            `json:"incarnation"`
	Datacenter  string            `json:"datacenter"`
	Labels      map[string]string `json:"labels,omitempty"`
	Profile     string            `json:"profile"`
	Version     string            `json:"version"`
	Driver      string            `json:"driver"`
	Platform    string            `json:"platform"`
	Addrs       []string          `json:"addrs,omitempty"`
	Link        *Link             `json:"link,omitempty"` // nil: the answering peer is not connected to it
	Capacity    job.Resources     `json:"capacity"`
	Claimed     job.Resources     `json:"claimed"`
	Slots       int               `json:"slots"`
	Draining    bool              `json:"draining,omitempty"` // or leaving
	Leaving     bool              `json:"leaving,omitempty"`  // the answering peer knows it of itself alone
	// TakesNothing is why it takes no slots for the time being: a metric that cannot be
	// read, its owner's hours. Of others it is half a minute late.
	TakesNothing string `json:"takesNothing,omitempty"`

	StewardOf []int    `json:"stewardOf,omitempty"`
	Observers int      `json:"observers"`
	Votes     int      `json:"votes"`
	Doubters  []string `json:"doubters,omitempty"` // the observers that vote it gone

	// OtherVersion says that it spoke another version of the protocol within 30 minutes,
	// so that it and the answering peer refuse one another.
	OtherVersion bool `json:"otherVersion,omitempty"`

	// Faults counts what the answering peer dropped of what this one sent, by fault.
	Faults     map[string]uint64 `json:"faults,omitempty"`
	Score      int               `json:"score,omitempty"`      // points for what no correct peer sends; one less each 6 s
	Ignored    bool              `json:"ignored,omitempty"`    // for its score: what it pushes is not looked at
	RefusedFor Age               `json:"refusedFor,omitempty"` // for its score: nothing of it is taken for so long
}

// A Link is how the answering peer reaches another.
type Link struct {
	Path    string  `json:"path"`            // "direct", "punched" (a hole both made in their NATs), "relayed"
	Addr    string  `json:"addr"`            // the other end's multiaddr; of a relayed link its relay's
	Relay   string  `json:"relay,omitempty"` // the peer that carries a relayed link
	RTTMsec float64 `json:"rttMsec"`         // round trip, the latest measure
}

// Status is the answering peer in a few words.
type Status struct {
	Peer       Peer          `json:"peer"`
	Swarm      string        `json:"swarm"`
	State      string        `json:"state"`         // "joining", "ready", "stepped back"
	Why        string        `json:"why,omitempty"` // what a joining peer waits for
	Uptime     Age           `json:"uptime"`
	Peers      int           `json:"peers"`
	ReadyPeers int           `json:"readyPeers"`
	Jobs       int           `json:"jobs"`
	Slots      int           `json:"slots"` // held here
	Records    int           `json:"records"`
	Digest     string        `json:"digest"` // of the ledger; equal on peers that agree
	Engine     string        `json:"engine"`
	Free       job.Resources `json:"free"`
	Missing    []string      `json:"missing,omitempty"`
	Version    string        `json:"version"`
	StateDir   string        `json:"stateDir"`
	Address    string        `json:"address"`          // where published ports answer on this peer
	Listen     []string      `json:"listen,omitempty"` // for --bootstrap
	Problems   []PortProblem `json:"problems,omitempty"`
	Held       string        `json:"held,omitempty"` // why the peer holds still: its disk is full

	// Faults counts what was dropped since the daemon's start, whoever sent it, by fault.
	Faults map[string]uint64 `json:"faults,omitempty"`
}

// A PortProblem is what of a job does not answer on the answering peer.
type PortProblem struct {
	Job  string `json:"job"`
	Task string `json:"task,omitempty"` // empty: all of the job
	Port uint16 `json:"port,omitempty"` // as published; 0: what the job's own containers see
	Why  string `json:"why"`            // "port 8080 is taken on this peer: address already in use"
}

// A Job is a job's head and how far it is.
type Job struct {
	Job       string   `json:"job"`
	Life      uint64   `json:"life"`
	Revision  uint64   `json:"revision"`
	State     string   `json:"state"`
	Author    string   `json:"author"` // the peer that accepted this revision
	Tasks     []Task   `json:"tasks"`
	Conflicts []string `json:"conflicts,omitempty"`
	History   []uint64 `json:"history,omitempty"`
	Spec      string   `json:"specHash"`
}

// A Task counts a task's slots.
type Task struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Image     string     `json:"image"`
	Wanted    int        `json:"wanted"`
	Claimed   int        `json:"claimed"`
	Serving   int        `json:"serving"`
	Completed int        `json:"completed"`
	Current   int        `json:"current"`
	Ports     []job.Port `json:"ports,omitempty"`
}

// A JobDetail is a job with the spec that its head wants.
type JobDetail struct {
	Job
	Want *job.Spec `json:"spec"`
}

// A Slot is one slot: who holds it and how it is, or why nobody does.
type Slot struct {
	Slot      string   `json:"slot"`
	Phase     string   `json:"phase"` // of the claim, or "waiting"
	Peer      string   `json:"peer,omitempty"`
	PeerID    string   `json:"peerID,omitempty"`
	Token     uint64   `json:"token,omitempty"`
	Life      uint64   `json:"life"`
	Spec      string   `json:"taskSpec,omitempty"`
	Current   bool     `json:"current"`
	Run       uint32   `json:"run,omitempty"`
	Exit      int      `json:"exit"`
	Detail    string   `json:"detail,omitempty"`
	For       Age      `json:"forNow"`   // in this phase, as far as the answering peer saw
	HeardAgo  Age      `json:"heardAgo"` // age of the holder's last word
	Doubted   bool     `json:"doubted,omitempty"`
	Container string   `json:"container,omitempty"`
	Surplus   bool     `json:"surplus,omitempty"`
	Image     string   `json:"image,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // of published ports that answer, on the answering peer
	Problems  []string `json:"problems,omitempty"`  // why others do not answer there
	Waits     *Waiting `json:"waits,omitempty"`     // what a steward says of a slot that nobody holds
	InVain    bool     `json:"inVain,omitempty"`    // it waits for what has failed for good
}

// Slots is the answer of ps.
type Slots struct {
	Slots []Slot `json:"slots"`
	Freshness
}

// A Waiting is what a steward remembers of a slot it could not sell.
type Waiting struct {
	Slot     string    `json:"slot"`
	Reason   string    `json:"reason"`
	Refusals []Refusal `json:"refusals,omitempty"`
	Closest  string    `json:"closest,omitempty"`
	Asked    int       `json:"asked"`
	Since    Age       `json:"since"`
	NextTry  Age       `json:"nextTry"`        // 0: Next says when
	Next     string    `json:"next,omitempty"` // when it is tried again, if that is not at a set time
	Fails    uint32    `json:"fails,omitempty"`
	Steward  string    `json:"steward,omitempty"` // who says so
}

// A Refusal counts the peers that refused for one reason.
type Refusal struct {
	Reason string `json:"reason"`
	Count  uint32 `json:"count"`
}

// A Sale is how a claim came about.
type Sale struct {
	Steward  string    `json:"steward"`
	Bids     []Bid     `json:"bids,omitempty"` // best first
	Asked    uint32    `json:"asked"`
	Passed   uint32    `json:"passed"`
	Refusals []Refusal `json:"refusals,omitempty"`
	Standing bool      `json:"standing,omitempty"` // on standing bids: nobody was called
	Took     Age       `json:"took"`               // from call to award
	Waited   Age       `json:"waited"`             // from first seen missing to call
}

// A Bid is one bid as the steward ranked it; lower is better, term by term.
type Bid struct {
	Peer   string `json:"peer"`
	Copies uint32 `json:"copies"`
	Bucket uint32 `json:"bucket"`
	Room   int64  `json:"room"`
	Terms  []Term `json:"terms,omitempty"` // what the bucket is made of

	// Around are the copies of the task where the peer is, of each label that it is spread over:
	// they count before Copies. 254 stands for more, too.
	Around []int `json:"around,omitempty"`
}

// A Term is one part of a bid's cost class: "fetch", "link", "battery", "load", "volume",
// "failures" (their number), "fragments" or "affinity".
type Term struct {
	Name string `json:"name"`
	Cost uint8  `json:"cost"`
}

// A Why explains one slot.
type Why struct {
	Slot     Slot     `json:"slot"`
	Sale     *Sale    `json:"sale,omitempty"`
	Surplus  []Slot   `json:"surplus,omitempty"`
	WaysOut  string   `json:"waysOut,omitempty"`  // of a wait for a volume, or its peer: what a person can do
	Stewards []string `json:"stewards,omitempty"` // of its lane, first in charge
}

// Whys is the answer of why, for a slot or for each slot of a job.
type Whys struct {
	Slots   []Why `json:"slots"`             // waiting ones first, at most 256
	Omitted int   `json:"omitted,omitempty"` // slots beyond them
	Freshness
}

// A Change answers whatever changes a job.
type Change struct {
	Job       string   `json:"job,omitempty"`
	Revision  uint64   `json:"revision,omitempty"`
	Life      uint64   `json:"life,omitempty"`
	Changed   bool     `json:"changed"`
	Stores    []string `json:"stores,omitempty"`
	Unreached []string `json:"unreached,omitempty"`
	Conflict  string   `json:"conflict,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
}

// An Event is one thing that happened at Peer's place.
type Event struct {
	Seq  uint64    `json:"seq"` // of the peer that tells it, from 1 in each run of its daemon
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`
	Job  string    `json:"job,omitempty"`
	Slot string    `json:"slot,omitempty"`
	Peer string    `json:"peer,omitempty"` // whom it is about
	Text string    `json:"text"`
	From string    `json:"from,omitempty"` // who tells it
}

// A LogLine is one line of a container's output.
type LogLine struct {
	Slot   string `json:"slot"`
	Time   string `json:"time"`
	Stream string `json:"stream"` // "stdout" or "stderr"
	Text   string `json:"text"`
	Err    string `json:"error,omitempty"` // the stream ends here, for this reason
}

// A Ticket is one line to paste on the machine that is to join.
type Ticket struct {
	Ticket  string    `json:"ticket"`
	Rights  string    `json:"rights"`
	Uses    int       `json:"uses"` // 0: any number
	Expires time.Time `json:"expires"`
}

// A Problem is an error as RFC 9457 has it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Error returns the sentence.
func (p *Problem) Error() string { return p.Detail }

// Requests. A target names a job, a task or a slot: "shop", "shop/web", "shop/web.0".
type (
	// A DeployRequest makes Spec the wanted one of its job.
	DeployRequest struct {
		Spec *job.Spec `json:"spec"`
		Base uint64    `json:"base,omitempty"` // refuse unless this is the present revision; 0: whatever it is
	}
	// A RemoveRequest ends a job's life.
	RemoveRequest struct {
		Job     string `json:"job"`
		Volumes bool   `json:"volumes,omitempty"`
	}
	// A ScaleRequest changes how many copies of a task are wanted. Target may be a
	// job that has one task only.
	ScaleRequest struct {
		Target string `json:"target"`
		Count  int    `json:"count"`
	}
	// A TargetRequest restarts or stops a job or a task.
	TargetRequest struct {
		Target string `json:"target"`
	}
	// A RollbackRequest makes an earlier revision's spec the wanted one; 0 is the one before.
	RollbackRequest struct {
		Job      string `json:"job"`
		Revision uint64 `json:"revision,omitempty"`
	}
	// A DrainRequest moves a peer's work elsewhere; an empty peer is the one asked. What
	// it still holds after Deadline is stopped; 0: it waits for ever. Undo ends a leave, too.
	DrainRequest struct {
		Peer     string `json:"peer,omitempty"`
		Undo     bool   `json:"undo,omitempty"`
		Deadline Age    `json:"deadline,omitempty"`
	}
	// A LabelRequest sets labels of a peer; an empty value removes one.
	LabelRequest struct {
		Peer string            `json:"peer,omitempty"`
		Set  map[string]string `json:"set"`
	}
	// An ExpelRequest removes another peer from the swarm for good.
	ExpelRequest struct {
		Peer string `json:"peer"`
	}
	// A LeaveRequest gives up membership once the peer's slots run elsewhere; with Purge the
	// state directory goes too. What has not moved after Deadline is stopped; 0: it waits
	// for ever. A DrainRequest with Undo takes it back until the peer has left.
	LeaveRequest struct {
		Purge    bool `json:"purge,omitempty"`
		Deadline Age  `json:"deadline,omitempty"`
	}
	// A DownRequest stops the daemon; with For the others wait that long.
	DownRequest struct {
		For Age `json:"for,omitempty"`
	}
	// A TicketRequest asks for a ticket.
	TicketRequest struct {
		Run  bool `json:"run,omitempty"`  // one that only bids and holds
		Uses int  `json:"uses,omitempty"` // 0: any number
		TTL  Age  `json:"ttl,omitempty"`  // 0: 24 h
	}
)

// Empty is the answer of what has nothing to tell.
type Empty struct{}

var _ json.Marshaler = Age(0)
