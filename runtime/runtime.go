// Package runtime decides what a holder does with its containers: it compares
// wanted with observed and gives at most one Action at a time per container. It
// starts nothing itself; adapters in runtime/docker and runtime/process perform
// Actions and report back.
package runtime

import (
	"errors"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A Ref says whose a container is. Every container carries it as labels, and its
// name follows from it, so that a repeated create finds the first one.
type Ref struct {
	Swarm string      `json:"swarm"` // short swarm ID
	Peer  wire.PeerID `json:"peer"`
	Slot  job.SlotID  `json:"slot"`
	Life  uint64      `json:"life"`
	Token wire.Token  `json:"token"`
	Spec  wire.Hash   `json:"spec"` // of the task, as claims name it
}

// An Op is what an Action does.
type Op uint8

// The operations of a driver. Each may be repeated: done twice it is as done once.
const (
	OpCreate Op = iota + 1 // fetch the image if need be, make volumes and network, create; not start
	OpStart                // start a created or exited container
	OpStop                 // ask it to end, kill it after Grace; gone already is success
	OpRemove               // remove it, stopped or not; gone already is success
)

func (o Op) String() string {
	return [...]string{"?", "create", "start", "stop", "remove"}[min(o, OpRemove)]
}

// An Action is one thing for the driver to do to one container. An action once
// given is never abandoned: exactly one Result with its ID comes back as an
// input, if need be after the driver's deadline.
type Action struct {
	ID        uint64 // unique within one run of the daemon
	Op        Op
	Container string // its name, see Name
	Ref       Ref
	Run       uint32        // OpCreate and OpStart: which start of the claim this is
	Task      *job.Task     // OpCreate: what to run
	GPUs      job.GPUSet    // OpCreate: the devices that it gets
	Grace     time.Duration // OpStop: between the ask and the kill
}

// A Result is how an Action ended; Err is empty on success.
type Result struct {
	ID        uint64
	Op        Op
	Container string
	Err       string // one sentence for people
	Permanent bool   // trying again here cannot help: image missing and not to be had, command not found, bad mount
}

// A State is an observed container's.
type State uint8

// The states of an observed container. They are what the engine says, not what
// was wanted.
const (
	StateCreated State = iota + 1 // made, never started
	StateRunning
	StateExited // has run and ended
)

func (s State) String() string {
	return [...]string{"gone", "created", "running", "exited"}[min(s, StateExited)]
}

// A HealthState is what the container's own health check says.
type HealthState uint8

// The states of a health check.
const (
	HealthNone HealthState = iota // the task has no check
	HealthStarting
	Healthy
	Unhealthy
)

// An Observed is one container with our labels, as the engine reports it.
type Observed struct {
	Container string
	ID        string // the engine's own
	Ref       Ref
	State     State
	ExitCode  int
	OOM       bool
	Health    HealthState
	Starts    string // the engine's start time, opaque: differs between two starts of one container
	Address   string // where the daemon reaches it, an IP address; empty when not running
}

// A Snapshot is everything with our labels on the engine at one moment, or the
// news that the engine did not answer.
type Snapshot struct {
	Begun      clock.Instant // when the question was asked; older than an action's end it says nothing of that container
	Err        string        // why there is no answer; Containers is then meaningless
	Containers []Observed
}

// Facts are what a machine has; a part that cannot be read is named in Missing,
// and a peer with a missing part does not bid.
type Facts struct {
	Capacity job.Resources // for slots: the machine's less what the owner keeps back
	OS       string        // "linux"
	Arch     string        // "amd64", "arm64", "arm"
	Driver   string        // "docker" or "process"
	Engine   string        // its version
	Load     int64         // running tasks of the machine, in thousandths of its cores
	Missing  []string      // "memory: …"
	Labels   map[string]string

	Minute  int      // of the day, local time: for the owner's hours alone
	Battery bool     // it runs on its battery
	TempC   int      // of its hottest part, in °C; 0: not known
	Devices []string // that its owner grants and that are there: "/dev/ttyUSB0", "usb=1a86:7523"
}

// Errors of drivers. A driver wraps ErrPermanent around a failure that a repeat
// on this peer cannot mend; everything else is tried again.
var (
	ErrPermanent = errors.New("cannot work on this peer")
	ErrSilent    = errors.New("engine does not answer")
)
