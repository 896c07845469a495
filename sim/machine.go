package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A machine is one computer of the world: a disk, an engine, a clock, and the
// daemon that runs on it, if it does.
type machine struct {
	w     *World
	index int
	name  string // "n1"
	id    wire.PeerID
	spec  MachineSpec

	disk   *disk
	imaged *disk       // an image of it, taken earlier; nil: none
	wasID  wire.PeerID // whose key is on the image
	engine *engine
	core   *node.Core // nil while the daemon does not run
	forger bool       // it was made to send what no correct peer sends

	flood    int   // counts the times it was made to repeat its messages
	repeats  int   // how often each goes out again
	boast    int64 // it says that it has so many times what it has; 0 and 1: the truth
	pretends bool  // it starts nothing, and says that it does
	idles    bool  // it makes no container, and for long does not say so

	boot      uint32        // counts daemon starts; events of an earlier one are void
	power     uint32        // counts power cuts, which end the engine's doings too
	bootAt    time.Duration // of this daemon
	wall      time.Duration // what its wall clock is off by
	ppm       int64         // what its monotonic clock is fast by, in millionths
	paused    bool
	deaf      bool          // and its connections are gone: what is sent to it is lost
	asleep    bool          // paused with its clock standing still
	halted    time.Duration // when the pause began
	waiting   backlog       // of messages, in a pause
	syncEnded bool          // in a pause: the daemon does not know yet
	founder   bool          // makes the swarm at its next start
	later     bool          // its daemon is of a later version
	damaged   bool          // its store opens damaged, until it has been refilled
	badSync   bool          // its next sync will fail
	refused   bool          // the daemon did not start because the disk was full
	full      bool          // the daemon holds still until there is room on the disk
	barrier   *barrier      // the sync at which its power goes; nil: none
	syncs     int           // barriers reached
	joined    bool          // has ever been started
	dark      bool          // without power since a fault
	backAt    time.Duration // the last end of the faults that keep its daemon down; noEnd: a restart ends them
	gone      node.Halt     // why its core wanted no daemon any more: it is no member, whatever starts

	syncing bool
	held    node.Ready // of the step that waits for the sync
	inbox   []event    // what came while paused or syncing
	wakeAt  time.Duration
	spins   int   // wakes in a row that were due at once
	slow    int64 // everything takes so many times as long; 0 and 1: as ever

	rnd       *rand.Rand // of the hardware: sync times, tears, boot
	net       *rand.Rand // of what it sends
	nic       nic
	streams   []time.Duration
	linked    []bool     // there is a connection to that machine
	told      []bool     // the core was told so
	heardFrom []int32    // when that machine was last heard, in ms
	got       [64]uint32 // messages that daemons here were given, by kind
	noticeAt  time.Duration
}

// A MachineSpec is what a scenario says of a machine.
type MachineSpec struct {
	Capacity   job.Resources
	Labels     map[string]string
	Datacenter string
	Profile    string
	NIC        nicSpec
	Clock      time.Duration   // what its wall clock is off by at first
	DriftPPM   int64           // what its monotonic clock is fast by, in millionths
	Accept     *auction.Policy // its owner's; nil: none
}

// now returns the machine's own instant. An instant of zero means "none" to the
// core, so a daemon's life begins one millisecond after zero.
func (m *machine) now() clock.Instant {
	d := m.w.now - m.bootAt
	return clock.Instant(d + d/1_000_000*time.Duration(m.ppm) + time.Millisecond)
}

// worldTime is when the machine's clock will show i, rounded up.
func (m *machine) worldTime(i clock.Instant) time.Duration {
	shown := int64(i) - int64(time.Millisecond)
	d := shown - shown/(1_000_000+m.ppm)*m.ppm
	for short := shown - d - d/1_000_000*m.ppm; short > 0; short = shown - d - d/1_000_000*m.ppm {
		d += short // off by one or two steps of the clock at most; too early is a wake for nothing
	}
	return m.bootAt + time.Duration(d)
}

// wallEpoch is the true Unix time at which every world begins.
const wallEpoch = 1_790_000_000

func (m *machine) wallSeconds() int64 { return wallEpoch + int64((m.w.now+m.wall)/time.Second) }

// start boots the daemon with what the disk holds.
func (m *machine) start() {
	if m.core != nil || m.gone != "" {
		return
	}
	w := m.w
	m.dark, m.backAt = false, 0
	if !m.openDisk() {
		return
	}
	m.boot++
	m.bootAt, m.wakeAt, m.spins = w.now, 0, 0
	m.syncing, m.held, m.inbox = false, node.Ready{}, nil
	seed := streamHash(w.seed, m.index, fmt.Sprintf("core %d", m.boot))
	cfg := node.Config{
		Self: m.id, Swarm: w.swarm, Key: signer(m.id), Verify: verify,
		Seed: be64(seed[:8]), Nonce: be64(seed[8:16]),
		Name: m.name, Datacenter: m.spec.Datacenter, Labels: m.spec.Labels, Profile: m.spec.Profile,
		Version: "sim", Addrs: []string{"sim/" + m.name},
		Founder: m.founder, Damaged: m.damaged, Horizon: w.horizon,
		Accept: m.spec.Accept,
	}
	m.founder, m.joined = false, true
	if m.later {
		cfg.Version, cfg.Extend = "later", extended
	}
	core, err := node.New(cfg, m.stored())
	if err != nil {
		w.fail(Crash, "%s: the core does not start: %v", m.name, err)
		return
	}
	m.core = core
	w.trace.note(w.now, m.name, "starts (%d)", m.boot)
	w.checks.booted(m)
	m.give(node.Input{Facts: m.facts()})
	m.give(node.Input{Disk: m.room()})
	m.give(node.Input{Addrs: cfg.Addrs})
	m.give(node.Input{})
	w.network.dialAll(m)
	m.poll(m.boot, 0)
}

func (m *machine) facts() *runtime.Facts {
	return &runtime.Facts{Capacity: m.capacity(), OS: "linux", Arch: "amd64", Driver: "sim", Engine: "sim 1"}
}

// poll asks the engine for what runs, now and each second.
func (m *machine) poll(boot uint32, after time.Duration) {
	m.w.later(after, func() {
		if m.core != nil && m.boot == boot {
			m.look()
			m.poll(boot, time.Second)
		}
	})
}

// look asks the engine once; the answer comes a little later and may be stale by then.
func (m *machine) look() {
	if m.paused || m.full {
		return // the daemon asks nothing
	}
	begun := m.now()
	snap := m.engine.snapshot()
	snap.Begun = begun
	delay := span{time.Millisecond, 30 * time.Millisecond}.draw(m.engine.rnd)
	if snap.Err != "" {
		delay = 5 * time.Second
	}
	m.w.push(event{at: m.w.now + delay, kind: evInput, machine: int32(m.index), boot: m.boot, input: &node.Input{Snapshot: &snap}})
}

// give hands the daemon an input now.
func (m *machine) give(in node.Input) {
	m.w.push(event{at: m.w.now, kind: evInput, machine: int32(m.index), boot: m.boot, input: &in})
}

// stopDaemon ends the daemon as kill -9 does: containers go on, written bytes stay.
func (m *machine) stopDaemon() {
	if m.core == nil {
		return
	}
	m.w.census.ended(m.core)
	m.core = nil
	m.syncing, m.full, m.held, m.inbox = false, false, node.Ready{}, nil
	m.paused, m.deaf, m.asleep, m.syncEnded, m.waiting = false, false, false, false, backlog{}
	m.w.checks.stopped(m)
	m.w.network.gone(m)
}

// handle gives an event to the daemon, or keeps it while that cannot listen.
func (m *machine) handle(e event) {
	if m.core == nil || e.boot != m.boot {
		return
	}
	if e.kind == evGossip && !m.paused { // gossip goes on while the daemon is busy
		m.w.network.heardGossip(m, e)
		return
	}
	if m.paused && e.kind == evSynced {
		m.syncEnded = true // the disk does not stand still
		return
	}
	if m.w.probe != nil {
		m.w.probe.receive(&e)
		return
	}
	if m.answersItself(&e) {
		return
	}
	if m.paused || m.full || m.syncing && e.kind != evSynced {
		if !m.paused && !m.full || m.keeps(&e) {
			m.inbox = append(m.inbox, e)
		}
		return
	}
	switch e.kind {
	case evSynced:
		m.synced()
	case evWake:
		m.wake(e)
	case evMessage:
		m.receive(e)
	case evInput:
		m.step(*e.input)
	case evCall, evGossip: // the world's own, and the network's
	}
}

func (m *machine) receive(e event) {
	from := m.w.machines[e.from]
	m.got[e.msg.Kind()%64]++
	m.heardFrom[e.from] = int32(m.w.now / time.Millisecond)
	if x, is := e.msg.(*noise); is {
		m.step(node.Input{Refused: &node.Refused{Peer: from.id, Fault: x.fault, Count: 1}})
		return
	}
	m.step(node.Input{Received: &node.Received{From: from.id, Topic: e.topic, Msg: e.msg}})
}

// wake is a tick, unless the core has asked for a later one since.
func (m *machine) wake(e event) {
	if m.wakeAt == 0 || e.at < m.wakeAt && m.w.now < m.wakeAt {
		return
	}
	m.wakeAt = 0
	m.w.wakes++
	m.step(node.Input{})
}

// step is the daemon's loop, once.
func (m *machine) step(in node.Input) {
	w := m.w
	in.Now, in.Wall = m.now(), m.wallSeconds()
	if in.Snapshot != nil {
		m.engine.shown(in.Snapshot)
	}
	w.current = m
	rd, err := m.core.Step(in)
	w.current = nil
	w.trace.step(w.now, m.index, uint64(inputKind(&in)), &rd)
	if w.trace.out != nil {
		w.trace.detail(w.now, m.name, w.describe(&in), &rd, w.nameOf)
	}
	if w.trace.all {
		w.trace.read(m.name, ViewStep(&in, &rd, err, w.nameOf))
	}
	if w.trace.steps == w.stopAt {
		w.showStep(m, &in, &rd, err)
	}
	if err != nil {
		w.refused++
		w.trace.note(w.now, m.name, "refuses %s: %v", w.describe(&in), err)
	}
	for i := range rd.Events {
		w.told(m, &rd.Events[i])
	}
	if (rd.MustSync() || len(rd.Records) > 0) && !m.write(&rd) {
		return
	}
	m.wrote(&rd)
}

// wrote goes on with a step whose records have been given to the store.
func (m *machine) wrote(rd *node.Ready) {
	w := m.w
	w.checks.wrote(m, rd.Records)
	w.network.farewells(m, rd.Records)
	m.setWake(rd.WakeAt)
	delay := m.stepTime(rd.MustSync())
	w.sales.wrote(m, rd.Records, w.now+delay)
	if delay == 0 {
		m.perform(rd)
		return
	}
	m.syncing, m.held = true, *rd
	w.push(event{at: w.now + delay, kind: evSynced, machine: int32(m.index), boot: m.boot})
}

// stepCost is what one step of a core costs; it counts only where a machine is slow.
// maxStep bounds what slowness makes of a step and its sync.
const (
	stepCost = 50 * time.Microsecond
	maxStep  = 5 * time.Second
)

// stepTime is how long the daemon does nothing else after a step.
func (m *machine) stepTime(sync bool) (d time.Duration) {
	if sync {
		d = m.disk.syncTime(span{300 * time.Microsecond, 6 * time.Millisecond}.draw(m.rnd))
	}
	if m.slow > 1 {
		d = max(d, min(time.Duration(int64(d+stepCost)*m.slow), maxStep))
	}
	return d
}

// synced ends the wait for the disk: the effects of that step may go out.
func (m *machine) synced() {
	if m.held.MustSync() && !m.syncDisk() { // else the machine is just slow
		return
	}
	if m.damaged && m.core.Status().State == "ready" {
		m.damaged = false // as the store's own mark of damage, it stays until others have refilled it
	}
	rd := m.held
	m.syncing, m.held = false, node.Ready{}
	m.perform(&rd)
	m.drain()
}

// drain handles what has waited, as far as the daemon can listen again.
func (m *machine) drain() {
	for len(m.inbox) > 0 && !m.paused && !m.full && !m.syncing && m.core != nil {
		e := m.inbox[0]
		m.inbox = m.inbox[1:]
		m.handle(e)
	}
	if len(m.inbox) == 0 {
		m.inbox = nil
	}
}

// perform does what a Ready asks for after its records: send, answer, act.
func (m *machine) perform(rd *node.Ready) {
	boot := m.boot
	for i := range rd.Messages {
		if !m.w.network.send(m, &rd.Messages[i]) || m.boot != boot || m.core == nil {
			return // the machine died in the middle of its sends
		}
	}
	for i := range rd.Replies {
		m.w.replied(m, &rd.Replies[i])
	}
	for i := range rd.Actions {
		m.engine.begin(rd.Actions[i])
	}
	for _, p := range rd.Redial {
		m.w.network.redial(m, p)
	}
	if rd.Halt != "" {
		m.w.trace.note(m.w.now, m.name, "halts: %s", rd.Halt)
		m.stopDaemon()
		m.gone = rd.Halt
	}
}

// maxSpins is how many wakes in a row a core may ask for at once.
const maxSpins = 20_000

// setWake plans the next tick. Wakes that an earlier step asked for, and this one
// did not, find that they are too early when they come.
func (m *machine) setWake(i clock.Instant) {
	if i == 0 {
		m.wakeAt = 0
		return
	}
	at := m.worldTime(i) + time.Microsecond
	if at <= m.w.now {
		if m.spins++; m.spins > maxSpins {
			m.w.fail(Crash, "%s: the core asked %d times in a row to be woken at a time that has passed", m.name, m.spins)
		}
		at = m.w.now + 100*time.Microsecond
	} else {
		m.spins = 0
	}
	if at == m.wakeAt {
		return
	}
	m.wakeAt = at
	m.w.push(event{at: at, kind: evWake, machine: int32(m.index), boot: m.boot})
}

func (m *machine) inboxFull() bool { return len(m.inbox) >= inboxBound }

func inputKind(in *node.Input) int {
	for i, set := range []bool{in.Received != nil, in.Linked != nil, in.Snapshot != nil, in.Done != nil,
		in.Facts != nil, in.Request != nil, in.Disk != nil, in.Addrs != nil} {
		if set {
			return i + 1
		}
	}
	return 0
}

// up reports whether the daemon runs and listens.
func (m *machine) up() bool { return m.core != nil && !m.paused && !m.full }

func be64(b []byte) (v uint64) {
	for _, c := range b[:8] {
		v = v<<8 | uint64(c)
	}
	return v
}

// state is the core's own word for how it is; "down" without one.
func (m *machine) state() string {
	if m.core == nil {
		return "down"
	}
	return m.core.State()
}

// slots returns what the machine's peer knows of a job's slots.
func (m *machine) slots(id job.ID) []node.SlotView {
	if m.core == nil {
		return nil
	}
	return slices.Clone(m.core.Slots(string(id)))
}
