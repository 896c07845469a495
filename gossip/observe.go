package gossip

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// An observation is our wish for the beats of one peer. Misses are counted from
// since: the last beat, the asking, or our own waking, whichever is latest.
type observation struct {
	onRing  bool // we are its observer; else it is only watched, and we have no vote
	asked   bool // the ask has been sent once
	renewAt clock.Instant
	since   clock.Instant
	heard   bool // some beat came since the asking

	vote    *wire.Vote // ours on it, while held
	votedAt clock.Instant
	voteAt  clock.Instant
	voteGap time.Duration // between two sendings; grows once it is dead
}

// Asks are for askFor beats of the asked and renewed after renewBeats to twice
// that, so that one that was lost costs nothing.
const (
	askBeats   = 64
	renewBeats = 16
	probeBeats = 3 // of an ask for a sign of life
)

// transit is how long a beat may take on its way beyond its interval before it
// counts as missed.
func transit(every time.Duration) time.Duration { return min(every/4, 250*time.Millisecond) }

// silentFor is how long p has been silent for n of its beats to count as missed.
func silentFor(p *member, n int) time.Duration {
	return time.Duration(n)*p.every + transit(p.every)
}

// voteAfter is the silence after which an observer of p votes.
func (m *Membership) voteAfter(p *member) time.Duration {
	return max(silentFor(p, m.cfg.DeadBeats), p.Waiting)
}

// heardLately reports whether p's beats come: the last is no older than a suspect's.
func (m *Membership) heardLately(p *member) bool {
	return p.beat > 0 && m.now.Sub(p.heardAt) < silentFor(p, m.cfg.SuspectBeats)
}

// silent reports whether p, asked by us, has not answered within a beat.
func (m *Membership) silent(p *member) bool {
	return p.obs != nil && !p.obs.heard && m.now.Sub(p.obs.since) >= silentFor(p, 1)
}

// countMisses makes targets suspect whose beats are missing, and votes.
func (m *Membership) countMisses() {
	for _, t := range m.targets {
		quiet := m.now.Sub(t.obs.since)
		if quiet < silentFor(t, m.cfg.SuspectBeats) {
			continue
		}
		if !doubtful(t.state) {
			m.become(t, Suspect)
			m.weigh(t)
		}
		if t.obs.vote == nil && t.obs.onRing && quiet >= m.voteAfter(t) && m.MayJudge(m.now) {
			m.castVote(t)
		}
	}
}

// deadline returns when something is due for target t if no beat comes; 0: nothing.
func (m *Membership) deadline(t *member) clock.Instant {
	o := t.obs
	if o.vote != nil {
		return later(o.voteAt, m.now)
	}
	if at := o.since.Add(silentFor(t, m.cfg.SuspectBeats)); at > m.now {
		return at
	}
	return later(max(o.since.Add(m.voteAfter(t)), m.judgeAt), m.now)
}

// refresh computes everyone we have to do with on the rings: whose beats we want,
// who observes us, and the neighbours. It is called when readiness, doubt or
// membership changed, and when a new target has not answered within a beat.
func (m *Membership) refresh() {
	m.stale, m.lookAt = false, 0
	m.gen++
	var targets []*member
	want := func(p *member, onRing bool) {
		if p.gen != m.gen {
			p.gen = m.gen
			targets = append(targets, p)
			if p.obs == nil {
				p.obs = &observation{since: m.now}
			}
			p.obs.onRing = false
		}
		p.obs.onRing = p.obs.onRing || onRing
	}
	if m.started && m.me.ready {
		for i := range m.rings {
			m.walkBack(i, want)
		}
	}
	for _, id := range m.watched {
		if p := m.byID[id]; p != nil && p != m.me && m.started {
			want(p, false)
		}
	}
	slices.SortFunc(targets, func(a, b *member) int { return a.ID.Compare(b.ID) })
	m.retarget(targets)
	m.observers = m.observersOf(m.me, m.observers[:0])
	slices.SortFunc(m.observers, func(a, b *member) int { return a.ID.Compare(b.ID) })
	m.refreshNear()
	m.pace = m.cfg.BeatEvery
	for _, t := range m.targets {
		m.pace = min(m.pace, max(t.every, lanBeat))
	}
}

// retarget replaces the targets, and tells those no longer wanted to stop.
func (m *Membership) retarget(targets []*member) {
	for _, t := range m.targets {
		if t.gen == m.gen {
			continue
		}
		if t.obs.asked && !doubtful(t.state) {
			m.send(t.ID, &wire.Observe{})
		}
		m.unvote(t)
		t.obs = nil
		if t.state == Suspect { // nobody here counts any more: the word is with its observers
			m.become(t, t.soundState())
		}
		m.weigh(t)
	}
	m.targets = targets
	for _, t := range targets {
		if t.obs.vote != nil && !t.obs.onRing {
			m.unvote(t)
			m.weigh(t)
		}
	}
}

// A class counts what a walk back along a ring has met of one class of targets.
type class struct {
	closed bool // a sound peer observes all further ones
	lost   int  // suspect, dead, or silent since asked
	fresh  int  // not yet heard, and not yet lost
}

// walkBack calls want for each peer we observe on ring i: our predecessors, back
// to the first that observes those before it itself. Where several in a row are
// lost it looks ahead, by as many as are lost already: stepping in for a row of k
// then takes some log k beats, not k times SuspectBeats.
func (m *Membership) walkBack(i int, want func(p *member, onRing bool)) {
	seats := m.rings[i].seats
	at := m.index(i, m.me)
	var classes [2]class // unmetered and metered targets
	for c := range classes {
		classes[c].closed = !m.mayObserve(m.me, &member{Peer: Peer{Metered: c == 1}})
	}
	for k := 1; k < len(seats) && !(classes[0].closed && classes[1].closed); k++ {
		p := seats[(at-k+len(seats))%len(seats)].who
		if !classes[classOf(p)].closed {
			want(p, true)
		}
		for c := range classes {
			m.pass(&classes[c], c == 1, p)
		}
	}
}

func classOf(p *member) int {
	if p.Metered {
		return 1
	}
	return 0
}

// pass takes note of p, met on the way back, for targets of one class.
func (m *Membership) pass(c *class, metered bool, p *member) {
	switch {
	case c.closed || !m.mayObserve(p, &member{Peer: Peer{Metered: metered}}):
	case doubtful(p.state) || m.silent(p):
		c.lost++
	case !p.ready: // may not observe, so we do it
	case m.heardLately(p):
		c.closed = true
	default:
		c.fresh++
		c.closed = c.fresh >= max(1, c.lost)
		if p.obs != nil {
			m.lookAt = clock.Earliest(m.lookAt, p.obs.since.Add(silentFor(p, 1)))
		}
	}
}

// sendAsks asks new targets for their beats, and renews the asks of old ones.
func (m *Membership) sendAsks() {
	for _, t := range m.targets {
		o := t.obs
		if o.asked && (m.now < o.renewAt || doubtful(t.state)) {
			continue // who is lost is asked with each redial
		}
		o.asked = true
		o.renewAt = m.now.Add(m.jitter(renewBeats*t.every, renewBeats*t.every))
		m.send(t.ID, &wire.Observe{For: askBeats * t.every})
	}
}

// Watch names further peers whose beats this one wants, such as those a steward
// shares a lane with. They can become suspect to us, and so be doubted; we have no
// vote on them. It replaces the earlier list.
func (m *Membership) Watch(peers []wire.PeerID) {
	list := sortedIDs(peers, maxStewards)
	if !slices.Equal(list, m.watched) {
		m.watched = list
		m.stale = true
	}
}

// sortedIDs returns at most n of ids, sorted and distinct; those after the first n
// are left out.
func sortedIDs(ids []wire.PeerID, n int) []wire.PeerID {
	list := slices.Clone(ids[:min(len(ids), n)])
	slices.SortFunc(list, wire.PeerID.Compare)
	return slices.Compact(list)
}
