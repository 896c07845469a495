package sim

import (
	"fmt"
	"strconv"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A later version of shoal is simulated by what others see of it: fields that this
// version does not know in each of its own records, inside the signature, and in each
// message it sends. Records of kinds that nobody knows come by the verb newer.

// addLaterVerbs fills in what changes versions, and what is asserted of them.
func addLaterVerbs() {
	verbs["upgrade"] = verb{args: 1, usage: "PEER [for=1s] [undo]: its daemon ends and starts as a later version, or as this one again",
		opts: []string{"for", "undo"}, check: refArgs, do: (*run).upgrade}
	verbs["carries"] = verb{args: 1, usage: "PEER count=>=1: so many records that only a later version knows wholly",
		opts: []string{"count"}, check: refArgs, assert: (*run).carries}
	verbs["keeps"] = verb{args: 1, usage: "JOB field=60: its spec has that field in each task, and only peers that know it run them",
		opts: []string{"field"}, check: keepsArgs, assert: (*run).keeps}
}

// upgradeTime is how long a daemon is away for an upgrade, if the scenario does not say.
const upgradeTime = time.Second

func (r *run) upgrade(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	m.later = !op.has("undo")
	r.w.mixed = true
	if m.core == nil {
		return nil
	}
	m.stopDaemon()
	down := op.duration("for")
	if down == 0 {
		down = upgradeTime
	}
	m.backAfter(down)
	return nil
}

// laterField is a field that no body and no message of this version has.
const laterField = 1000

// extended is how a later version writes the bodies of its own records. Into a job spec
// it writes what its users ask for by a label of a task: see laterLabel.
func extended(kind wire.RecordKind, body []byte) []byte {
	fields := map[uint64]any{}
	if wire.Unmarshal(body, &fields) != nil {
		return body
	}
	if kind == wire.KindSpec {
		tasks, _ := fields[taskList].([]any)
		for _, t := range tasks {
			extendTask(t)
		}
	} else {
		fields[laterField] = "of a later version"
	}
	return wire.MustMarshal(fields)
}

// laterLabel is the label of a task by which a scenario's user asks for a field that
// this version does not know, by its number.
const laterLabel = "later"

// The numbers of the fields of specs and tasks that are handled here as bytes.
const (
	taskList   = uint64(4)
	taskLabels = uint64(12)
)

func extendTask(task any) {
	t, _ := task.(map[any]any)
	labels, _ := t[taskLabels].(map[any]any)
	text, _ := labels[laterLabel].(string)
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		t[n] = "of a later version"
	}
}

// isLater reports whether this version does not know all of a record.
func isLater(r *wire.Record) bool {
	fields := map[uint64]any{}
	return r.Kind >= wire.FirstOpenKind || wire.Unmarshal(r.Body, &fields) == nil && fields[laterField] != nil
}

// recode is a message as its receiver reads it: encoded and decoded, with a field more
// where a later version sent it.
func (m *machine) recode(msg wire.Message) (wire.Message, error) {
	b, err := wire.Encode(msg)
	if err == nil && m.later {
		b, err = laterFrame(b)
	}
	if err != nil {
		return nil, err
	}
	return wire.Decode(b)
}

func laterFrame(b []byte) ([]byte, error) {
	var frame []any
	if err := wire.Unmarshal(b, &frame); err != nil || len(frame) != 2 {
		return nil, fmt.Errorf("a frame of %d parts: %w", len(frame), err)
	}
	body, ok := frame[1].(map[any]any)
	if !ok {
		return nil, fmt.Errorf("a message that is a %T", frame[1])
	}
	body[uint64(laterField)] = []any{"of a later version"}
	return wire.Marshal(frame)
}

// stored is what the daemon reads of its disk: in a swarm of two versions as bytes.
func (m *machine) stored() node.Stored {
	s := m.disk.stored()
	if !m.w.mixed {
		return s
	}
	for i, r := range s.Records {
		again := new(wire.Record)
		if err := wire.Unmarshal(wire.MustMarshal(r), again); err != nil {
			m.w.fail(Crash, "%s: its %v does not come back from the disk: %v", m.name, r.Kind, err)
			return s
		}
		s.Records[i] = again
	}
	return s
}

// carries counts the records of a later version that a core holds.
func (r *run) carries(op *Op) string {
	m, err := r.w.find(op.Args[0])
	if err != nil || m.core == nil {
		return fmt.Sprintf("%s is down: %v", op.Args[0], err)
	}
	n := 0
	for _, rec := range m.core.Ledger().Records() {
		if isLater(rec) {
			n++
		}
	}
	want := op.Opts["count"]
	if want == "" {
		want = ">=1"
	}
	return compareCount(want, n, "are there")
}

func keepsArgs(op *Op) error {
	if op.Opts["field"] == "" {
		return fmt.Errorf("want: keeps JOB field=60")
	}
	return jobArg(op)
}

// firstLater is above the number of every field that a task has in this version.
const firstLater = 60

func isLaterField(s string) error {
	if n, err := strconv.ParseUint(s, 10, 32); err != nil || n < firstLater {
		return fmt.Errorf("want the number of a field that this version does not have, from %d on", firstLater)
	}
	return nil
}

// keeps looks for a field of a later version in every task of a job, at every peer that
// is ready, and for peers that run such a task without knowing the field.
func (r *run) keeps(op *Op) string {
	id, _, _ := jobTask(op.Args[0])
	field, _ := strconv.ParseUint(op.Opts["field"], 10, 32)
	for _, m := range r.w.machines {
		if m.core == nil || m.state() != "ready" {
			continue
		}
		h := m.core.Ledger().Head(id)
		if h == nil || m.core.Ledger().SpecRecord(h.Spec) == nil {
			return fmt.Sprintf("%s does not know %s", m.name, id)
		}
		for i, task := range wire.Parts(wire.Part(m.core.Ledger().SpecRecord(h.Spec).Body, taskList)) {
			if wire.Part(task, field) == nil {
				return fmt.Sprintf("task %d of %s has lost field %d at %s", i, id, field, m.name)
			}
		}
		for _, c := range m.engine.containers {
			runs := c.Ref.Slot.Job == id && c.State == runtime.StateRunning && c.task.Labels[laterLabel] == op.Opts["field"]
			if runs && !m.later && field < job.FirstOpenField {
				return fmt.Sprintf("%s runs %s and does not know field %d", m.name, c.Ref.Slot, field)
			}
		}
	}
	return ""
}
