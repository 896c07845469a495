// Package check has the invariants of the protocol, a file each, watched from
// outside over all machines of a simulated world. Their numbers are those of
// docs/GUARANTEES.md. Safety is checked as things happen, progress only while no
// fault is active: in a partition two peers may hold a slot, but the overlap must
// end within the stated time of the heal.
package check

import (
	"fmt"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A World is what checkers may look at.
type World interface {
	Now() time.Duration
	Hosts() []Host
	// Reaches reports whether a can talk to b and b to a.
	Reaches(a, b int) bool
	Verify(by wire.PeerID, msg, sig []byte) bool
	Hears(a, b int) bool // what b sends reaches a, soon and for sure
	Swarm() wire.Hash
}

// A Host is one machine as seen from outside.
type Host interface {
	Index() int
	Name() string
	Peer() wire.PeerID
	Up() bool                // its daemon runs and is not paused
	Counts() bool            // Up, ready, and alone in using its key
	Shared() bool            // another machine has used its key: what one key promises cannot hold
	Tainted() bool           // some key of the swarm was used by two machines: what it wrote can be lost
	Since() time.Duration    // when its daemon, engine and pauses last changed
	EngineWorks() bool       // the engine answers, and does what it is told
	Joining() bool           // its daemon runs and is not ready yet
	SteppedBack() bool       // it has found its key at work elsewhere
	Trusts(wire.PeerID) bool // it hears that peer, and knows of no vote against it
	Awaits(wire.PeerID) bool // to it that peer went together with many, and is not back
	Forgeries() bool         // somebody has forged records in this world, or writes what others do not know
	Forges(wire.PeerID) bool // the machine with that key was made to forge, or another has used it too
	Signed(*wire.Record) bool
	Capacity() job.Resources
	Ledger() *ledger.State // read only; nil if the daemon does not run
	Containers() []runtime.Observed
	Unseen(container string) bool // it was left behind by no daemon's doing, and none has been shown it yet
	Disk(func(*wire.Record))      // every record written, in no order
	DiskJobs(func(*wire.Record))  // the heads and specs among them
	Synced(wire.Number) bool
	Pending(wire.Number) bool // written and not yet synced
}

// A Violation is a broken invariant.
type Violation struct {
	Rule string // "S4"
	Text string
}

func violation(rule, format string, args ...any) error {
	return &Violation{rule, fmt.Sprintf(format, args...)}
}

func (v *Violation) Error() string { return v.Rule + ": " + v.Text }

// A Checker has a rule and looks at some of what happens.
type Checker interface{ Rule() string }

// What a checker may implement; each is called as its name says.
type (
	// WriteWatcher sees what a daemon gives to its disk.
	WriteWatcher interface {
		Wrote(Host, []node.Write) error
	}
	// SendWatcher sees each message as it leaves.
	SendWatcher interface {
		Sent(Host, *wire.Envelope) error
	}
	// ReplyWatcher sees answers to users, with what was asked.
	ReplyWatcher interface {
		Replied(Host, *node.Request, *node.Reply) error
	}
	// LifeWatcher hears of a daemon's start, and of a machine's disk lost or exchanged.
	LifeWatcher interface {
		Booted(Host)
		DiskLost(Host)
	}
	// DiskWatcher is shown a machine whose disk may hold something else than was
	// written: at its daemon's start, and when a power cut or a failed sync took
	// writes back.
	DiskWatcher interface {
		DiskChanged(Host) error
	}
	// EventWatcher hears what a core tells of.
	EventWatcher interface {
		Told(Host, *node.Event) error
	}
	// Ticker looks over the world once a simulated second.
	Ticker interface {
		Tick(World) error
	}
	// Counter says how often it has really compared something. Of the others each
	// call counts.
	Counter interface {
		Checker
		Compared() uint64
	}
	// Finisher looks once more when the calm has converged.
	Finisher interface{ Finish(World) error }
	// Progress is checked in the calm: Unmet says what is still missing, "" for
	// nothing, and none of it may stay for longer than Bound.
	Progress interface {
		Checker
		Unmet(World) string
		Bound() time.Duration
	}
)

// All returns a fresh set of every checker.
func All() []Checker {
	return []Checker{
		NewAccepted(), NewOvercommit(), NewMonotone(), NewMergeLaws(), NewOrphans(), NewRemoved(),
		&Signed{}, NewAwards(), NewJoining(), NewYield(), NewDeaths(), NewMoves(), Rollout{}, Keys{}, &Fair{},
		&Equal{}, NewReady(), Runs{}, Resold{}, Surplus{},
	}
}
