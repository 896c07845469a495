// Package daemon owns one node.Core and performs its effects on the real world:
// it gathers inputs, steps the core, makes its records durable, and only then
// sends, answers and acts. It decides nothing itself.
//
//	network ─┐                                   ┌► store, synced
//	engine  ─┤                                   │  then ► network, callers
//	machine ─┼► inputs (bounded) ► Step ► Ready ─┤
//	users   ─┤                                   └  then ► engine, each in its own goroutine,
//	timer   ─┘                                             the result an input again
//
// One goroutine, in Run, touches the core. If the store fails, nothing that was
// to follow happens and Run ends: who cannot write must not promise. A store that is
// merely full is waited for, see keep.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// recordStore is the disk. Apply writes puts, drops and locals (nil deletes) and
// with sync returns once they survive a power cut; its error may be a fullError.
// Load's damage says in one sentence what was lost; Mend that others have refilled
// it. Collect gives back the room of what was overwritten.
type recordStore interface {
	Load() (records []*wire.Record, locals map[string][]byte, damage error)
	Apply(puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) error
	Mend() error
	Collect() error
}

// transport is the network. Neither Send nor Redial ever waits; false means that
// the frame will not go out. Shun hangs up on a peer and takes nothing of it for d.
// Who does not read Heard holds up those who send.
type transport interface {
	Send(to wire.PeerID, frame []byte) bool
	Join(topic string) error
	Publish(topic string, b []byte) error
	Redial(wire.PeerID)
	AddAddrs(wire.PeerID, []string)
	Addrs() []string // this peer's own, as others may dial them
	Recheck()        // someone was removed: see Daemon.IsRevoked
	Shun(p wire.PeerID, d time.Duration)
}

// driver is the container engine.
type driver interface {
	Do(context.Context, runtime.Action) error
	List(context.Context) ([]runtime.Observed, error)
	Watch(context.Context) <-chan struct{}
	Logs(ctx context.Context, container string, o runtime.LogOptions) (io.ReadCloser, error)
	RemoveVolume(ctx context.Context, id job.ID, volume string, slot int) error
}

// reach makes services answer by name and port. Update returns at once.
type reach interface{ Update([]node.Service) }

// A Heard is one thing the network tells; Kind says which fields count.
type Heard struct {
	Kind  HeardKind
	Peer  wire.PeerID // the authenticated sender or, on a topic, the author
	Topic string      // HeardMessage: as joined; empty: a frame to this peer alone
	Bytes []byte      // HeardMessage
	Fault wire.Fault  // HeardRefused, Count times
	Count uint32
}

// A HeardKind says what the network tells.
type HeardKind uint8

// What the network tells.
const (
	HeardMessage HeardKind = iota + 1
	HeardUp                // a connection to Peer came up
	HeardDown              // the last one went down, or Peer cannot be reached
	HeardRefused           // what Peer sent, or who it claimed to be, was dropped; Peer is zero if it never got in
)

// Config is what a Daemon is made of. Reach, Record and what has a default may be
// left out; all else is required.
type Config struct {
	Core      node.Config // Damaged and, if zero, Addrs are filled in
	Store     recordStore
	Transport transport
	Heard     <-chan Heard
	Driver    driver
	Reach     reach // nil: services have no names

	Facts func(context.Context) runtime.Facts   // what the machine has
	Disk  func() (free, total int64, err error) // where the ledger is kept; free: beyond what the store needs
	Crash func(text string)                     // keeps a report of our own bug; nil: only logged
	Mute  func()                                // is called when this peer steps back: its key runs elsewhere; nil: not

	Record io.Writer    // gets a recording of every input, for `shoal sim replay`; nil: none
	Logger *slog.Logger // nil: nothing is logged
}

// Bounds and periods of the loop.
const (
	maxBatch      = 256  // inputs made durable together
	inputQueue    = 512  // then the network, the engine and the sensors wait
	maxWaiting    = 1024 // requests under way; more are answered "busy"
	publishQueue  = 1024 // gossip on its way out; more is dropped, anti-entropy finds it
	minTick       = time.Millisecond
	maxTick       = time.Second
	shutdownLimit = 5 * time.Second
)

// ErrStopped says that the daemon has ended or is about to.
var ErrStopped = errors.New("the daemon is stopping")

// A Halted error says that the core wants this daemon to end for good.
type Halted struct{ Reason node.Halt }

func (h *Halted) Error() string { return string(h.Reason) }

// A Daemon is one running peer. Its exported methods may be called from any
// goroutine.
type Daemon struct {
	cfg   Config
	log   *slog.Logger
	core  *node.Core // of the goroutine in loop alone
	start time.Time

	inputs  chan node.Input
	calls   chan call
	views   chan view
	publish chan publication
	looked  chan struct{} // 1 slot: look at the engine soon
	created chan struct{} // 1 slot: an image may have come
	stopped chan struct{} // closed when nothing is taken in any more
	tasks   sync.WaitGroup

	waiting map[uint64]chan<- node.Reply // of loop
	nextID  atomic.Uint64
	ring    *ring
	rec     *recorder
	stats   counters
	revoked atomic.Pointer[map[wire.PeerID][]byte]   // with what proves it to them, see notice
	known   atomic.Pointer[map[wire.PeerID]struct{}] // with a card, and not removed
	seen    seen
	damaged atomic.Bool            // and not mended yet
	held    atomic.Pointer[string] // why it holds still; nil: it does not
	twins   twins
}

// seen is what loop last told others, so that it tells them changes only.
type seen struct {
	peers    uint64 // the ledger's PeersVersion
	addrs    map[wire.PeerID]string
	services []node.Service
	toldAt   time.Time
	stale    bool // services are to be looked at again
}

// New loads the store and makes the core. A damaged store is no error: the core is
// told and refills it from others.
func New(cfg Config) (*Daemon, error) {
	if cfg.Store == nil || cfg.Transport == nil || cfg.Heard == nil || cfg.Driver == nil || cfg.Facts == nil || cfg.Disk == nil {
		return nil, errors.New("daemon: config lacks a part")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{
		cfg: cfg, log: cfg.Logger, ring: newRing(),
		inputs: make(chan node.Input, inputQueue), calls: make(chan call), views: make(chan view),
		publish: make(chan publication, publishQueue), looked: make(chan struct{}, 1), created: make(chan struct{}, 1), stopped: make(chan struct{}),
		waiting: map[uint64]chan<- node.Reply{}, seen: seen{
			addrs:    map[wire.PeerID]string{},
			services: []node.Service{}, // none told differs from none there: reach is told that, too
		},
	}
	d.revoked.Store(&map[wire.PeerID][]byte{})
	d.known.Store(&map[wire.PeerID]struct{}{})
	records, locals, damage := cfg.Store.Load()
	if damage != nil {
		d.log.Warn("the store is damaged and is refilled from other peers before this one is ready", "damage", damage)
		d.cfg.Core.Damaged = true
		d.damaged.Store(true)
	}
	if len(d.cfg.Core.Addrs) == 0 {
		d.cfg.Core.Addrs = cfg.Transport.Addrs()
	}
	stored := node.Stored{Records: records, Locals: locals}
	d.rec = newRecorder(cfg.Record, d.log, d.cfg.Core, stored)
	core, err := node.New(d.cfg.Core, stored)
	if err != nil {
		return nil, fmt.Errorf("start this peer: %w", err)
	}
	d.core = core
	return d, nil
}

// Run is the daemon's life; it may be called once. It returns nil when ctx ends,
// *Halted when the peer left or was removed, *Crash after a bug of ours, and what
// the store said when it could not write. Containers are left as they are.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.start = time.Now()
	for topic := range topics {
		if err := d.cfg.Transport.Join(topicName(topic)); err != nil {
			d.close()
			return fmt.Errorf("start this peer: %w", err)
		}
	}
	for _, task := range []func(context.Context){d.hear, d.publishAll, d.watchEngine, d.readFacts, d.readImages, d.readDisk, d.readAddrs, d.collect} {
		d.spawn(func() { task(ctx) })
	}
	err := d.loop(ctx)
	d.close()
	cancel()
	d.await()
	d.rec.close()
	return err
}

func (d *Daemon) close() {
	close(d.stopped)
	d.ring.close()
}

func (d *Daemon) spawn(f func()) { d.tasks.Go(f) }

// await gives what is under way a moment to end; an engine that hangs keeps nobody
// from stopping.
func (d *Daemon) await() {
	done := make(chan struct{})
	go func() { d.tasks.Wait(); close(done) }()
	limit := time.NewTimer(shutdownLimit)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
		d.log.Warn("stopping although the engine or the network has not let go", "after", shutdownLimit)
	}
}

// now is the time since Run began, never zero.
func (d *Daemon) now() clock.Instant { return max(1, clock.Instant(time.Since(d.start))) }

// input hands in to the loop, waiting for room; false once the daemon stops.
func (d *Daemon) input(in node.Input) bool {
	select {
	case d.inputs <- in:
		return true
	case <-d.stopped:
		return false
	}
}
