package gossip

import (
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// How often a partner for an exchange of ledgers is due: a neighbour, and anyone.
const (
	partnerEvery        = time.Second
	partnerEveryMetered = time.Minute
	anyoneEvery         = time.Minute
)

// maxNear bounds how far a ring is searched, each way, for lost neighbours.
const maxNear = 4

// refreshNear computes who is near on the rings both ways, lost ones included, and
// our neighbours: who is near and not lost, who observes us and whom we observe.
func (m *Membership) refreshNear() {
	var near []*member
	sound := slices.Clone(m.observers)
	for i := range m.rings {
		for _, step := range []int{1, -1} {
			first := m.nearOn(i, step, func(p *member) { near = append(near, p) })
			if first != nil {
				sound = append(sound, first)
			}
		}
	}
	for _, t := range m.targets {
		near = append(near, t)
		if t.obs.role == roleObserver {
			sound = append(sound, t)
		}
	}
	m.near = distinct(append(near, m.observers...))
	m.neighbours = m.neighbours[:0:0]
	for _, p := range distinct(sound) {
		if p != m.me && p.state != Dead {
			m.neighbours = append(m.neighbours, p.ID)
		}
	}
}

// nearOn calls visit for those next to us on ring i, one way, up to the first that
// is neither suspect nor dead, which it returns; nil if none is close by.
func (m *Membership) nearOn(i, step int, visit func(*member)) *member {
	seats := m.rings[i].seats
	at := m.index(i, m.me)
	for k := 1; k < len(seats) && k <= maxNear; k++ {
		p := seats[(at+step*k+len(seats)*k)%len(seats)].who
		visit(p)
		if !doubtful(p.state) {
			return p
		}
	}
	return nil
}

func distinct(list []*member) []*member {
	slices.SortFunc(list, func(a, b *member) int { return a.ID.Compare(b.ID) })
	return slices.Compact(list)
}

// Neighbours returns our ring neighbours that are not dead, sorted: those we
// observe, those who observe us, and the nearest each way. The caller must not
// change the list.
func (m *Membership) Neighbours() []wire.PeerID {
	if m.stale {
		m.refresh()
	}
	return m.neighbours
}

// Partner returns with whom to exchange ledgers now, if an exchange is due: a
// neighbour each second (metered: each minute), and once a minute any member,
// joining and lost ones too, since gossip and rings may both be wrong.
func (m *Membership) Partner(now clock.Instant) (wire.PeerID, bool) {
	m.now = max(m.now, now)
	if len(m.all) < 2 {
		return wire.PeerID{}, false
	}
	if m.started && m.now >= m.anyoneAt {
		m.anyoneAt = m.now.Add(m.jitter(anyoneEvery*9/10, anyoneEvery/5))
		return m.anyone().ID, true
	}
	if m.now < m.partnerAt {
		return wire.PeerID{}, false
	}
	every := partnerEvery
	if m.cfg.Metered {
		every = partnerEveryMetered
	}
	m.partnerAt = m.now.Add(m.jitter(every*9/10, every/5))
	neighbours := m.Neighbours()
	sound := slices.DeleteFunc(slices.Clone(neighbours), func(id wire.PeerID) bool { return doubtful(m.byID[id].state) })
	if len(sound) == 0 {
		sound = neighbours
	}
	if len(sound) == 0 {
		return m.anyone().ID, true
	}
	return sound[m.cfg.Rand.IntN(len(sound))], true
}

// anyone returns a random member other than us; there must be one.
func (m *Membership) anyone() *member {
	i := m.cfg.Rand.IntN(len(m.all) - 1)
	if m.all[i].ID.Compare(m.cfg.Self) >= 0 {
		i++
	}
	return m.all[i]
}
