package ledger

import (
	"shoal/job"
	"shoal/wire"
)

// Specs of a later version: what this one does not know of them is kept in the bytes of
// their records, counts in the names of their tasks, and is handed on by CarrySpec.

// TaskHash names what a claim runs: the task without what does not touch its
// container, so that scaling or a new failover rule moves nobody. It is for a task of
// this version's making: State.TaskHash is for one that came in a record.
func TaskHash(t *job.Task) wire.Hash { return hashOfTask(wire.MustMarshal(t)) }

// hashOfTask is taken over what the task's author wrote, so that a peer which does not
// know all of its fields names it as those do which know them.
func hashOfTask(encoded []byte) wire.Hash {
	return wire.HashOf(wire.Without(encoded, func(field uint64) bool {
		return field == taskCount || field == taskUpdate || field == taskFailover ||
			field == taskPriority || field == taskAttempts || field >= job.FirstOpenField
	}))
}

// The numbers of fields.
const (
	specTasks    = 4
	taskCount    = 3
	taskUpdate   = 23
	taskFailover = 24
	taskPriority = 36
	taskAttempts = 41
)

var (
	specShape = shapes[wire.KindSpec]
	taskShape = wire.ShapeOf((*job.Task)(nil))
)

// CarrySpec encodes a spec that was made from the one encoded in old, with the fields
// of that which this version does not know.
func CarrySpec(old []byte, spec *job.Spec) []byte {
	return specShape.Carry(old, wire.MustMarshal(spec))
}

// A namedTask is what the bytes of a spec say of one of its tasks.
type namedTask struct {
	hash  wire.Hash
	later string // see LaterField
}

// taskOf is remembered for the tasks of specs held; t must be one of theirs.
func (s *State) taskOf(in *wire.Record, t *job.Task) namedTask {
	if known, ok := s.tasks[t]; ok {
		return known
	}
	spec := in.Value.(*job.Spec)
	encoded := wire.Parts(wire.Part(in.Body, specTasks))
	ofSpec := specShape.Later(wire.Without(in.Body, func(field uint64) bool { return field == specTasks }), job.FirstOpenField)
	for i := range spec.Tasks {
		n := namedTask{later: ofSpec}
		if i < len(encoded) { // as it is for all that was decoded from a list of tasks
			n.hash = hashOfTask(encoded[i])
			if n.later == "" {
				n.later = taskShape.Later(encoded[i], job.FirstOpenField)
			}
		}
		s.tasks[&spec.Tasks[i]] = n
	}
	return s.tasks[t]
}

// TaskHash names a task of a spec that is held, as claims on its slots do; false if
// there is none.
func (s *State) TaskHash(spec wire.Hash, task string) (wire.Hash, bool) {
	r, t := s.findTask(spec, task)
	if t == nil {
		return wire.Hash{}, false
	}
	return s.taskOf(r, t).hash, true
}

// LaterField returns the path, in numbers, of a field of a task or of its job that this
// version does not know and must not pass over: "13.4". It is empty for none, and for a
// task that is not held.
func (s *State) LaterField(spec wire.Hash, task string) string {
	r, t := s.findTask(spec, task)
	if t == nil {
		return ""
	}
	return s.taskOf(r, t).later
}

// LaterValue returns the field of a task with a value that this version does not know:
// "type 99". It is empty for none, and for a task that is not held.
func (s *State) LaterValue(spec wire.Hash, task string) string {
	r := s.SpecRecord(spec)
	if r == nil {
		return ""
	}
	return s.beyond[r.Value.(*job.Spec)][task]
}

func (s *State) findTask(spec wire.Hash, task string) (*wire.Record, *job.Task) {
	r := s.SpecRecord(spec)
	if r == nil {
		return nil, nil
	}
	return r, r.Value.(*job.Spec).Task(task)
}
