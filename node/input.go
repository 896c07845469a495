package node

import (
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// An Input is one thing that happened, at one instant of this peer. Exactly one
// of the pointers is set; with none set it is a tick. Every input may come twice,
// late or never.
type Input struct {
	Now      clock.Instant     `cbor:"1,keyasint"`
	Received *Received         `cbor:"2,keyasint,omitempty"`
	Linked   *Linked           `cbor:"3,keyasint,omitempty"`
	Snapshot *runtime.Snapshot `cbor:"4,keyasint,omitempty"` // what runs on the engine
	Done     *runtime.Result   `cbor:"5,keyasint,omitempty"` // how an Action ended
	Facts    *runtime.Facts    `cbor:"6,keyasint,omitempty"` // what the machine has
	Request  *Request          `cbor:"7,keyasint,omitempty"` // what a user asks
	Disk     *Disk             `cbor:"8,keyasint,omitempty"`
	Addrs    []string          `cbor:"9,keyasint,omitempty"`  // own addresses changed
	Wall     int64             `cbor:"10,keyasint,omitempty"` // Unix seconds; a hint for display only, never for merge or lease
	Refused  *Refused          `cbor:"11,keyasint,omitempty"` // what a peer sent and the core never saw
	Images   *Images           `cbor:"12,keyasint,omitempty"` // what the engine has
}

// Refused says that bytes of a peer were dropped before they became a message, Count
// times alike. Peer is who handed them over, zero if it never got in.
type Refused struct {
	Peer  wire.PeerID
	Fault wire.Fault
	Count uint32
}

// Received is a message from a peer; From is authenticated by the transport (on
// a topic: the author, whose signature was checked).
type Received struct {
	From  wire.PeerID
	Topic wire.Topic // 0: on a stream
	Msg   wire.Message
}

// Linked says that a connection to a peer came up or went down. It is a hint.
type Linked struct {
	Peer wire.PeerID
	Up   bool
}

// Disk tells how much room is left where the ledger is kept.
type Disk struct {
	FreeBytes  int64
	TotalBytes int64
}

// Images are those that the engine has; an input with them is given once they are
// known, and again when they change.
type Images struct {
	List []runtime.Image `cbor:"1,keyasint"`
}

// A Request is what a user asks of this peer. Exactly one part is set. Each is
// answered by one Reply with its ID.
type Request struct {
	ID       uint64    `cbor:"1,keyasint"` // unique within one run of the daemon
	Deploy   *Deploy   `cbor:"2,keyasint,omitempty"`
	Remove   *Remove   `cbor:"3,keyasint,omitempty"`
	Scale    *Scale    `cbor:"4,keyasint,omitempty"`
	Restart  *Restart  `cbor:"5,keyasint,omitempty"`
	Rollback *Rollback `cbor:"6,keyasint,omitempty"`
	Stop     *Stop     `cbor:"7,keyasint,omitempty"`
	Drain    *Drain    `cbor:"8,keyasint,omitempty"`
	Label    *Label    `cbor:"9,keyasint,omitempty"`
	Expel    *Expel    `cbor:"10,keyasint,omitempty"`
	Leave    *Leave    `cbor:"11,keyasint,omitempty"`
	Pause    *Pause    `cbor:"12,keyasint,omitempty"`
	Import   *Import   `cbor:"13,keyasint,omitempty"`
}

// Deploy makes a spec the wanted one of its job. The same spec again is no change.
type Deploy struct {
	Spec job.Spec
	Base uint64 // refuse unless this is the head's revision; 0: whatever it is
}

// Remove ends a job's life; with Volumes its named volumes go too.
type Remove struct {
	Job     job.ID
	Volumes bool
}

// Scale changes how many copies of a task are wanted.
type Scale struct {
	Job   job.ID
	Task  string
	Count int
}

// Restart replaces the containers of a job, a task or, with Index not negative, a slot.
type Restart struct {
	Job   job.ID
	Task  string // empty: all
	Index int    // -1: all
}

// Rollback makes an earlier revision's spec the wanted one; 0 is the one before.
type Rollback struct {
	Job      job.ID
	Revision uint64
}

// Stop scales every task of a job, or one, to zero and keeps the job; a deploy or
// scale starts it again.
type Stop struct {
	Job  job.ID
	Task string
}

// Drain moves the work of a peer elsewhere; Undo takes it back. What cannot be moved
// waits, for ever if Deadline is 0; else whatever is still held after it is stopped. Undo
// takes back a Leave, too, until this peer has left.
// Only a peer drains itself: a request for another is forwarded to it by the daemon.
type Drain struct {
	Undo     bool
	Deadline time.Duration `cbor:",omitempty"`
}

// Label sets labels of this peer; an empty value removes one.
type Label struct{ Set map[string]string }

// Expel removes another peer from the swarm for good.
type Expel struct{ Peer wire.PeerID }

// Leave gives up this peer's membership once its slots run elsewhere, or are stopped
// because Deadline is over; 0: there is none. A restart goes on with it, Drain.Undo takes
// it back.
type Leave struct {
	Deadline time.Duration `cbor:",omitempty"`
}

// Pause asks the others to wait For before they take this peer for dead.
type Pause struct{ For time.Duration }
