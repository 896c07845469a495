package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/sim/check"
	"shoal/wire"
)

// addAssertions fills the second half of the table of verbs.
func addAssertions() {
	for name, v := range map[string]verb{
		"held":   {args: 1, usage: "SLOT by=PEER not=PEER token=2", opts: []string{"by", "not", "token"}, check: slotArg, assert: (*run).held},
		"nobody": {args: 1, usage: "SLOT", check: slotArg, assert: (*run).nobody},
		"running": {args: 1, more: 2, usage: "N of JOB[/TASK] on=PEER where=LABEL==VALUE version=2", opts: []string{"on", "where", "version"},
			check: countArgs, assert: (*run).running},
		"serving":     {args: 1, more: 2, usage: "N of JOB[/TASK]", check: countArgs, assert: (*run).serving},
		"converged":   {usage: "", assert: (*run).converged},
		"accepted":    {args: 1, usage: "JOB stores>=2", opts: []string{"stores", "least"}, check: jobArg, assert: (*run).accepted},
		"event":       {args: 1, usage: "KIND from=PEER job=JOB count=1", opts: []string{"from", "job", "count"}, assert: (*run).event},
		"ready":       {args: 1, usage: "PEER", check: refArgs, assert: (*run).ready},
		"joining":     {args: 1, usage: "PEER", check: refArgs, assert: (*run).joining},
		"steppedback": {args: 1, usage: "PEER", check: refArgs, assert: (*run).steppedBack},
		"steward":     {args: 1, usage: "JOB is=PEER", opts: []string{"is"}, check: jobArg, assert: (*run).isSteward},
		"same":        {args: 1, usage: "SLOT: its container was not started again since the line above", check: slotArg, assert: (*run).same},
		"removed":     {args: 1, usage: "JOB: no container and no head of it anywhere", check: jobArg, assert: (*run).removed},
		"refused":     {args: 1, usage: "PEER: another takes nothing of it for a while", check: refArgs, assert: (*run).isRefused},
		"forgiven":    {args: 1, usage: "PEER: nobody refuses it, or ignores what it pushes", check: refArgs, assert: (*run).isForgiven},
		"idle":        {args: 1, usage: "PEER: it runs no container", check: refArgs, assert: (*run).idle},
		"equal":       {usage: ": all ready peers hold the same records", assert: (*run).equal},
		"issued": {args: 1, usage: "PEER from=PEER count=0: so many records of another's, its card and what it said of members aside",
			opts: []string{"from", "count"}, check: refArgs, assert: (*run).issued},
		"heard": {args: 2, usage: "PEER KIND count=0: so many messages of a kind", opts: []string{"count"}, check: heardArgs, assert: (*run).heard},
	} {
		verbs[name] = v
	}
}

func assertions() []string {
	var out []string
	for _, k := range sortedKeys(verbs) {
		if verbs[k].assert != nil {
			out = append(out, k)
		}
	}
	return out
}

// countArgs accepts "3 of web", "3 web" and "3".
func countArgs(op *Op) error {
	op.Args = without(op.Args, "of")
	if err := isInt(op.Args[0]); err != nil {
		return err
	}
	if len(op.Args) > 1 {
		_, _, err := jobTask(op.Args[1])
		return err
	}
	return nil
}

func (r *run) held(op *Op) string {
	slot, err := parseSlot(op.Args[0])
	if err != nil {
		return err.Error()
	}
	m, c := r.w.holder(slot), r.w.winner(slot)
	if m == nil || c == nil {
		return "nobody holds it"
	}
	if not := op.Opts["not"]; not != "" && r.refIs(not, m) || op.Opts["by"] != "" && !r.refIs(op.Opts["by"], m) {
		return fmt.Sprintf("%s holds it, with token %d", m.name, c.Token)
	}
	if t := op.number("token", 0); t > 0 && int(c.Token) != t {
		return fmt.Sprintf("%s holds it with token %d", m.name, c.Token)
	}
	if !m.runs(slot) && m.engine.working() {
		return fmt.Sprintf("%s holds it (%v) and does not run it", m.name, c.Phase)
	}
	return ""
}

func (m *machine) runs(slot job.SlotID) bool {
	slot = m.w.named(slot)
	for _, c := range m.engine.containers {
		if c.Ref.Slot == slot && c.isReal() {
			return true
		}
	}
	return false
}

func (r *run) refIs(text string, m *machine) bool {
	x, err := r.w.find(text)
	return err == nil && x == m
}

func (r *run) nobody(op *Op) string {
	slot, err := parseSlot(op.Args[0])
	if err != nil {
		return err.Error()
	}
	if m := r.w.holder(slot); m != nil {
		return m.name + " holds it"
	}
	for _, m := range r.w.machines {
		if m.up() && m.engine.working() && m.runs(slot) {
			return m.name + " runs it"
		}
	}
	return ""
}

// jobOrTask reads what "N of JOB[/TASK]" counts; without a task the whole job, without
// a job all.
func (o *Op) jobOrTask() (id job.ID, task string) {
	if len(o.Args) > 1 {
		id, task, _ = jobTask(o.Args[1])
		if !strings.Contains(o.Args[1], "/") {
			task = ""
		}
	}
	return id, task
}

// running counts running containers on working engines of machines that are up.
func (r *run) running(op *Op) string {
	id, task := op.jobOrTask()
	n := 0
	for _, m := range r.w.machines {
		if !m.up() || op.Opts["on"] != "" && !r.refIs(op.Opts["on"], m) || !m.meets(op.Opts["where"]) {
			continue
		}
		for _, c := range m.engine.containers {
			if c.isReal() && (id == "" || c.Ref.Slot.Job == id) && (task == "" || c.Ref.Slot.Task == task) &&
				(op.Opts["version"] == "" || c.task.Env["VERSION"] == op.Opts["version"]) {
				n++
			}
		}
	}
	return compareCount(op.Args[0], n, "run")
}

// meets reports whether a machine's labels, as its group was given them, meet a constraint;
// any does where there is none.
func (m *machine) meets(constraint string) bool {
	c, err := job.ParseConstraint(constraint)
	return constraint == "" || err == nil && c.Match(m.spec.Labels)
}

func compareCount(want string, n int, what string) string {
	text, least := strings.CutPrefix(want, ">=")
	k, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Sprintf("%q is no number", want)
	}
	if n == k || least && n > k {
		return ""
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (r *run) serving(op *Op) string {
	m := r.w.witness()
	if m == nil {
		return "no peer is ready"
	}
	id, task := op.jobOrTask()
	n := 0
	for _, s := range m.slots(id) {
		if s.Phase == "serving" && !s.Surplus && (task == "" || s.ID.Task == task) {
			n++
		}
	}
	return compareCount(op.Args[0], n, "serve")
}

func (r *run) converged(*Op) string { return r.unmet() }

func (r *run) accepted(op *Op) string {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err.Error()
	}
	o := r.w.outcomes[string(id)]
	if o == nil {
		return "there is no answer"
	}
	if o.reply.Err != "" {
		return o.reply.Err
	}
	want := op.Opts["stores"]
	if want == "" {
		want = ">=1"
	}
	return compareCount(want, len(o.reply.Stores), "stores")
}

func (r *run) event(op *Op) string {
	n := 0
	for _, t := range r.w.events[op.Args[0]] {
		if t.at < op.From || op.Opts["from"] != "" && !r.refIs(op.Opts["from"], r.w.machines[t.machine]) {
			continue
		}
		if op.Opts["job"] == "" || strings.HasSuffix(string(t.event.Job), op.Opts["job"]) {
			n++
		}
	}
	want := op.Opts["count"]
	if want == "" {
		want = ">=1"
	}
	return compareCount(want, n, "were told of")
}

func (r *run) inState(op *Op, want string) string {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err.Error()
	}
	if s := m.state(); !strings.HasPrefix(s, want) {
		return fmt.Sprintf("%s is %s%s", m.name, s, m.why())
	}
	return ""
}

func (m *machine) why() string {
	if m.core == nil {
		return ""
	}
	if why := m.core.Status().Why; why != "" {
		return ": " + why
	}
	return ""
}

func (r *run) ready(op *Op) string       { return r.inState(op, "ready") }
func (r *run) joining(op *Op) string     { return r.inState(op, "joining") }
func (r *run) steppedBack(op *Op) string { return r.inState(op, "stepped back") }

func (r *run) isSteward(op *Op) string {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err.Error()
	}
	m, err := r.w.steward(ref{kind: "steward", job: id}, op.Args[0])
	if err != nil {
		return err.Error()
	}
	if op.Opts["is"] != "" && !r.refIs(op.Opts["is"], m) {
		return m.name + " is"
	}
	return ""
}

// same compares with the engine's start time when the assertion was first asked.
func (r *run) same(op *Op) string {
	slot, err := parseSlot(op.Args[0])
	if err != nil {
		return err.Error()
	}
	slot = r.w.named(slot)
	for _, m := range r.w.machines {
		for _, c := range m.engine.containers {
			if c.Ref.Slot == slot && c.State == runtime.StateRunning {
				if c.since > r.before(op) {
					return fmt.Sprintf("%s started it at %.3fs", m.name, c.since.Seconds())
				}
				return ""
			}
		}
	}
	return "nobody runs it"
}

// before is the time of the last At above an op.
func (r *run) before(op *Op) time.Duration {
	from := op.From
	for i := range r.s.Ops {
		if x := &r.s.Ops[i]; op.Moment == At && x.Moment == At && x.Line < op.Line {
			from = max(from, x.Time)
		}
	}
	return from
}

func (r *run) removed(op *Op) string {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err.Error()
	}
	for _, m := range r.w.machines {
		if m.core == nil {
			continue
		}
		if h := m.core.Ledger().Head(id); h != nil && !h.Deleted {
			return m.name + " still wants it"
		}
		for _, c := range m.engine.containers {
			if c.Ref.Slot.Job == id && m.engine.working() {
				return fmt.Sprintf("%s still has %s", m.name, c.Container)
			}
		}
	}
	return ""
}

func (r *run) idle(op *Op) string {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err.Error()
	}
	for _, c := range m.engine.containers {
		if c.State == runtime.StateRunning {
			return m.name + " runs " + c.Ref.Slot.String()
		}
	}
	return ""
}

func (r *run) equal(*Op) string { return new(check.Equal).Unmet(r.w.checks) }

func heardArgs(op *Op) error {
	if err := isMessage(op.Args[1]); err != nil {
		return err
	}
	return refArgs(op)
}

// heard counts the messages of a kind that a machine's daemons have been given.
func (r *run) heard(op *Op) string {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err.Error()
	}
	want := op.Opts["count"]
	if want == "" {
		want = ">=1"
	}
	return compareCount(want, int(m.got[kindOf(op.Args[1])%64]), "were heard")
}

// issued counts what a peer holds of what another said, but for what stays of a peer
// that was removed.
func (r *run) issued(op *Op) string {
	m, err := r.w.find(op.Args[0])
	if err != nil || m.core == nil {
		return fmt.Sprintf("%s is down: %v", op.Args[0], err)
	}
	from, err := r.w.find(op.Opts["from"])
	if err != nil {
		return err.Error()
	}
	n := 0
	for _, rec := range m.core.Ledger().Records() {
		if rec.Num.Issuer == from.id && rec.Kind != wire.KindCard && rec.Kind != wire.KindMember {
			n++
		}
	}
	return compareCount(op.Opts["count"], n, "are there")
}
