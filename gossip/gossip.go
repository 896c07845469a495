// Package gossip decides which peers are there, whom to tell and when. It keeps
// the view of one peer: who is alive, who is suspect, who is dead, who is ready;
// it picks ring neighbours and partners for anti-entropy. What is exchanged with
// them is opaque here, and what a death means for claims is decided elsewhere.
//
// On each of eight pseudo-random rings of the view, alike for all who share it, a
// peer is observed by its first ready successor that is not suspect to whoever
// asks. Observers count missed beats:
//
//	            a beat                     DeadBeats missed: a vote,
//	Unheard ──────────────► Alive ◄──┐     and votes of two thirds
//	   │    3 beats missed    │      │ any later beat
//	   └──────────────────────┴──► Suspect ─────────────► Dead
//
// Suspicion is local and revocable. Death is each peer's own belief, from the
// votes of two thirds of the distinct observers that are not likely gone themselves.
//
// The package holds no clock, chance or IO of its own: instants come with the
// calls, chance is Config.Rand, messages leave as Effects. Map order never
// reaches an output, so equal inputs give equal outputs.
package gossip

import (
	"math/rand/v2"
	"slices"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// Defaults and bounds. Beats are those of the observed peer.
const (
	DefaultSuspectBeats = 3
	DefaultDeadBeats    = 7
	DefaultRings        = 8
	MaxRings            = 16

	lanBeat     = time.Second
	meteredBeat = 8 * time.Second
	minBeat     = 50 * time.Millisecond // what a peer says of its beat is clamped to
	maxBeat     = 5 * time.Minute       // these, so that nobody can make us spin or sleep

	maxAskers   = 256  // peers served with beats because they asked; more are refused
	maxHeld     = 16   // votes held on one peer; see hold
	maxStewards = 64   // further ones get no votes
	maxQueued   = 8192 // envelopes between two Ticks; more are dropped and counted
	maxRedials  = 16   // lost neighbours redialled in one round
	healRedials = 8    // random lost members redialled in one round of a heal
)

// Config is what a Membership is made of. Self, Swarm, Key, Verify and Rand must
// be set.
type Config struct {
	Self   wire.PeerID
	Swarm  wire.Hash // signatures are bound to it
	Key    wire.Signer
	Verify wire.Verifier
	Rand   *rand.Rand // owned by the Membership from now on

	// BeatEvery is this peer's own interval between beats. 0 means 1 s, or 8 s if
	// Metered.
	BeatEvery time.Duration

	// Metered peers are observed by, and observe, metered ones where there are
	// enough, and redial less often.
	Metered bool

	// SuspectBeats is how many beats in a row an observer misses before it holds
	// the peer suspect; 0 means 3. It does not start repair: see DeadBeats.
	SuspectBeats int

	// DeadBeats is how many an observer misses before it votes, and how many it
	// counts afresh after it was asleep itself; 0 means 7.
	DeadBeats int

	// Rings is how many rings there are, at most MaxRings; 0 means 8. All peers of
	// a swarm must use the same number. More rings, more observers: more beats, and
	// fewer healthy peers condemned over a bad link.
	Rings int
}

func (c *Config) fill() {
	if c.BeatEvery <= 0 {
		c.BeatEvery = defaultBeat(c.Metered)
	}
	c.BeatEvery = clampBeat(c.BeatEvery)
	if c.SuspectBeats <= 0 {
		c.SuspectBeats = DefaultSuspectBeats
	}
	if c.DeadBeats <= 0 {
		c.DeadBeats = DefaultDeadBeats
	}
	c.DeadBeats = max(c.DeadBeats, c.SuspectBeats)
	if c.Rings <= 0 {
		c.Rings = DefaultRings
	}
	c.Rings = min(c.Rings, MaxRings)
}

func defaultBeat(metered bool) time.Duration {
	if metered {
		return meteredBeat
	}
	return lanBeat
}

func clampBeat(d time.Duration) time.Duration { return min(max(d, minBeat), maxBeat) }

// A State is what this peer believes of another.
type State uint8

// The states. The order matters: from Suspect on a peer is doubted.
const (
	Unheard State = iota // a member not heard since our own start: neither alive nor dead
	Alive
	Suspect // SuspectBeats missed; local, ended by any later beat
	Dead    // condemned by votes, until a later beat or a greater incarnation
)

func (s State) String() string {
	return [...]string{"unheard", "alive", "suspect", "dead"}[min(s, Dead)]
}

// A Change is a step of one peer's state.
type Change struct {
	Peer     wire.PeerID
	From, To State
}

// Effects is what the outside does after a Tick. Send goes out in order; messages
// for one peer are best kept in order too. Redial names peers to dial now, with
// any back-off cleared; a link that is up already is left alone. WakeAt is when
// the next Tick is due at the latest; earlier ones do no harm.
type Effects struct {
	Send    []wire.Envelope
	Redial  []wire.PeerID // sorted
	Changes []Change      // in the order they happened
	WakeAt  clock.Instant
}

// Stats counts what was refused or dropped since New.
type Stats struct {
	Strangers  uint64 // messages from, or votes on or by, peers that are no members
	StaleBeats uint64 // beats of an earlier start, or not after the last one heard
	Forged     uint64 // votes whose signature is not the voter's
	Outside    uint64 // votes by peers that are no observers of the accused
	Refused    uint64 // asks and votes refused because a table was full
	Dropped    uint64 // envelopes dropped because too many waited for a Tick
	Slept      uint64 // gaps noticed in our own ticking
}

// A Membership is one peer's view of the others. One goroutine owns it.
type Membership struct {
	cfg   Config
	now   clock.Instant // the latest instant any call brought
	me    *member
	byID  map[wire.PeerID]*member // look-up only, never iterated
	all   []*member               // by ID, self included
	rings []ring

	// Members that are not metered, and that are: all, and the sound ones, see count.
	members, sound [2]int

	ranked []wire.PeerID // whose readiness may have changed since RankChanges
	views  uint64        // grows when who is ready or doubted changes
	deaths uint64        // grows when who is dead changes

	started  bool
	beat     uint64 // of this start
	nextBeat clock.Instant
	lastTick clock.Instant
	judgeAt  clock.Instant // before it: no votes, no verdicts
	pace     time.Duration // longest time between Ticks that counts as awake, halved

	stale  bool          // ring neighbours must be computed again
	lookAt clock.Instant // when to compute them again unless a target answers; 0: no need
	stir   bool          // votes or doubts changed: weigh deaths again
	fresh  bool          // some peer became doubted since deaths were weighed last
	gen    uint64

	targets    []*member // asked for beats by us, by ID
	watched    []wire.PeerID
	observers  []*member // of ourselves, by ID
	near       []*member // nearest on the rings both ways, lost ones included
	neighbours []wire.PeerID

	askers   []asker // who asked us for beats
	stewards []wire.PeerID

	evidence []*member // neither sound nor dead: suspect or under votes, by ID
	dead     []*member // by ID
	unheard  []*member // by ID: gave no sign since our start

	notices   []*member // deaths to publish, in the order believed
	noticeAt  clock.Instant
	redialAt  clock.Instant
	appealAt  clock.Instant // when we may next tell everybody of votes that convinced nobody
	appealGap time.Duration
	healUntil clock.Instant
	partnerAt clock.Instant
	anyoneAt  clock.Instant

	out     []wire.Envelope
	redial  []wire.PeerID
	changes []Change
	stats   Stats
}

// New makes the view of a peer that knows only itself and has not started.
func New(cfg Config) *Membership {
	cfg.fill()
	m := &Membership{cfg: cfg, byID: map[wire.PeerID]*member{}, rings: newRings(cfg.Rings), pace: cfg.BeatEvery, stale: true}
	m.me = &member{Peer: Peer{ID: cfg.Self, Metered: cfg.Metered, BeatEvery: cfg.BeatEvery}, state: Alive, spokeAt: 1}
	m.me.every = cfg.BeatEvery
	m.add(m.me)
	return m
}

// Start gives this peer its own incarnation and nonce; beats begin with the next
// Tick. Called again, under a greater one, it counts beats from 1 anew.
func (m *Membership) Start(now clock.Instant, inc uint32, nonce uint64) {
	m.now = max(m.now, now)
	if m.started && m.me.inc == inc && m.me.nonce == nonce {
		return
	}
	m.me.inc, m.me.nonce = inc, nonce
	m.beat = 0
	m.nextBeat = m.now
	if !m.started {
		m.started = true
		m.lastTick = m.now
		m.redialAt = m.now.Add(m.redialGap())
		m.anyoneAt = m.now.Add(m.jitter(anyoneEvery, anyoneEvery))
	}
	m.stale = true
}

// SetReady says whether this peer itself is ready. The next Tick tells its
// observers by a beat out of turn.
func (m *Membership) SetReady(now clock.Instant, ready bool) {
	m.now = max(m.now, now)
	if m.me.ready == ready {
		return
	}
	m.me.ready = ready
	m.nextBeat = m.now
	m.stale = true
	m.reranked(m.me)
}

// Tick does everything that is due. It may be called at any time, and should be
// after each Receive, so that answers leave at once.
func (m *Membership) Tick(now clock.Instant) Effects {
	m.awake(now)
	if m.started {
		m.lastTick = m.now
		m.lapse()
		m.countMisses()
		m.believe()
		if m.stale || m.lookAt != 0 && m.now >= m.lookAt {
			m.refresh()
		}
		m.sendAsks()
		m.sendBeats()
		m.sendVotes()
		m.publish()
		m.sendRedials()
	} else if m.stale {
		m.refresh()
	}
	e := Effects{Send: m.out, Redial: m.redial, Changes: m.changes, WakeAt: m.wakeAt()}
	m.out, m.redial, m.changes = nil, nil, nil
	return e
}

// awake notices a gap in our own ticking. A process that slept must not accuse:
// it drops the votes and counts it holds, and counts afresh.
func (m *Membership) awake(now clock.Instant) {
	m.now = max(m.now, now)
	if !m.started || m.now.Sub(m.lastTick) <= 2*m.pace {
		return
	}
	m.lastTick = m.now
	m.stats.Slept++
	m.judgeAt = m.now.Add(time.Duration(m.cfg.DeadBeats) * m.cfg.BeatEvery)
	for _, t := range m.targets {
		t.obs.since = m.now
		m.unvote(t)
	}
	for _, p := range m.evidence {
		p.votes = nil
		if p.state == Suspect {
			m.become(p, p.soundState())
		}
		m.undoubt(p)
	}
	m.evidence = nil
	m.stale = true
}

// MayJudge reports whether this peer may vote and write verdicts: it is ready,
// and has not slept within its last DeadBeats beats.
func (m *Membership) MayJudge(now clock.Instant) bool {
	return m.started && m.me.ready && now >= m.judgeAt && now.Sub(m.lastTick) <= 2*m.pace
}

// wakeAt returns the next instant at which a Tick has something to do.
func (m *Membership) wakeAt() clock.Instant {
	var at clock.Instant
	if len(m.all) > 1 { // a partner that is due and not asked for wakes nobody twice
		at = clock.Earliest(later(m.partnerAt, m.now), later(m.anyoneAt, m.now))
	}
	if !m.started {
		return at
	}
	at = clock.Earliest(at, clock.Earliest(m.nextBeat, m.now.Add(m.pace)))
	at = clock.Earliest(at, clock.Earliest(m.redialAt, later(m.lookAt, m.now)))
	if len(m.notices) > 0 {
		at = clock.Earliest(at, m.noticeAt)
	}
	for _, t := range m.targets {
		at = clock.Earliest(at, m.deadline(t))
	}
	return max(at, m.now+1)
}

// later returns at if it is after now, else none.
func later(at, now clock.Instant) clock.Instant {
	if at > now {
		return at
	}
	return 0
}

// become moves p to a state and records the change.
func (m *Membership) become(p *member, to State) {
	if p.state == to {
		return
	}
	m.changes = append(m.changes, Change{p.ID, p.state, to})
	if doubtful(p.state) != doubtful(to) {
		m.stale = true
	}
	if p.state == Dead {
		m.dead = remove(m.dead, p)
		m.notices = slices.DeleteFunc(m.notices, func(q *member) bool { return q == p })
		p.published = false
	}
	if p.state == Dead || to == Dead {
		m.deaths++
		m.reranked(p)
	}
	if p.state == Unheard {
		m.unheard = remove(m.unheard, p)
	}
	p.state = to
	if to == Unheard {
		m.unheard = insert(m.unheard, p)
	}
	if to == Dead {
		p.deadAt = m.now
		m.dead = insert(m.dead, p)
	}
}

func doubtful(s State) bool { return s >= Suspect }

// send queues a message for one peer, broadcast one for all, until the next Tick.
func (m *Membership) send(to wire.PeerID, msg wire.Message) {
	m.queue(wire.Envelope{To: to, Msg: msg})
}

func (m *Membership) broadcast(msg wire.Message) {
	m.queue(wire.Envelope{Topic: wire.TopicMembers, Msg: msg})
}

func (m *Membership) queue(e wire.Envelope) {
	if len(m.out) >= maxQueued {
		m.stats.Dropped++
		return
	}
	m.out = append(m.out, e)
}

// jitter returns a duration in [least, least+spread).
func (m *Membership) jitter(least, spread time.Duration) time.Duration {
	if spread <= 0 {
		return least
	}
	return least + time.Duration(m.cfg.Rand.Int64N(int64(spread)))
}
