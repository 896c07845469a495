// Package node composes the pure parts of a peer — auction, ledger, gossip,
// runtime — into one Step: inputs in, effects out. It has no goroutine, clock,
// chance or IO of its own; the daemon and the simulator drive the same Core, and
// equal inputs give equal outputs, byte for byte, on any machine.
//
// A peer goes through these stages; only a ready one bids, sells, votes, accepts:
//
//	starting ──incarnation known──► joining ──exchange, or alone 10 s──► ready
//	                                   └──────my key runs elsewhere──────► muted
package node

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"shoal/clock"
	"shoal/gossip"
	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

type stage uint8

const (
	starting stage = iota // no incarnation yet: publishes nothing
	joining               // runs its own claims, answers reads, beats; not ready
	ready
	muted // its key runs elsewhere: stops its containers and says nothing
)

func (s stage) String() string { return [...]string{"starting", "joining", "ready", "stepped back"}[s] }

// A Core is one peer. It is owned by one goroutine and has no locks.
type Core struct {
	cfg  Config
	prof Profile
	rng  *rand.Rand
	now  clock.Instant
	out  *Ready
	loop []wire.Message // sent to ourselves, still to be received

	led *ledger.State
	mem *gossip.Membership
	rec *runtime.Reconciler

	self         course
	ex           exchanges
	subs         submissions
	lanes        [Lanes]lane
	ranks        ranks
	book         book
	mixed        mixed
	yield        yield
	parked       []parkedAward // at most maxParked
	waits        map[job.SlotID]*waiting
	improvedAt   clock.Instant // when some peer last had more room than before
	failing      map[job.SlotID]failing
	awaitsCopies bool                     // a slot waits for copies that it is to run near to
	selling      map[job.SlotID]bool      // in some sale of ours that is under way
	deputy       map[job.ID]clock.Instant // jobs sold here for a steward that did not answer, until then
	calm         map[job.ID]stamp         // jobs that a scan found to miss nothing
	restless     bool                     // the job being scanned may miss something
	holding      holding
	system       system
	faults       faults
	fresh        []push // records new here, to be passed on
	sync         bool   // this step's records must be on disk before its messages

	facts    *runtime.Facts
	images   map[string][]runtime.Image // by name; nil: not known
	battery  slow[bool]                 // on it
	idle     slow[string]               // why this peer takes nothing
	disk     Disk
	swept    uint64 // ledger's Version at the last housekeeping
	nextID   uint64 // of exchanges, sales, submissions
	houseAt  clock.Instant
	stepped  bool                   // Step has been called
	branches uint32                 // by Branch
	incs     map[wire.PeerID]uint32 // the start of each peer that was last told of
	twins    map[wire.PeerID]*twin
	trust    trust
}

// course is how this peer itself came to be where it is.
type course struct {
	stage      stage
	inc        uint32
	seq        uint64
	onceReady  bool // its disk says it was ready before
	storedInc  uint32
	exchanged  bool                          // with anyone, completely, since the start
	forgot     bool                          // own records came from others: the store is older than what this peer has written
	withReady  bool                          // with a ready peer
	readyHeard clock.Instant                 // when a ready peer last spoke to us; 0: never
	linked     map[wire.PeerID]clock.Instant // since when
	settled    bool                          // own claims are taken up
	draining   bool
	drainBy    clock.Instant // what has not moved by then is stopped; 0: nothing is
	leaving    bool          // to end once nothing is held
	leftAt     clock.Instant
	wait       time.Duration
	labels     map[string]string
	addrs      []string
	card       []byte        // body of the card as published
	cardOf     cardFrom      // what it was made of
	relabels   int           // changes of labels
	readdrs    int           // and of addrs
	oldMarks   []string      // keys of marks that a damaged store still has
	past       *past         // a card of our own that we did not write
	ran        time.Duration // running time before this start
	ranSaved   time.Duration
}

type push struct {
	rec  *wire.Record
	hops uint8
	from wire.PeerID
}

// New makes the core of a peer that starts now with what its disk holds. It
// returns an error for a Config that lacks a part and for stored locals that no
// version wrote; a stored record that does not decode counts as damage.
func New(cfg Config, stored Stored) (*Core, error) {
	if cfg.Self.IsZero() || cfg.Key == nil || cfg.Verify == nil || cfg.Swarm.IsZero() {
		return nil, errors.New("config lacks an identity, a swarm or its signatures")
	}
	if cfg.Horizon == 0 {
		cfg.Horizon = 30 * 24 * time.Hour
	}
	if cfg.Datacenter == "" {
		cfg.Datacenter = "default"
	}
	prof := ProfileOf(cfg.Profile)
	c := &Core{
		cfg: cfg, prof: prof, rng: rand.New(rand.NewPCG(cfg.Seed, cfg.Nonce)),
		led:   ledger.New(cfg.Self, cfg.Swarm, cfg.Verify),
		waits: map[job.SlotID]*waiting{}, failing: map[job.SlotID]failing{}, selling: map[job.SlotID]bool{},
		deputy: map[job.ID]clock.Instant{}, calm: map[job.ID]stamp{},
		subs: submissions{open: map[uint64]*submission{}},
		ex: exchanges{
			out: map[wire.PeerID]*exchange{}, in: map[wire.PeerID]*exchange{}, told: map[wire.PeerID]*exchange{},
			done: map[wire.PeerID]clock.Instant{},
		},
	}
	c.book = newBook()
	c.incs = map[wire.PeerID]uint32{}
	c.twins = map[wire.PeerID]*twin{}
	c.faults.of = map[wire.PeerID]*standing{}
	c.self.linked = map[wire.PeerID]clock.Instant{}
	c.self.addrs = cfg.Addrs
	c.self.labels = map[string]string{}
	c.holding = newHolding()
	c.system.waits = map[job.SlotID]*waiting{}
	c.mem = gossip.New(gossip.Config{
		Self: cfg.Self, Swarm: cfg.Swarm, Key: cfg.Key, Verify: cfg.Verify,
		Rand: rand.New(rand.NewPCG(cfg.Seed, cfg.Nonce+1)), BeatEvery: prof.BeatEvery, Metered: prof.Metered,
	})
	c.rec = runtime.New(runtime.Config{Rand: rand.New(rand.NewPCG(cfg.Seed, cfg.Nonce+2))})
	c.led.Entitle(cfg.Entitled)
	for _, r := range stored.Records {
		if err := c.led.Load(r); err != nil {
			c.cfg.Damaged = true
		}
	}
	if err := c.loadLocals(stored.Locals); err != nil {
		return nil, fmt.Errorf("read this peer's own state: %w", err)
	}
	return c, nil
}

// sleptAfter is a gap between two inputs so long that this peer was asleep: the
// daemon and its own wakes see to it that a waking one steps far more often.
const sleptAfter = 5 * time.Second

// Step takes one input and returns what must be done because of it. An error
// means that the input was refused and changed nothing but what time alone
// brings; the effects returned with it are to be performed all the same.
func (c *Core) Step(in Input) (Ready, error) {
	var out Ready
	c.out = &out
	if in.Now.Sub(c.now) > sleptAfter {
		c.rec.Resume(in.Now) // the silence was ours, not the engine's
	}
	c.now = max(c.now, in.Now)
	c.led.At(c.now)
	if !c.stepped {
		c.stepped = true
		c.begin()
	}
	err := c.take(in)
	c.receiveOwn()
	c.settle()
	c.flush()
	c.out = nil
	return out, err
}

// take hands an input to the part it is for.
func (c *Core) take(in Input) error {
	switch {
	case in.Received != nil:
		return c.receive(in.Received.From, in.Received.Msg)
	case in.Linked != nil:
		c.link(*in.Linked)
	case in.Snapshot != nil:
		c.rec.Observe(c.now, *in.Snapshot)
	case in.Done != nil:
		c.rec.Done(c.now, *in.Done)
	case in.Facts != nil:
		f := *in.Facts
		f.Capacity.DiskBytes = f.Capacity.DiskBytes >> 30 << 30 // whole GiB: free disk changes all the time
		c.facts = &f
		c.battery.see(c.now, f.Battery)
		c.idle.see(c.now, c.takesNothing())
		c.holding.dirty = true // there may be room now, or no longer
	case in.Request != nil:
		c.request(in.Request)
	case in.Disk != nil:
		c.disk = *in.Disk
	case in.Refused != nil:
		c.refused(in.Refused)
	case in.Images != nil:
		c.setImages(in.Images.List)
	case in.Addrs != nil:
		c.self.addrs = in.Addrs
		c.self.readdrs++
	}
	return nil
}

// handle hands a message to the part it is for; see receive.
func (c *Core) handle(from wire.PeerID, msg wire.Message) error {
	if c.led.IsRevoked(from) || c.self.stage == muted && from != c.cfg.Self {
		return nil
	}
	switch m := msg.(type) {
	case *wire.Beat:
		if m.Ready {
			c.self.readyHeard = c.now
		}
		c.mem.Receive(c.now, from, m)
		c.tellTwin(from, m)
	case *wire.Observe, *wire.Votes:
		c.mem.Receive(c.now, from, m)
	case *wire.Probe:
		c.probed(from, m)
	case *wire.Digest:
		c.onDigest(from, m)
	case *wire.Vector:
		c.onVector(from, m)
	case *wire.Lists:
		c.onLists(from, m)
	case *wire.Sketch:
		return c.onSketch(from, m)
	case *wire.Trade:
		return c.onTrade(from, m)
	case *wire.Settle:
		return c.onSettle(from, m)
	case *wire.Delta:
		return c.onDelta(from, m)
	case *wire.Push:
		return c.onPush(from, m)
	case *wire.Store:
		return c.onStore(from, m)
	case *wire.Stored:
		c.onStored(from, m)
	case *wire.Call:
		return c.onCall(from, m)
	case *wire.Bid:
		c.onBid(from, m)
	case *wire.Award:
		return c.onAward(from, m)
	case *wire.Reply:
		return c.onReply(from, m)
	case *wire.Standing:
		c.onStanding(from, m)
	default:
		return fmt.Errorf("message %T from %s: %w", msg, from.Short(), wire.ErrUnknown)
	}
	return nil
}

// maxOwn is far above what one step can cause.
const maxOwn = 100_000

// receiveOwn delivers what was sent to ourselves.
func (c *Core) receiveOwn() {
	for n := 0; len(c.loop) > 0; n++ {
		if n == maxOwn {
			panic("node: messages to ourselves bring forth messages to ourselves without end")
		}
		m := c.loop[0]
		c.loop = c.loop[1:]
		_ = c.receive(c.cfg.Self, m)
	}
}

// settle lets every part do what is due, in an order in which each sees what the
// ones before it brought about.
func (c *Core) settle() {
	c.settleMembers()
	c.settleParked()
	c.settleCourse()
	c.settleExchanges()
	c.settleSubmissions()
	c.settleLanes()
	c.receiveOwn()
	c.settleSystem()
	c.settleHolding()
	c.settleStanding()
	c.settleHouse()
	c.settlePushes()
}

// settleMembers tells gossip who belongs to the swarm and does what it asks.
func (c *Core) settleMembers() {
	c.takeMembers()
	eff := c.mem.Tick(c.now)
	if c.self.stage != muted {
		for _, e := range eff.Send {
			c.post(e)
		}
		c.out.Redial = append(c.out.Redial, eff.Redial...)
	}
	for _, ch := range eff.Changes {
		c.peerChanged(ch)
	}
	c.wake(eff.WakeAt)
}

// takeMembers passes on whose card or membership has changed.
func (c *Core) takeMembers() {
	for _, id := range c.led.ChangedPeers() {
		if c.led.IsMember(id) {
			c.mem.Put(c.now, c.gossipPeer(id))
		} else {
			c.mem.Leave(c.now, id)
		}
		c.ranks.moved = append(c.ranks.moved, id)
	}
}

// gossipPeer is what gossip must know of a member.
func (c *Core) gossipPeer(id wire.PeerID) gossip.Peer {
	r := c.led.CardRecord(id)
	card := r.Value.(*ledger.Card)
	p := ProfileOf(card.Profile)
	return gossip.Peer{
		ID: id, Inc: r.Num.Inc, Nonce: r.Num.Nonce, Ready: true, Metered: p.Metered,
		BeatEvery: p.BeatEvery, Waiting: time.Duration(card.WaitSec) * time.Second,
	}
}

func (c *Core) peerChanged(ch gossip.Change) {
	switch {
	case c.self.stage == muted: // it has hung up itself
	case ch.To == gossip.Dead:
		c.event(Event{Kind: "died", Peer: ch.Peer, Text: fmt.Sprintf("%s is gone: its observers have missed its beats", c.nameOf(ch.Peer))})
	case ch.To == gossip.Alive && ch.From == gossip.Dead:
		c.event(Event{Kind: "returned", Peer: ch.Peer, Text: c.nameOf(ch.Peer) + " is heard again"})
	} // no event: a suspect may yet be heard
	for i := range c.lanes {
		for _, s := range c.lanes[i].sales {
			if c.mem.Doubted(ch.Peer) {
				s.Drop(c.now, ch.Peer)
			}
		}
	}
	c.improved()
}

// send gives a message to one peer; to ourselves it goes at the end of the step.
func (c *Core) send(to wire.PeerID, m wire.Message) { c.post(wire.Envelope{To: to, Msg: m}) }

func (c *Core) post(e wire.Envelope) {
	if e.Topic == 0 && e.To == c.cfg.Self {
		c.loop = append(c.loop, e.Msg)
		return
	}
	c.out.Messages = append(c.out.Messages, e)
}

func (c *Core) wake(at clock.Instant) { c.out.WakeAt = clock.Earliest(c.out.WakeAt, at) }

// due reports whether an instant that may be unset has come, and sees to it that
// the core is woken then if not.
func (c *Core) due(at clock.Instant) bool {
	if at == 0 {
		return false
	}
	if c.now >= at {
		return true
	}
	c.wake(at)
	return false
}

func (c *Core) id() uint64 {
	c.nextID++
	return uint64(c.self.inc)<<40 | c.nextID
}

func (c *Core) event(e Event) {
	e.At = c.now
	if strings.Contains(e.Slot, "@") {
		if slot, err := job.ParseSlotID(e.Slot); err == nil {
			name := c.SlotName(slot)
			e.Slot, e.Text = name, strings.ReplaceAll(e.Text, e.Slot, name)
		}
	}
	c.out.Events = append(c.out.Events, e)
}

func (c *Core) nameOf(p wire.PeerID) string {
	if p == c.cfg.Self {
		return c.cfg.Name
	}
	if card := c.led.Card(p); card != nil && card.Name != "" {
		return Brief(card.Name)
	}
	return p.Short()
}
