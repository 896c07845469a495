package gossip

import (
	"bytes"
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// A held vote counts until a later beat voids it, or until it is not repeated.
type held struct {
	wire.Vote
	until clock.Instant // 0: our own, which we drop ourselves
}

// Votes on a peer we do not hold dead are repeated each beat of the voter and
// lapse soon; those on the dead are repeated at growing gaps, up to slowest.
const (
	lapseBeats     = 4
	slowestBeats   = 64
	deadLapseBeats = 160
	noticeWithin   = 500 * time.Millisecond
	maxNotices     = 16 // messages of one publication
)

// castVote signs our vote on t and holds it.
func (m *Membership) castVote(t *member) {
	v := wire.Vote{Of: t.ID, Inc: t.known().inc, By: m.cfg.Self}
	if t.inc == v.Inc {
		v.Last = t.beat
	}
	v.Sig = m.cfg.Key.Sign(v.SignedBytes(m.cfg.Swarm))
	t.obs.vote = &v
	t.obs.votedAt, t.obs.voteAt = m.now, m.now
	t.obs.voteGap = m.cfg.BeatEvery
	m.hold(t, held{Vote: v})
	m.weigh(t)
}

// void reports whether what we heard of p ends a vote on it: it began anew, or it
// beats to us now. Whoever votes missed more beats than that, whatever it claims
// to have heard last. The numbers themselves are not compared: the last beat of a
// crash reaches some observers and not others, and one who steps in for a dead
// observer never heard any, so that votes would be void for good at those who did.
func (m *Membership) void(p *member, v *wire.Vote) bool {
	return v.Inc < p.known().inc || m.heardLately(p)
}

// Refuted takes the signed word of a peer, found in the ledger, that it beat later
// than the votes against it say: those are void, and so is a death that rests on
// them. It is no beat: observers go on counting.
func (m *Membership) Refuted(now clock.Instant, id wire.PeerID, inc uint32, beat uint64) {
	m.now = max(m.now, now)
	p := m.byID[id]
	if p == nil || p == m.me || inc < p.known().inc {
		return
	}
	void := func(v held) bool { return v.By != m.cfg.Self && (v.Inc < inc || v.Inc == inc && v.Last < beat) }
	before := len(p.votes)
	p.votes = slices.DeleteFunc(p.votes, void)
	if len(p.votes) < before && p.state == Dead {
		m.become(p, p.soundState())
	}
	m.weigh(p)
}

func (m *Membership) receiveVotes(from *member, msg *wire.Votes) {
	votes := msg.Votes[:min(len(msg.Votes), wire.MaxVotes)]
	var accused []*member
	for i := range votes {
		v := &votes[i]
		p, by := m.byID[v.Of], m.byID[v.By]
		switch {
		case p == nil || by == nil:
			m.stats.Strangers++
		case p == by:
		case p == m.me:
			if v.Inc == m.me.inc {
				m.answer(by) // we are here
			}
		case by != m.me && !m.take(p, by, v):
			return // whoever passes on a forged vote is not heard further
		case !slices.Contains(accused, p):
			accused = append(accused, p)
		}
	}
	var ask []*member
	for _, p := range accused {
		switch {
		case msg.Public:
			if !p.published && m.suffices(p, votes) {
				m.notePublished(p)
			}
		case m.isAppeal(p, from, votes) && !m.suffices(p, votes):
			ask = append(ask, p)
		}
	}
	m.convince(from, ask)
}

// convince sends to a peer, which showed by its votes that it is not sure yet, the
// votes on others that we can pass on; at most twice a beat.
func (m *Membership) convince(to *member, others []*member) {
	if len(others) == 0 || to.convincedAt != 0 && m.now.Sub(to.convincedAt) < m.cfg.BeatEvery/2 {
		return
	}
	to.convincedAt = m.now
	for _, votes := range m.messagesOf(others, maxTold) {
		m.send(to.ID, &wire.Votes{Votes: votes})
	}
}

// isAppeal reports whether votes show that their sender waits for ours on p: it
// returns our own vote, or it votes itself on one that is dead to us.
func (m *Membership) isAppeal(p, from *member, votes []wire.Vote) bool {
	return slices.ContainsFunc(votes, func(v wire.Vote) bool {
		return v.Of == p.ID && (v.By == m.cfg.Self && p.voteBy(m.cfg.Self) >= 0 || v.By == from.ID && p.state == Dead)
	})
}

// suffices reports whether votes condemn p by themselves.
func (m *Membership) suffices(p *member, votes []wire.Vote) bool {
	return m.condemned(p, func(id wire.PeerID) bool {
		return slices.ContainsFunc(votes, func(v wire.Vote) bool { return v.Of == p.ID && v.By == id && !m.void(p, &v) })
	})
}

// notePublished takes note that the votes on p were published: there is no need
// to do it again.
func (m *Membership) notePublished(p *member) {
	p.published = true
	m.notices = slices.DeleteFunc(m.notices, func(q *member) bool { return q == p })
}

// take holds a vote by another peer, unless it is void. It returns false if the
// vote is forged.
func (m *Membership) take(p, by *member, v *wire.Vote) bool {
	if m.void(p, v) {
		return true
	}
	beats := lapseBeats
	if p.state == Dead {
		beats = deadLapseBeats
	}
	until := m.now.Add(time.Duration(beats) * max(p.every, by.every))
	if i := p.voteBy(v.By); i >= 0 {
		h := &p.votes[i]
		if h.Inc == v.Inc && h.Last == v.Last && bytes.Equal(h.Sig, v.Sig) {
			h.until = max(h.until, until) // repeated
			return true
		}
		if v.Inc < h.Inc || v.Inc == h.Inc && v.Last < h.Last {
			return true // overtaken
		}
	}
	if !m.cfg.Verify(v.By, v.SignedBytes(m.cfg.Swarm), v.Sig) {
		m.stats.Forged++
		return false
	}
	h := held{*v, until}
	h.Sig = bytes.Clone(v.Sig)
	m.hold(p, h)
	m.weigh(p)
	return true
}

// hold keeps a vote, in place of an earlier one by the same voter. Votes by peers
// that are no observers of p in our view are kept too, without effect: their
// voters may know of a nearer successor's death before us. When the table is full
// such a vote gives way to an observer's, or is refused.
func (m *Membership) hold(p *member, h held) {
	i, found := slices.BinarySearchFunc(p.votes, h.By, func(v held, id wire.PeerID) int { return v.By.Compare(id) })
	if found {
		p.votes[i] = h
		return
	}
	var buf [MaxRings]*member
	observers := m.observersOf(p, buf[:0])
	isOutside := func(id wire.PeerID) bool {
		return !slices.ContainsFunc(observers, func(o *member) bool { return o.ID == id })
	}
	outside := isOutside(h.By)
	if outside {
		m.stats.Outside++
	}
	if len(p.votes) >= maxHeld {
		j := slices.IndexFunc(p.votes, func(v held) bool { return v.By != m.cfg.Self && isOutside(v.By) })
		if outside || j < 0 {
			m.stats.Refused++
			return
		}
		p.votes = slices.Delete(p.votes, j, j+1)
		if j < i {
			i--
		}
	}
	if len(p.votes) == 0 {
		p.pullAt = m.now.Add(m.cfg.BeatEvery)
	}
	p.votes = slices.Insert(p.votes, i, h)
}

// voteBy returns the place of a voter's vote on p, -1 without one.
func (p *member) voteBy(id wire.PeerID) int {
	return slices.IndexFunc(p.votes, func(v held) bool { return v.By == id })
}

// unvote drops our own vote on p.
func (m *Membership) unvote(p *member) {
	if p.obs != nil {
		p.obs.vote = nil
	}
	p.votes = slices.DeleteFunc(p.votes, func(v held) bool { return v.By == m.cfg.Self })
}

// lapse drops votes that are repeated no longer.
func (m *Membership) lapse() {
	expired := func(v held) bool { return v.until != 0 && v.until <= m.now }
	for i := len(m.evidence) - 1; i >= 0; i-- { // backwards: weigh may take it out
		p := m.evidence[i]
		if slices.ContainsFunc(p.votes, expired) {
			p.votes = slices.DeleteFunc(p.votes, expired)
			m.weigh(p)
		}
	}
	if m.now >= m.nextBeat {
		for _, p := range m.dead {
			p.votes = slices.DeleteFunc(p.votes, expired)
		}
	}
}

// A parcel is one vote for one peer; parcels are packed into messages by peer.
type parcel struct {
	to   wire.PeerID
	vote wire.Vote
}

// sendVotes sends the votes that are due to co-observers and stewards: our own
// while we wait for the others'; once the peer is dead, all that we hold of it.
func (m *Membership) sendVotes() {
	var parcels []parcel
	for _, t := range m.targets {
		if t.obs.vote == nil || m.now < t.obs.voteAt {
			continue
		}
		if t.state == Dead && m.now < m.healUntil {
			t.obs.voteAt = m.healUntil
			continue
		}
		votes := []wire.Vote{*t.obs.vote}
		if t.state == Dead {
			votes = votesOn(t)
		}
		m.planVote(t)
		for _, to := range m.electorate(t) {
			for _, v := range votes {
				parcels = append(parcels, parcel{to, v})
			}
		}
	}
	m.pack(append(parcels, m.pulls()...))
	if len(m.evidence) > 0 {
		m.appeal()
	}
}

// pulls returns votes of others that we hold and that do not convince us, each for
// its own voter: it answers with its vote if it still holds it, or, if that one is
// dead to it, with all votes it holds. So a
// publication that was lost, or came before we knew who observes whom, is made
// good; and no vote lives on by being passed around.
func (m *Membership) pulls() (parcels []parcel) {
	for _, p := range m.evidence {
		if len(p.votes) == 0 || m.now < p.pullAt || p.obs != nil && p.obs.vote != nil {
			continue
		}
		p.pullAt = m.now.Add(m.cfg.BeatEvery)
		for _, v := range p.votes {
			parcels = append(parcels, parcel{v.By, v.Vote})
		}
	}
	return parcels
}

// appealLeast is how many of our votes must have convinced nobody for appealBeats
// before we tell everybody of them. Where most of a swarm is gone, no survivor
// knows by itself that the other observers are gone too, and all would wait for
// one another; few votes, though, rather mean that a link of ours is bad.
const (
	appealLeast = 3
	appealBeats = 3
)

// appeal sends everybody our votes that convinced nobody, at growing gaps.
func (m *Membership) appeal() {
	var votes []wire.Vote
	hears := false
	for _, t := range m.targets {
		hears = hears || m.heardLately(t)
		if t.obs.vote != nil && t.state != Dead && m.now.Sub(t.obs.votedAt) >= appealBeats*m.cfg.BeatEvery {
			votes = append(votes, *t.obs.vote)
		}
	}
	if len(votes) < appealLeast || !hears {
		m.appealGap = appealBeats * m.cfg.BeatEvery
		return
	}
	if m.now < m.appealAt {
		return
	}
	m.appealAt = m.now.Add(m.appealGap)
	m.appealGap = min(2*m.appealGap, slowestBeats*m.cfg.BeatEvery)
	for part := range slices.Chunk(votes[:min(len(votes), maxTold*wire.MaxVotes)], wire.MaxVotes) {
		m.broadcast(&wire.Votes{Votes: part})
	}
}

// planVote sets when our vote on t goes out next, and sees to it that the death of
// a peer is published again a few times, by one of its observers, for those that
// the first publication did not reach.
func (m *Membership) planVote(t *member) {
	o := t.obs
	if t.state != Dead {
		o.voteAt = m.now.Add(m.cfg.BeatEvery)
		return
	}
	o.voteGap = min(2*o.voteGap, slowestBeats*m.cfg.BeatEvery)
	o.voteAt = m.now.Add(o.voteGap)
	again := o.voteGap > 2*m.cfg.BeatEvery && o.voteGap < slowestBeats*m.cfg.BeatEvery
	if again && m.successor(0, t, func(o *member) bool { return !doubtful(o.state) }) == m.me && !slices.Contains(m.notices, t) {
		m.notices = append(m.notices, t)
		m.noticeAt = m.now.Add(m.jitter(0, noticeWithin))
	}
}

// electorate returns whom our vote on t is sent to, sorted.
func (m *Membership) electorate(t *member) []wire.PeerID {
	var buf [MaxRings]*member
	var ids []wire.PeerID
	for _, o := range m.observersOf(t, buf[:0]) {
		ids = append(ids, o.ID)
	}
	for _, id := range m.stewards {
		if s := m.byID[id]; s != nil && s.state != Dead && s != t {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, wire.PeerID.Compare)
	ids = slices.Compact(ids)
	return slices.DeleteFunc(ids, func(id wire.PeerID) bool { return id == m.cfg.Self })
}

// pack sends parcels, as many to a message as fit.
func (m *Membership) pack(parcels []parcel) {
	slices.SortStableFunc(parcels, func(a, b parcel) int { return a.to.Compare(b.to) })
	for len(parcels) > 0 {
		to := parcels[0].to
		n := 0
		votes := make([]wire.Vote, 0, 8)
		for n < len(parcels) && parcels[n].to == to && n < wire.MaxVotes {
			votes = append(votes, parcels[n].vote)
			n++
		}
		m.send(to, &wire.Votes{Votes: votes})
		parcels = parcels[n:]
	}
}

// publish sends the votes on those we came to believe dead to everybody, all of
// one peer in one message, so that it condemns it by itself.
func (m *Membership) publish() {
	if len(m.notices) == 0 || m.now < m.noticeAt {
		return
	}
	for _, votes := range m.messagesOf(m.notices, maxNotices) {
		m.broadcast(&wire.Votes{Votes: votes, Public: true})
	}
	for _, p := range m.notices {
		p.published = true
	}
	m.notices = nil
}

// messagesOf packs the votes we pass on, those on one peer together, into at most
// n messages; whoever does not fit is left to the repetitions.
func (m *Membership) messagesOf(dead []*member, n int) [][]wire.Vote {
	var lists [][]wire.Vote
	for _, p := range dead {
		votes := votesOn(p)
		if own := p.voteBy(m.cfg.Self); p.state != Dead && own >= 0 { // of others only what convinced us
			votes = votes[own : own+1]
		}
		last := len(lists) - 1
		switch {
		case len(votes) == 0:
		case last >= 0 && len(lists[last])+len(votes) <= wire.MaxVotes:
			lists[last] = append(lists[last], votes...)
		case len(lists) < n:
			lists = append(lists, votes)
		}
	}
	return lists
}

func votesOn(p *member) []wire.Vote {
	votes := make([]wire.Vote, 0, len(p.votes))
	for _, v := range p.votes {
		votes = append(votes, v.Vote)
	}
	return votes
}

// tellRings is on how many rings an observer tells a peer that began anew whom it
// holds dead; maxTold bounds the messages.
const (
	tellRings = 3
	maxTold   = 4
)

// tellDeaths sends a peer that began anew the votes on the dead, if we observe it
// on one of the first rings: it missed their publication.
func (m *Membership) tellDeaths(p *member) {
	if len(m.dead) == 0 || !m.me.ready || m.now < m.healUntil {
		return
	}
	sound := func(o *member) bool { return !doubtful(o.state) }
	for i := range min(tellRings, len(m.rings)) {
		if m.successor(i, p, sound) == m.me {
			for _, votes := range m.messagesOf(m.dead, maxTold) {
				m.send(p.ID, &wire.Votes{Votes: votes})
			}
			return
		}
	}
}

// SetStewards names those who get our votes beside the co-observers: the peers
// that decide on repair. It replaces the earlier list; new ones are told at once.
func (m *Membership) SetStewards(peers []wire.PeerID) {
	list := sortedIDs(peers, maxStewards)
	isNew := slices.ContainsFunc(list, func(id wire.PeerID) bool { return !slices.Contains(m.stewards, id) })
	m.stewards = list
	if !isNew {
		return
	}
	for _, t := range m.targets {
		if t.obs.vote != nil {
			t.obs.voteAt = m.now
			t.obs.voteGap = m.cfg.BeatEvery
		}
	}
}
