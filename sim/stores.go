package sim

import (
	"fmt"
	"slices"
	"time"

	"shoal/job"
	"shoal/node"
)

// addStoreVerbs fills in what destroys whole stores, and brings old ones back.
func addStoreVerbs() {
	verbs["wreck"] = verb{args: 1, usage: "JOB [count=2] [least=3] [for=10s]: destroys the disks of so many of the stores that its next answer names",
		opts: []string{"count", "least", "for"}, check: wreckArgs, do: (*run).wreck}
	verbs["image"] = verb{args: 1, usage: "PEER: keeps an image of its disk as it is, for restart disk=image", check: refArgs, do: (*run).image}
}

// A wreck waits for an answer about a job that names enough stores, and destroys some
// of those at that very moment.
type wreck struct {
	job          job.ID
	count, least int
	down         time.Duration // until a destroyed one is back with an empty disk; 0: for good
}

func wreckArgs(op *Op) error {
	if n := op.number("count", 2); n < 1 || n > maxStores {
		return fmt.Errorf("count=%s: want a number from 1 to %d", op.Opts["count"], maxStores)
	}
	return jobArg(op)
}

// maxStores is how many stores an answer names at most.
const maxStores = 3

func (r *run) wreck(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	r.w.wrecks = append(r.w.wrecks, &wreck{id, op.number("count", 2), op.number("least", maxStores), op.duration("for")})
	return nil
}

// wreckStores destroys what waits for such an answer: which of the stores is drawn, so
// that over many seeds every pair of them is lost.
func (w *World) wreckStores(m *machine, rep *node.Reply) {
	at := slices.IndexFunc(w.wrecks, func(x *wreck) bool { return x.job == rep.Job && len(rep.Stores) >= x.least && rep.Err == "" })
	if at < 0 {
		return
	}
	x := w.wrecks[at]
	w.wrecks = slices.Delete(w.wrecks, at, at+1)
	w.later(0, func() { // the daemon that answers is in the middle of a step
		for _, i := range m.chanceOf("wreck").Perm(len(rep.Stores))[:min(x.count, len(rep.Stores))] {
			if store := w.speaker(m, rep.Stores[i]); store != nil {
				w.trace.note(w.now, store.name, "its store is destroyed")
				store.powerCut()
				store.loseDisk()
				store.backAfter(x.down)
			}
		}
	})
}

// loseDisk gives a machine without power an empty disk.
func (m *machine) loseDisk() {
	m.disk = newDisk()
	m.engine.containers, m.engine.fresh = nil, false // the engine's store was on the same disk
	m.engine.images = map[string]bool{}
	m.w.checks.diskLost(m)
}

// image keeps a copy of a disk as the hardware has it now.
func (r *run) image(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	m.imaged, m.wasID = m.disk.image(), m.id
	return nil
}

// image copies what is synced and changes nothing.
func (d *disk) image() *disk {
	pending, ends := d.pending, d.ends
	d.pending, d.ends = nil, nil
	c := d.clone()
	d.pending, d.ends = pending, ends
	return c
}

// putBack exchanges the disk of a machine without power for the image of it. Nothing
// on it shows that it is old.
func (m *machine) putBack() error {
	if m.imaged == nil {
		return fmt.Errorf("there is no image of the disk of %s: image %s must stand above", m.name, m.name)
	}
	m.disk = m.imaged.clone()
	if m.id != m.wasID {
		m.w.become(m, m.wasID)
	}
	m.engine.containers, m.engine.fresh = nil, false
	m.w.checks.diskLost(m)
	return nil
}
