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
	m.takeSigns(from, msg.Heard[:min(len(msg.Heard), wire.MaxVotes)])
	var accused, heard []*member
	for i := range votes {
		v := &votes[i]
		p, by := m.byID[v.Of], m.byID[v.By]
		switch {
		case p == nil || by == nil:
			m.stats.Strangers++
		case p == by:
		case by == m.me && p.voteBy(by.ID) < 0 && m.heardLately(p):
			heard = append(heard, p) // it was told before we heard it again, and the withdrawal was lost
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
	m.withdraw(from.ID, heard...)
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
		return slices.ContainsFunc(votes, func(v wire.Vote) bool { return v.Of == p.ID && v.By == id && !m.void(p, &v) && !m.isWithdrawn(p, &v) })
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
	if m.void(p, v) || m.isWithdrawn(p, v) {
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

// withdraw tells a peer that we hear others again on which it may hold votes of
// ours. Else it, hearing them not, would believe their death as long as votes on
// the dead last, and pass on ours meanwhile.
func (m *Membership) withdraw(to wire.PeerID, heard ...*member) {
	if len(heard) == 0 {
		return
	}
	signs := make([]wire.Sign, 0, len(heard))
	for _, p := range heard {
		signs = append(signs, wire.Sign{Of: p.ID, Inc: p.inc, Beat: p.beat})
	}
	m.send(to, &wire.Votes{Heard: signs})
}

// takeSigns drops the votes that their own voter withdraws, and the belief in a
// death that rested on them.
func (m *Membership) takeSigns(from *member, signs []wire.Sign) {
	for _, s := range signs {
		p := m.byID[s.Of]
		if p == nil || p == m.me || p == from {
			continue
		}
		m.noteWithdrawal(p, from.ID, s)
		i := p.voteBy(from.ID)
		if i < 0 {
			continue
		}
		if v := &p.votes[i]; v.Inc > s.Inc || v.Inc == s.Inc && v.Last >= s.Beat {
			continue
		}
		p.votes = slices.Delete(p.votes, i, i+1)
		if p.state == Dead && !m.condemned(p, func(id wire.PeerID) bool { return p.voteBy(id) >= 0 }) {
			m.become(p, p.soundState())
		}
		m.weigh(p)
	}
}

// A withdrawal is a voter's word that it heard the accused again. Who heard it must
// miss DeadBeats anew before it votes again, so what comes of that voter until then was
// passed on by others who do not know yet. Later it says nothing: a voter that started
// again votes without having heard any beat.
type withdrawal struct {
	by    wire.PeerID
	sign  wire.Sign
	until clock.Instant
}

func (m *Membership) noteWithdrawal(p *member, by wire.PeerID, s wire.Sign) {
	p.withdrawn = slices.DeleteFunc(p.withdrawn, func(w withdrawal) bool { return w.by == by || w.until <= m.now })
	if len(p.withdrawn) < maxHeld {
		p.withdrawn = append(p.withdrawn, withdrawal{by, s, m.now.Add(time.Duration(m.cfg.DeadBeats) * p.every)})
	}
}

// isWithdrawn reports whether the voter has just withdrawn this very vote on p.
func (m *Membership) isWithdrawn(p *member, v *wire.Vote) bool {
	return slices.ContainsFunc(p.withdrawn, func(w withdrawal) bool {
		return w.by == v.By && m.now < w.until && (v.Inc < w.sign.Inc || v.Inc == w.sign.Inc && v.Last < w.sign.Beat)
	})
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
