package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"shoal/node"
)

// A barrier is one sync at which the power goes: before it has reached the disk, or
// after, when nothing that waited for it has been sent.
type barrier struct {
	skip   int // syncs to let pass first
	before bool
	torn   bool
	down   time.Duration // 0: for good
	done   bool
}

// chanceOf is a stream for one fault alone, told apart by what it is and when.
func (m *machine) chanceOf(purpose string) *rand.Rand {
	return stream(m.w.seed, m.index, fmt.Sprintf("%s at %v", purpose, m.w.now))
}

func (m *machine) small() bool { return m.spec.Profile == "small" }

// room is what the machine says of its disk.
func (m *machine) room() *node.Disk {
	return &node.Disk{FreeBytes: m.disk.trouble.free, TotalBytes: diskTotal}
}

// openDisk opens the store for a daemon that starts; false if it refuses, as the
// real one does without room. Of what it finds damaged it says so.
func (m *machine) openDisk() bool {
	if m.refused = !m.disk.hasRoom(m.small()); m.refused {
		m.w.trace.note(m.w.now, m.name, "does not start: the disk is full")
		return false
	}
	m.disk.takeBallast(m.small())
	if m.disk.open() {
		m.w.trace.note(m.w.now, m.name, "its store opens damaged")
		m.spoiled()
	}
	return true
}

// spoiled notes that the store has lost something and knows.
func (m *machine) spoiled() {
	m.damaged = true
	m.w.checks.diskLost(m)
}

func (m *machine) endFor(why string) {
	m.w.trace.note(m.w.now, m.name, "cannot write: %s; the daemon ends", why)
	m.stopDaemon()
}

// syncDisk ends a sync; false if the daemon or the machine ends with it. What a
// failed one was to keep may be there at the next start, or not.
func (m *machine) syncDisk() bool {
	m.syncs++
	if b := m.barrier; b != nil && !b.done {
		if b.skip--; b.skip < 0 {
			b.done = true
			m.dieAt(b)
			return false
		}
	}
	if m.badSync {
		m.badSync = false
		m.disk.tear(m.chanceOf("failed sync"))
		m.w.trace.note(m.w.now, m.name, "cannot sync: the daemon ends")
		m.stopDaemon()
		m.w.checks.diskChanged(m)
		return false
	}
	m.disk.sync()
	m.disk.trouble.promised = true
	return true
}

func (m *machine) dieAt(b *barrier) {
	when := "after"
	if b.before {
		when = "before"
	} else {
		m.disk.sync()
		m.disk.trouble.promised = true
	}
	m.w.trace.note(m.w.now, m.name, "dies %s its sync %d", when, m.syncs)
	m.cutPower(b.torn)
	m.backAfter(b.down)
}

// powerCut ends everything on the machine at once.
func (m *machine) powerCut() { m.cutPower(false) }

// cutPower is a power cut; torn says that it may leave the store's files in a state
// that no order of writing explains, which the store then sees.
func (m *machine) cutPower(torn bool) {
	m.power++
	m.dark = true
	m.engine.powerCut()
	var lost int
	var seen bool
	if r := m.chanceOf("tear"); torn {
		lost, seen = m.disk.tearOne(r)
	} else {
		lost = m.disk.tear(r)
	}
	m.stopDaemon()
	if m.w.rec != nil {
		m.w.rec.life(m)
	}
	m.w.trace.note(m.w.now, m.name, "power cut, %d unsynced writes lost", lost)
	if seen {
		m.w.trace.note(m.w.now, m.name, "its store is torn, and its sums show that")
		m.spoiled()
	}
	m.w.checks.diskChanged(m)
}

// A backlog counts the messages that wait for a paused daemon. Its queues are bounded
// as the real ones are: what one peer sends waits at the sender, up to a bound, and
// then is refused there; gossip is dropped.
type backlog struct {
	gossip int
	frames map[int32]int // by sender
	lost   int
}

// maxFramesWaiting is p2p's bound of the frames to one peer (link.go).
const maxFramesWaiting = 4096

// keeps reports whether an event that reaches a paused daemon still waits when it
// goes on.
func (m *machine) keeps(e *event) bool {
	b := &m.waiting
	gossip := e.kind == evGossip || e.kind == evMessage && e.topic != 0
	switch {
	case e.kind != evMessage && !gossip:
		return true
	case m.deaf, gossip && b.gossip >= inboxBound, !gossip && b.frames[e.from] >= maxFramesWaiting:
		b.lost++
		return false
	case gossip:
		b.gossip++
		return true
	case b.frames == nil:
		b.frames = map[int32]int{}
	}
	b.frames[e.from]++
	return true
}

// pause stops the daemon where it stands, as SIGSTOP does; asleep stops the clock
// with it, as the sleep of the whole machine does.
func (m *machine) pause(asleep bool) {
	if m.paused {
		return
	}
	m.paused, m.asleep, m.halted = true, asleep, m.w.now
	m.w.checks.changed(m)
	if asleep {
		m.hangUp()
	}
}

// hangUp is the end of a machine's connections: what is sent to it from now on is
// lost, and the others notice some time later.
func (m *machine) hangUp() {
	m.deaf = true
	m.w.network.gone(m)
}

// resume ends a pause: all that came meanwhile is there at once.
func (m *machine) resume() {
	if !m.paused {
		return
	}
	if m.asleep {
		m.bootAt += m.w.now - m.halted
	}
	m.noteLost()
	deaf, syncEnded := m.deaf, m.syncEnded
	m.paused, m.deaf, m.asleep, m.syncEnded = false, false, false, false
	if deaf {
		m.w.network.woken(m)
	}
	m.w.checks.changed(m)
	if syncEnded {
		m.synced()
	}
	m.drain()
}

// noteLost empties the count of what has waited, and says what did not find room.
func (m *machine) noteLost() {
	if m.waiting.lost > 0 {
		m.w.trace.note(m.w.now, m.name, "%d messages were lost in the pause", m.waiting.lost)
	}
	m.waiting = backlog{}
}

// hears reports whether what is sent to the machine may arrive.
func (m *machine) hears() bool { return m.core != nil && !m.deaf }
