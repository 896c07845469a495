package ledger

import (
	"fmt"
	"slices"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/wire"
)

// A Change is one thing that the store must follow: a record put, a record
// dropped, a mark raised, a removed life remembered.
type Change struct {
	Put     *wire.Record
	Drop    *wire.Record
	Mark    *wire.Number // of its issuer
	Removed *Removed
}

// Removed says that every life of a job up to Life is over and forgotten: 24
// bytes that stay for ever, so that no peer can bring it back.
type Removed struct {
	Job  job.ID
	Life uint64
}

// State is one peer's ledger. It is owned by its core and has no locks.
type State struct {
	self    wire.PeerID
	swarm   wire.Hash
	verify  wire.Verifier
	now     clock.Instant
	cells   map[string][]*wire.Record // by key, greatest first; all but claims
	jobs    map[job.ID]*jobState
	logs    map[wire.PeerID]*log
	sums    sums
	removed map[job.ID]uint64
	changes []Change

	heads    map[job.ID]struct{}
	own      []*Claim // those of this peer; nil when they must be listed anew
	slots    int      // with a claim
	lost     map[claimRef]*Verdict
	bad      map[job.ID][]*wire.Record
	places   map[placeKey][]*wire.Record
	cards    map[wire.PeerID]*wire.Record
	named    map[wire.Hash]*wire.Record     // job specs by the hash that names them
	said     map[wire.PeerID][]*wire.Record // the membership records of a peer, one by each that wrote one, greatest first
	members  []wire.PeerID                  // sorted; nil when they must be listed anew
	ids      []job.ID                       // of heads, sorted; nil when they must be listed anew
	moved    []wire.PeerID                  // whose card or membership changed since ChangedPeers
	may      func(p wire.PeerID, cert []byte) bool
	judged   map[*Card]bool // answers of may
	count    int
	whole    bool                            // our own log is known to miss nothing: our own mark follows what we write
	disowned []*Claim                        // own open claims that others have dropped
	revive   []*wire.Record                  // specs that another dropped and that are still named here
	beyond   map[*job.Spec]map[string]string // see LaterValue
	prior    bool                            // some spec named a priority
	unfit    map[*job.Spec]bool              // specs that no valid submission has: nothing of theirs is wanted
	suits    suits
	refused  wire.FaultCounts
	verified int    // records that verified and were not yet spent on looking at forged ones, see checkSignature
	version  uint64 // grows with every change, for caches
	peers    uint64 // grows with every change of a card or a membership
	headsAt  uint64 // the version of the last change of a head
	headed   []job.ID
	jobsAt   uint64         // grows with every job that comes or goes
	specs    uint64         // grows with every change of a job spec
	mine     map[job.ID]int // how many of this peer's own claims a job has
	ours     uint64         // the version of the last change that may concern this peer's own claims

	tasks map[*job.Task]namedTask // of specs held, as far as asked for

	recent struct { // what was looked up last
		log *log
		job *jobState
		id  job.ID
	}
}

type placeKey struct {
	job    job.ID
	volume string
	slot   int
}

// New returns an empty ledger of a swarm.
func New(self wire.PeerID, swarm wire.Hash, verify wire.Verifier) *State {
	return &State{
		self: self, swarm: swarm, verify: verify, verified: domainLooks * verifiedALook,
		cells: map[string][]*wire.Record{}, jobs: map[job.ID]*jobState{}, logs: map[wire.PeerID]*log{}, removed: map[job.ID]uint64{},
		heads: map[job.ID]struct{}{}, lost: map[claimRef]*Verdict{},
		bad: map[job.ID][]*wire.Record{}, places: map[placeKey][]*wire.Record{},
		cards: map[wire.PeerID]*wire.Record{}, named: map[wire.Hash]*wire.Record{}, said: map[wire.PeerID][]*wire.Record{},
		judged: map[*Card]bool{}, unfit: map[*job.Spec]bool{}, beyond: map[*job.Spec]map[string]string{},
		mine: map[job.ID]int{}, tasks: map[*job.Task]namedTask{},
	}
}

// An Outcome is what became of a record offered to Merge.
type Outcome uint8

// The outcomes. Only Merged means that others may not have it either.
const (
	Refused Outcome = iota // not valid, or of something dropped or removed
	Known                  // held already
	Beaten                 // valid, but a greater one with its key is held
	Merged                 // it is new here
)

// Merge joins a record into the ledger. Err tells why one was refused:
// wire.ErrInvalid is the sender's fault, wire.ErrStale nobody's.
func (s *State) Merge(r *wire.Record) (Outcome, error) {
	err := s.open(r)
	if err == nil && s.holds(r) {
		return Known, nil
	}
	if err == nil {
		err = s.check(r)
	}
	if err != nil {
		s.refused[wire.FaultOf(err)]++
		return Refused, err
	}
	if mutant.Is(mutant.MarkOnPush) {
		s.raise(r.Num)
	}
	out := s.join(r, false)
	if out == Beaten {
		s.refused[wire.FaultReplayed]++
	}
	return out, nil
}

// IsNews reports whether a verified record would be news: it is not held, nothing held
// beats it, and no rule has dropped it here.
func (s *State) IsNews(r *wire.Record) bool {
	if Open(r) != nil || s.holds(r) || s.admit(r) != nil {
		return false
	}
	if c, ok := r.Value.(*Claim); ok {
		have := s.ClaimRecord(c.Slot, c.Life, c.Token, c.Peer)
		return have == nil || compareRecords(r, have) > 0
	}
	cell := s.cells[keyOf(r)]
	at, found := slices.BinarySearchFunc(cell, r, func(a, b *wire.Record) int { return -compareRecords(a, b) })
	if found {
		return false
	}
	_, out := fit(cell, at, r)
	return !slices.Contains(out, r)
}

// Own joins a record that this peer has just sealed.
func (s *State) Own(r *wire.Record) Outcome {
	if err := Open(r); err != nil {
		panic("ledger: own record: " + err.Error())
	}
	out := s.join(r, false)
	if s.whole {
		s.raise(r.Num)
	}
	return out
}

// MakeWhole says that this peer's own log misses nothing that any member in reach
// has. Only then may its own mark rise over the start of this run: a disk that was
// lost, damaged or put back from an old image does not know what it once wrote, and
// a mark above that would have everybody drop it. Records of another start with our
// key, which may be at work elsewhere, are not vouched for: we may have some of them.
func (s *State) MakeWhole(inc uint32, nonce uint64) {
	if s.whole {
		return
	}
	s.whole = true
	l := s.logs[s.self]
	if l == nil {
		return
	}
	for _, r := range slices.Backward(l.recs) {
		if r.Num.Inc == inc && r.Num.Nonce == nonce {
			s.raise(r.Num)
			return
		}
	}
}

// IsWhole reports whether MakeWhole was called.
func (s *State) IsWhole() bool { return s.whole }

// Revive returns specs that were dropped because their issuer did while they are
// still named here. The caller brings them in again under its own number.
func (s *State) Revive() []*wire.Record {
	out := slices.DeleteFunc(s.revive, func(r *wire.Record) bool { return s.Holds(r) || !s.IsNamed(r) })
	s.revive = nil
	return out
}

// Holds reports whether a record is held, or, for a spec, one with the same body.
func (s *State) Holds(r *wire.Record) bool {
	if _, ok := r.Value.(*job.Spec); ok {
		return s.SpecRecord(r.BodyHash()) != nil
	}
	return r.Value != nil && s.holds(r)
}

// Load joins a record from this peer's disk, which was verified when it came.
func (s *State) Load(r *wire.Record) error {
	if err := Open(r); err != nil {
		return err
	}
	s.join(r, true)
	return nil
}

// LoadMark restores the mark of an issuer.
func (s *State) LoadMark(n wire.Number) {
	l := s.logOf(n.Issuer)
	l.raise(n.Version())
	s.sums.changed(l)
}

// LoadRemoved restores a removed life.
func (s *State) LoadRemoved(r Removed) { s.removed[r.Job] = max(s.removed[r.Job], r.Life) }

// Take returns what the store must do since the last call, in order.
func (s *State) Take() []Change {
	c := s.changes
	s.changes = nil
	return c
}

// holds reports whether that very record is in its issuer's log.
func (s *State) holds(r *wire.Record) bool {
	l := s.lookLog(r.Num.Issuer)
	return l != nil && l.holds(r)
}

// admit refuses what a rule has dropped: a number at or below the issuer's mark
// that is not held, and anything of a removed life.
func (s *State) admit(r *wire.Record) error {
	if l := s.lookLog(r.Num.Issuer); l != nil && covers(l.mark, r.Num.Version()) {
		return fmt.Errorf("record %v: %w: dropped here", r.Num, wire.FaultReplayed)
	}
	if id, life, ok := lifeOf(r); ok && life <= s.removed[id] {
		return fmt.Errorf("record %v: %w: life %d of %s was removed", r.Num, wire.FaultRemoved, life, id)
	}
	return nil
}

// lifeOf returns the job life a record belongs to.
func lifeOf(r *wire.Record) (job.ID, uint64, bool) {
	switch v := r.Value.(type) {
	case *Head:
		return v.Job, v.Life, true
	case *Claim:
		return v.Slot.Job, v.Life, true
	case *Verdict:
		return v.Slot.Job, v.Life, true
	case *BadSpec:
		return v.Job, v.Life, true
	}
	return "", 0, false
}

// touch notes that r came or went: what is derived from it must be derived anew.
func (s *State) touch(r *wire.Record) {
	s.version++
	switch v := r.Value.(type) {
	case *Claim:
		if v.Peer == s.self {
			s.own, s.ours = nil, s.version
		}
		s.touchJob(v.Slot.Job)
	case *Verdict:
		s.touchJob(v.Slot.Job)
	case *Head:
		s.headsAt = s.version
		s.headed = append(s.headed, v.Job)
		s.touchJob(v.Job)
	case *BadSpec:
		s.touchJob(v.Job)
	case *VolumePlace:
		s.touchJob(v.Job)
	case *job.Spec:
		s.specs++
		s.touchJob(v.ID())
	case *Card:
		s.touchPeer(v.Peer)
		if s.may != nil { // its word may count from now on, or no longer
			s.touchWord(v.Peer)
		}
	case *Member:
		s.touchPeer(v.Peer)
	}
}

func (s *State) touchPeer(p wire.PeerID) {
	s.peers++
	s.members = nil
	s.ours = s.version // rights decide whose heads count
	s.moved = append(s.moved, p)
}

// touchWord notes that the right of a peer may have changed, and with it what counts
// of the heads and membership records that it wrote.
func (s *State) touchWord(by wire.PeerID) {
	l := s.logs[by]
	if l == nil {
		return
	}
	for _, r := range l.recs {
		switch v := r.Value.(type) {
		case *Member:
			s.moved = append(s.moved, v.Peer)
		case *Head:
			s.headsAt = s.version
			s.headed = append(s.headed, v.Job)
			s.relist()
		}
	}
}

// relist has Jobs listed anew.
func (s *State) relist() {
	s.ids = nil
	s.jobsAt++
}

// Version grows with every change; equal versions mean an unchanged ledger.
func (s *State) Version() uint64 { return s.version }

// OwnVersion is the Version of the last change that may concern this peer's own
// claims: of a record about a job it has claims in, of a right, of a job spec.
func (s *State) OwnVersion() uint64 { return s.ours }

// HeadsVersion is the Version of the last change of a job's head.
func (s *State) HeadsVersion() uint64 { return s.headsAt }

// JobsVersion grows with every job that Jobs lists anew or no longer.
func (s *State) JobsVersion() uint64 { return s.jobsAt }

// ChangedHeads returns the jobs of which a head came or went since the last call,
// some perhaps several times.
func (s *State) ChangedHeads() []job.ID {
	headed := s.headed
	s.headed = nil
	return headed
}

// ChangedPeers returns whose card or membership changed since the last call, some
// perhaps several times.
func (s *State) ChangedPeers() []wire.PeerID {
	moved := s.moved
	s.moved = nil
	return moved
}

// PeersVersion grows with every change of a card or a membership.
func (s *State) PeersVersion() uint64 { return s.peers }

// HasPriorities reports whether a job spec held since the start gives a task another
// priority than the default.
func (s *State) HasPriorities() bool { return s.prior }

// Len is the number of records held.
func (s *State) Len() int { return s.count }

// Refusals counts what Merge was given and did not take, since the start: what is
// no record of this swarm, and, as replayed, what came too late.
func (s *State) Refusals() wire.FaultCounts { return s.refused }

// Records returns everything held, by number.
func (s *State) Records() []*wire.Record {
	return s.recordsWhere(func(*wire.Record) bool { return true })
}

// recordsWhere returns what f accepts of everything held, by number.
func (s *State) recordsWhere(f func(*wire.Record) bool) []*wire.Record {
	var out []*wire.Record
	for _, l := range s.logs {
		for _, r := range l.recs {
			if f(r) {
				out = append(out, r)
			}
		}
	}
	slices.SortFunc(out, func(a, b *wire.Record) int { return a.Num.Compare(b.Num) })
	return out
}

// DropOwn prunes a record of this peer's own: a claim that has ended and is no
// longer of use. Others drop it when they next compare logs.
func (s *State) DropOwn(r *wire.Record) {
	if r.Num.Issuer == s.self {
		s.drop(r)
	}
}

// Remove forgets every life of a job up to life: heads, claims, verdicts, bad
// specs, and specs nothing else names. What may not be forgotten yet, this
// peer's own claims that have not ended, is returned and kept.
func (s *State) Remove(id job.ID, life uint64) (kept []*Claim) {
	if s.removed[id] < life && !mutant.Is(mutant.ForgetRemoved) {
		s.removed[id] = life
		s.changes = append(s.changes, Change{Removed: &Removed{id, life}})
		s.version++
		s.touchJob(id)
	}
	for _, r := range s.recordsWhere(func(r *wire.Record) bool { of, n, ok := lifeOf(r); return ok && of == id && n <= life }) {
		if c, is := r.Value.(*Claim); is && c.Peer == s.self && !c.Phase.Ended() {
			kept = append(kept, c)
			continue
		}
		s.drop(r)
	}
	isSpec := func(r *wire.Record) bool { spec, ok := r.Value.(*job.Spec); return ok && spec.ID() == id }
	for _, r := range s.recordsWhere(isSpec) {
		if !s.IsNamed(r) {
			s.drop(r)
		}
	}
	return kept
}

// Sweep drops what rules say is over: bad specs of an older head, or of a deleted
// one. It is cheap when nothing changed.
func (s *State) Sweep() {
	var over []*wire.Record
	for id, recs := range s.bad {
		h := s.Head(id)
		for _, r := range recs {
			b := r.Value.(*BadSpec)
			if h != nil && (h.Life > b.Life || h.Life == b.Life && (h.Deleted || h.Revision > b.Revision)) { // a deletion wins over any revision
				over = append(over, r)
			}
		}
	}
	slices.SortFunc(over, func(a, b *wire.Record) int { return a.Num.Compare(b.Num) })
	for _, r := range over {
		s.drop(r)
	}
}

// sortedPeers returns the keys of a map of peers in their order, because map
// order must never reach an output.
func sortedPeers[V any](m map[wire.PeerID]V) []wire.PeerID {
	out := make([]wire.PeerID, 0, len(m))
	for p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, wire.PeerID.Compare)
	return out
}
