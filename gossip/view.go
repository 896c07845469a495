package gossip

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// A Peer is what the ledger says of a member: its membership and its card.
type Peer struct {
	ID        wire.PeerID
	Inc       uint32 // of its card; 0: no card yet
	Nonce     uint64
	Ready     bool // its card was published under this incarnation
	Metered   bool
	BeatEvery time.Duration // 0 means 1 s, or 8 s if Metered; its beats overrule it
	Waiting   time.Duration // `down --for`: it asked to be waited for, from when its beats end
}

// maxWaiting bounds Peer.Waiting: nobody can be waited for longer.
const maxWaiting = 24 * time.Hour

// A start tells one start of a peer from another; later is greater.
type start struct {
	inc   uint32
	nonce uint64
}

func (s start) compare(o start) int {
	return cmp.Or(cmp.Compare(s.inc, o.inc), cmp.Compare(s.nonce, o.nonce))
}

// A member is one peer of the view.
type member struct {
	Peer  // as the ledger has it
	start // the latest we heard beats of; of ourselves, our own

	beat    uint64 // the last one heard of that start; 0: none since our own start
	heardAt clock.Instant
	every   time.Duration // clamped
	orders  []uint64      // its places on the rings
	ready   bool
	told    bool          // its last beat said ready
	spokeAt clock.Instant // when the last message of it, of any kind, came; 0: none since our own start
	state   State

	obs       *observation // we want its beats; nil: we do not
	votes     []held       // on it, unvoided, by voter
	withdrawn []withdrawal // lately, at most maxHeld

	doubted   bool
	weighed   bool // in evidence
	mass      bool // doubted together with many: it may be me
	published bool // its death was: we heard it, or did it
	vouched   bool // some voter had heard it
	doubtedAt clock.Instant
	deadAt    clock.Instant

	counted  bool   // in Membership.sound
	gen      uint64 // last refresh that wanted it as target
	unlinked bool   // the transport lost it

	// When it was last sent something out of turn: a beat, an ask for a sign of
	// life, votes; and when votes on it are pulled next.
	answeredAt, probedAt, convincedAt, pullAt clock.Instant
}

// known is the latest start known of p, from its card or its beats.
func (p *member) known() start {
	card := start{p.Inc, p.Nonce}
	if card.compare(p.start) > 0 {
		return card
	}
	return p.start
}

// settleReady derives readiness: what the later start says; within one start
// either word will do, since a peer goes from joining to ready and not back.
func (p *member) settleReady() (changed bool) {
	ready := p.Ready
	if p.beat > 0 {
		switch c := p.start.compare(start{p.Inc, p.Nonce}); {
		case c > 0:
			ready = p.told
		case c == 0:
			ready = p.told || p.Ready
		}
	}
	changed = ready != p.ready
	p.ready = ready
	return changed
}

// soundState is the state of p when nothing speaks against it.
func (p *member) soundState() State {
	if p.spokeAt != 0 {
		return Alive
	}
	return Unheard
}

// A ring is all members in the order of a hash, so that all who share the view
// have the same successors.
type ring struct {
	name  string
	seats []seat
}

type seat struct {
	order uint64
	who   *member
}

func newRings(n int) []ring {
	rings := make([]ring, n)
	for i := range rings {
		rings[i].name = fmt.Sprintf("shoal/ring/%d", i)
	}
	return rings
}

// find returns where p sits, or would.
func (r *ring) find(order uint64, id wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(r.seats, order, func(s seat, o uint64) int {
		if s.order != o {
			return cmp.Compare(s.order, o)
		}
		return s.who.ID.Compare(id)
	})
}

// index returns where p sits on ring i. p must be a member.
func (m *Membership) index(ring int, p *member) int {
	i, ok := m.rings[ring].find(p.orders[ring], p.ID)
	if !ok {
		panic("gossip: member without a seat")
	}
	return i
}

// SetPeers gives the full list of members from the ledger; this peer itself may be
// among them or not. It is cheap when nothing changed, and cheapest when the list
// is sorted by ID. Of two entries with one ID the first counts.
func (m *Membership) SetPeers(now clock.Instant, peers []Peer) {
	m.now = max(m.now, now)
	byID := func(a, b Peer) int { return a.ID.Compare(b.ID) }
	if !slices.IsSortedFunc(peers, byID) {
		peers = slices.Clone(peers)
		slices.SortStableFunc(peers, byID)
	}
	var joined []Peer
	var left []*member
	i := 0
	for _, p := range peers {
		for i < len(m.all) && m.all[i].ID.Compare(p.ID) < 0 {
			left = append(left, m.all[i])
			i++
		}
		switch {
		case i < len(m.all) && m.all[i].ID == p.ID:
			m.update(m.all[i], p)
			i++
		case len(joined) > 0 && joined[len(joined)-1].ID == p.ID, i > 0 && m.all[i-1].ID == p.ID:
		default:
			joined = append(joined, p)
		}
	}
	left = append(left, m.all[i:]...)
	for _, p := range left {
		if p != m.me {
			m.drop(p)
		}
	}
	for _, p := range joined {
		m.join(p)
	}
}

// Put gives one member as the ledger has it now; Leave takes one away. They are
// SetPeers for a change of one.
func (m *Membership) Put(now clock.Instant, p Peer) {
	m.now = max(m.now, now)
	if q := m.byID[p.ID]; q != nil {
		m.update(q, p)
	} else {
		m.join(p)
	}
}

// Leave forgets a peer that is a member no more; this peer itself it keeps.
func (m *Membership) Leave(now clock.Instant, id wire.PeerID) {
	m.now = max(m.now, now)
	if p := m.byID[id]; p != nil && p != m.me {
		m.drop(p)
	}
}

func (m *Membership) join(p Peer) {
	q := &member{Peer: p}
	q.settle()
	m.add(q)
}

// reranked notes that p's readiness may have changed.
func (m *Membership) reranked(p *member) {
	m.views++
	m.ranked = append(m.ranked, p.ID)
	m.count(p)
}

// RankChanges returns the peers for which Ready may answer otherwise than at the
// last call, in the order of the changes; some perhaps several times.
func (m *Membership) RankChanges() []wire.PeerID {
	ids := m.ranked
	m.ranked = nil
	return ids
}

// Views grows whenever another peer is ready, or doubted, than before.
func (m *Membership) Views() uint64 { return m.views }

// Deaths grows whenever a peer is held dead or no longer so.
func (m *Membership) Deaths() uint64 { return m.deaths }

// settle takes over what the card says.
func (p *member) settle() (changed bool) {
	p.Waiting = min(max(p.Waiting, 0), maxWaiting)
	if p.beat == 0 {
		p.every = p.BeatEvery
		if p.every <= 0 {
			p.every = defaultBeat(p.Metered)
		}
		p.every = clampBeat(p.every)
	}
	return p.settleReady()
}

func (m *Membership) update(p *member, card Peer) {
	if p == m.me || p.Peer == card {
		return
	}
	before, metered := p.known(), p.Metered
	p.Peer = card
	if p.settle() {
		m.stale = true
		m.reranked(p)
	}
	if metered != p.Metered {
		m.members[classIndex(metered)]--
		m.members[classIndex(p.Metered)]++
		if p.counted {
			m.sound[classIndex(metered)]--
			m.sound[classIndex(p.Metered)]++
		}
		m.stale = true
	}
	if p.known().compare(before) > 0 {
		m.restarted(p)
	}
}

// restarted takes note that p has begun anew, which its card or a beat shows:
// whatever was held against it was about an earlier start.
func (m *Membership) restarted(p *member) {
	m.unvote(p)
	p.votes = nil
	if p.obs != nil {
		p.obs.since = m.now
		p.obs.heard = false
	}
	if doubtful(p.state) {
		m.become(p, p.soundState())
	}
	m.weigh(p)
}

func (m *Membership) add(p *member) {
	m.byID[p.ID] = p
	m.all = insert(m.all, p)
	if p.state == Unheard {
		m.unheard = insert(m.unheard, p)
	}
	for i := range m.rings {
		r := &m.rings[i]
		p.orders = append(p.orders, wire.Order(r.name, p.ID))
		at, _ := r.find(p.orders[i], p.ID)
		r.seats = slices.Insert(r.seats, at, seat{p.orders[i], p})
	}
	m.members[classIndex(p.Metered)]++
	m.stale = true
	m.reranked(p)
}

// drop forgets a peer that is a member no more, and every vote by it.
func (m *Membership) drop(p *member) {
	for i := range m.rings {
		r := &m.rings[i]
		at := m.index(i, p)
		r.seats = slices.Delete(r.seats, at, at+1)
	}
	delete(m.byID, p.ID)
	m.all = remove(m.all, p)
	m.unheard = remove(m.unheard, p)
	m.targets = remove(m.targets, p)
	m.evidence = remove(m.evidence, p)
	m.dead = remove(m.dead, p)
	m.observers = remove(m.observers, p)
	m.near = remove(m.near, p)
	m.neighbours = slices.DeleteFunc(m.neighbours, func(id wire.PeerID) bool { return id == p.ID })
	m.askers = slices.DeleteFunc(m.askers, func(a asker) bool { return a.who == p })
	m.notices = slices.DeleteFunc(m.notices, func(q *member) bool { return q == p })
	for _, q := range slices.Concat(m.evidence, m.dead) {
		q.votes = slices.DeleteFunc(q.votes, func(v held) bool { return v.By == p.ID })
	}
	m.members[classIndex(p.Metered)]--
	p.ready = false
	m.stale = true
	m.deaths++
	m.reranked(p)
}

// count notes whether p is sound: ready, not dead, and nothing speaks against it here.
func (m *Membership) count(p *member) {
	sound := p.ready && p.state != Dead && !p.weighed
	if sound == p.counted {
		return
	}
	p.counted = sound
	n := &m.sound[classIndex(p.Metered)]
	if sound {
		*n++
	} else {
		*n--
	}
	m.stale = m.stale || *n <= minClass // some class may be open now, or closed
}

func classIndex(metered bool) int {
	if metered {
		return 1
	}
	return 0
}

// minClass is how many sound members of one class, metered or not, are enough to
// observe one another without the other class: three observers each.
const minClass = 4

// mayObserve reports whether o's class may observe p's: its own, or any where besides
// p fewer are sound than could observe p. So the class that is left condemns one that
// is gone as a whole, see walkAcross.
func (m *Membership) mayObserve(o, p *member) bool {
	if o.Metered == p.Metered {
		return true
	}
	others := m.sound[classIndex(p.Metered)]
	if p.counted {
		others--
	}
	return others < minClass-1
}

// observersOf returns the distinct observers of p in our view, in the order of
// the rings, appended to buf: on each ring the first ready successor that is not
// suspect to us.
func (m *Membership) observersOf(p *member, buf []*member) []*member {
	return m.successorsOf(p, buf, func(o *member) bool { return !doubtful(o.state) })
}

func (m *Membership) successorsOf(p *member, buf []*member, sound func(*member) bool) []*member {
	for i := range m.rings {
		if o := m.successor(i, p, sound); o != nil && !slices.Contains(buf, o) {
			buf = append(buf, o)
		}
	}
	return buf
}

// successor returns the first ready successor of p on ring i that may observe it
// and is sound; nil if there is none.
func (m *Membership) successor(i int, p *member, sound func(*member) bool) *member {
	return m.next(i, p, func(o *member) bool { return m.mayObserve(o, p) && sound(o) })
}

// next returns the first ready successor of p on ring i that fits; nil if none does.
func (m *Membership) next(i int, p *member, fits func(*member) bool) *member {
	seats := m.rings[i].seats
	at := m.index(i, p)
	for k := 1; k < len(seats); k++ {
		if o := seats[(at+k)%len(seats)].who; o.ready && fits(o) {
			return o
		}
	}
	return nil
}

// oursAfter returns those of our class that would observe p if they might.
func (m *Membership) oursAfter(p *member) []*member {
	var list []*member
	for i := range m.rings {
		if o := m.next(i, p, func(o *member) bool { return o.Metered == m.me.Metered && !doubtful(o.state) }); o != nil {
			list = append(list, o)
		}
	}
	return list
}

// insert puts p into a list sorted by ID, once.
func insert(list []*member, p *member) []*member {
	i, found := slices.BinarySearchFunc(list, p.ID, func(q *member, id wire.PeerID) int { return q.ID.Compare(id) })
	if found {
		return list
	}
	return slices.Insert(list, i, p)
}

// remove takes p out of a list sorted by ID.
func remove(list []*member, p *member) []*member {
	i, found := slices.BinarySearchFunc(list, p.ID, func(q *member, id wire.PeerID) int { return q.ID.Compare(id) })
	if !found {
		return list
	}
	return slices.Delete(list, i, i+1)
}
