package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// A recorder gathers a Recording. The world has none unless a report was asked for,
// and whoever tells it something asks first whether it is there.
type recorder struct {
	w       *World
	out     Recording
	state   []peerState
	open    [][]openRun        // by machine: its running containers
	runs    map[slotLife][]int // in out.Containers
	told    map[[2]int]bool    // runs and faults whose fail-over is kept
	asked   map[job.ID]time.Duration
	sample  Sample
	seconds int
	links   linkWatch
	ring    []sentMessage
	next    int
}

type peerState struct {
	off, paused, engine, slow bool
	power                     uint32
}

type openRun struct {
	name, starts string
	run          int // in out.Containers; -1: not kept
}

type slotLife struct {
	slot job.SlotID
	life uint64
}

func newRecorder(w *World) *recorder {
	return &recorder{w: w, out: Recording{Step: time.Second}, runs: map[slotLife][]int{}, told: map[[2]int]bool{}, asked: map[job.ID]time.Duration{}}
}

// grow makes room for a machine that has come.
func (r *recorder) grow(m *machine) {
	for len(r.state) <= m.index {
		r.state = append(r.state, peerState{})
		r.open = append(r.open, nil)
		r.out.Peers = append(r.out.Peers, PeerTrack{})
	}
	r.out.Peers[m.index] = PeerTrack{m.name, m.spec.Datacenter}
}

// life notes that a machine's daemon, pause or engine may have changed.
func (r *recorder) life(m *machine) {
	r.grow(m)
	s := &r.state[m.index]
	now := peerState{off: m.core == nil && m.joined, paused: m.paused || m.full, engine: !m.engine.working(), slow: m.slow > 1, power: m.power}
	if now.off != s.off {
		kind, text := "daemon", "its daemon does not run"
		if m.power != s.power {
			kind, text = "off", "power off"
		}
		r.turn(now.off, m.index, kind, text, "life")
	}
	if now.paused != s.paused {
		r.turn(now.paused, m.index, "paused", "paused", "pause")
	}
	if now.engine != s.engine {
		text := "its engine hangs"
		if m.engine.down {
			text = "its engine is down"
		}
		r.turn(now.engine, m.index, "engine", text, "engine")
	}
	if now.slow != s.slow {
		r.turn(now.slow, m.index, "slow", "its daemon is slow", "slow")
	}
	*s = now
	r.containers(m)
}

// turn opens a fault, or ends the open one of the same id.
func (r *recorder) turn(on bool, peer int, kind, text string, id any) {
	if on {
		if len(r.out.Faults) < maxRecorded {
			r.out.Faults = append(r.out.Faults, FaultSpan{Peer: peer, Kind: kind, From: r.w.now, Open: true, Text: text, id: id})
		}
		return
	}
	for i := range r.out.Faults {
		if f := &r.out.Faults[i]; f.Open && f.Peer == peer && f.id == id {
			f.Open, f.To = false, r.w.now
		}
	}
}

// cut notes the begin or the end of a cut, at the machines of its smaller side.
func (r *recorder) cut(c *activeCut, on bool) {
	side, text := c.b, "cut off"
	if len(c.a) <= len(c.b) {
		side = c.a
	}
	if !c.both {
		text = "cut off one way"
	}
	for _, m := range side {
		r.turn(on, m.index, "cut", text, c)
	}
}

// weather notes that the network is, or is no longer, other than usual.
func (r *recorder) weather(on bool, text string) {
	r.turn(false, -1, "weather", "", "weather")
	if on {
		r.out.Harms++
		r.turn(true, -1, "weather", text, "weather")
	}
}

// image notes that an image cannot be fetched any more, or can again.
func (r *recorder) image(op *Op, on bool) {
	r.turn(on, -1, "image", phrase(op), op)
}

// phrase is a line without its time.
func phrase(op *Op) string {
	_, text, _ := strings.Cut(strings.TrimPrefix(op.String(), "at "), " ")
	return text
}

// tellsItself are the verbs whose effect on a peer a FaultSpan tells of.
var tellsItself = []string{
	"crash", "crashdaemon", "crashsync", "pause", "sleep", "slow", "hang", "fix", "cut", "oneway", "bridge", "ring", "link",
}

// did keeps a line of the scenario that was performed.
func (r *recorder) did(op *Op) {
	if isFault(op) && !endsFault(op) && op.Verb != "net" && op.Verb != "link" { // these two say themselves if they harm
		r.out.Harms++
	}
	if len(r.out.Marks) >= maxRecorded {
		return
	}
	peer := r.befell(op)
	lane := peer != -1 && !slices.Contains(tellsItself, op.Verb)
	r.out.Marks = append(r.out.Marks, Mark{r.w.now, peer, op.Line, op.String(), lane})
}

// befell is the machine that a line is about: the one it names, or the one that runs
// the slot it names.
func (r *recorder) befell(op *Op) int {
	if len(op.Args) == 0 {
		return -1
	}
	if namedPeers[op.Verb] > 0 {
		if op.Args[0] == "all" {
			return AllPeers
		}
		if ref, err := parseRef(op.Args[0]); err == nil && ref.kind != "any" {
			if m, err := r.w.find(op.Args[0]); err == nil {
				return m.index
			}
		}
	}
	if op.Verb == "exit" || op.Verb == "oom" {
		slot, err := parseSlot(op.Args[0])
		return slices.IndexFunc(r.w.machines, func(m *machine) bool { return err == nil && m.runs(slot) })
	}
	return -1
}

// accepted notes that a job was asked for and is wanted now.
func (r *recorder) accepted(id job.ID, asked time.Duration) { r.asked[id] = asked }

// containers compares what a machine runs with what it ran.
func (r *recorder) containers(m *machine) {
	r.grow(m)
	runs := func(o openRun) *container {
		if c := m.engine.find(o.name); c != nil && c.State == runtime.StateRunning && c.Starts == o.starts {
			return c
		}
		return nil
	}
	r.open[m.index] = slices.DeleteFunc(r.open[m.index], func(o openRun) bool {
		if runs(o) != nil {
			return false
		}
		r.ended(m, o)
		return true
	})
	for _, c := range m.engine.containers {
		known := slices.ContainsFunc(r.open[m.index], func(o openRun) bool { return o.name == c.Container })
		if c.State == runtime.StateRunning && !known {
			r.open[m.index] = append(r.open[m.index], openRun{c.Container, c.Starts, r.started(m, c)})
		}
	}
}

func (r *recorder) ended(m *machine, o openRun) {
	if o.run < 0 {
		return
	}
	run := &r.out.Containers[o.run]
	run.Open, run.To, run.Why = false, r.w.now, "removed"
	if c := m.engine.find(o.name); c != nil && c.State == runtime.StateExited {
		run.Why = fmt.Sprintf("exited %d", c.ExitCode)
	}
}

// started keeps a run, and how long the slot had waited for it.
func (r *recorder) started(m *machine, c *container) int {
	if len(r.out.Containers) >= maxRecorded {
		r.out.Left++
		return -1
	}
	key := slotLife{c.Ref.Slot, c.Ref.Life}
	index := len(r.out.Containers)
	r.out.Containers = append(r.out.Containers, ContainerRun{Peer: m.index, Slot: c.Ref.Slot, Token: uint64(c.Ref.Token), From: r.w.now, Open: true})
	before := r.runs[key]
	r.runs[key] = append(before, index)
	if len(before) == 0 {
		h := Handover{c.Ref.Slot, -1, m.index, r.w.now, r.w.now - r.asked[c.Ref.Slot.Job]}
		r.out.Placed = append(r.out.Placed, h)
		if len(r.out.FailedOver) == 0 {
			r.diagram(h, nil)
		}
		return index
	}
	if old, f := r.lost(before, m.index); f != nil {
		h := Handover{c.Ref.Slot, old.Peer, m.index, r.w.now, r.w.now - f.From}
		r.out.FailedOver = append(r.out.FailedOver, h)
		r.diagram(h, f)
	}
	return index
}

// lost finds the latest run of a slot that a fault has taken away from the peer that
// starts it now, and that fault: what befell the peer of that run, or the cut that
// hides it. There is none where a slot was drained or moved.
func (r *recorder) lost(runs []int, to int) (*ContainerRun, *FaultSpan) {
	for _, i := range slices.Backward(runs) {
		old := &r.out.Containers[i]
		if old.Peer == to {
			return nil, nil // it was here last: a restart
		}
		for j := range slices.Backward(r.out.Faults) {
			f := &r.out.Faults[j]
			mine := f.Peer == old.Peer && f.From >= old.From && (f.Open || !old.Open && f.To >= old.To)
			hides := f.Peer == to && f.Kind == "cut" && f.Open && f.From >= old.From && old.Open
			if (mine || hides) && !r.told[[2]int{i, j}] {
				r.told[[2]int{i, j}] = true
				return old, f
			}
		}
	}
	return nil, nil
}

// second takes a sample.
func (r *recorder) second() {
	s := &r.sample
	groups := map[wire.Hash]int{}
	s.Up, s.Ready, s.Same, s.Running, s.Faults = 0, 0, 0, 0, 0
	for _, m := range r.w.machines {
		if !m.up() {
			continue
		}
		s.Up++
		if m.state() == "ready" {
			s.Ready++
			groups[m.core.Ledger().Hash()]++
		}
	}
	for _, n := range groups {
		s.Same = max(s.Same, n)
	}
	for _, open := range r.open {
		s.Running += len(open)
	}
	for i := range r.out.Faults {
		if r.out.Faults[i].Open {
			s.Faults++
		}
	}
	r.seconds++
	if time.Duration(r.seconds)*time.Second%r.out.Step == 0 {
		r.out.Samples = append(r.out.Samples, *s)
		r.sample = Sample{}
	}
	if len(r.out.Samples) > maxSamples {
		r.halve()
	}
}

// halve joins samples two by two, so that a long run has few.
func (r *recorder) halve() {
	old := r.out.Samples
	r.out.Step *= 2
	for i := 0; i+1 < len(old); i += 2 {
		a, b := old[i], old[i+1]
		b.Messages, b.Bytes = a.Messages+b.Messages, a.Bytes+b.Bytes
		if a.Same*b.Ready < b.Same*a.Ready { // the worse of the two shares
			b.Same, b.Ready = a.Same, a.Ready
		}
		b.Faults = max(a.Faults, b.Faults)
		old[i/2] = b
	}
	if len(old)%2 == 1 { // the odd one begins the next step
		r.sample = old[len(old)-1]
	}
	r.out.Samples = old[:len(old)/2]
}

// carried counts one copy of a message on its way, of so many bytes.
func (r *recorder) carried(bytes int) {
	r.sample.Messages++
	r.sample.Bytes += uint64(bytes)
}

// finish closes what is open and returns the recording.
func (r *recorder) finish(run time.Duration) *Recording {
	r.out.End, r.out.Run = r.w.now, min(run, r.w.now)
	for _, m := range r.w.machines {
		r.grow(m) // one that has not started yet has its lane too
	}
	for i := range r.out.Faults {
		f := &r.out.Faults[i]
		f.id = nil
		if f.Open {
			f.To = r.w.now
		}
	}
	for i := range r.out.Containers {
		if c := &r.out.Containers[i]; c.Open {
			c.To = r.w.now
		}
	}
	if r.w.failure != nil {
		r.failureDiagram()
	}
	return &r.out
}
