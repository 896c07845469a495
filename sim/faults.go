package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"shoal/node"
	"shoal/wire"
)

// crash cuts the power of a machine, now or when it sends a message of a kind.
func (r *run) crash(op *Op) error {
	if kind := op.Opts["on"]; kind != "" {
		t := &trap{kind: kindOf(kind), from: -1, before: op.Opts["when"] == "before", skip: op.number("after", 0), down: op.duration("for")}
		if op.Args[0] != "any" {
			m, err := r.w.find(op.Args[0])
			if err != nil {
				return err
			}
			t.from = m.index
		}
		r.w.network.traps = append(r.w.network.traps, t)
		return nil
	}
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	m.cutPower(op.has("torn"))
	m.backAfter(op.duration("for"))
	return nil
}

func (r *run) crashDaemon(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	if m.dark {
		r.didNothing(op, m.name+" is without power")
		return nil
	}
	m.stopDaemon()
	m.backAfter(op.duration("for"))
	return nil
}

// noEnd is the end of what a restart alone ends.
const noEnd = time.Duration(math.MaxInt64)

// backAfter starts the machine again after d, or, of several faults that overlap, at
// the last one's end; 0: not by itself.
func (m *machine) backAfter(d time.Duration) {
	if d <= 0 {
		m.backAt = noEnd
		return
	}
	m.backAt = max(m.backAt, m.w.now+d)
	m.w.later(d, func() {
		if m.w.now >= m.backAt {
			m.start()
		}
	})
}

// restart starts a machine's daemon, with the disk it had or another.
func (r *run) restart(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	disk := op.Opts["disk"]
	if m.gone != "" {
		if disk != "image" && !strings.HasPrefix(disk, "clone-of:") { // those know nothing of its leaving
			r.didNothing(op, fmt.Sprintf("%s has halted: %s; a join brings another", m.name, m.gone))
			return nil
		}
		m.gone = ""
	}
	if m.core != nil && disk != "" && disk != "keep" {
		m.powerCut()
	}
	switch source, clone := strings.CutPrefix(disk, "clone-of:"); {
	case clone:
		from, err := r.w.find(source)
		if err != nil {
			return err
		}
		m.disk, m.damaged = from.disk.clone(), from.damaged // the mark of damage is a file of the store
		m.engine.containers, m.engine.fresh = nil, false
		r.w.become(m, from.id)
		r.w.checks.shared[from.id] = true
		r.w.checks.diskLost(m)
	case disk == "lost":
		m.loseDisk()
	case disk == "image":
		if err := m.putBack(); err != nil {
			return err
		}
	case disk == "damaged":
		lost := m.disk.rot(m.chanceOf("rot"), 0.5)
		r.w.trace.note(r.w.now, m.name, "%d records rot away", lost)
		m.spoiled()
	}
	m.start()
	return nil
}

// clockJump shifts a wall clock (by=) and makes a monotonic one run fast or slow
// by so many millionths (drift=).
func (r *run) clockJump(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	if by := op.Opts["by"]; by != "" {
		if m.wall, err = parseShift(by); err != nil {
			return err
		}
	}
	if op.Opts["drift"] != "" && m.core == nil {
		m.ppm = int64(op.number("drift", 0)) // a running clock does not change its pace: instants must not jump
	}
	return nil
}

// join adds a machine and starts it. With first=JOB its key is such that it leads
// the ranking of that job's lane as soon as it is ready.
func (r *run) join(op *Op) error {
	spec := MachineSpec{Capacity: defaultCapacity}
	var words []string
	for _, k := range sortedKeys(op.Opts) {
		if k != "first" {
			words = append(words, k+"="+op.Opts[k])
		}
	}
	if err := machineOptions(&spec, words); err != nil {
		return err
	}
	m := r.w.add(spec)
	if op.Opts["first"] != "" {
		r.w.become(m, r.w.firstEverywhere())
	}
	m.start()
	return nil
}

// firstEverywhere searches a key that comes first in the ranking of every lane, or,
// since a second such key is hard to find, of most of them.
func (w *World) firstEverywhere() (best wire.PeerID) {
	const maxKeys = 50_000
	for n, most := 0, -1; n < maxKeys && most < node.Lanes; n++ {
		id := wire.PeerID(streamHash(w.seed, n, "newcomer"))
		if won := w.lanesWon(id); won > most {
			best, most = id, won
		}
	}
	return best
}

func (w *World) lanesWon(id wire.PeerID) (won int) {
	for lane := range node.Lanes {
		ctx := fmt.Sprintf("lane/%s/%d", w.swarm, lane)
		mine := wire.Order(ctx, id) >> 1
		if !slices.ContainsFunc(w.machines, func(m *machine) bool { return wire.Order(ctx, m.id)>>1 <= mine }) {
			won++
		}
	}
	return won
}

// quiet ends every fault: from now on progress is demanded.
func (r *run) quiet() {
	w := r.w
	_ = r.heal(nil)
	w.network.calm(&r.s.Net)
	r.changeLinks()
	if w.rec != nil {
		w.rec.weather(false, "")
		w.rec.calmLinks()
	}
	w.network.drops, w.network.traps, w.network.forgeries, w.wrecks = nil, nil, nil, nil
	for _, m := range w.machines {
		m.resume()
		m.slow, m.repeats = 0, 0
		m.mended()
		m.confess()
		r.recordLife(m)
	}
	w.trace.note(w.now, "world", "calm")
}
