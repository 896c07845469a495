package gossip

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/wire"
)

// massWindow and massRepair are the rule "when much goes at once, it may be me":
// who became doubted within massWindow together with over a fifth of the ready
// peers, and at least three, is not repaired before massRepair.
const (
	massWindow = 10 * time.Second
	massRepair = 30 * time.Second
	massLeast  = 3
	massShare  = 5 // one in so many
)

// weigh settles whether p is doubted, after its state or the votes on it changed.
func (m *Membership) weigh(p *member) {
	defer m.count(p)
	if p.state == Dead {
		m.evidence = remove(m.evidence, p)
		p.weighed = false
		m.doubt(p)
		return
	}
	if p.state != Suspect && len(p.votes) == 0 {
		if p.doubted || p.weighed {
			m.evidence = remove(m.evidence, p)
			m.undoubt(p)
		}
		return
	}
	m.stir = true
	p.weighed = true
	m.evidence = insert(m.evidence, p)
	if p.state == Suspect || m.accused(p) {
		m.doubt(p)
	} else {
		m.doubtNoMore(p)
	}
}

// accused reports whether some observer of p votes on it.
func (m *Membership) accused(p *member) bool {
	var buf [MaxRings]*member
	return slices.ContainsFunc(m.observersOf(p, buf[:0]), func(o *member) bool { return p.voteBy(o.ID) >= 0 })
}

func (m *Membership) doubt(p *member) {
	if !p.doubted {
		p.doubted = true
		p.doubtedAt = m.now
		m.views++
		m.stir, m.fresh = true, true
	}
}

func (m *Membership) doubtNoMore(p *member) {
	if p.doubted {
		p.doubted, p.mass = false, false
		m.views++
		m.stir = true
	}
}

// undoubt is doubtNoMore for a peer that nothing speaks against any longer.
func (m *Membership) undoubt(p *member) {
	m.doubtNoMore(p)
	p.weighed = false
	m.count(p)
}

// believe comes to believe in deaths, as long as one follows from another.
func (m *Membership) believe() {
	for m.stir || m.stale && len(m.evidence) > 0 {
		m.stir = false
		for i := len(m.evidence) - 1; i >= 0; i-- { // observers may have changed
			m.reweigh(m.evidence[i])
		}
		if m.fresh {
			m.fresh = false
			m.noteMass()
		}
		m.stir = false
		var condemned []*member
		for _, p := range m.evidence {
			if m.condemned(p, func(id wire.PeerID) bool { return p.voteBy(id) >= 0 }) {
				condemned = append(condemned, p)
			}
		}
		for _, p := range condemned {
			m.bury(p)
		}
		if len(condemned) == 0 {
			return
		}
	}
}

func (m *Membership) reweigh(p *member) {
	if p.state == Suspect || m.accused(p) {
		m.doubt(p)
	} else {
		m.doubtNoMore(p)
	}
}

// outVotes is how many observers must vote on another observer before its silence on
// a peer counts for nothing. A single bad link makes one vote: where one link in twenty is
// bad, one peer in three is under a vote at any moment and one in fourteen under two, and
// were they all left out, a few bad links would be enough.
const outVotes = 3

// isOut reports whether an observer is likely gone itself: suspect to us, or under the
// votes of three of its own observers, or of most of those that we do not doubt.
func (m *Membership) isOut(o *member) bool {
	if !o.doubted || doubtful(o.state) {
		return o.doubted
	}
	var buf [MaxRings]*member
	against, sound := 0, 0
	for _, x := range m.observersOf(o, buf[:0]) {
		if o.voteBy(x.ID) >= 0 {
			against++
		}
		if !x.doubted {
			sound++
		}
	}
	return against >= outVotes || 2*against > sound
}

// condemned reports whether the votes of those that votes names make p dead: of
// two thirds of its distinct observers that are not out; if they all are, of the first
// successor on any ring that we do not doubt. Two thirds are as soon there as half of
// them: of a peer that is gone all miss the same beats.
func (m *Membership) condemned(p *member, votes func(wire.PeerID) bool) bool {
	var buf [MaxRings]*member
	sound, against := 0, 0
	observers := m.observersOf(p, buf[:0])
	if mutant.Is(mutant.CountDeadObservers) {
		observers = m.successorsOf(p, buf[:0], func(*member) bool { return true })
	}
	for _, o := range observers {
		if m.isOut(o) && !mutant.Is(mutant.CountDeadObservers) {
			continue
		}
		sound++
		if votes(o.ID) {
			against++
			if mutant.Is(mutant.CountVoteTwice) {
				against++
			}
		}
	}
	if sound > 0 {
		return 3*against >= 2*sound
	}
	rest := m.successorsOf(p, buf[:0], func(o *member) bool { return !o.doubted })
	return slices.ContainsFunc(rest, func(o *member) bool { return votes(o.ID) })
}

// bury makes p dead, and plans to publish the votes unless somebody did.
func (m *Membership) bury(p *member) {
	m.become(p, Dead)
	m.weigh(p)
	for i := range p.votes {
		v := &p.votes[i]
		p.vouched = p.vouched || v.Last > 0
		if v.until != 0 {
			v.until = m.now.Add(deadLapseBeats * p.every)
		}
	}
	if p.published || !m.me.ready {
		return
	}
	if len(m.notices) == 0 {
		m.noticeAt = m.now.Add(m.jitter(0, noticeWithin))
	}
	m.notices = append(m.notices, p)
}

// noteMass marks the peers that became doubted within the window if they are too
// many to be gone.
func (m *Membership) noteMass() {
	var recent []*member
	ready := 0
	for _, p := range m.all {
		isRecent := p.doubted && m.now.Sub(p.doubtedAt) < massWindow
		if !p.ready || p.state == Dead && !isRecent {
			continue
		}
		ready++
		if isRecent {
			recent = append(recent, p)
		}
	}
	if len(recent) < massLeast || len(recent)*massShare <= ready {
		return
	}
	for _, p := range recent {
		p.mass = true
	}
}

// MayBeMe reports whether so many peers became doubted at once that the fault may
// be ours: some of them are not yet back, nor dead for 30 s.
func (m *Membership) MayBeMe(now clock.Instant) bool {
	mass := func(p *member) bool { return p.mass && (p.state != Dead || now.Sub(p.deadAt) < massRepair) }
	return slices.ContainsFunc(m.evidence, mass) || slices.ContainsFunc(m.dead, mass)
}

// WentWithMany reports whether id became doubted together with many and is not back,
// or was heard neither by us nor by any voter since we started: it may be on the other
// side of a cut, however long ago that was.
func (m *Membership) WentWithMany(id wire.PeerID) bool {
	p := m.byID[id]
	return p != nil && p != m.me && (p.mass || p.spokeAt == 0 && !p.vouched)
}

// RepairDelay returns how long after the death of id its slots are sold: after,
// but at least 30 s if it went together with many, or if neither we nor any voter
// heard it since we started: site power comes back device by device.
func (m *Membership) RepairDelay(id wire.PeerID, after time.Duration) time.Duration {
	if !mutant.Is(mutant.NoMassWait) && m.WentWithMany(id) {
		return max(after, massRepair)
	}
	return after
}
