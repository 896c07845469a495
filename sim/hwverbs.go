package sim

import (
	"fmt"
	"slices"
	"time"

	"shoal/runtime"
	"shoal/wire"
)

// addHardware fills the part of the table of verbs that harms disks, clocks and
// engines.
func addHardware() {
	for name, v := range map[string]verb{
		"crashsync": {args: 1, usage: "PEER|any after=2 when=before|after [torn=yes] [for=10s]", opts: []string{"after", "when", "torn", "for"},
			check: refArgs, do: (*run).crashSync},
		"diskfail": {args: 1, usage: "PEER", check: refArgs, do: (*run).diskFail},
		"diskfull": {args: 1, usage: "PEER free=10MiB [fill=5MiB] [for=60s]", opts: []string{"free", "fill", "for"}, check: refArgs, do: (*run).diskFull},
		"diskslow": {args: 1, usage: "PEER factor=20, or PEER sync=200ms..2s; [for=60s]", opts: []string{"factor", "sync", "for"},
			check: diskSlowArgs, do: (*run).diskSlow},
		"rot": {args: 1, usage: "PEER records=5, or PEER log=yes", opts: []string{"records", "log"}, check: rotArgs, do: (*run).rot},

		"pause": {args: 1, usage: "PEER for=60s [links=die]", opts: []string{"for", "links"}, check: refArgs, do: (*run).pause},
		"sleep": {args: 1, usage: "PEER for=60s", opts: []string{"for"}, check: refArgs, do: (*run).sleep},

		"engine": {args: 1, usage: "PEER|all create=32ms start=100ms..3s", opts: []string{"create", "start"}, check: placeArgs, do: (*run).setPaces},
		"startfail": {args: 1, usage: "PEER|all p=30% [for=60s]", opts: []string{"p", "for"}, check: needs("p", placeArgs),
			do: (*run).startFail},
		"hang": {args: 1, more: 1, usage: "engine PEER [for=60s] [down]", opts: []string{"for", "down"}, check: engineArgs, do: (*run).hang},
		"hangcall": {args: 1, usage: "PEER op=create|start|stop|remove [count=1]", opts: []string{"op", "count"},
			check: needs("op", placeArgs), do: (*run).hangCall},
		"fix": {args: 1, more: 1, usage: "engine PEER", check: engineArgs, do: (*run).fix},
		"enginerestart": {args: 1, usage: "PEER [for=650ms] [live=no]", opts: []string{"for", "live"}, check: placeArgs,
			do: (*run).engineRestart},
		"exit": {args: 1, more: 1, usage: "container SLOT code=1 [fails=no]", opts: []string{"code", "fails"}, check: containerArgs, do: (*run).exit},
		"oom":  {args: 1, usage: "SLOT [child=yes] [fails=no]", opts: []string{"child", "fails"}, check: slotArg, do: (*run).outOfMemory},
		"lose": {args: 1, usage: "IMAGE [at=PEER] [for=60s]: it cannot be fetched any more", opts: []string{"at", "for"}, do: (*run).loseImage},
		"orphan": {args: 2, usage: "PEER SLOT life=1 token=1 [stopped] [stuck]", opts: []string{"life", "token", "stopped", "stuck"},
			check: orphanArgs, do: (*run).orphan},
		"conflict": {args: 1, usage: "PEER [count=1]", opts: []string{"count"}, check: refArgs, do: (*run).conflict},
	} {
		verbs[name] = v
	}
}

// placeArgs accepts a peer or all of them.
func placeArgs(op *Op) error {
	if op.Args[0] == "all" {
		return nil
	}
	return refArgs(op)
}

// needs is a check that an option is there.
func needs(key string, check func(*Op) error) func(*Op) error {
	return func(op *Op) error {
		if op.Opts[key] == "" {
			return fmt.Errorf("%s= is missing", key)
		}
		return check(op)
	}
}

// maxFactor is by how much a sync may be slower.
const maxFactor = 10_000

func diskSlowArgs(op *Op) error {
	if (op.Opts["factor"] == "") == (op.Opts["sync"] == "") {
		return fmt.Errorf("want one of factor=20 and sync=200ms..2s")
	}
	if n := op.number("factor", 1); n < 1 || n > maxFactor {
		return fmt.Errorf("factor=%s: %q is no factor from 1 to %d", op.Opts["factor"], op.Opts["factor"], maxFactor)
	}
	return placeArgs(op)
}

func rotArgs(op *Op) error {
	if (op.Opts["records"] == "") == (op.Opts["log"] == "") {
		return fmt.Errorf("want one of records=5 and log=yes")
	}
	return placeArgs(op)
}

func orphanArgs(op *Op) error {
	if _, err := parseSlot(op.Args[1]); err != nil {
		return err
	}
	return placeArgs(op)
}

// each calls f for the machine that a verb's first argument names, or for all.
func (r *run) each(op *Op, f func(*machine)) error {
	if op.Args[0] == "all" {
		for _, m := range r.w.machines {
			f(m)
		}
		return nil
	}
	m, err := r.w.find(op.Args[0])
	if err == nil {
		f(m)
	}
	return err
}

// after calls f when the op's for= is over, if it has one.
func (r *run) after(op *Op, f func()) {
	if d := op.duration("for"); d > 0 {
		r.w.later(d, f)
	}
}

func (o *Op) has(key string) bool {
	v, ok := o.Opts[key]
	return ok && v != "no"
}

// crashSync cuts the power at a sync to come: each is a barrier, and nothing that
// waits for it may have gone out when it did not come about.
func (r *run) crashSync(op *Op) error {
	b := &barrier{skip: op.number("after", 0), before: op.Opts["when"] != "after", torn: op.has("torn"), down: op.duration("for")}
	if op.Args[0] == "any" {
		for _, m := range r.w.machines {
			m.barrier = b
		}
		return nil
	}
	return r.each(op, func(m *machine) { m.barrier = b })
}

func (r *run) diskFail(op *Op) error {
	return r.each(op, func(m *machine) { m.badSync = true })
}

// diskFull leaves a disk little room; with fill= somebody else takes more of it each
// second.
func (r *run) diskFull(op *Op) error {
	free, fill := int64(10<<20), int64(0)
	if v := op.Opts["free"]; v != "" {
		free, _ = parseBytes(v) // checked when the scenario was read
	}
	if v := op.Opts["fill"]; v != "" {
		fill, _ = parseBytes(v)
	}
	return r.each(op, func(m *machine) {
		m.disk.trouble.fills = fill
		m.setRoom(free)
		if fill > 0 {
			r.fill(m)
		}
		r.after(op, m.makeRoom)
	})
}

func (r *run) fill(m *machine) {
	r.w.later(time.Second, func() {
		if t := &m.disk.trouble; t.fills > 0 && t.free > 0 {
			m.setRoom(max(0, t.free-t.fills))
			r.fill(m)
		}
	})
}

// makeRoom ends a shortage of room.
func (m *machine) makeRoom() {
	if m.disk.trouble.free < diskFree {
		m.disk.trouble.fills = 0
		m.setRoom(diskFree)
	}
}

func (r *run) diskSlow(op *Op) error {
	sp, _ := parseSpan(op.Opts["sync"])
	return r.each(op, func(m *machine) {
		t := &m.disk.trouble
		t.factor, t.span, t.rnd = int64(op.number("factor", 0)), sp, m.chanceOf("slow disk")
		r.after(op, m.hasten)
	})
}

// hasten gives a disk its own pace again.
func (m *machine) hasten() { m.disk.trouble.factor, m.disk.trouble.span = 0, span{} }

// rot alters what is synced: some entries anywhere, or the end of the log.
func (r *run) rot(op *Op) error {
	return r.each(op, func(m *machine) {
		if op.has("log") {
			m.disk.spoilLog()
			return
		}
		n := m.disk.spoil(m.chanceOf("rot"), op.number("records", 1))
		r.w.trace.note(r.w.now, m.name, "%d entries of its store rot", n)
	})
}

// pause stops a daemon for a while; with links=die the others' keep-alives end its
// connections after 30 to 40 s, so that only what came before waits for it.
func (r *run) pause(op *Op) error {
	return r.each(op, func(m *machine) {
		r.halt(m, op, false)
		if op.Opts["links"] == "die" {
			boot, begun := m.boot, m.halted
			r.w.later(span{30 * time.Second, 40 * time.Second}.draw(m.chanceOf("keep-alive")), func() {
				if m.boot == boot && m.paused && m.halted == begun {
					m.hangUp()
				}
			})
		}
	})
}

// sleep lets a whole machine sleep: its monotonic clock stands still too, so that its
// daemon notices no gap.
func (r *run) sleep(op *Op) error {
	return r.each(op, func(m *machine) { r.halt(m, op, true) })
}

func (r *run) halt(m *machine, op *Op, asleep bool) {
	if m.core == nil {
		return
	}
	boot := m.boot
	m.pause(asleep)
	r.after(op, func() {
		if m.boot == boot {
			m.resume()
		}
	})
}

// setPaces says how long an engine's operations take.
func (r *run) setPaces(op *Op) error {
	return r.each(op, func(m *machine) {
		for key, p := range map[string]*pace{"create": &m.engine.paces.create, "start": &m.engine.paces.start} {
			if v := op.Opts[key]; v != "" {
				*p, _ = parsePace(v)
			}
		}
	})
}

func (r *run) startFail(op *Op) error {
	p, err := parseRate(op.Opts["p"])
	if err != nil {
		return err
	}
	return r.each(op, func(m *machine) {
		f := failing{p: p, rnd: m.chanceOf("starts fail")}
		if d := op.duration("for"); d > 0 {
			f.until = r.w.now + d
		}
		m.engine.faults.failing = f
	})
}

func (r *run) hangCall(op *Op) error {
	ops := map[string]runtime.Op{"create": runtime.OpCreate, "start": runtime.OpStart, "stop": runtime.OpStop, "remove": runtime.OpRemove}
	return r.each(op, func(m *machine) {
		if m.engine.faults.hanging == nil {
			m.engine.faults.hanging = map[runtime.Op]int{}
		}
		m.engine.faults.hanging[ops[op.Opts["op"]]] += op.number("count", 1)
	})
}

func (r *run) hang(op *Op) error {
	end := noEnd
	if d := op.duration("for"); d > 0 {
		end = r.w.now + d
	}
	return r.each(op, func(m *machine) {
		e := m.engine
		if op.has("down") {
			e.down, e.downUntil = true, max(e.downUntil, end)
		} else {
			e.hung, e.hungUntil = true, max(e.hungUntil, end)
		}
		r.w.checks.changed(m)
		power := m.power
		r.after(op, func() {
			if m.power == power {
				r.mendDue(m)
			}
		})
	})
}

// mendDue ends what is wrong with an engine as far as its time is over: of faults
// that overlap the last end counts.
func (r *run) mendDue(m *machine) {
	e := m.engine
	hung, down := e.hung && r.w.now < e.hungUntil, e.down && r.w.now < e.downUntil
	if !hung && !down {
		r.mend(m)
		return
	}
	e.hung, e.down = hung, down
	r.w.checks.changed(m)
}

func (r *run) fix(op *Op) error { return r.each(op, r.mend) }

func (r *run) mend(m *machine) {
	m.engine.fix()
	r.w.checks.changed(m)
}

// measuredOutage is how long a killed engine was away until it answered again.
const measuredOutage = 650 * time.Millisecond

func (r *run) engineRestart(op *Op) error {
	down := measuredOutage
	if d := op.duration("for"); d > 0 {
		down = d
	}
	return r.each(op, func(m *machine) { m.engine.restart(down, op.Opts["live"] != "no") })
}

// exit ends a slot's container, wherever it runs.
func (r *run) exit(op *Op) error {
	return r.eachRunning(op, func(m *machine, c *container) { m.engine.end(c, op.number("code", 1)) })
}

func (r *run) outOfMemory(op *Op) error {
	return r.eachRunning(op, func(m *machine, c *container) { m.engine.outOfMemory(c, op.has("child")) })
}

func (r *run) eachRunning(op *Op, f func(*machine, *container)) error {
	slot, err := parseSlot(op.Args[0])
	if err != nil {
		return err
	}
	slot = r.w.named(slot)
	found := false
	for _, m := range r.w.machines {
		for _, c := range slices.Clone(m.engine.containers) {
			if c.Ref.Slot == slot && c.State == runtime.StateRunning {
				found = true
				f(m, c)
			}
		}
	}
	if !found && !hasKey(op.Opts, "fails") {
		r.didNothing(op, "no container of "+slot.String()+" runs")
	}
	return nil
}

// didNothing notes a line that found nothing to do, which its writer has not meant.
func (r *run) didNothing(op *Op, why string) {
	if len(r.nothing) < maxNothing {
		r.nothing = append(r.nothing, fmt.Sprintf("%s:%d: %s: %s", r.s.Name, op.Line, op, why))
	}
}

// maxNothing is how many lines that did nothing a Result names.
const maxNothing = 20

// loseImage lets nobody, or one machine, fetch an image any more; who has it keeps it.
func (r *run) loseImage(op *Op) error {
	var where []*machine
	if at := op.Opts["at"]; at != "" {
		m, err := r.w.find(at)
		if err != nil {
			return err
		}
		where = append(where, m)
	} else {
		where = slices.Clone(r.w.machines)
	}
	for _, m := range where {
		m.engine.missing[op.Args[0]] = true
	}
	if r.w.rec != nil {
		r.w.rec.image(op, true)
	}
	r.after(op, func() {
		if r.w.rec != nil {
			r.w.rec.image(op, false)
		}
		for _, m := range where {
			delete(m.engine.missing, op.Args[0])
		}
	})
	return nil
}

// orphan leaves a container of an earlier life on a machine: with the labels of a
// claim that its peer no longer has, or has with another spec.
func (r *run) orphan(op *Op) error {
	slot, err := parseSlot(op.Args[1])
	if err != nil {
		return err
	}
	return r.each(op, func(m *machine) {
		ref := runtime.Ref{
			Swarm: r.w.swarm.String(), Peer: m.id, Slot: r.w.named(slot),
			Life: uint64(op.number("life", 1)), Token: wire.Token(op.number("token", 1)), Spec: oldSpec(),
		}
		m.engine.leave(ref, !op.has("stopped"), behaviour{stuck: op.has("stuck")})
	})
}

func (r *run) conflict(op *Op) error {
	return r.each(op, func(m *machine) { m.engine.faults.conflicts += op.number("count", 1) })
}

// mended ends what is wrong with a machine, for the calm.
func (m *machine) mended() {
	m.badSync, m.barrier = false, nil
	m.hasten()
	m.makeRoom()
	m.engine.faults.failing, m.engine.faults.hanging, m.engine.faults.conflicts = failing{}, nil, 0
}
