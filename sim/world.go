package sim

import (
	"fmt"
	"io"
	"time"

	"shoal/node"
	"shoal/sim/check"
	"shoal/wire"
)

// A World is one run: machines, the network between them, what is still to
// happen, and the checkers that watch.
type World struct {
	seed     uint64
	swarm    wire.Hash
	now      time.Duration // since the world began
	queue    queue
	machines []*machine
	byID     map[wire.PeerID][]*machine
	network  network
	trace    trace
	checks   *watch
	rec      *recorder // nil unless a report was asked for

	images  map[string]*Image // by name: those that differ from the default
	horizon time.Duration
	encode  bool
	mixed   bool   // some daemon is, or was, of a later version
	refused uint64 // inputs that a core refused

	requests    map[uint64]*request
	asked       []*request // in their order
	wrecks      []*wreck
	lastID      uint64
	outcomes    map[string]*outcome // the latest reply about a job, by its name
	events      map[string][]told
	failure     *Failure
	current     *machine // whose core is being stepped
	steps       uint64   // events handled
	stopAt      uint64   // the run ends after this step of a core; 0: it does not
	stopped     bool
	quit        func() bool // see Options.Stop; may be nil
	interrupted bool        // by it
	shown       *StepView   // that step
	census      census
	sales       sales
	probe       *Probe // hears all messages in place of cores; nil but in one
	wakes       uint64 // of cores that asked for them
}

// A told event is one that a core told of.
type told struct {
	at      time.Duration
	machine int
	event   node.Event
}

// maxTold bounds the events kept of one kind.
const maxTold = 1000

// newWorld makes a world without machines.
func newWorld(seed uint64, out io.Writer) *World {
	w := &World{
		seed: seed, byID: map[wire.PeerID][]*machine{}, requests: map[uint64]*request{},
		outcomes: map[string]*outcome{}, events: map[string][]told{},
		swarm: streamHash(seed, 0, "swarm"),
	}
	w.network.w = w
	w.sales = newSales(w)
	w.network.setUp(&defaultNet)
	w.trace.out = out
	w.checks = newWatch(w)
	return w
}

// add puts one more machine into the world; it does not start it.
func (w *World) add(spec MachineSpec) *machine {
	i := len(w.machines)
	m := &machine{
		w: w, index: i, name: fmt.Sprintf("n%d", i+1), id: wire.PeerID(streamHash(w.seed, i, "peer")), spec: spec,
		disk: newDisk(), founder: i == 0, wall: spec.Clock, ppm: spec.DriftPPM,
		rnd: stream(w.seed, i, "hardware"), net: stream(w.seed, i, "net"),
	}
	m.engine = newEngine(m, stream(w.seed, i, "engine"))
	w.machines = append(w.machines, m)
	w.byID[m.id] = append(w.byID[m.id], m)
	for _, x := range w.machines {
		x.streams = append(x.streams, make([]time.Duration, i+1-len(x.streams))...)
		x.linked = append(x.linked, make([]bool, i+1-len(x.linked))...)
		x.told = append(x.told, make([]bool, i+1-len(x.told))...)
		x.heardFrom = append(x.heardFrom, make([]int32, i+1-len(x.heardFrom))...)
	}
	w.network.grow(i + 1)
	w.network.join(m, &spec.NIC)
	w.checks.added(m)
	return m
}

// become makes a machine speak with another's key, as a cloned disk does.
func (w *World) become(m *machine, id wire.PeerID) {
	old := w.byID[m.id]
	for i, x := range old {
		if x == m {
			w.byID[m.id] = append(old[:i:i], old[i+1:]...)
		}
	}
	m.id = id
	w.byID[id] = append(w.byID[id], m)
}

// speaker finds the machine that a message to p reaches: with a cloned key the one
// that the sender heard last.
func (w *World) speaker(from *machine, p wire.PeerID) *machine {
	var best *machine
	for _, m := range w.byID[p] {
		switch {
		case best == nil, best.core == nil && m.core != nil:
			best = m
		case m.core != nil && from.heardFrom[m.index] > from.heardFrom[best.index]:
			best = m
		}
	}
	return best
}

func (w *World) nameOf(p wire.PeerID) string {
	if ms := w.byID[p]; len(ms) > 0 {
		return ms[0].name
	}
	return p.Short()
}

func (w *World) push(e event) { w.queue.push(e) }

// later runs f after d, outside of any daemon.
func (w *World) later(d time.Duration, f func()) {
	w.queue.push(event{at: w.now + d, kind: evCall, fn: f})
}

// runUntil handles events until the time or the first failure.
func (w *World) runUntil(end time.Duration) {
	w.later(end-w.now, func() {}) // the world stands still at end, whatever comes
	for !w.over() {
		if w.steps%quitEvery == 0 {
			if w.interrupt(); w.interrupted {
				return
			}
		}
		e, ok := w.queue.pop()
		if !ok {
			return
		}
		w.now = max(w.now, e.at)
		w.steps++
		w.dispatch(e)
		if w.now >= end {
			return
		}
	}
}

// quitEvery is after how many events somebody may interrupt: some milliseconds.
const quitEvery = 1024

// interrupt ends the run if that is wanted.
func (w *World) interrupt() {
	if w.quit != nil && !w.stopped && w.quit() {
		w.stopped, w.interrupted = true, true
	}
}

// over reports whether the run has ended early: by a finding, or where it was to stop.
func (w *World) over() bool { return w.failure != nil || w.stopped }

// dispatch handles one event. A panic of a core is a finding, not our end.
func (w *World) dispatch(e event) {
	defer func() {
		if r := recover(); r != nil {
			if w.current == nil {
				panic(r)
			}
			w.fail(Crash, "%s: panic: %v\n%s", w.current.name, r, stack())
		}
	}()
	if e.kind == evCall {
		e.fn()
		return
	}
	w.machines[e.machine].handle(e)
}

// told keeps an event that a core tells of.
func (w *World) told(m *machine, e *node.Event) {
	w.census.event(e)
	if list := w.events[e.Kind]; len(list) < maxTold {
		w.events[e.Kind] = append(list, told{w.now, m.index, *e})
	}
	w.checks.told(m, e)
	w.trace.note(w.now, m.name, "%s %s%s%s", e.Kind, space(e.Slot), space(peerName(w, e.Peer)), eventText(e, w.nameOf))
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return s + " "
}

func peerName(w *World, p wire.PeerID) string {
	if p.IsZero() {
		return ""
	}
	return w.nameOf(p)
}

// fail ends the run with its first finding.
func (w *World) fail(kind Verdict, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Kind: kind, At: w.now, Text: fmt.Sprintf(format, args...)}
		w.trace.note(w.now, "world", "%s: %s", kind, w.failure.Text)
	}
}

// describe names an input for a trace.
func (w *World) describe(in *node.Input) string {
	switch {
	case in.Received != nil:
		return messageName(in.Received.Msg.Kind()) + "<" + w.nameOf(in.Received.From)
	case in.Linked != nil:
		return fmt.Sprintf("linked %s %v", w.nameOf(in.Linked.Peer), in.Linked.Up)
	case in.Snapshot != nil && in.Snapshot.Err != "":
		return "snapshot: " + in.Snapshot.Err
	case in.Snapshot != nil:
		return fmt.Sprintf("snapshot of %d", len(in.Snapshot.Containers))
	case in.Done != nil:
		return fmt.Sprintf("done %v %s", in.Done.Op, in.Done.Err)
	case in.Facts != nil:
		return "facts"
	case in.Request != nil:
		return fmt.Sprintf("request %d", in.Request.ID)
	case in.Disk != nil:
		return "disk"
	case in.Addrs != nil:
		return "addresses"
	}
	return "tick"
}

var _ check.World = (*watch)(nil)
