package ledger

import (
	"bytes"
	"cmp"
	"slices"

	"shoal/internal/mutant"
	"shoal/job"
	"shoal/wire"
)

// What follows are pure functions of merged state: every peer that holds the same
// records derives the same values.

// Head returns the wanted head of a job, or nil if the job is not known. It may
// be a deleted one.
func (s *State) Head(id job.ID) *Head {
	if r := s.HeadRecord(id); r != nil {
		return r.Value.(*Head)
	}
	return nil
}

// HeadRecord returns the record of the wanted head, or nil: the greatest whose author
// has the right to write one. Rights are judged here and not in the join, since they
// come to be known, and change, apart from heads.
func (s *State) HeadRecord(id job.ID) *wire.Record {
	j := s.lookJob(id)
	switch {
	case j == nil || len(j.heads) == 0:
		return nil
	case s.may == nil:
		return j.heads[0]
	}
	if at := (Stamp{j.version, 0, s.peers}); j.wantsAt != at {
		i := slices.IndexFunc(j.heads, func(r *wire.Record) bool { return s.entitles(r.Num.Issuer) })
		j.wants, j.wantsAt = nil, at
		if i >= 0 {
			j.wants = j.heads[i]
		}
	}
	return j.wants
}

// Heads returns the heads kept of a job that count, the wanted one first.
func (s *State) Heads(id job.ID) []*wire.Record {
	j := s.lookJob(id)
	if j == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(j.heads), func(r *wire.Record) bool { return !s.entitles(r.Num.Issuer) })
}

// AwaitsCard reports whether a head above the wanted one is by a peer whose card has
// not arrived, so that it cannot be said whether it counts. It ends once this ledger is
// whole: what counts and was claimed here has its card here by then, and a head of
// somebody whom nobody knows must not hold a job for ever.
func (s *State) AwaitsCard(id job.ID) bool {
	j := s.lookJob(id)
	if j == nil || s.may == nil || s.whole {
		return false
	}
	for _, r := range j.heads {
		if s.entitles(r.Num.Issuer) {
			return false
		}
		if s.cards[r.Num.Issuer] == nil {
			return true
		}
	}
	return false
}

// Conflicts returns the heads of the wanted head's life that lost to it without
// having been written over by it or by another that is kept.
func (s *State) Conflicts(id job.ID) []*Head {
	cell := s.Heads(id)
	over := map[wire.Hash]bool{}
	for _, r := range cell {
		for _, h := range r.Value.(*Head).Over {
			over[h] = true
		}
	}
	var out []*Head
	for i, r := range cell {
		h := r.Value.(*Head)
		if i > 0 && h.Life == cell[0].Value.(*Head).Life && !over[bodyHash(r)] && h.Revision+MaxHeads > cell[0].Value.(*Head).Revision {
			out = append(out, h)
		}
	}
	return out
}

// HeadHash names a head, as Head.Over does.
func HeadHash(r *wire.Record) wire.Hash { return bodyHash(r) }

// Over returns what a head written over the given ones must list.
func Over(r *wire.Record) []wire.Hash {
	if r == nil {
		return nil
	}
	over := append([]wire.Hash{bodyHash(r)}, r.Value.(*Head).Over...)
	return over[:min(len(over), MaxOver)]
}

// Jobs returns the IDs of all jobs with a head that counts, deleted ones too, in
// order. The caller must not change the list.
func (s *State) Jobs() []job.ID {
	if s.ids == nil {
		s.ids = make([]job.ID, 0, len(s.heads))
		for id := range s.heads {
			if s.HeadRecord(id) != nil {
				s.ids = append(s.ids, id)
			}
		}
		slices.Sort(s.ids)
	}
	return s.ids
}

// RemovedLife is the greatest life of a job that is over and forgotten; 0: none.
func (s *State) RemovedLife(id job.ID) uint64 { return s.removed[id] }

// Spec returns a job spec by its hash, or nil.
func (s *State) Spec(h wire.Hash) *job.Spec {
	if r := s.SpecRecord(h); r != nil {
		return r.Value.(*job.Spec)
	}
	return nil
}

// SpecRecord returns the record of a job spec, or nil.
func (s *State) SpecRecord(h wire.Hash) *wire.Record {
	return s.named[h]
}

// A Wanted is what a slot of a task is to run.
type Wanted struct {
	Job      job.ID
	Life     uint64
	Task     *job.Task
	Spec     wire.Hash // TaskHash
	JobSpec  wire.Hash
	Count    int      // slots 0 to Count-1 are wanted; of a system task 1, or 0 for none
	At       []string // of a system task: the peers that it suits, in order, as its slots name them
	Paused   bool     // this very spec is bad: nobody moves to it
	Fallback *Wanted  // what a missing slot runs instead while Paused; nil: nothing earlier is known
}

// Wanted returns what each task of a job is to run, by task name; nil for a job
// that is unknown, deleted, or whose spec has not arrived. The head's spec holds
// unless a bad spec record stands and the task asks for rollback.
func (s *State) Wanted(id job.ID) []Wanted {
	j := s.lookJob(id)
	if j == nil {
		return nil
	}
	if at := s.StampOf(id); j.wantedAt != at {
		j.wanted, j.wantedAt = s.deriveWanted(id), at
	}
	return j.wanted
}

func (s *State) deriveWanted(id job.ID) []Wanted {
	h := s.Head(id)
	if h == nil || h.Deleted {
		return nil
	}
	rec := s.SpecRecord(h.Spec)
	if rec == nil {
		return nil
	}
	spec := rec.Value.(*job.Spec)
	if s.unfit[spec] {
		return nil
	}
	out := make([]Wanted, 0, len(spec.Tasks))
	for i := range spec.Tasks {
		t := &spec.Tasks[i]
		w := Wanted{Job: id, Life: h.Life, Task: t, Spec: s.taskOf(rec, t).hash, JobSpec: h.Spec, Count: t.Count, At: s.suited(spec, t)}
		if s.isBad(id, h.Life, w.Spec) {
			w.Paused = true
			if prev, p := s.findTask(h.Previous, t.Name); p != nil && (p.Type == job.System) == (t.Type == job.System) {
				w.Fallback = &Wanted{Job: id, Life: h.Life, Task: p, Spec: s.taskOf(prev, p).hash, JobSpec: h.Previous, Count: t.Count, At: w.At}
			}
			if t.Update.FailureAction == "rollback" && w.Fallback != nil {
				w = *w.Fallback
			}
		}
		out = append(out, w)
	}
	return out
}

func (s *State) isBad(id job.ID, life uint64, spec wire.Hash) bool {
	h := s.Head(id)
	return slices.ContainsFunc(s.bad[id], func(r *wire.Record) bool {
		b := r.Value.(*BadSpec)
		return b.Life == life && b.Spec == spec && h.Revision == b.Revision
	})
}

// BadSpecs returns the bad specs known of a job.
func (s *State) BadSpecs(id job.ID) []*BadSpec {
	var out []*BadSpec
	for _, r := range s.bad[id] {
		out = append(out, r.Value.(*BadSpec))
	}
	return out
}

// OwnVerdicts returns the verdicts that this peer wrote, by number.
func (s *State) OwnVerdicts() []*wire.Record { return s.ownOf(wire.KindVerdict) }

// OwnSpecs returns the job specs that this peer brought in, by number.
func (s *State) OwnSpecs() []*wire.Record { return s.ownOf(wire.KindSpec) }

// IsNamed reports whether a kept head of its job or a claim that has not ended
// names a job spec. A job that never had a head counts as naming it: its head may
// still be on the way.
func (s *State) IsNamed(r *wire.Record) bool {
	id, h := r.Value.(*job.Spec).ID(), bodyHash(r)
	heads := s.cells[headKey(id)]
	if len(heads) == 0 && s.removed[id] == 0 {
		return true
	}
	for _, hr := range heads {
		if head := hr.Value.(*Head); head.Spec == h || head.Previous == h {
			return true
		}
	}
	j := s.lookJob(id)
	return j != nil && slices.ContainsFunc(j.claims, func(cr *wire.Record) bool {
		c := cr.Value.(*Claim)
		return c.JobSpec == h && !c.Phase.Ended()
	})
}

func (s *State) ownOf(kind wire.RecordKind) []*wire.Record {
	var out []*wire.Record
	if l := s.logs[s.self]; l != nil {
		for _, r := range l.recs {
			if r.Kind == kind {
				out = append(out, r)
			}
		}
	}
	return out
}

// WantsSlot reports whether the head wants the slot in that life. While it cannot be
// told which head that is, every slot is: nothing is stopped for that.
func (s *State) WantsSlot(slot job.SlotID, life uint64) bool {
	if s.AwaitsCard(slot.Job) {
		return true
	}
	h := s.Head(slot.Job)
	if h == nil || h.Deleted || h.Life != life {
		return false
	}
	spec := s.Spec(h.Spec)
	if spec == nil {
		return true // its spec is still to come: nothing is stopped for that
	}
	t := spec.Task(slot.Task)
	switch {
	case t == nil:
		return false
	case t.Type != job.System:
		return slot.At == "" && slot.Index < t.Count
	case s.unfit[spec]:
		return slot.At != "" // what it is to be cannot be told here
	}
	p, ok := OwnerOf(slot)
	return ok && t.Count > 0 && slot.Index == 0 && s.Unsuited(p, spec, t) == ""
}

// IsLive reports whether a claim counts: not ended, not lost, of the head's life,
// on a slot that the head wants. Doubt about its holder does not end that.
func (s *State) IsLive(c *Claim) bool {
	return !c.Phase.Ended() && !s.IsLost(c) && s.WantsSlot(c.Slot, c.Life) && IsOwners(c)
}

// LiveClaims returns the live claims on a slot, the winner first: not leaving
// before leaving when another serves, then those on the wanted spec, then by
// token (lowest for onReturn incumbent, greatest for newest), then by hash.
func (s *State) LiveClaims(slot job.SlotID) []*Claim {
	var live []*Claim
	for _, r := range s.claimsOn(slot) {
		if c := r.Value.(*Claim); s.IsLive(c) {
			live = append(live, c)
		}
	}
	if len(live) < 2 {
		return live
	}
	spec, newest := s.rule(slot)
	serving := slices.ContainsFunc(live, func(c *Claim) bool { return c.Phase == Serving && !c.Leaving })
	slices.SortFunc(live, func(a, b *Claim) int {
		byToken := cmp.Compare(a.Token, b.Token)
		if newest {
			byToken = -byToken
		}
		leaving := 0
		if serving {
			leaving = compareBool(a.Leaving, b.Leaving)
		}
		if mutant.Is(mutant.ForgetTieBreak) {
			return -compareBool(a.Peer == s.self, b.Peer == s.self)
		}
		return cmp.Or(leaving, -compareBool(a.Spec == spec, b.Spec == spec), byToken, cmp.Or(orderOf(a, b), a.Peer.Compare(b.Peer)))
	})
	return live
}

func orderOf(a, b *Claim) int {
	ctx := a.Slot.String()
	return cmp.Compare(wire.Order(ctx, a.Peer), wire.Order(ctx, b.Peer))
}

// rule returns the wanted task hash of a slot and whether the newest claim wins.
func (s *State) rule(slot job.SlotID) (wire.Hash, bool) {
	for _, w := range s.Wanted(slot.Job) {
		if w.Task.Name == slot.Task {
			return w.Spec, w.Task.Failover.OnReturn == "newest"
		}
	}
	return wire.Hash{}, false
}

// Winner returns the claim that holds the slot, or nil.
func (s *State) Winner(slot job.SlotID) *Claim {
	if live := s.LiveClaims(slot); len(live) > 0 {
		return live[0]
	}
	return nil
}

// Claimed sums the needs of a peer's claims that have not ended. It counts what
// is lost or superseded too: until a container is known gone its room is taken.
func (s *State) Claimed(p wire.PeerID) (sum job.Resources) {
	for _, c := range s.ClaimsBy(p) {
		if !c.Phase.Ended() {
			sum = sum.Plus(c.Needs)
		}
	}
	return sum
}

// FreeGPUs returns what is free, in thousandths, of each of the n devices that a peer
// has: whole ones, less what its claims hold that have not ended.
func (s *State) FreeGPUs(p wire.PeerID, n int64) []uint16 {
	free := job.WholeGPUs(n)
	if len(free) == 0 {
		return nil
	}
	for _, c := range s.ClaimsBy(p) {
		if !c.Phase.Ended() {
			job.TakeGPUs(free, c.GPUs, c.Needs.GPUMilli)
		}
	}
	return free
}

// PlaceOf returns where a slot's named volume is: the place of the peer that
// holds the slot if several exist after a split, else the lowest key.
func (s *State) PlaceOf(id job.ID, volume string, slot job.SlotID) *VolumePlace {
	var found []*VolumePlace
	over := s.volumesRemoved(id)
	for _, r := range s.places[placeKey{id, volume, slot.Index}] {
		if p := r.Value.(*VolumePlace); !p.Gone && p.Life > over && !s.IsRevoked(p.Peer) {
			found = append(found, p)
		}
	}
	if owner, ok := OwnerOf(slot); ok { // each copy of a system task has a volume of its own
		found = slices.DeleteFunc(found, func(p *VolumePlace) bool { return p.Peer != owner })
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b *VolumePlace) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	if w := s.Winner(slot); w != nil {
		for _, p := range found {
			if p.Peer == w.Peer {
				return p
			}
		}
	}
	return found[0]
}

// volumesRemoved is the greatest life of a job that was removed with its volumes,
// as far as kept heads tell; 0: none.
func (s *State) volumesRemoved(id job.ID) (life uint64) {
	for _, r := range s.Heads(id) {
		if h := r.Value.(*Head); h.Deleted && h.Volumes {
			life = max(life, h.Life)
		}
	}
	return life
}

// IsReleased reports whether a volume's place is of a life that was removed with
// its volumes.
func (s *State) IsReleased(p *VolumePlace) bool { return p.Life <= s.volumesRemoved(p.Job) }

// PlacesAt returns the volumes kept on a peer, in order.
func (s *State) PlacesAt(peer wire.PeerID) []*VolumePlace {
	var out []*VolumePlace
	for _, recs := range s.places {
		for _, r := range recs {
			if p := r.Value.(*VolumePlace); p.Peer == peer && !p.Gone {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b *VolumePlace) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Volume, b.Volume), cmp.Compare(a.Slot, b.Slot))
	})
	return out
}

// Card returns what a peer says of itself, or nil.
func (s *State) Card(p wire.PeerID) *Card {
	if r := s.cards[p]; r != nil {
		return r.Value.(*Card)
	}
	return nil
}

// CardRecord returns the record of a peer's card, or nil.
func (s *State) CardRecord(p wire.PeerID) *wire.Record {
	return s.cards[p]
}

// Members returns every peer with a card that has not left or been removed, in
// order. The caller must not change the list.
func (s *State) Members() []wire.PeerID {
	if s.members == nil {
		s.members = slices.DeleteFunc(sortedPeers(s.cards), func(p wire.PeerID) bool { return !s.IsMember(p) })
	}
	return s.members
}

// IsMember reports whether a peer has a card and has not left or been removed.
func (s *State) IsMember(p wire.PeerID) bool {
	m := s.Member(p)
	return s.cards[p] != nil && (m == nil || !m.Revoked && !m.Left)
}

// AllPeers returns every peer with a card, gone ones too.
func (s *State) AllPeers() []wire.PeerID { return sortedPeers(s.cards) }

// Member returns the membership record of a peer that counts, or nil: a peer with a
// card and no such record is a member.
func (s *State) Member(p wire.PeerID) *Member {
	if r := s.MemberRecord(p); r != nil {
		return r.Value.(*Member)
	}
	return nil
}

// MemberRecord returns the record that Member's answer is from, or nil: the greatest
// by the peer itself or by one with the right to remove peers.
func (s *State) MemberRecord(p wire.PeerID) *wire.Record {
	for _, r := range s.said[p] {
		if r.Num.Issuer == p || s.entitles(r.Num.Issuer) {
			return r
		}
	}
	return nil
}

// Entitle sets what judges whether a peer with that certificate may submit jobs
// and remove peers; nil: every peer may. It is to be called before anything else.
func (s *State) Entitle(may func(p wire.PeerID, cert []byte) bool) { s.may = may }

func (s *State) entitles(p wire.PeerID) bool {
	if s.may == nil || p == s.self && s.cards[p] == nil {
		return true
	}
	card := s.Card(p)
	if card == nil {
		return false
	}
	ok, known := s.judged[card]
	if !known {
		ok = s.may(p, card.Cert) // a signature check or two: once per card
		s.judged[card] = ok
	}
	return ok
}

// IsRevoked reports whether a peer was removed from the swarm.
func (s *State) IsRevoked(p wire.PeerID) bool {
	m := s.Member(p)
	return m != nil && m.Revoked
}

// HasEarlierStart reports whether a peer wrote something that is held under that
// incarnation in a start with a lesser boot nonce: which neither mark covers, see covers.
func (s *State) HasEarlierStart(p wire.PeerID, inc uint32, nonce uint64) bool {
	l := s.logs[p]
	if l == nil {
		return false
	}
	at, _ := slices.BinarySearchFunc(l.recs, inc, func(r *wire.Record, inc uint32) int { return cmp.Or(cmp.Compare(r.Num.Inc, inc), 1) })
	return at < len(l.recs) && l.recs[at].Num.Inc == inc && l.recs[at].Num.Nonce < nonce
}

// MaxIncarnation is the greatest incarnation of a peer that any of its records
// or its mark shows; 0 if none.
func (s *State) MaxIncarnation(p wire.PeerID) uint32 {
	l := s.logs[p]
	if l == nil {
		return 0
	}
	inc := l.mark.Inc
	for _, r := range l.recs {
		inc = max(inc, r.Num.Inc)
	}
	return inc
}
