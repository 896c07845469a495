package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/wire"
)

// A request is what a scenario's user has asked, and is repeated as a user's tool
// does while the peer that was asked is not ready.
type request struct {
	op      *Op
	input   node.Request
	machine *machine
	from    string // the ref it was given; empty: any ready peer
	tries   int
	done    bool
}

// An outcome is how the latest operation on a job ended.
type outcome struct {
	machine int
	reply   node.Reply
	at      time.Duration
}

const (
	retryRequest = 500 * time.Millisecond
	maxTries     = 240 // two minutes
)

// jobTask reads "shop/web", or "web" for "web/web".
func jobTask(s string) (job.ID, string, error) {
	name, task, ok := strings.Cut(s, "/")
	if !ok {
		task = name
	}
	if err := job.CheckName(task); err != nil {
		return "", "", err
	}
	id, err := job.ParseID(name)
	return id, task, err
}

// submit deploys a job: a new one, or one task of it anew.
func (r *run) submit(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	spec, err := submitted(r.specs[id], op)
	if err != nil {
		return err
	}
	r.specs[id] = spec
	return r.ask(op, node.Request{Deploy: &node.Deploy{Spec: *spec}})
}

// submitted is the spec that a submit or an update makes of the old one, which stays
// as it is; nil stands for a job that is new.
func submitted(old *job.Spec, op *Op) (*job.Spec, error) {
	id, name, err := jobTask(op.Args[0])
	if err != nil {
		return nil, err
	}
	spec := job.Spec{Namespace: id.Namespace(), Name: id.Name()}
	if old != nil {
		spec = *old
		spec.Tasks = append([]job.Task(nil), old.Tasks...)
	}
	t := spec.Task(name)
	if t == nil {
		spec.Tasks = append(spec.Tasks, job.Task{Name: name, Count: 1, Image: "sim/" + name})
		t = &spec.Tasks[len(spec.Tasks)-1]
	}
	if err := taskOf(t, op); err != nil {
		return nil, err
	}
	spec.Defaults()
	return &spec, spec.Validate()
}

// taskOf writes the options of a submit into a task.
func taskOf(t *job.Task, op *Op) (err error) {
	for _, k := range sortedKeys(op.Opts) {
		v := op.Opts[k]
		switch k {
		case "replicas":
			t.Count = op.number(k, 1)
		case "cpu", "mem", "disk", "gpus":
			err = needOf(&t.Needs, k, v)
		case "volume":
			t.Mounts = []job.Mount{{Type: "volume", Source: v, Target: "/data"}}
		case "type":
			t.Type = map[string]job.Type{"batch": job.Batch, "system": job.System}[v]
		case "image":
			t.Image = v
		case "constraint":
			t.Constraints = []string{constraintOf(v)}
		case "parallelism":
			t.Update.Parallelism = op.number(k, 1)
		case "order":
			t.Update.Order = v
		case "failure":
			t.Update.FailureAction = v
		case "monitor":
			t.Update.Monitor = op.duration(k)
		case "restarts":
			t.Restart.MaxAttempts = op.number(k, 0)
		case "attempts":
			t.Attempts = op.number(k, 0)
		case "priority":
			t.Priority = op.number(k, 0)
		case "policy":
			t.Policy = v
		case "version":
			t.Env = map[string]string{"VERSION": v}
		case "later":
			t.Labels = map[string]string{laterLabel: v}
		case "depends":
			on, condition, _ := strings.Cut(v, ":")
			t.DependsOn = []job.Dependency{{Task: on, Condition: condition}}
		default:
			failover(t, k, v, op)
			affinity(t, k, v)
			behave(t, k, v)
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", k, v, err)
		}
	}
	return nil
}

// needOf takes an option that says how much of something a copy needs.
func needOf(to *job.Resources, k, v string) (err error) {
	switch k {
	case "cpu":
		to.CPUMilli, err = parseCPU(v)
	case "mem":
		to.MemBytes, err = parseBytes(v)
	case "disk":
		to.DiskBytes, err = parseBytes(v)
	case "gpus":
		to.GPUMilli, err = parseGPUs(v)
	}
	return err
}

// affinity takes the options that place copies near to others, apart from them, or over labels.
func affinity(t *job.Task, k, v string) {
	switch k {
	case "near":
		t.Near = []job.Affinity{affinityOf(v)}
	case "apart":
		t.Apart = []job.Affinity{affinityOf(v)}
	case "spread":
		t.Spread = strings.Split(v, ",")
	}
}

// affinityOf reads "db", "job:shop" or "label:tier=db", then "@zone" for over a label and
// "!" for required.
func affinityOf(text string) (a job.Affinity) {
	text, a.Required = strings.CutSuffix(text, "!")
	text, a.Over, _ = strings.Cut(text, "@")
	if name, ok := strings.CutPrefix(text, "job:"); ok {
		a.Job = name
	} else if label, ok := strings.CutPrefix(text, "label:"); ok {
		a.Label = label
	} else {
		a.Task = text
	}
	return a
}

// constraintOf is a constraint as a spec holds it; one that cannot be read is left to the
// peer that is asked, which refuses it.
func constraintOf(text string) string {
	c, err := job.ParseConstraint(text)
	if err != nil {
		return text
	}
	return c.String()
}

func failover(t *job.Task, k, v string, op *Op) {
	switch k {
	case "onreturn":
		t.Failover.OnReturn = v
	case "inisland":
		t.Failover.InIsland = v
	case "failover":
		t.Failover.Never = v == "never"
		if t.Failover.After = op.duration(k); t.Failover.After == 0 && !t.Failover.Never {
			t.Failover.After = -1
		}
	}
}

// behave writes what the simulated image does into the task's command, in place of what
// it did so far.
func behave(t *job.Task, k, v string) {
	switch k {
	case "health":
		t.Health = &job.Health{Test: []string{"CMD", "check"}, Interval: time.Second, Timeout: time.Second}
	case "lasts", "exit", "stuck":
	default:
		return
	}
	said := func(word string) bool { return strings.HasPrefix(word, k+"=") }
	t.Command = append(slices.DeleteFunc(slices.Clone(t.Command), said), k+"="+v)
}

func (r *run) scale(op *Op) error {
	id, task, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	if old := r.specs[id]; old != nil && old.Task(task) != nil {
		spec := *old
		spec.Tasks = append([]job.Task(nil), old.Tasks...)
		spec.Task(task).Count = op.number("replicas", 1)
		r.specs[id] = &spec
	}
	return r.ask(op, node.Request{Scale: &node.Scale{Job: id, Task: task, Count: op.number("replicas", 1)}})
}

func (r *run) remove(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	_, volumes := op.Opts["volumes"]
	return r.ask(op, node.Request{Remove: &node.Remove{Job: id, Volumes: volumes}})
}

// redeploy deploys the job's present spec once more, as after a removal.
func (r *run) redeploy(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	spec := r.specs[id]
	if spec == nil {
		return fmt.Errorf("%s was never submitted", id)
	}
	return r.ask(op, node.Request{Deploy: &node.Deploy{Spec: *spec}})
}

func (r *run) rollback(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	return r.ask(op, node.Request{Rollback: &node.Rollback{Job: id, Revision: uint64(op.number("revision", 0))}})
}

func (r *run) drain(op *Op) error {
	_, undo := op.Opts["undo"]
	return r.askAt(op, op.Args[0], node.Request{Drain: &node.Drain{Undo: undo, Deadline: op.duration("deadline")}})
}

func (r *run) leave(op *Op) error {
	return r.askAt(op, op.Args[0], node.Request{Leave: &node.Leave{Deadline: op.duration("deadline")}})
}

func (r *run) expel(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	return r.ask(op, node.Request{Expel: &node.Expel{Peer: m.id}})
}

func (r *run) ask(op *Op, req node.Request) error { return r.askAt(op, op.Opts["at"], req) }

// askAt gives a request to the peer named, or to the first that is ready.
func (r *run) askAt(op *Op, from string, req node.Request) error {
	r.w.lastID++
	req.ID = r.w.lastID
	q := &request{op: op, input: req, from: from}
	if from != "" {
		m, err := r.w.find(from)
		if err != nil {
			return err
		}
		q.machine = m
	}
	r.w.requests[req.ID] = q
	r.w.asked = append(r.w.asked, q)
	r.w.put(q)
	return nil
}

// put gives the request to its peer; a repeat asks again where it cannot have
// been taken.
func (w *World) put(q *request) {
	m := q.machine
	if q.from == "" {
		m = w.witness()
	}
	if m != nil && m.core != nil {
		q.machine = m
		q.input.ID = w.nextID(q)
		req := q.input
		m.give(node.Input{Request: &req})
		return
	}
	w.again(q)
}

func (w *World) nextID(q *request) uint64 {
	w.lastID++
	w.requests[w.lastID] = q
	return w.lastID
}

func (w *World) again(q *request) {
	if q.tries++; q.tries < maxTries {
		w.later(retryRequest, func() { w.put(q) })
		return
	}
	w.unanswered(q)
}

// unanswered fails the run for a request that nobody has answered: what it should
// have done never began. A line with fails= says itself that this may be, as a drawn
// plan's do: the peer that was asked may have died, and stay dead.
func (w *World) unanswered(q *request) {
	if q.done || hasKey(q.op.Opts, "fails") {
		return
	}
	w.fail(Liveness, "%s of line %d was never answered: %s", q.op.Verb, q.op.Line, w.whyUnanswered(q))
}

// whyUnanswered says in what state who was asked is now.
func (w *World) whyUnanswered(q *request) string {
	switch m := q.machine; {
	case m == nil || q.from == "" && w.witness() == nil:
		return "no peer is ready"
	case m.core == nil:
		return m.name + " was asked, and is down"
	case m.state() != "ready":
		return fmt.Sprintf("%s was asked, and is %s%s", m.name, m.state(), m.why())
	default:
		return m.name + " was asked, and has lost it"
	}
}

// replied takes the answer to a request.
func (w *World) replied(m *machine, rep *node.Reply) {
	q := w.requests[rep.ID]
	if q == nil || q.done {
		return
	}
	if rep.Code == node.CodeNotReady {
		w.again(q)
		return
	}
	q.done = true
	w.trace.note(w.now, m.name, "answers line %d: %s", q.op.Line, replyText(w, rep))
	w.checks.replied(m, &q.input, rep)
	w.sales.accepted(m, rep)
	w.wreckStores(m, rep)
	if id := jobOf(&q.input, rep); id != "" {
		w.outcomes[string(id)] = &outcome{m.index, *rep, w.now}
		if w.rec != nil && rep.Err == "" {
			w.rec.accepted(id, q.op.Time)
		}
	}
	switch {
	case q.op.Opts["fails"] == "" && rep.Err != "" && !hasKey(q.op.Opts, "fails"):
		w.fail(Liveness, "%s of line %d is refused by %s: %s", q.op.Verb, q.op.Line, m.name, rep.Err)
	case hasKey(q.op.Opts, "fails") && q.op.Opts["fails"] != "no" && rep.Err == "":
		w.fail(Liveness, "%s of line %d is accepted by %s, and should fail", q.op.Verb, q.op.Line, m.name)
	}
}

func hasKey(m map[string]string, k string) bool { _, ok := m[k]; return ok }

func jobOf(q *node.Request, rep *node.Reply) job.ID {
	if rep.Job != "" {
		return rep.Job
	}
	if q.Deploy != nil {
		return q.Deploy.Spec.ID()
	}
	return ""
}

func replyText(w *World, rep *node.Reply) string {
	if rep.Err != "" {
		return fmt.Sprintf("%d %s", rep.Code, rep.Err)
	}
	names := func(ps []wire.PeerID) string {
		var out []string
		for _, p := range ps {
			out = append(out, w.nameOf(p))
		}
		return strings.Join(out, ",")
	}
	s := fmt.Sprintf("accepted %s life=%d revision=%d stores=%s", rep.Job, rep.Life, rep.Revision, names(rep.Stores))
	if len(rep.Unreached) > 0 {
		s += " unreached=" + names(rep.Unreached)
	}
	if rep.Conflict != "" {
		s += " conflict: " + rep.Conflict
	}
	return s
}
