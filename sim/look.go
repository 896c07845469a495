package sim

import (
	"fmt"
	"slices"
	"strings"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// LookAt says at what of a run to look.
type LookAt struct {
	Step uint64 // the run stops after this step, counted from 1; 0: it goes on to its end
	Peer string // whose state to show then: "n3" or "holder(web.0)"; "": nobody's
}

// Seen is what there was to see.
type Seen struct {
	Result *Result   `json:"result,omitempty"` // of the run so far; a recording has none
	Before []string  `json:"before,omitempty"` // the trace just before the step
	Step   *StepView `json:"step,omitempty"`
	Peer   *PeerDump `json:"peer,omitempty"`
}

// beforeLines is how many lines of the trace are shown before a step.
const beforeLines = 8

// Look runs a scenario up to a step and shows it, or a peer's state, or both; of an
// interrupted run the result alone. The
// error says that the run has no such step, or that nobody is such a peer then.
func Look(s *Scenario, o Options, at LookAt) (*Seen, error) {
	tail := &lastLines{max: beforeLines}
	if at.Step > 0 {
		o.Trace = tail
	}
	o.stop = at.Step
	r, res := execute(s, o)
	if res.Verdict == Interrupted {
		return &Seen{Result: &res}, nil
	}
	seen := &Seen{Result: &res, Step: r.w.shown}
	if at.Step > 0 {
		if seen.Step == nil {
			return nil, fmt.Errorf("step %d: the run has %d steps", at.Step, res.Steps)
		}
		if res.Verdict == OK {
			res.Verdict = Stopped
		}
		seen.Before = tail.lines[:max(0, len(tail.lines)-1)] // the last is the step itself
		if len(tail.lines) > 0 && !strings.Contains(tail.lines[len(tail.lines)-1], stepMark(at.Step)) {
			seen.Before = tail.lines
		}
	}
	if at.Peer != "" {
		m, err := r.w.find(at.Peer)
		if err != nil {
			return nil, fmt.Errorf("at %.3fs: %w", r.w.now.Seconds(), err)
		}
		seen.Peer = r.w.dump(m)
	}
	return seen, nil
}

// lastLines keeps the last few lines written to it.
type lastLines struct {
	max   int
	lines []string
}

// Write implements io.Writer; each call is one line.
func (l *lastLines) Write(b []byte) (int, error) {
	if len(l.lines) == l.max+1 {
		l.lines = slices.Delete(l.lines, 0, 1)
	}
	l.lines = append(l.lines, strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// showStep keeps the step at which the run is to stop.
func (w *World) showStep(m *machine, in *node.Input, rd *node.Ready, err error) {
	w.shown = ViewStep(in, rd, err, w.nameOf)
	w.shown.Step, w.shown.At, w.shown.Peer = w.trace.steps, w.now, m.name
	w.shown.Hash = fmt.Sprintf("%016x", w.trace.hash)
	w.stopped = true
}

// A PeerDump is what one peer knows, and what its machine runs.
type PeerDump struct {
	Name       string           `json:"name"`
	Running    bool             `json:"running"` // its daemon does; if not, only the containers are told
	Status     *node.StatusView `json:"status,omitempty"`
	Members    []node.PeerView  `json:"members,omitempty"`
	Jobs       []node.JobView   `json:"jobs,omitempty"` // removed ones too
	Slots      []node.SlotView  `json:"slots,omitempty"`
	Claims     []string         `json:"claims,omitempty"` // every claim in its ledger
	Verdicts   []string         `json:"verdicts,omitempty"`
	Containers []string         `json:"containers,omitempty"`
}

// DumpCore is what a core knows; name gives a peer's name.
func DumpCore(core *node.Core, name func(wire.PeerID) string) *PeerDump {
	status := core.Status()
	d := &PeerDump{
		Name: status.Self.Name, Running: true, Status: &status,
		Members: core.Peers(), Jobs: core.Jobs(true), Slots: core.Slots(""),
	}
	for _, r := range core.Ledger().Records() {
		switch v := r.Value.(type) {
		case *ledger.Claim:
			d.Claims = append(d.Claims, claimText(v, name))
		case *ledger.Verdict:
			d.Verdicts = append(d.Verdicts, recordText(r, name))
		}
	}
	slices.Sort(d.Claims)
	slices.Sort(d.Verdicts)
	return d
}

// dump is what there is to know of a machine.
func (w *World) dump(m *machine) *PeerDump {
	d := &PeerDump{}
	if m.core != nil {
		d = DumpCore(m.core, w.nameOf)
	}
	d.Name = m.name
	for _, c := range m.engine.containers {
		d.Containers = append(d.Containers, fmt.Sprintf("%s: %s life=%d token=%d %v", c.Container, c.Ref.Slot, c.Ref.Life, c.Ref.Token, c.State))
	}
	return d
}
