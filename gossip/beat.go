package gossip

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// An asker gets our beats until its ask ends.
type asker struct {
	who   *member
	until clock.Instant
}

// Receive takes a message of another peer. It reports whether the message was one
// of this package's: Beat, Observe or Votes; any other only shows that the sender
// was there. from must be authenticated by the transport, or, on a topic, by the
// author's signature. Answers leave with the next Tick.
func (m *Membership) Receive(now clock.Instant, from wire.PeerID, msg wire.Message) (handled bool) {
	m.awake(now)
	p := m.byID[from]
	if p != nil && p != m.me && msg != nil {
		m.noteSign(p)
	}
	switch msg := msg.(type) {
	case *wire.Beat:
		handled = true
		if msg != nil && m.isOther(p) {
			m.receiveBeat(p, msg)
		}
	case *wire.Observe:
		handled = true
		if msg != nil && m.isOther(p) {
			m.receiveObserve(p, msg)
		}
	case *wire.Votes:
		handled = true
		if msg != nil && m.isOther(p) {
			m.receiveVotes(p, msg)
		}
	}
	return handled
}

func (m *Membership) isOther(p *member) bool {
	if p == nil {
		m.stats.Strangers++
	}
	return p != nil && p != m.me
}

// noteSign takes any message of p as a sign that it was there since our start. It
// says nothing of now: only beats end a suspicion.
func (m *Membership) noteSign(p *member) {
	p.spokeAt = max(m.now, 1)
	if p.state == Unheard {
		m.become(p, Alive)
	}
}

func (m *Membership) receiveBeat(p *member, b *wire.Beat) {
	s := start{b.Inc, b.Nonce}
	c := s.compare(p.known())
	if c < 0 && m.isForgotten(p, s) {
		p.start, p.beat, c = start{}, 0, 1
	}
	if b.Beat == 0 || c < 0 || s == p.start && b.Beat <= p.beat {
		m.stats.StaleBeats++
		return
	}
	anew := c > 0
	p.start, p.beat, p.heardAt = s, b.Beat, m.now
	p.every = clampBeat(b.Every)
	p.told = b.Ready
	if p.settleReady() {
		m.stale = true
		m.reranked(p)
	}
	if p.obs != nil {
		m.stale = m.stale || !p.obs.heard
		p.obs.since = m.now
		p.obs.heard = true
	}
	if p.obs != nil && p.obs.vote != nil {
		for _, to := range m.electorate(p) {
			m.withdraw(to, p)
		}
	}
	m.unvote(p)
	p.votes, p.withdrawn = nil, nil
	if p.state == Dead && !anew {
		m.healUntil = m.now.Add(healBeats * m.cfg.BeatEvery)
		m.redialAt = min(m.redialAt, m.now.Add(m.jitter(0, m.cfg.BeatEvery)))
	}
	m.become(p, Alive)
	m.weigh(p)
	if anew {
		m.tellDeaths(p)
	}
}

// isForgotten reports whether the latest start known of p is one that p itself has
// forgotten with its disk, so that s, which compares less, is its present one. Of the
// forgotten start we know from beats alone, and those have ended: had its card been
// kept by anybody, p would have taken an incarnation above it.
func (m *Membership) isForgotten(p *member, s start) bool {
	return s.compare(start{p.Inc, p.Nonce}) >= 0 && p.beat > 0 && m.now.Sub(p.heardAt) >= m.voteAfter(p)
}

// healBeats is how long, in own beats, after a peer came back whole we take it
// that others come back with it: more lost members are redialled at once, and
// votes on the dead, which may be overtaken, are kept to ourselves.
const healBeats = 10

func (m *Membership) receiveObserve(p *member, o *wire.Observe) {
	i, found := slices.BinarySearchFunc(m.askers, p.ID, func(a asker, id wire.PeerID) int { return a.who.ID.Compare(id) })
	if o.For <= 0 {
		if found {
			m.askers = slices.Delete(m.askers, i, i+1)
		}
		return
	}
	a := asker{p, m.now.Add(min(o.For, 2*askBeats*m.cfg.BeatEvery))}
	switch {
	case found:
		m.askers[i].until = max(m.askers[i].until, a.until)
	case len(m.askers) < maxAskers:
		m.askers = slices.Insert(m.askers, i, a)
	default:
		m.stats.Refused++
	}
	m.answer(p)
	if doubtful(p.state) {
		m.probe(p) // it asks, so it may be back
	}
}

// answer sends p our beat out of turn, at most twice a beat.
func (m *Membership) answer(p *member) {
	if m.beat == 0 || p.answeredAt != 0 && m.now.Sub(p.answeredAt) < m.cfg.BeatEvery/2 {
		return
	}
	p.answeredAt = m.now
	m.send(p.ID, m.makeBeat())
}

// probe asks p for a sign of life, at most twice a beat of ours.
func (m *Membership) probe(p *member) {
	if p.probedAt != 0 && m.now.Sub(p.probedAt) < m.cfg.BeatEvery/2 {
		return
	}
	p.probedAt = m.now
	beats := probeBeats * p.every
	switch {
	case p.obs != nil:
		beats = askBeats * p.every
	case p.state == Unheard:
		beats = 1 // the answer itself will do
	}
	m.send(p.ID, &wire.Observe{For: beats})
}

func (m *Membership) makeBeat() *wire.Beat {
	return &wire.Beat{Inc: m.me.inc, Nonce: m.me.nonce, Beat: m.beat, Every: m.cfg.BeatEvery, Ready: m.me.ready}
}

// sendBeats sends our beat, when it is due, to those who observe us in our own
// view and to those who asked.
func (m *Membership) sendBeats() {
	if m.now < m.nextBeat {
		return
	}
	m.beat++
	if m.beat == 1 { // out of step with those who started with us
		m.nextBeat = m.now.Add(m.jitter(m.cfg.BeatEvery/2, m.cfg.BeatEvery/2))
	} else if m.nextBeat = m.nextBeat.Add(m.cfg.BeatEvery); m.nextBeat <= m.now {
		m.nextBeat = m.now.Add(m.cfg.BeatEvery)
	}
	m.askers = slices.DeleteFunc(m.askers, func(a asker) bool { return a.until <= m.now })
	beat := m.makeBeat()
	i := 0
	for _, o := range m.observers {
		for ; i < len(m.askers) && m.askers[i].who.ID.Compare(o.ID) < 0; i++ {
			m.send(m.askers[i].who.ID, beat)
		}
		if i < len(m.askers) && m.askers[i].who == o {
			i++
		}
		if o != m.me {
			m.send(o.ID, beat)
		}
	}
	for ; i < len(m.askers); i++ {
		m.send(m.askers[i].who.ID, beat)
	}
}

// Linked takes the transport's word that a link to peer came up or went down. It
// is a hint: a link that comes up is used for beats at once, one that went down
// leads to a redial; what we believe of the peer follows from beats alone.
func (m *Membership) Linked(now clock.Instant, peer wire.PeerID, up bool) {
	m.now = max(m.now, now)
	p := m.byID[peer]
	if p == nil || p == m.me {
		return
	}
	p.unlinked = !up
	if !up || !m.started {
		return
	}
	m.answer(p)
	if p.obs != nil || p.state != Alive {
		m.probe(p)
	}
}

// redialGap is the time to the next round of redials: one to two beats.
func (m *Membership) redialGap() time.Duration { return m.jitter(m.cfg.BeatEvery, m.cfg.BeatEvery) }

// sendRedials redials lost neighbours and one random dead member, so that the heal
// of a split is found within seconds whoever was lost, and one not heard yet.
func (m *Membership) sendRedials() {
	if m.now < m.redialAt {
		return
	}
	m.redialAt = m.now.Add(m.redialGap())
	var lost []*member
	for _, p := range m.near {
		if p.state != Alive || p.unlinked || m.silent(p) {
			lost = append(lost, p)
		}
	}
	if over := len(lost) - maxRedials; over > 0 {
		m.cfg.Rand.Shuffle(len(lost), func(i, j int) { lost[i], lost[j] = lost[j], lost[i] })
		lost = lost[:maxRedials]
	}
	n := 1
	if m.now < m.healUntil {
		n = healRedials
	}
	for range min(n, len(m.dead)) {
		lost = append(lost, m.dead[m.cfg.Rand.IntN(len(m.dead))])
	}
	if len(m.unheard) > 0 { // so that in time everyone was heard once
		lost = append(lost, m.unheard[m.cfg.Rand.IntN(len(m.unheard))])
	}
	for _, p := range lost {
		m.redial = append(m.redial, p.ID)
		m.probe(p)
	}
	slices.SortFunc(m.redial, wire.PeerID.Compare)
	m.redial = slices.Compact(m.redial)
}
