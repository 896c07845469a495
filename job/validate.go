package job

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Further limits of Validate, chosen so that sums over a whole job cannot overflow
// an int64 (MaxSlots × MaxBytes < 2⁶³) and so that no timer waits for ever.
const (
	MaxSlots    = 100_000 // copies of all tasks of one job
	maxCPUMilli = 1 << 30
	MaxBytes    = 1 << 46 // of memory or disk that a file may ask for: 64 TiB
	maxPids     = 1 << 22 // the kernel's own
	maxWait     = 30 * 24 * time.Hour
	MaxAttempts = 1_000_000 // restarts and starts that a file may ask for
	maxProblems = 20        // reported; the rest is only counted
)

// A Problem is one thing wrong with a Spec.
type Problem struct {
	Task  string // empty: of the job itself
	Field string // "ports[1].published"
	Text  string // what is wrong and what would be right
}

func (p Problem) Error() string {
	if p.Task == "" {
		return p.Field + ": " + p.Text
	}
	return "task " + quote(p.Task) + ": " + p.Field + ": " + p.Text
}

// Problems are what is wrong with a Spec, in the order of the Spec.
type Problems struct {
	List []Problem // at most 20
	More int       // how many were found beyond those
}

func (p *Problems) Error() string {
	texts := make([]string, 0, len(p.List)+1)
	for _, one := range p.List {
		texts = append(texts, one.Error())
	}
	if p.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", p.More))
	}
	return strings.Join(texts, "; ")
}

// Validate reports whether every peer can run the Spec as it stands, after
// Defaults. It changes nothing, takes any value whatever without panic, and costs
// time in proportion to the Spec's size, which the caller bounds (MaxSpecBytes).
// The error is a *Problems.
func (s *Spec) Validate() error {
	c := &checker{}
	c.spec(s)
	return c.result()
}

// Judge tells what a later version may have written from what no version would. It
// returns by task the first value, with its field, that this version does not know,
// such as "type 99", or as a *Problems why the whole Spec is not valid.
func (s *Spec) Judge() (later map[string]string, err error) {
	c := &checker{}
	c.spec(s)
	if c.fatal {
		return nil, c.result()
	}
	return c.later, nil
}

func (c *checker) spec(s *Spec) {
	if s == nil {
		c.add("job", "is missing")
		return
	}
	c.job(s)
	for i := range s.Tasks {
		c.inTask(&s.Tasks[i])
	}
	c.task = ""
	c.across(s)
}

// A checker gathers problems while it walks a Spec.
type checker struct {
	task  string
	found Problems
	fatal bool              // one of them is no matter of versions
	later map[string]string // see Judge
}

func (c *checker) result() error {
	if len(c.found.List) == 0 {
		return nil
	}
	return &c.found
}

func (c *checker) add(field, format string, args ...any) {
	c.fatal = true
	c.put(field, format, args...)
}

// unknown adds a value of a task that a later version may know.
func (c *checker) unknown(field, value, format string, args ...any) {
	if c.later == nil {
		c.later = map[string]string{}
	}
	if c.later[c.task] == "" {
		c.later[c.task] = field + " " + value
	}
	c.put(field, format, args...)
}

func (c *checker) put(field, format string, args ...any) {
	if len(c.found.List) >= maxProblems {
		c.found.More++
		return
	}
	c.found.List = append(c.found.List, Problem{c.task, field, fmt.Sprintf(format, args...)})
}

// name checks a value that must satisfy CheckName.
func (c *checker) name(field, value string) {
	if len(value) > maxQuoted {
		c.add(field, "%s has %d characters, at most %d are allowed", quote(value), len(value), MaxName)
	} else if err := CheckName(value); err != nil {
		c.add(field, "%v", err)
	}
}

func (c *checker) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.unknown(field, quote(value), "%s is not one of %s", quote(value), strings.Join(allowed, ", "))
	}
}

func (c *checker) inRange(field string, value, least, most int64) {
	if value < least || value > most {
		c.add(field, "%d is not between %d and %d", value, least, most)
	}
}

func (c *checker) wait(field string, value time.Duration) {
	if value < 0 || value > maxWait {
		c.add(field, "%v is not between 0s and %v", value, maxWait)
	}
}

// plain checks text that reaches a container as it is.
func (c *checker) plain(field string, values ...string) {
	for _, v := range values {
		if !isPlain(v) {
			c.add(field, "%s contains a NUL byte or is not UTF-8", quote(v))
		}
	}
}

func (c *checker) pairs(field string, pairs map[string]string) {
	for _, k := range sortedKeys(pairs) {
		if k == "" || !isVisible(k) || strings.Contains(k, "=") {
			c.add(field, "%s is no name: it must not be empty, nor contain blanks, control characters or '='", quote(k))
		} else {
			c.plain(field+"."+quote(k), pairs[k])
		}
	}
}

func (c *checker) job(s *Spec) {
	c.name("namespace", s.Namespace)
	c.name("name", s.Name)
	for i, dc := range s.Datacenters {
		c.name(fmt.Sprintf("datacenters[%d]", i), dc)
		if slices.Contains(s.Datacenters[:min(i, MaxTasks)], dc) {
			c.add(fmt.Sprintf("datacenters[%d]", i), "%s is named twice", quote(dc))
		}
	}
	if n := len(s.Datacenters); n > MaxTasks {
		c.add("datacenters", "%d are too many, at most %d are allowed", n, MaxTasks)
	}
	c.pairs("labels", s.Labels)
	switch n := len(s.Tasks); {
	case n == 0:
		c.add("tasks", "there is none; a job needs at least one")
	case n > MaxTasks:
		c.add("tasks", "%d are too many, at most %d are allowed", n, MaxTasks)
	}
	slots := int64(0)
	for i := range s.Tasks {
		if i > 0 && s.Tasks[i-1].Name == s.Tasks[i].Name {
			c.add("tasks", "%s is named twice", quote(s.Tasks[i].Name))
		} else if i > 0 && s.Tasks[i-1].Name > s.Tasks[i].Name {
			c.add("tasks", "%s comes after %s; tasks are sorted by name", quote(s.Tasks[i].Name), quote(s.Tasks[i-1].Name))
		}
		slots += int64(max(0, min(s.Tasks[i].Count, MaxCount)))
	}
	if slots > MaxSlots {
		c.add("tasks", "%d copies in all are too many, at most %d are allowed", slots, MaxSlots)
	}
}

// across checks what tasks must not do to one another.
func (c *checker) across(s *Spec) {
	published := map[uint16]string{}
	names := map[string]string{}
	for _, t := range s.Tasks {
		names[t.Name] = t.Name
	}
	for _, t := range s.Tasks {
		c.task = t.Name
		for i, p := range t.Ports {
			if p.Published == 0 {
				continue
			}
			if other, ok := published[p.Published]; ok {
				c.add(fmt.Sprintf("ports[%d].published", i), "port %d is already published by task %s; publish it under another number", p.Published, quote(other))
			}
			published[p.Published] = t.Name
		}
		for i, alias := range t.Aliases {
			if other, ok := names[alias]; ok && other != t.Name {
				c.add(fmt.Sprintf("aliases[%d]", i), "%s is already a name of task %s; one name leads to one task", quote(alias), quote(other))
			}
			names[alias] = t.Name
		}
	}
	c.ownVolumes(s)
	c.dependencies(s)
	c.nearness(s)
}

// ownVolumes checks that no task shares a named volume with a system task, of which each
// copy has its own: where the other's is could not be told.
func (c *checker) ownVolumes(s *Spec) {
	of := map[string]*Task{}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		for _, name := range t.Volumes() {
			other := of[name]
			if other != nil && other != t && (other.Type == System || t.Type == System) {
				c.task = t.Name
				c.add("mounts", "volume %s is also that of task %s; a system task shares none, as each of its copies has its own", quote(name), quote(other.Name))
			}
			of[name] = t
		}
	}
}

// dependencies checks that each exists and that none leads back to its own task.
func (c *checker) dependencies(s *Spec) {
	if len(s.Tasks) > MaxTasks {
		return // already a problem, and the search below is for real jobs
	}
	for _, t := range s.Tasks {
		c.task = t.Name
		seen := map[string]bool{}
		for i, d := range t.DependsOn {
			field := fmt.Sprintf("dependsOn[%d]", i)
			c.oneOf(field+".condition", d.Condition, "started", "healthy", "completed")
			if s.Task(d.Task) == nil {
				c.add(field+".task", "the job has no task %s", quote(d.Task))
			}
			if seen[d.Task] {
				c.add(field+".task", "%s is named twice", quote(d.Task))
			}
			seen[d.Task] = true
		}
	}
	c.task = ""
	if cycle := findCycle(s); cycle != nil {
		c.task = cycle[0]
		c.add("dependsOn", "tasks wait for one another in a circle: %s", strings.Join(cycle, " → "))
	}
}

// findCycle returns the names along one circle of dependencies, first and last
// alike, or nil.
func findCycle(s *Spec) []string {
	const onPath, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		t := s.Task(name)
		if t == nil || state[name] == done {
			return nil
		}
		if state[name] == onPath {
			return append(slices.Clone(path[slices.Index(path, name):]), name)
		}
		state[name] = onPath
		path = append(path, name)
		for _, d := range t.DependsOn {
			if cycle := visit(d.Task); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		state[name] = done
		return nil
	}
	for i := range s.Tasks {
		if cycle := visit(s.Tasks[i].Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
