package sim

import (
	"time"

	"shoal/job"
)

// A Recording is what a report of a run is drawn from. All times are since the world
// began. Equal runs have equal recordings. Nothing is gathered unless Options.Record
// asks for it.
type Recording struct {
	Run        time.Duration // when the calm began, if the run came so far
	End        time.Duration
	Peers      []PeerTrack
	Containers []ContainerRun // in order of start, at most maxRecorded
	Faults     []FaultSpan    // in order of begin
	Harms      int            // lines that did harm; what ends one is not counted
	Marks      []Mark         // what the scenario did, in order
	Step       time.Duration  // between samples
	Samples    []Sample
	Placed     []Handover // first starts of slots
	FailedOver []Handover // starts of slots elsewhere, after a fault of their peer
	Diagram    Diagram
	Left       int // containers beyond maxRecorded, not kept
}

// A PeerTrack is a lane of the report.
type PeerTrack struct {
	Name string // "n3"
	Site string // its datacenter; may be empty
}

// A ContainerRun is one start of a container until its end.
type ContainerRun struct {
	Peer     int
	Slot     job.SlotID
	Token    uint64
	From, To time.Duration
	Open     bool   // it still ran at the end
	Why      string // how it ended: "exited 1", "removed"
}

// A FaultSpan is a time in which a peer, or the world (Peer -1), was not well.
type FaultSpan struct {
	Peer     int
	Kind     string // "off", "daemon", "paused", "engine", "slow", "cut", "weather", "link", "image"
	From, To time.Duration
	Open     bool
	Text     string
	id       any // of what it belongs to, while it is open
}

// A Mark is a line of the scenario that was performed.
type Mark struct {
	At   time.Duration
	Peer int // -1: of no single peer; AllPeers
	Line int
	Text string
	Lane bool // it befell a peer, and no FaultSpan tells of it
}

// AllPeers is the Peer of a Mark that befell all.
const AllPeers = -2

// A Sample is one step of the run. Messages and bytes are those handed to the
// network within it, each copy of a topic's counted; bytes are estimated, frames and
// packet headers among them (see size.go).
type Sample struct {
	Up, Ready       int // daemons that listen; of them ready
	Same            int // of the ready ones, those in the largest group with equal ledgers
	Running         int // containers
	Messages, Bytes uint64
	Faults          int // open at the end of the step
}

// A Handover is the start of a slot's container, and how long it took.
type Handover struct {
	Slot     job.SlotID
	From, To int // peers; From is -1 at a first placement
	At       time.Duration
	Took     time.Duration // since the job was asked for, or since the fault began
}

// A Diagram is the messages around one moment of the run.
type Diagram struct {
	Title  string
	At     time.Duration
	Arrows []Arrow // in order of Sent, at most maxArrows
}

// An Arrow is a message, or, from a peer to itself, something that happened there.
type Arrow struct {
	From, To      int // To -1: to all
	Sent, Arrives time.Duration
	Kind, Text    string
	Lost          bool
}

// Bounds of a recording.
const (
	maxRecorded = 100_000
	maxSamples  = 3600
	maxArrows   = 32
	ringLen     = 4096 // messages kept for a diagram
)
