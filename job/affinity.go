package job

import (
	"fmt"
	"slices"
	"strings"
)

// An Affinity names other copies that a task's copies are to run near to, or apart from:
// those of exactly one of Job, Task and Label.
type Affinity struct {
	Job   string `cbor:"1,keyasint,omitempty" json:"job,omitempty"`   // "shop", of the same namespace, or "prod/shop"
	Task  string `cbor:"2,keyasint,omitempty" json:"task,omitempty"`  // of the same job
	Label string `cbor:"3,keyasint,omitempty" json:"label,omitempty"` // "key=value" that a task, or its job, says of itself

	Over     string `cbor:"4,keyasint,omitempty" json:"over,omitempty"`     // peers of one value of this label are one place; empty: each peer is
	Required bool   `cbor:"5,keyasint,omitempty" json:"required,omitempty"` // rather wait than run elsewhere
}

// MaxAffinities is the greatest number of each kind of one task.
const MaxAffinities = 16

// String prints an affinity as people say it: "db", "job shop over zone, required".
func (a Affinity) String() string {
	text := a.What()
	if a.Over != "" {
		text += " over " + a.Over
	}
	if a.Required {
		text += ", required"
	}
	return text
}

// What names the copies that it is of: "db", "job shop", "label tier=db".
func (a Affinity) What() string {
	switch {
	case a.Job != "":
		return "job " + a.Job
	case a.Label != "":
		return "label " + a.Label
	}
	return a.Task
}

// JobOf is the job that Job names, for a task of job id.
func (a Affinity) JobOf(id ID) ID {
	if strings.Contains(a.Job, "/") {
		return ID(a.Job)
	}
	return MakeID(id.Namespace(), a.Job)
}

// IsOf reports whether a task of a job has the label that Label names; its own labels
// hide its job's.
func (a Affinity) IsOf(spec *Spec, t *Task) bool {
	key, want, _ := strings.Cut(a.Label, "=")
	v, ok := t.Labels[key]
	if !ok && spec != nil {
		v, ok = spec.Labels[key]
	}
	return ok && v == want
}

// IsPlacedAlone reports whether a copy of the task is to be placed only when it is known
// where those before it are. Of an own peer a bidder knows that for itself.
func (t *Task) IsPlacedAlone() bool {
	for _, a := range t.Apart {
		if a.Over != "" || !a.Required {
			return true
		}
	}
	return len(t.Near) > 0
}

// affinities checks one kind of them by itself.
func (c *checker) affinities(t *Task, field string, list []Affinity) {
	if n := len(list); n > MaxAffinities {
		c.add(field, "%d are too many, at most %d are allowed", n, MaxAffinities)
		return
	}
	if len(list) > 0 && t.Type == System {
		c.add(field, "a system task has none: each peer has its own copy")
	}
	for i, a := range list {
		c.affinity(fmt.Sprintf("%s[%d]", field, i), a)
	}
}

func (c *checker) affinity(field string, a Affinity) {
	named := 0
	for _, name := range []string{a.Job, a.Task, a.Label} {
		if name != "" {
			named++
		}
	}
	switch {
	case named == 0:
		c.unknown(field, "none", "names nothing; write a task, a job or a label")
	case named > 1:
		c.add(field, "names more than one; write either task, job or label")
	}
	if a.Job != "" {
		if _, err := ParseID(a.Job); err != nil {
			c.add(field+".job", "%v", err)
		}
	}
	if key, _, ok := strings.Cut(a.Label, "="); a.Label != "" && (!ok || !isLabelName(key) || len(a.Label) > 512 || !isPlain(a.Label)) {
		c.add(field+".label", "%s is no label; write one such as tier=db", quote(a.Label))
	}
	if a.Over != "" && !isLabelName(a.Over) {
		c.add(field+".over", "%s is no label of peers; write one such as zone", quote(a.Over))
	}
}

// nearness checks affinities against the tasks of the job.
func (c *checker) nearness(s *Spec) {
	if len(s.Tasks) > MaxTasks {
		return
	}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		c.task = t.Name
		c.targets(s, "near", t.Near)
		c.targets(s, "apart", t.Apart)
		for j, a := range t.Apart[:min(len(t.Apart), MaxAffinities)] {
			for _, b := range t.Near[:min(len(t.Near), MaxAffinities)] {
				if a.What() == b.What() && a.Over == b.Over {
					c.add(fmt.Sprintf("apart[%d]", j), "%s is also what it is to be near to; remove one of the two", quote(a.What()))
				}
			}
		}
	}
	c.beginnings(s)
}

func (c *checker) targets(s *Spec, field string, list []Affinity) {
	for i, a := range list[:min(len(list), MaxAffinities)] {
		if a.Task != "" && s.Task(a.Task) == nil {
			c.add(fmt.Sprintf("%s[%d].task", field, i), "the job has no task %s", quote(a.Task))
		}
	}
}

// beginnings finds tasks of which no first copy could ever be placed, as each waits to be
// near to itself or to another such, or depends on one.
func (c *checker) beginnings(s *Spec) {
	may := map[string]bool{}
	for range s.Tasks {
		for i := range s.Tasks {
			if t := &s.Tasks[i]; !may[t.Name] && stuckOn(s, t, may) < 0 && !dependsOnStuck(t, may) {
				may[t.Name] = true
			}
		}
	}
	for i := range s.Tasks {
		if t := &s.Tasks[i]; !may[t.Name] && stuckOn(s, t, may) >= 0 { // a circle of dependencies alone is told elsewhere
			c.task = t.Name
			c.add(fmt.Sprintf("near[%d]", stuckOn(s, t, may)),
				"%s waits for the task itself, so that no first copy could be placed; leave out required", quote(t.Near[stuckOn(s, t, may)].What()))
			return
		}
	}
}

// dependsOnStuck reports whether t waits for one that may not be placed before, or is not there.
func dependsOnStuck(t *Task, may map[string]bool) bool {
	return slices.ContainsFunc(t.DependsOn, func(d Dependency) bool { return !may[d.Task] })
}

// stuckOn is the affinity that t waits for though none it names may be placed before; -1:
// none.
func stuckOn(s *Spec, t *Task, may map[string]bool) int {
	for i, a := range t.Near[:min(len(t.Near), MaxAffinities)] {
		switch {
		case !a.Required:
		case a.Task != "" && s.Task(a.Task) != nil && !may[a.Task], a.Job != "" && a.JobOf(s.ID()) == s.ID() && len(may) == 0:
			return i
		}
	}
	return -1
}
