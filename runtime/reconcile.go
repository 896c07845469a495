package runtime

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// Defaults of Config.
const (
	DefaultMaxInFlight = 8
	DefaultSilentAfter = 15 * time.Second
)

// Config is what a Reconciler is made with.
type Config struct {
	// Swarm and Peer are whose containers it answers for; it does not look at any
	// other. A zero value accepts every one.
	Swarm string
	Peer  wire.PeerID
	// Rand spreads retries by ±10 %; nil: no spread.
	Rand *rand.Rand
	// MaxInFlight bounds the actions under way at once, over all slots; 0 means
	// DefaultMaxInFlight. More starts no faster, since the engine serialises what
	// costs most; fewer lets one slow image hold up the others.
	MaxInFlight int
	// SilentAfter is how long the engine may go without an answer before it counts
	// as silent; 0 means DefaultSilentAfter.
	SilentAfter time.Duration
}

// A Reconciler compares the claims a peer wants with the containers its engine
// shows and gives out the actions that bring the two together: at most one at a
// time per slot, at most MaxInFlight in all. The holder alone restarts what ends;
// the engine's own restart policy must be "no".
//
// It is level-triggered: each Tick decides from what is known then, so inputs may
// come late, twice or not at all. What it knows of a container is the later of
// the last snapshot and the last result; a snapshot begun before an action's end
// says nothing of that action's container. A failed snapshot changes nothing.
//
// It gives out nothing before the first good snapshot and while the engine is
// silent. Every method takes the time now, which does not fall.
type Reconciler struct {
	cfg     Config
	slots   []*slot // by ID
	flights map[uint64]*slot
	lastID  uint64
	lastQ   uint64 // the last turn given in the queue for a place in flight
	pass    uint64 // counts Sets
	round   uint64 // counts good snapshots

	settled  bool
	seen     bool          // a good snapshot has come
	failing  bool          // the last snapshot was not good
	begun    clock.Instant // when the latest good snapshot was begun
	answered clock.Instant // when it came
}

// New returns a Reconciler that wants nothing and has seen nothing.
func New(cfg Config) *Reconciler {
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.SilentAfter <= 0 {
		cfg.SilentAfter = DefaultSilentAfter
	}
	return &Reconciler{cfg: cfg, flights: map[uint64]*slot{}}
}

// Set says what is wanted: all own claims that are not at their end, and of those
// that are the ones to Keep. A claim listed before and not now is no longer this
// reconciler's business; its containers are removed as those of nobody, and
// nothing more is reported of it.
func (r *Reconciler) Set(_ clock.Instant, wants []Want) {
	r.pass++
	for _, w := range wants {
		if !r.owns(w.Ref) {
			continue
		}
		s := r.slot(w.Ref.Slot)
		cl := s.claim(keyOf(w.Ref))
		switch {
		case cl == nil:
			cl = newClaim(w)
			s.addClaim(cl)
			s.dirty = true
		case cl.want != w:
			cl.set(w)
			s.dirty = true
		}
		cl.pass = r.pass
	}
	for _, s := range r.slots {
		n := len(s.claims)
		s.claims = slices.DeleteFunc(s.claims, func(cl *claim) bool { return cl.pass != r.pass })
		s.dirty = s.dirty || len(s.claims) != n
	}
}

// Repeat has the next Tick report on every claim anew: what was reported before may
// have been lost on the caller.
func (r *Reconciler) Repeat() {
	for _, s := range r.slots {
		s.dirty = true
		for _, cl := range s.claims {
			cl.last = Report{}
		}
	}
}

// Settle says whether the ledger is known well enough for a container without a
// Want to be nobody's. Until then such a container is left alone; afterwards it
// is stopped and removed.
func (r *Reconciler) Settle(_ clock.Instant, settled bool) {
	if r.settled != settled {
		r.settled = settled
		r.touchAll()
	}
}

// Settled reports what Settle last said.
func (r *Reconciler) Settled() bool { return r.settled }

// Silent reports whether the engine has given no good snapshot for SilentAfter,
// counted from the start of the daemon if there never was one.
func (r *Reconciler) Silent(now clock.Instant) bool {
	return now.Sub(r.answered) >= r.cfg.SilentAfter
}

// Resume says that this peer itself has just been asleep, so that the engine had
// nobody to answer: its silence counts from now.
func (r *Reconciler) Resume(now clock.Instant) { r.answered = max(r.answered, now) }

// Tick decides. It returns the actions to begin, the reports of claims that have
// changed, which are to be durable before those actions begin, and when the next
// Tick is due if no input comes before; 0 means none.
func (r *Reconciler) Tick(now clock.Instant) (actions []Action, reports []Report, wakeAt clock.Instant) {
	silent := r.Silent(now)
	for _, s := range r.due(now) {
		s.dirty, s.wake = false, 0
		if r.seen {
			s.settle(now, silent)
		}
		if a, ok := r.act(s, now, silent); ok {
			actions = append(actions, a)
		}
		for _, cl := range s.claims {
			if rep, ok := cl.news(s); ok {
				reports = append(reports, rep)
			}
		}
		s.wake = s.nextWake(now)
	}
	r.slots = slices.DeleteFunc(r.slots, (*slot).idle)
	if !silent {
		wakeAt = r.answered.Add(r.cfg.SilentAfter)
	}
	for _, s := range r.slots {
		wakeAt = clock.Earliest(wakeAt, s.wake)
	}
	return actions, reports, wakeAt
}

// due returns the slots to look at: those that have waited longest for a place in
// flight first, the others by ID.
func (r *Reconciler) due(now clock.Instant) []*slot {
	var due []*slot
	for _, s := range r.slots {
		if s.dirty || s.wake != 0 && s.wake <= now {
			due = append(due, s)
		}
	}
	slices.SortStableFunc(due, func(a, b *slot) int {
		return cmp.Compare(a.queued-1, b.queued-1) // 0, not queued, wraps to the end
	})
	return due
}

// act issues the slot's next action, if it has one and there is room for it.
func (r *Reconciler) act(s *slot, now clock.Instant, silent bool) (Action, bool) {
	if !r.seen || silent || s.flight != nil {
		return Action{}, false // a snapshot or the result brings the slot up again
	}
	st, ok := r.plan(s, now)
	if !ok {
		s.queued = 0
		return Action{}, false
	}
	if len(r.flights) >= r.cfg.MaxInFlight {
		s.dirty = true
		if s.queued == 0 {
			r.lastQ++
			s.queued = r.lastQ
		}
		return Action{}, false
	}
	s.queued = 0
	return r.issue(s, st), true
}

func (r *Reconciler) issue(s *slot, st step) Action {
	r.lastID++
	if st.op == OpCreate {
		st.c.Ref = st.cl.want.Ref // the name may have been another spec's before
	}
	a := Action{ID: r.lastID, Op: st.op, Container: st.c.Container, Ref: st.c.Ref}
	switch st.op {
	case OpCreate:
		st.cl.begin()
		a.Run, a.Task, a.GPUs = st.cl.run, st.cl.want.Task, st.cl.want.GPUs
		st.c.unsure = true // from here on it may exist
	case OpStart:
		st.cl.begin()
		a.Run = st.cl.run
	case OpStop:
		a.Grace = st.c.grace
	default: // to remove one takes no more than its name
	}
	s.flight = &flight{id: a.ID, op: a.Op, c: st.c, key: keyOf(st.c.Ref)}
	r.flights[a.ID] = s
	return a
}

// slot returns the slot of that ID, making room for it if it is new.
func (r *Reconciler) slot(id job.SlotID) *slot {
	i, ok := r.find(id)
	if !ok {
		r.slots = slices.Insert(r.slots, i, &slot{id: id})
	}
	return r.slots[i]
}

func (r *Reconciler) find(id job.SlotID) (int, bool) {
	return slices.BinarySearchFunc(r.slots, id, func(s *slot, id job.SlotID) int { return s.id.Compare(id) })
}

func (r *Reconciler) touchAll() {
	for _, s := range r.slots {
		s.dirty = true
	}
}

func (r *Reconciler) owns(ref Ref) bool {
	return (r.cfg.Swarm == "" || ref.Swarm == r.cfg.Swarm) && (r.cfg.Peer.IsZero() || ref.Peer == r.cfg.Peer)
}
