package gossip

import (
	"slices"

	"shoal/wire"
)

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
	least, hears := appealLeast, false
	for _, t := range m.targets {
		hears = hears || t.obs.heard && !doubtful(t.state)
		if t.obs.vote != nil && t.state != Dead && m.now.Sub(t.obs.votedAt) >= appealBeats*m.cfg.BeatEvery {
			votes = append(votes, *t.obs.vote)
			if t.obs.role == roleAcross {
				least = 1 // each of us watches few
			}
		}
	}
	if len(votes) < least || !hears {
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
	again := o.voteGap >= 2*m.cfg.BeatEvery && o.voteGap < slowestBeats*m.cfg.BeatEvery
	if again && m.successor(0, t, func(o *member) bool { return !doubtful(o.state) }) == m.me && !slices.Contains(m.notices, t) {
		m.notices = append(m.notices, t)
		m.noticeAt = m.now.Add(m.jitter(0, noticeWithin))
	}
}

// electorate returns whom our vote on t is sent to, sorted: the observers and the
// stewards. From across the classes it goes to those of ours who would observe t.
func (m *Membership) electorate(t *member) []wire.PeerID {
	var buf [MaxRings]*member
	var ids []wire.PeerID
	voters := m.observersOf(t, buf[:0])
	if t.obs.role == roleAcross {
		voters = m.oursAfter(t)
	}
	for _, o := range voters {
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
