package gossip

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// Info is what this peer can tell of another, for `shoal peers`.
type Info struct {
	State     State
	Ready     bool
	Doubted   bool
	Inc       uint32        // of the latest start known
	BeatEvery time.Duration // its own word, or its card's
	LastHeard clock.Instant // its last beat; 0: none since our start
	LastSpoke clock.Instant // its last message of any kind, beats among them; 0: the same
	DeadSince clock.Instant // of our belief; 0: not dead
	Observers []wire.PeerID // in our view, sorted
	Votes     []wire.PeerID // whose votes on it we hold, sorted
}

// Info returns what we know of a member; ok is false if it is none.
func (m *Membership) Info(id wire.PeerID) (info Info, ok bool) {
	p := m.byID[id]
	if p == nil {
		return Info{}, false
	}
	info = Info{
		State: p.state, Ready: p.ready, Doubted: p.doubted, Inc: p.known().inc, BeatEvery: p.every,
		LastHeard: p.heardAt, LastSpoke: p.spokeAt, Votes: m.Doubters(id),
	}
	if p.state == Dead {
		info.DeadSince = p.deadAt
	}
	var buf [MaxRings]*member
	for _, o := range distinct(m.observersOf(p, buf[:0])) {
		info.Observers = append(info.Observers, o.ID)
	}
	return info, true
}

// State returns what we believe of a peer; of a stranger, Unheard.
func (m *Membership) State(id wire.PeerID) State {
	if p := m.byID[id]; p != nil {
		return p.state
	}
	return Unheard
}

// Doubted reports whether a peer is suspect or dead to us, or an observer's
// unvoided vote on it is held here.
func (m *Membership) Doubted(id wire.PeerID) bool {
	p := m.byID[id]
	return p != nil && p.doubted
}

// Dead reports whether we believe a peer dead.
func (m *Membership) Dead(id wire.PeerID) bool { return m.State(id) == Dead }

// DeadSince returns when we came to believe a peer dead.
func (m *Membership) DeadSince(id wire.PeerID) (clock.Instant, bool) {
	if p := m.byID[id]; p != nil && p.state == Dead {
		return p.deadAt, true
	}
	return 0, false
}

// Doubters returns whose unvoided votes on a peer are held here, sorted; our own
// among them.
func (m *Membership) Doubters(id wire.PeerID) []wire.PeerID {
	p := m.byID[id]
	if p == nil {
		return nil
	}
	var ids []wire.PeerID
	for _, v := range p.votes {
		ids = append(ids, v.By)
	}
	return ids
}

// ReadyPeers returns all that are ready by their latest beat or card and not dead,
// this peer included, sorted.
func (m *Membership) ReadyPeers() []wire.PeerID {
	ids := make([]wire.PeerID, 0, len(m.all))
	for _, p := range m.all {
		if p.ready && p.state != Dead {
			ids = append(ids, p.ID)
		}
	}
	return slices.Clip(ids)
}

// Ready reports whether a peer is ready by its latest beat or card, and not dead.
func (m *Membership) Ready(id wire.PeerID) bool {
	p := m.byID[id]
	return p != nil && p.ready && p.state != Dead
}

// HeardAgo returns how long ago the last beat of that very start of a peer came; false
// if none did. It answers a Probe. What came just after a sleep of our own does not count:
// it may have lain here since before.
func (m *Membership) HeardAgo(id wire.PeerID, inc uint32, nonce uint64) (time.Duration, bool) {
	p := m.byID[id]
	if p == nil || p == m.me || p.beat == 0 || p.start != (start{inc, nonce}) || p.heardAt < m.judgeAt {
		return 0, false
	}
	return m.now.Sub(p.heardAt), true
}

// Beats is how often we have beaten since this start: the number of our last beat.
func (m *Membership) Beats() uint64 { return m.beat }

// Stats returns what was refused or dropped so far.
func (m *Membership) Stats() Stats { return m.stats }

// Healing reports whether a peer held dead has come back lately: others will with it,
// and with them what happened on the other side.
func (m *Membership) Healing(now clock.Instant) bool { return now < m.healUntil }
