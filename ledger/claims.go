package ledger

import (
	"cmp"
	"slices"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A jobState is what is held of one job, and when it last changed.
type jobState struct {
	heads    []*wire.Record  // greatest first
	claims   []*wire.Record  // as compareClaims orders them
	since    []clock.Instant // by claim: when its present phase was seen first here; 0: not since our start
	version  uint64          // of the State, at the last change of a record about this job
	wanted   []Wanted        // as of wantedAt
	wantedAt Stamp
	wants    *wire.Record // the head that counts, as of wantsAt; nil: none does
	wantsAt  Stamp
}

// A Stamp stands for all that Wanted and the claims of a job depend on: its own
// records, job specs, and rights. Equal stamps mean equal answers.
type Stamp struct{ job, specs, peers uint64 }

// A claimRef names a claim, as verdicts do.
type claimRef struct {
	slot  job.SlotID
	life  uint64
	token wire.Token
	peer  wire.PeerID
}

func refOf(slot job.SlotID, life uint64, t wire.Token, p wire.PeerID) claimRef {
	return claimRef{slot, life, t, p}
}

// compareClaims orders claims by slot, life, token and peer: by what names them.
func compareClaims(a, b *Claim) int {
	if c := a.Slot.Compare(b.Slot); c != 0 {
		return c
	}
	if a.Life != b.Life {
		return cmp.Compare(a.Life, b.Life)
	}
	if a.Token != b.Token {
		return cmp.Compare(a.Token, b.Token)
	}
	return a.Peer.Compare(b.Peer)
}

// findClaim returns where a claim is in a list that compareClaims orders, or would be.
func findClaim(recs []*wire.Record, c *Claim) (int, bool) {
	return slices.BinarySearchFunc(recs, c, func(r *wire.Record, c *Claim) int { return compareClaims(r.Value.(*Claim), c) })
}

// lookJob returns what is held of a job, or nil; lookLog says why the last is kept.
func (s *State) lookJob(id job.ID) *jobState {
	if s.recent.job != nil && s.recent.id == id {
		return s.recent.job
	}
	j := s.jobs[id]
	if j != nil {
		s.recent.job, s.recent.id = j, id
	}
	return j
}

// jobOf is lookJob, but makes what there is not. It is never taken away.
func (s *State) jobOf(id job.ID) *jobState {
	j := s.lookJob(id)
	if j == nil {
		j = &jobState{}
		s.jobs[id] = j
	}
	return j
}

// touchJob notes a change of a record about a job.
func (s *State) touchJob(id job.ID) {
	s.jobOf(id).version = s.version
	if s.mine[id] > 0 {
		s.ours = s.version
	}
}

// StampOf returns the present stamp of a job.
func (s *State) StampOf(id job.ID) Stamp {
	if j := s.lookJob(id); j != nil {
		return Stamp{j.version, s.specs, s.peers}
	}
	return Stamp{0, s.specs, s.peers}
}

// joinClaim is join for a claim: of two records of one claim the greater stays.
func (s *State) joinClaim(r *wire.Record, c *Claim, quiet bool) Outcome {
	j := s.jobOf(c.Slot.Job)
	at, found := findClaim(j.claims, c)
	if !found {
		if !isOn(j.claims, at-1, c.Slot) && !isOn(j.claims, at, c.Slot) {
			s.slots++
		}
		j.claims = slices.Insert(j.claims, at, r)
		j.since = slices.Insert(j.since, at, s.seenNow(quiet))
		s.insert(r)
	} else {
		have := j.claims[at]
		switch order := compareRecords(r, have); {
		case order == 0:
			return Known
		case order < 0:
			return Beaten
		}
		j.claims[at] = r
		if was := have.Value.(*Claim); was.Phase != c.Phase || was.Run != c.Run {
			j.since[at] = s.seenNow(quiet)
		}
		s.insert(r)
		s.forget(have, quiet)
	}
	if !quiet {
		s.changes = append(s.changes, Change{Put: r})
	}
	return Merged
}

// At tells what time it is for what is merged from now on.
func (s *State) At(now clock.Instant) { s.now = now }

func (s *State) seenNow(loaded bool) clock.Instant {
	if loaded {
		return 0
	}
	return s.now
}

// SeenSince returns when this peer first saw a claim in its present phase and run;
// 0 if it was so already when this daemon started, or is not held.
func (s *State) SeenSince(c *Claim) clock.Instant {
	j := s.lookJob(c.Slot.Job)
	if j == nil {
		return 0
	}
	at, found := findClaim(j.claims, c)
	if !found {
		return 0
	}
	if is := j.claims[at].Value.(*Claim); is.Phase != c.Phase || is.Run != c.Run {
		return 0
	}
	return j.since[at]
}

func isOn(recs []*wire.Record, at int, slot job.SlotID) bool {
	return at >= 0 && at < len(recs) && recs[at].Value.(*Claim).Slot == slot
}

// removeClaim takes a claim's record out of the indices, if it is that very one.
func (s *State) removeClaim(r *wire.Record, c *Claim) bool {
	j := s.jobOf(c.Slot.Job)
	at, found := findClaim(j.claims, c)
	if !found || j.claims[at] != r {
		return false
	}
	j.claims = slices.Delete(j.claims, at, at+1)
	j.since = slices.Delete(j.since, at, at+1)
	if !isOn(j.claims, at-1, c.Slot) && !isOn(j.claims, at, c.Slot) {
		s.slots--
	}
	return true
}

// claimsOn returns the records of all claims on a slot, by life, token and peer. It
// is a part of the index: valid until the next change.
func (s *State) claimsOn(slot job.SlotID) []*wire.Record {
	j := s.lookJob(slot.Job)
	if j == nil {
		return nil
	}
	from, _ := slices.BinarySearchFunc(j.claims, slot, func(r *wire.Record, slot job.SlotID) int {
		return r.Value.(*Claim).Slot.Compare(slot)
	})
	to := from
	for isOn(j.claims, to, slot) {
		to++
	}
	return j.claims[from:to]
}

// ClaimsOf returns every claim known on a slot, lowest token first.
func (s *State) ClaimsOf(slot job.SlotID) []*Claim {
	recs := s.claimsOn(slot)
	out := make([]*Claim, len(recs))
	for i, r := range recs {
		out[i] = r.Value.(*Claim)
	}
	return out
}

// EachClaimOf calls f with every claim known on a job's slots, in their order.
func (s *State) EachClaimOf(id job.ID, f func(*Claim)) {
	if j := s.lookJob(id); j != nil {
		for _, r := range j.claims {
			f(r.Value.(*Claim))
		}
	}
}

// ClaimsBy returns a peer's claims by slot, life and token. The caller must not
// change the list.
func (s *State) ClaimsBy(p wire.PeerID) []*Claim {
	if p == s.self {
		return s.ownClaims()
	}
	return s.claimsIn(p)
}

func (s *State) ownClaims() []*Claim {
	if s.own == nil {
		s.own = s.claimsIn(s.self)
	}
	return s.own
}

// claimsIn picks a peer's claims from its log: only a holder writes its claims.
func (s *State) claimsIn(p wire.PeerID) []*Claim {
	out := []*Claim{}
	if l := s.lookLog(p); l != nil {
		for _, r := range l.recs {
			if c, ok := r.Value.(*Claim); ok {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, compareClaims)
	return out
}

// ClaimRecord returns the record of a claim, or nil.
func (s *State) ClaimRecord(slot job.SlotID, life uint64, t wire.Token, p wire.PeerID) *wire.Record {
	for _, r := range s.claimsOn(slot) {
		if c := r.Value.(*Claim); c.Life == life && c.Token == t && c.Peer == p {
			return r
		}
	}
	return nil
}

// ClaimedSlots returns every slot with a claim, in order.
func (s *State) ClaimedSlots() []job.SlotID {
	out := make([]job.SlotID, 0, s.slots)
	for _, j := range s.jobs {
		for i, r := range j.claims {
			if slot := r.Value.(*Claim).Slot; !isOn(j.claims, i-1, slot) {
				out = append(out, slot)
			}
		}
	}
	slices.SortFunc(out, job.SlotID.Compare)
	return out
}

// CountClaimed is the number of slots with a claim.
func (s *State) CountClaimed() int { return s.slots }

// MaxToken is the greatest token known on a slot in a life, terminal claims and
// verdicts included; 0 if none.
func (s *State) MaxToken(slot job.SlotID, life uint64) (t wire.Token) {
	for _, r := range s.claimsOn(slot) {
		if c := r.Value.(*Claim); c.Life == life && IsOwners(c) {
			t = max(t, c.Token)
		}
	}
	return t
}

// HasBegun reports whether the claim's container has ever run, as its holder says.
func (c *Claim) HasBegun() bool { return c.Run > 1 || c.Phase >= Running }

// IsLost reports whether a verdict on the claim stands that its holder has not
// refuted. One that says it has not begun stands until it has.
func (s *State) IsLost(c *Claim) bool {
	v := s.VerdictOn(c)
	return v != nil && (v.Refuted >= c.Refuted || v.Unstarted && !c.HasBegun())
}

// VerdictOn returns the greatest verdict on a claim, or nil.
func (s *State) VerdictOn(c *Claim) *Verdict {
	if len(s.lost) == 0 {
		return nil
	}
	return s.lost[refOf(c.Slot, c.Life, c.Token, c.Peer)]
}

// VerdictRecords returns the verdicts on a slot's claims, for an award to rest on.
func (s *State) VerdictRecords(slot job.SlotID) []*wire.Record {
	var out []*wire.Record
	for _, r := range s.claimsOn(slot) {
		c := r.Value.(*Claim)
		if s.VerdictOn(c) == nil {
			continue
		}
		if cell := s.cells[verdictKey(c.Slot, c.Life, c.Token, c.Peer)]; len(cell) > 0 {
			out = append(out, cell[0])
		}
	}
	return out
}
