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
	role    role
	asked   bool // the ask has been sent once
	renewAt clock.Instant
	since   clock.Instant
	heard   bool // some beat came since the asking

	vote    *wire.Vote // ours on it, while held
	votedAt clock.Instant
	voteAt  clock.Instant
	voteGap time.Duration // between two sendings; grows once it is dead
}

// A role is for what we want a peer's beats; of several the greatest counts.
type role uint8

const (
	roleAcross   role = iota + 1 // for our class, see walkAcross
	roleWatched                  // for ourselves: see Watch
	roleObserver                 // on the rings
)

// votes reports whether we vote on a peer. A vote across counts for those to whom the
// classes are open, and else for nothing.
func (r role) votes() bool { return r != roleWatched }

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

// gap is the time between the beats of p that we want: across the classes one for
// each of our own, so that a metered peer pays no more for it.
func (m *Membership) gap(p *member) time.Duration {
	if p.obs != nil && p.obs.role == roleAcross {
		return max(p.every, m.cfg.BeatEvery)
	}
	return p.every
}

// silentFor is how long p has been silent for n of its beats to count as missed.
func (m *Membership) silentFor(p *member, n int) time.Duration { return silentFor(m.gap(p), n) }

func silentFor(every time.Duration, n int) time.Duration {
	return time.Duration(n)*every + transit(every)
}

// voteAfter is the silence after which an observer of p votes.
func (m *Membership) voteAfter(p *member) time.Duration {
	return max(m.silentFor(p, m.cfg.DeadBeats), p.Waiting)
}

// heardLately reports whether p beats now: the last beat is no older than that of one
// who is suspect to its observers. We ourselves may want fewer of them, see gap.
func (m *Membership) heardLately(p *member) bool {
	return p.beat > 0 && m.now.Sub(p.heardAt) < silentFor(p.every, m.cfg.SuspectBeats)
}

// silent reports whether p, asked by us, has not answered within a beat.
func (m *Membership) silent(p *member) bool {
	return p.obs != nil && !p.obs.heard && m.now.Sub(p.obs.since) >= m.silentFor(p, 1)
}

// countMisses makes targets suspect whose beats are missing, and votes.
func (m *Membership) countMisses() {
	for _, t := range m.targets {
		quiet := m.now.Sub(t.obs.since)
		if quiet < m.silentFor(t, m.cfg.SuspectBeats) {
			continue
		}
		if !doubtful(t.state) {
			m.become(t, Suspect)
			m.weigh(t)
		}
		if t.obs.vote == nil && t.obs.role.votes() && quiet >= m.voteAfter(t) && m.MayJudge(m.now) {
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
	if at := o.since.Add(m.silentFor(t, m.cfg.SuspectBeats)); at > m.now {
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
	want := func(p *member, r role) {
		if p.gen == m.gen {
			return // for something greater, see the order below
		}
		p.gen = m.gen
		targets = append(targets, p)
		if p.obs == nil {
			p.obs = &observation{since: m.now, role: r}
		}
		m.takeRole(p, r)
	}
	if m.started && m.me.ready {
		for i := range m.rings {
			m.walkBack(i, want)
		}
	}
	for _, id := range m.watched {
		if p := m.byID[id]; p != nil && p != m.me && m.started {
			want(p, roleWatched)
		}
	}
	if m.started && m.me.ready {
		m.walkAcross(want)
	}
	slices.SortFunc(targets, func(a, b *member) int { return a.ID.Compare(b.ID) })
	m.retarget(targets)
	m.observers = m.observersOf(m.me, m.observers[:0])
	slices.SortFunc(m.observers, func(a, b *member) int { return a.ID.Compare(b.ID) })
	m.refreshNear()
	m.pace = m.cfg.BeatEvery
	for _, t := range m.targets {
		m.pace = min(m.pace, max(m.gap(t), lanBeat))
	}
}

// takeRole has us want p's beats for r. Whose beats are wanted more often than so far
// is asked anew, and has as long to answer as one never asked.
func (m *Membership) takeRole(p *member, r role) {
	before := m.gap(p)
	across := p.obs.role == roleAcross
	p.obs.role = r
	if across == (r == roleAcross) {
		return
	}
	p.obs.asked = false
	if m.gap(p) < before && p.obs.vote == nil {
		p.obs.since, p.obs.heard = m.now, false
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
		if t.obs.vote != nil && !t.obs.role.votes() {
			m.unvote(t)
			m.weigh(t)
		}
	}
}

// A class counts what a walk back along a ring has met, for the targets of one class.
type class struct {
	closed bool // a sound peer observes all further ones
	lost   int  // suspect, dead, or silent since asked
	fresh  int  // not yet heard, and not yet lost
}

// classes are the targets that a walk back tells apart: metered or not, and sound or
// not, since both decide who may observe them.
var classes = [4]member{{}, {Peer: Peer{Metered: true}}, {counted: true}, {Peer: Peer{Metered: true}, counted: true}}

func classOf(p *member) int {
	c := classIndex(p.Metered)
	if p.counted {
		c += 2
	}
	return c
}

// walkBack calls want for each peer we observe on ring i: our predecessors, back
// to the first that observes those before it itself. Where several in a row are
// lost it looks ahead, by as many as are lost already: stepping in for a row of k
// then takes some log k beats, not k times SuspectBeats.
func (m *Membership) walkBack(i int, want func(*member, role)) {
	seats := m.rings[i].seats
	at := m.index(i, m.me)
	var met [len(classes)]class
	open := 0
	for c := range met {
		met[c].closed = !m.mayObserve(m.me, &classes[c])
		if !met[c].closed {
			open++
		}
	}
	for k := 1; k < len(seats) && open > 0; k++ {
		p := seats[(at-k+len(seats))%len(seats)].who
		if !met[classOf(p)].closed {
			want(p, roleObserver)
		}
		open = 0
		for c := range met {
			if !met[c].closed && m.mayObserve(p, &classes[c]) {
				m.pass(&met[c], p)
			}
			if !met[c].closed {
				open++
			}
		}
	}
}

// mostAcross is how many sound peers of the other class we watch.
const mostAcross = 8

// walkAcross calls want for the peers of the other class that are nearest before us on
// the first ring, where we may not observe them: back to the first of our own class
// that watches those before it. Where all of a class are gone at once, or on the other
// side of a cut, nobody is left that may observe them, and nobody of ours would know;
// our votes tell it, and so open the class.
func (m *Membership) walkAcross(want func(*member, role)) {
	if m.members[classIndex(!m.me.Metered)] == 0 {
		return
	}
	seats := m.rings[0].seats
	at := m.index(0, m.me)
	var c class
	lost, sound := 0, 0
	for k := 1; k < len(seats) && !c.closed && sound < max(mostAcross, lost); k++ {
		p := seats[(at-k+len(seats))%len(seats)].who
		switch {
		case p.Metered == m.me.Metered:
			m.pass(&c, p)
			continue
		case !p.ready || m.mayObserve(m.me, p):
			continue
		}
		want(p, roleAcross)
		if doubtful(p.state) || m.silent(p) {
			lost++
		} else {
			sound++
		}
	}
}

// pass takes note of p, who might observe those before it.
func (m *Membership) pass(c *class, p *member) {
	switch {
	case doubtful(p.state) || m.silent(p):
		c.lost++
	case !p.ready: // may not observe, so we do it
	case m.heardLately(p):
		c.closed = true
	default:
		c.fresh++
		c.closed = c.fresh >= max(1, c.lost)
		if p.obs != nil {
			m.lookAt = clock.Earliest(m.lookAt, p.obs.since.Add(m.silentFor(p, 1)))
		}
	}
}

// sendAsks asks new targets for their beats, and renews the asks of old ones. Across
// the classes it asks for one beat at a time.
func (m *Membership) sendAsks() {
	for _, t := range m.targets {
		o := t.obs
		if o.role == roleAcross {
			if m.now >= o.renewAt {
				o.asked = true
				o.renewAt = m.now.Add(m.gap(t) - m.gap(t)/8) // a Tick is near then
				m.send(t.ID, &wire.Observe{For: 1})
			}
			continue
		}
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
