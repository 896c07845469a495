package sim

import (
	"time"

	"shoal/node"
)

// askRoom is how often a daemon that holds still asks its store again.
const askRoom = time.Second

// write gives a batch to the store; false if what follows from it must not happen, or
// not yet. Where the store is spoilt the daemon ends: who cannot write must not promise.
// Where it is full it holds still.
func (m *machine) write(rd *node.Ready) bool {
	switch {
	case !m.disk.takes(rd.Records, m.small()):
		m.holdStill(rd)
	case m.disk.touches(rd.Records):
		m.endFor("a stored value was altered since the start")
	default:
		m.disk.append(rd.Records, m.small())
		return true
	}
	return false
}

// holdStill stops the daemon between a step and its effects until there is room, as
// the real one does (daemon/hold.go): it says and begins nothing, and what comes waits
// as in a pause. Its connections, and gossip as long as its queue has room, go on.
func (m *machine) holdStill(rd *node.Ready) {
	m.full, m.held = true, *rd
	m.w.trace.note(m.w.now, m.name, "cannot write: the disk is full; it holds still")
	m.w.checks.changed(m)
	m.askAgain(m.boot)
}

func (m *machine) askAgain(boot uint32) {
	m.w.later(askRoom, func() {
		switch {
		case m.boot != boot || !m.full: // another daemon's
		case m.paused || !m.disk.takes(m.held.Records, m.small()):
			m.askAgain(boot)
		default:
			m.goOn()
		}
	})
}

// goOn ends the hold: what was to be written is, and all that has waited is there at
// once.
func (m *machine) goOn() {
	rd := m.held
	m.full, m.held = false, node.Ready{}
	m.noteLost()
	m.w.trace.note(m.w.now, m.name, "goes on: there is room on its disk again")
	m.w.checks.changed(m)
	if m.write(&rd) {
		m.wrote(&rd)
	}
	m.drain()
}

// answersItself reports whether an input is answered without the core: who asks for
// something while the daemon holds still is told why not.
func (m *machine) answersItself(e *event) bool {
	if !m.full || m.paused || e.kind != evInput || e.input.Request == nil {
		return false
	}
	m.w.replied(m, &node.Reply{ID: e.input.Request.ID, Code: node.CodeNotReady, Err: "this peer holds still: the disk is full"})
	return true
}

// setRoom changes how much of the disk is free; the daemon reads that every ten
// seconds. One that did not start for want of room is started again when there is some,
// as a supervisor does.
func (m *machine) setRoom(free int64) {
	m.disk.trouble.free = free
	const readEvery = 10 * time.Second
	boot := m.boot
	m.w.later(span{0, readEvery}.draw(m.chanceOf("reads its room")), func() {
		if m.boot == boot && m.core != nil {
			m.give(node.Input{Disk: m.room()})
		}
	})
	if m.refused && m.core == nil && !m.dark && m.disk.hasRoom(m.small()) {
		m.start()
	}
}
