package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
)

// An engine runs one machine's containers. It outlives the daemon, not the power.
type engine struct {
	m          *machine
	rnd        *rand.Rand
	containers []*container // by name
	images     map[string]bool
	missing    map[string]bool // images that cannot be fetched
	paces      paces
	faults     engineFaults
	hung       bool          // answers nothing
	down       bool          // refuses everything
	hungUntil  time.Duration // the last end of the faults that let it hang
	downUntil  time.Duration // and of those that keep it down
	waiting    []func()      // what a hung engine was asked for
	idle       []func()      // what its machine was asked for and does not begin with
	cached     []runtime.Observed
	fresh      bool
	starts     int // containers made, and runs of them: a source of names
	left       int // containers that nobody's doing left behind
	runs       int
}

type container struct {
	runtime.Observed
	task  *job.Task
	acts  behaviour
	since time.Duration
	made  uint32 // the run it was created for; 0: unknown
	ran   bool   // it has been started

	pretended bool // its machine only says that it runs
	alien     bool // not ours: the daemon's lists do not show it
	unseen    bool // left behind by nobody, and no list has shown it yet
	kills     int  // of children, by the kernel at the memory limit: only the cgroup counts them
}

// behaviour is what a simulated image does; a task's command says it.
type behaviour struct {
	lasts  time.Duration // ends by itself after it; 0: never
	exit   int
	health runtime.HealthState
	stuck  bool // does not end when asked
}

// newEngine makes an engine without containers.
func newEngine(m *machine, rnd *rand.Rand) *engine {
	return &engine{m: m, rnd: rnd, images: map[string]bool{}, missing: map[string]bool{}, paces: measured}
}

// engineDeadline is after how long a driver gives an answer for a silent engine;
// a stop has its grace on top.
const engineDeadline = 10 * time.Second

func deadlineOf(a *runtime.Action) time.Duration {
	if a.Op == runtime.OpStop {
		return a.Grace + engineDeadline
	}
	return engineDeadline
}

// begin performs an action; its result comes back as an input, if there still is
// a daemon to take it.
func (e *engine) begin(a runtime.Action) {
	boot, power := e.m.boot, e.m.power
	answered := false
	answer := func(err string, permanent bool) {
		if answered || e.m.boot != boot || e.m.core == nil {
			return
		}
		answered = true
		e.m.give(node.Input{Done: &runtime.Result{ID: a.ID, Op: a.Op, Container: a.Container, Err: err, Permanent: permanent}})
	}
	do := func() {
		if e.m.power == power {
			answer(e.perform(&a))
		}
	}
	hang := func() {
		e.waiting = append(e.waiting, do)
		e.m.w.later(deadlineOf(&a), func() { answer(runtime.ErrSilent.Error(), false) })
	}
	switch {
	case e.m.idles && a.Op == runtime.OpCreate:
		idle := func() { answer("fetch the image: it is under way", false) }
		e.idle = append(e.idle, idle)
		e.m.w.later(idlesFor, idle)
	case e.down:
		e.m.w.later(5*time.Millisecond, func() { answer("connect to the engine: connection refused", false) })
	case e.hung:
		hang()
	case e.faults.hangs(a.Op):
		e.hangCall(&a, answer)
	default:
		e.m.w.later(e.delay(&a), func() {
			switch {
			case e.hung:
				hang()
			case e.down:
				answer("connect to the engine: connection reset", false)
			default:
				do()
			}
		})
	}
}

func (e *engine) delay(a *runtime.Action) time.Duration {
	switch a.Op {
	case runtime.OpCreate:
		d := e.paces.create.draw(e.rnd)
		if a.Task != nil && !e.images[a.Task.Image] {
			d += e.image(a.Task).Pull.or(span{300 * time.Millisecond, 2 * time.Second}).draw(e.rnd)
		}
		return d
	case runtime.OpStart:
		if c := e.find(a.Container); c != nil {
			if own := e.image(c.task).Start; own != (span{}) {
				return own.draw(e.rnd)
			}
		}
		return e.paces.start.draw(e.rnd)
	case runtime.OpStop:
		c := e.find(a.Container)
		if c != nil && c.State == runtime.StateRunning && c.acts.stuck {
			return max(a.Grace, 10*time.Millisecond)
		}
		return span{20 * time.Millisecond, 400 * time.Millisecond}.draw(e.rnd)
	default:
		return span{10 * time.Millisecond, 60 * time.Millisecond}.draw(e.rnd)
	}
}

// perform changes what runs. Each operation done twice is as done once.
func (e *engine) perform(a *runtime.Action) (errText string, permanent bool) {
	c := e.find(a.Container)
	switch a.Op {
	case runtime.OpCreate:
		return e.create(a, c)
	case runtime.OpStart:
		return e.start(a, c)
	case runtime.OpStop:
		if c != nil && c.State == runtime.StateRunning {
			e.end(c, stopCode(c))
		}
	case runtime.OpRemove:
		if c != nil {
			e.containers = slices.DeleteFunc(e.containers, func(x *container) bool { return x == c })
			e.changed()
		}
	}
	return "", false
}

func (e *engine) create(a *runtime.Action, old *container) (string, bool) {
	if a.Task == nil {
		return "create without a task", true
	}
	switch {
	case old != nil && old.alien:
		return "container " + a.Container + " is not of this swarm and peer; remove or rename it by hand", true
	case old != nil && old.Ref == a.Ref:
		return "", false
	case old != nil:
		return "create " + a.Container + ": it is there with another spec; remove it first", false
	case e.faults.conflicts > 0:
		e.takeName(a.Container)
		return "container " + a.Container + " is not of this swarm and peer; remove or rename it by hand", true
	case strings.HasPrefix(a.Task.Image, "missing"), e.missing[a.Task.Image] && !e.images[a.Task.Image]:
		return fmt.Sprintf("no such image: %s", a.Task.Image), true
	}
	e.images[a.Task.Image] = true
	e.starts++
	c := &container{Observed: runtime.Observed{
		Container: a.Container, ID: fmt.Sprintf("%s-%d-%d", e.m.name, e.m.power, e.starts), Ref: a.Ref, State: runtime.StateCreated,
	}, task: a.Task, acts: e.image(a.Task).behaviour(a.Task), made: a.Run}
	e.put(c)
	return "", false
}

func (e *engine) put(c *container) {
	at, _ := slices.BinarySearchFunc(e.containers, c.Container, byContainer)
	e.containers = slices.Insert(e.containers, at, c)
	e.changed()
}

// start is as the driver does it: a run that the container was made for and has had
// is not done twice.
func (e *engine) start(a *runtime.Action, c *container) (string, bool) {
	switch {
	case c == nil:
		return "no such container: " + a.Container, false
	case c.State == runtime.StateRunning, c.ran && a.Run != 0 && a.Run == c.made:
		return "", false
	case e.faults.failsStart(e.m.w.now):
		return "start " + a.Container + ": failed to create task for container", false
	}
	e.run(c)
	return "", false
}

// stopCode is what a container that is asked to end ends with.
func stopCode(c *container) int {
	if c.acts.stuck {
		return 137 // killed after its grace
	}
	return 143
}

func byContainer(c *container, name string) int { return cmp.Compare(c.Container, name) }

func (e *engine) find(name string) *container {
	if at, ok := slices.BinarySearchFunc(e.containers, name, byContainer); ok {
		return e.containers[at]
	}
	return nil
}

// behaviourOf reads the command of a simulated image: lasts=5s exit=1 health=bad stuck.
func behaviourOf(t *job.Task) (b behaviour) {
	b.health = runtime.Healthy
	for _, word := range t.Command {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "lasts":
			b.lasts, _ = time.ParseDuration(value)
		case "exit":
			b.exit, _ = strconv.Atoi(value)
		case "health":
			if value == "bad" {
				b.health = runtime.Unhealthy
			}
		case "stuck":
			b.stuck = true
		}
	}
	if t.Health == nil {
		b.health = runtime.HealthNone
	}
	return b
}

// run starts a container and plans its own end.
func (e *engine) run(c *container) {
	e.starts++
	c.ran = true
	e.runs++
	c.State, c.ExitCode, c.OOM, c.since, c.pretended = runtime.StateRunning, 0, false, e.m.w.now, e.m.pretends
	c.Starts = fmt.Sprintf("%d.%d", e.m.w.now.Milliseconds(), e.starts)
	c.Address = fmt.Sprintf("10.64.%d.%d", e.m.index%256, 128+e.starts%100)
	c.Health = runtime.HealthNone
	starts := c.Starts
	then := func(after time.Duration, f func()) {
		e.m.w.later(after, func() {
			if c.State == runtime.StateRunning && c.Starts == starts {
				f()
			}
		})
	}
	if c.acts.health != runtime.HealthNone {
		c.Health = runtime.HealthStarting
		then(max(c.task.Health.Interval, time.Second), func() { c.Health = c.acts.health; e.changed() })
	}
	if c.acts.lasts > 0 {
		then(c.acts.lasts, func() { e.end(c, c.acts.exit) })
	}
	if e.m.boast > 1 && !e.m.pretends && !e.hasRoom() {
		then(span{100 * time.Millisecond, time.Second}.draw(e.m.chanceOf("lies")), func() { e.outOfMemory(c, false) })
	}
	e.changed()
}

func (e *engine) end(c *container, code int) {
	c.State, c.ExitCode, c.Address, c.Health = runtime.StateExited, code, "", runtime.HealthNone
	e.changed()
}

// changed lets the daemon look again soon, as an engine's events do.
func (e *engine) changed() {
	e.fresh = false
	m := e.m
	m.w.checks.engineChanged(m)
	if m.core == nil || e.hung || e.down || m.w.now < e.faults.deafUntil {
		return
	}
	boot := m.boot
	m.w.later(span{5 * time.Millisecond, 100 * time.Millisecond}.draw(e.rnd), func() {
		if m.core != nil && m.boot == boot {
			m.look()
		}
	})
}

// snapshot is the engine's answer to "what runs". The slice is shared until
// something changes; nobody may write to it.
func (e *engine) snapshot() runtime.Snapshot {
	switch {
	case e.hung:
		return runtime.Snapshot{Err: runtime.ErrSilent.Error()}
	case e.down:
		return runtime.Snapshot{Err: "connect to the engine: connection refused"}
	}
	return runtime.Snapshot{Containers: e.observed()}
}

// shown notes which containers its daemon has now seen.
func (e *engine) shown(s *runtime.Snapshot) {
	if e.left == 0 {
		return
	}
	for i := range s.Containers {
		if c := e.find(s.Containers[i].Container); c != nil {
			c.unseen = false
		}
	}
}

func (e *engine) observed() []runtime.Observed {
	if !e.fresh {
		e.cached = make([]runtime.Observed, 0, len(e.containers))
		for _, c := range e.containers {
			if !c.alien {
				e.cached = append(e.cached, c.Observed)
			}
		}
		e.fresh = true
	}
	return e.cached
}

// fix ends a hang or an outage. Of what it was asked meanwhile a hung engine does
// some, late, and has forgotten the rest.
func (e *engine) fix() {
	e.hung, e.down, e.hungUntil, e.downUntil = false, false, 0, 0
	waiting, rnd := e.waiting, e.m.chanceOf("late calls")
	e.waiting = nil
	for _, do := range waiting {
		if chance(rnd, 0.7) {
			do()
		}
	}
	e.changed()
}

// powerCut ends every container the hard way.
func (e *engine) powerCut() {
	e.waiting, e.hung, e.down, e.hungUntil, e.downUntil = nil, false, false, 0, 0
	for _, c := range e.containers {
		if c.State == runtime.StateRunning {
			c.State, c.ExitCode, c.Address, c.Health = runtime.StateExited, 137, "", runtime.HealthNone
		}
	}
	e.fresh = false
}

// working reports whether the engine answers every call, and its machine makes what it is told.
func (e *engine) working() bool {
	return !e.hung && !e.down && e.faults.unanswered == 0 && !e.m.idles
}
