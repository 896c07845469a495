package runtime

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A world is a Reconciler against a dumb engine: a map of containers on which
// actions have their effect some time between being given and being answered, or
// fail before or after it. Time only passes by its own operation.
type world struct {
	r      *Reconciler
	now    clock.Instant
	engine map[string]*Observed
	starts int
	open   []*pending
	wants  []Want
	tokens [10]wire.Token  // more slots than may be in flight
	stray  map[string]bool // containers that came from elsewhere, so that it may not know of them
	doubt  map[string]bool // containers whose last action ended in an error
	last   map[claimOf]Report
	asked  []Snapshot // begun and not yet answered, may be answered late, twice or never
	trace  []string
}

type pending struct {
	Action
	done bool // has had its effect
}

type claimOf struct {
	slot job.SlotID
	key  claimKey
}

func newWorld(seed uint64) *world {
	return &world{
		r:      New(Config{Rand: rand.New(rand.NewPCG(seed, 1))}),
		now:    1,
		engine: map[string]*Observed{},
		last:   map[claimOf]Report{},
		doubt:  map[string]bool{},
		stray:  map[string]bool{},
	}
}

func (w *world) tick(t *rapid.T) {
	actions, reports, wake := w.r.Tick(w.now)
	if wake != 0 && wake <= w.now {
		t.Fatalf("wake at %v is not after %v", wake, w.now)
	}
	for _, rep := range reports {
		w.trace = append(w.trace, fmt.Sprintf("%v %+v", w.now, rep))
		w.check(t, rep)
	}
	for _, a := range actions {
		w.trace = append(w.trace, fmt.Sprintf("%v %v %v %s run %d", w.now, a.ID, a.Op, a.Container, a.Run))
		for _, p := range w.open {
			if p.Ref.Slot == a.Ref.Slot {
				t.Fatalf("two actions in flight on %v: %v and %v", a.Ref.Slot, p.Op, a.Op)
			}
		}
		w.needless(t, a)
		w.open = append(w.open, &pending{Action: a})
	}
	if len(w.open) > DefaultMaxInFlight {
		t.Fatalf("%d actions in flight", len(w.open))
	}
}

// needless fails on an action that what was known could not call for: making what
// is there, starting what runs, starting beside one that is to be replaced.
func (w *world) needless(t *rapid.T, a Action) {
	c := w.engine[a.Container]
	if c != nil && !w.doubt[a.Container] && (a.Op == OpCreate || a.Op == OpStart && c.State == StateRunning) {
		t.Fatalf("%v %s, which is %v", a.Op, a.Container, c.State)
	}
	if a.Op != OpStart {
		return
	}
	i := slices.IndexFunc(w.wants, func(x Want) bool { return x.Ref == a.Ref })
	if i < 0 || w.wants[i].Stop {
		t.Fatalf("start of %s, which nobody wants", a.Container)
	}
	for _, o := range w.engine {
		sameClaim := keyOf(o.Ref) == keyOf(a.Ref)
		if o.Ref.Slot == a.Ref.Slot && o.Container != a.Container && o.State == StateRunning &&
			!w.stray[o.Container] && !(sameClaim && w.wants[i].startFirst()) {
			t.Fatalf("start of %s beside %s", a.Container, o.Container)
		}
	}
}

// check holds a report against the one before it and against the engine.
func (w *world) check(t *rapid.T, rep Report) {
	key := claimOf{rep.Ref.Slot, keyOf(rep.Ref)}
	was := w.last[key]
	w.last[key] = rep
	if rep.Run < was.Run || rep.Run == was.Run && rep.Phase < was.Phase {
		t.Fatalf("report goes back: run %d %v after run %d %v", rep.Run, rep.Phase, was.Run, was.Phase)
	}
	for _, c := range w.engine {
		if c.Ref.Slot != rep.Ref.Slot || keyOf(c.Ref) != key.key {
			continue
		}
		if rep.Phase == Gone {
			t.Fatalf("gone, but %s is %v", c.Container, c.State)
		}
		if rep.Phase.Terminal() && c.State == StateRunning && c.Ref == rep.Ref {
			t.Fatalf("%v, but %s runs", rep.Phase, c.Container)
		}
	}
	for i := range w.wants {
		if w.wants[i].Ref == rep.Ref && rep.Run%2 == 0 { // the core may be behind
			w.wants[i].Run = max(w.wants[i].Run, rep.Run)
		}
	}
}

func (w *world) effect(p *pending) {
	if p.done {
		return
	}
	p.done = true
	c := w.engine[p.Container]
	switch {
	case p.Op == OpCreate && c == nil:
		w.engine[p.Container] = &Observed{Container: p.Container, Ref: p.Ref, State: StateCreated}
	case p.Op == OpStart && c != nil && c.State != StateRunning:
		w.starts++
		c.State, c.Starts = StateRunning, fmt.Sprint(w.starts)
	case p.Op == OpStop && c != nil && c.State == StateRunning:
		c.State, c.ExitCode = StateExited, 143
	case p.Op == OpRemove:
		delete(w.engine, p.Container)
	}
}

// finish ends an action. With an error it may or may not have had its effect; a
// start or create of what is not there always fails.
func (w *world) finish(p *pending, err string, permanent bool) {
	if err == "" {
		if p.Op == OpStart && !p.done && w.engine[p.Container] == nil {
			err = "no such container"
		} else {
			w.effect(p)
		}
	}
	w.doubt[p.Container] = err != ""
	w.open = slices.DeleteFunc(w.open, func(o *pending) bool { return o == p })
	w.r.Done(w.now, Result{ID: p.ID, Op: p.Op, Container: p.Container, Err: err, Permanent: permanent})
}

func (w *world) snapshot() Snapshot {
	sn := Snapshot{Begun: w.now}
	for _, name := range w.names() {
		sn.Containers = append(sn.Containers, *w.engine[name])
	}
	return sn
}

func (w *world) names() []string {
	var names []string
	for name := range w.engine {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// wish changes one slot's Want as a core would: at most one claim per slot, the
// next one only after the last has come to its end.
func (w *world) wish(t *rapid.T) {
	n := rapid.IntRange(0, len(w.tokens)-1).Draw(t, "slot")
	spec := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "spec")
	order := rapid.SampledFrom([]string{"", "start-first"}).Draw(t, "order")
	task := &job.Task{Image: spec, Update: job.Update{Order: order}, Restart: job.Restart{MaxAttempts: 1000}}
	i := slices.IndexFunc(w.wants, func(x Want) bool { return x.Ref.Slot.Index == n })
	switch {
	case i < 0:
		w.tokens[n]++
		w.wants = append(w.wants, Want{Ref: refOf(fmt.Sprintf("shop/web.%d", n), w.tokens[n], spec), Task: task})
	case rapid.Bool().Draw(t, "stop"):
		w.wants[i].Stop = !w.wants[i].Stop
	default:
		w.wants[i].Ref.Spec, w.wants[i].Task = wire.HashOf([]byte(spec)), task
	}
	w.r.Set(w.now, w.wants)
}

// bury drops the claims that have come to their end, as the core does.
func (w *world) bury() {
	w.wants = slices.DeleteFunc(w.wants, func(x Want) bool {
		rep := w.last[claimOf{x.Ref.Slot, keyOf(x.Ref)}]
		return rep.Phase.Terminal() && (rep.Ref.Spec == x.Ref.Spec || rep.Phase == Gone)
	})
	w.r.Set(w.now, w.wants)
}

func (w *world) pick(t *rapid.T) *pending {
	if len(w.open) == 0 {
		t.Skip("nothing in flight")
	}
	return rapid.SampledFrom(w.open).Draw(t, "action")
}

func (w *world) container(t *rapid.T) *Observed {
	if len(w.engine) == 0 {
		t.Skip("no container")
	}
	return w.engine[rapid.SampledFrom(w.names()).Draw(t, "container")]
}

// operations are what may happen, faults included, each followed by a Tick.
func (w *world) operations() map[string]func(*rapid.T) {
	ops := map[string]func(*rapid.T){
		"wish":   w.wish,
		"bury":   func(*rapid.T) { w.bury() },
		"effect": func(t *rapid.T) { w.effect(w.pick(t)) },
		"finish": func(t *rapid.T) { w.finish(w.pick(t), "", false) },
		"fail": func(t *rapid.T) {
			p := w.pick(t)
			w.finish(p, "try later", !p.done && rapid.IntRange(0, 9).Draw(t, "permanent") == 0)
		},
		"repeat": func(t *rapid.T) {
			id := rapid.Uint64Range(0, 20).Draw(t, "id")
			if !slices.ContainsFunc(w.open, func(p *pending) bool { return p.ID == id }) {
				w.r.Done(w.now, Result{ID: id, Op: OpStart, Err: "late"})
			}
		},
		"ask": func(*rapid.T) { w.asked = append(w.asked, w.snapshot()) },
		"answer": func(t *rapid.T) {
			if len(w.asked) == 0 {
				t.Skip("nothing asked")
			}
			w.r.Observe(w.now, rapid.SampledFrom(w.asked).Draw(t, "snapshot"))
		},
		"look":    func(*rapid.T) { w.r.Observe(w.now, w.snapshot()) },
		"silence": func(*rapid.T) { w.r.Observe(w.now, Snapshot{Begun: w.now, Err: "no answer"}) },
		"settle":  func(t *rapid.T) { w.r.Settle(w.now, rapid.Bool().Draw(t, "settled")) },
		"exit": func(t *rapid.T) {
			if c := w.container(t); c.State == StateRunning {
				c.State, c.ExitCode = StateExited, rapid.SampledFrom([]int{0, 1, 137}).Draw(t, "code")
			}
		},
		"health":  func(t *rapid.T) { w.container(t).Health = HealthState(rapid.IntRange(0, 3).Draw(t, "health")) },
		"destroy": func(t *rapid.T) { delete(w.engine, w.container(t).Container) },
		"stray": func(t *rapid.T) {
			ref := refOf(fmt.Sprintf("shop/web.%d", rapid.IntRange(0, 5).Draw(t, "slot")), 0, "a")
			w.stray[Name(ref)] = true
			w.engine[Name(ref)] = &Observed{Container: Name(ref), Ref: ref, State: State(rapid.IntRange(1, 3).Draw(t, "state"))}
		},
		"work": func(t *rapid.T) {
			w.r.Observe(w.now, w.snapshot())
			for range rapid.IntRange(1, 6).Draw(t, "rounds") {
				w.now++
				w.tick(t)
				before := w.snapshot()
				for _, p := range slices.Clone(w.open) {
					w.finish(p, "", false)
				}
				if rapid.Bool().Draw(t, "late") {
					w.r.Observe(w.now+1, before) // of the same instant, and out of date
				}
			}
		},
		"wait": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "wait")))
		},
	}
	for name, op := range ops {
		ops[name] = func(t *rapid.T) { op(t); w.now++; w.tick(t) }
	}
	return ops
}

// calm ends all faults and gives the reconciler d with an engine that does as it
// is told. Claims that fail on what went before are sold again.
func (w *world) calm(t *rapid.T, d time.Duration) {
	w.r.Settle(w.now, true)
	for end := w.now.Add(d); w.now < end; w.now += sec {
		for _, c := range w.engine {
			c.Health = HealthNone
		}
		w.r.Observe(w.now, w.snapshot())
		for w.tick(t); len(w.open) > 0; w.tick(t) {
			w.now++
			for _, p := range slices.Clone(w.open) {
				w.finish(p, "", false)
			}
		}
		w.bury()
	}
}

// converged: what is wanted runs, once, and nothing else is there.
func (w *world) converged(t *rapid.T) {
	left := len(w.engine)
	for _, want := range w.wants {
		if want.Stop {
			t.Errorf("%v was to stop, and is not reported gone: %+v", want.Ref.Slot, w.last[claimOf{want.Ref.Slot, keyOf(want.Ref)}])
			continue
		}
		c := w.engine[Name(want.Ref)]
		if c == nil || c.State != StateRunning || c.Ref != want.Ref {
			st, _ := w.r.Status(want.Ref)
			t.Errorf("%v does not run: %+v, %+v", want.Ref.Slot, c, st)
			continue
		}
		if rep := w.last[claimOf{want.Ref.Slot, keyOf(want.Ref)}]; rep.Phase != Serving || rep.OldRuns {
			t.Errorf("%v is reported %+v, want it serving", want.Ref.Slot, rep)
		}
		left--
	}
	if left != 0 {
		t.Errorf("%d containers too many: %v", left, w.names())
	}
}

func propReconcile(t *rapid.T) {
	w := newWorld(1)
	for range rapid.IntRange(0, 12).Draw(t, "wishes") {
		w.wish(t)
	}
	w.r.Observe(w.now, w.snapshot())
	w.tick(t)
	t.Repeat(w.operations())
	w.calm(t, 20*time.Minute)
	w.converged(t)
}

func TestReconcileAgainstADumbEngine(t *testing.T) { rapid.Check(t, propReconcile) }

// Equal inputs give equal outputs, byte for byte, in whatever order an engine
// lists its containers.
func TestReconcileIsDeterministic(t *testing.T) {
	history := func(seed uint64, reverse bool) []string {
		w, chance := newWorld(seed), rand.New(rand.NewPCG(seed, 2))
		for range 400 {
			w.now += clock.Instant(chance.Int64N(int64(3 * time.Second)))
			n := chance.IntN(4)
			if i := slices.IndexFunc(w.wants, func(x Want) bool { return x.Ref.Slot.Index == n }); i < 0 {
				w.wants = append(w.wants, Want{Ref: refOf(fmt.Sprintf("shop/web.%d", n), 1, "a"), Task: service()})
			}
			w.r.Set(w.now, w.wants)
			for _, name := range w.names() {
				if c := w.engine[name]; c.State == StateRunning && chance.IntN(8) == 0 {
					c.State, c.ExitCode = StateExited, 1
				}
			}
			sn := w.snapshot()
			if reverse {
				slices.Reverse(sn.Containers)
			}
			w.r.Observe(w.now, sn)
			for _, p := range slices.Clone(w.open) {
				switch chance.IntN(3) {
				case 0:
					w.finish(p, "", false)
				case 1:
					w.finish(p, "try later", false)
				}
			}
			actions, reports, wake := w.r.Tick(w.now)
			for _, a := range actions {
				w.open = append(w.open, &pending{Action: a})
			}
			a := fmt.Sprint(ops(actions), wake)
			w.trace = append(w.trace, fmt.Sprintf("%s %+v", a, reports))
		}
		return w.trace
	}
	for seed := range uint64(20) {
		one, two := history(seed, false), history(seed, true)
		if !slices.Equal(one, two) {
			t.Fatalf("seed %d: two histories of equal inputs differ", seed)
		}
	}
	if slices.Equal(history(1, false), history(2, false)) {
		t.Fatal("the histories do not depend on chance: the test shows nothing")
	}
}
