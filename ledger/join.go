package ledger

import (
	"slices"

	"shoal/job"
	"shoal/wire"
)

// join inserts r where its key belongs and drops what no longer has a place there.
func (s *State) join(r *wire.Record, quiet bool) Outcome {
	if c, ok := r.Value.(*Claim); ok {
		return s.joinClaim(r, c, quiet)
	}
	key := keyOf(r)
	cell := s.cells[key]
	at, found := slices.BinarySearchFunc(cell, r, func(a, b *wire.Record) int { return -compareRecords(a, b) })
	if found {
		return Known
	}
	cell, out := fit(cell, at, r)
	if len(out) > 0 && out[0] == r {
		return Beaten
	}
	s.setCell(key, cell, r)
	s.insert(r)
	for _, o := range out {
		s.forget(o, quiet)
	}
	if !quiet {
		s.changes = append(s.changes, Change{Put: r})
	}
	return Merged
}

// fit puts r at its place in a cell, greatest first, and takes out what then has none,
// perhaps r itself. Of heads the greatest of each issuer stays, besides the MaxHeads
// greatest: nobody without the right to write heads can push out those of one who has
// it. Rights change, and come to be known apart from heads, so that a join must not
// ask for them.
func fit(cell []*wire.Record, at int, r *wire.Record) (kept, out []*wire.Record) {
	if r.Kind != wire.KindHead {
		if at > 0 {
			return cell, []*wire.Record{r}
		}
		return []*wire.Record{r}, cell
	}
	all := slices.Insert(slices.Clone(cell), at, r)
	if len(all) <= MaxHeads {
		return all, nil
	}
	seen := make(map[wire.PeerID]bool, len(all))
	for i, x := range all {
		if i < MaxHeads || !seen[x.Num.Issuer] {
			kept = append(kept, x)
		} else {
			out = append(out, x)
		}
		seen[x.Num.Issuer] = true
	}
	return kept, out
}

// drop takes a record out by a rule, not by its join.
func (s *State) drop(r *wire.Record) {
	if c, ok := r.Value.(*Claim); ok {
		if s.removeClaim(r, c) {
			s.forget(r, false)
		}
		return
	}
	key := keyOf(r)
	cell := slices.DeleteFunc(slices.Clone(s.cells[key]), func(x *wire.Record) bool { return x == r })
	if len(cell) == len(s.cells[key]) {
		return
	}
	s.setCell(key, cell, r)
	s.forget(r, false)
}

// setCell puts what is left in, or came to, the cell that r is of.
func (s *State) setCell(key string, cell []*wire.Record, r *wire.Record) {
	if len(cell) == 0 {
		delete(s.cells, key)
	} else {
		s.cells[key] = cell
	}
	switch v := r.Value.(type) {
	case *Head:
		s.jobOf(v.Job).heads = cell
	case *Member:
		s.setSaid(v.Peer, r, len(cell) > 0)
	case *Card:
		setFirst(s.cards, v.Peer, cell)
	case *job.Spec:
		setFirst(s.named, r.BodyHash(), cell)
	}
}

// setFirst keeps in an index what a cell holds first.
func setFirst[K comparable](index map[K]*wire.Record, k K, cell []*wire.Record) {
	if len(cell) == 0 {
		delete(index, k)
	} else {
		index[k] = cell[0]
	}
}

// setSaid puts a membership record among those of its peer, in place of what its
// issuer said before, or takes that away.
func (s *State) setSaid(p wire.PeerID, r *wire.Record, there bool) {
	said := slices.DeleteFunc(slices.Clone(s.said[p]), func(x *wire.Record) bool { return x.Num.Issuer == r.Num.Issuer })
	if there {
		at, _ := slices.BinarySearchFunc(said, r, func(a, b *wire.Record) int { return -compareRecords(a, b) })
		said = slices.Insert(said, at, r)
	}
	if len(said) == 0 {
		delete(s.said, p)
		return
	}
	s.said[p] = said
}

// insert brings r into its log and the indices; its cell is the caller's.
func (s *State) insert(r *wire.Record) {
	s.count++
	s.logAdd(r)
	s.touch(r)
	switch v := r.Value.(type) {
	case *Claim:
		if v.Peer == s.self {
			s.mine[v.Slot.Job]++
		}
	case *job.Spec:
		s.prior = s.prior || slices.ContainsFunc(v.Tasks, func(t job.Task) bool { return t.Weight() != job.DefaultPriority })
		if later, err := v.Judge(); err != nil {
			s.unfit[v] = true
		} else if len(later) > 0 {
			s.beyond[v] = later
		}
	case *Head:
		if _, known := s.heads[v.Job]; !known || s.may != nil {
			s.heads[v.Job] = struct{}{}
			s.relist()
		}
	case *Verdict:
		s.lost[refOf(v.Slot, v.Life, v.Token, v.Peer)] = v
	case *BadSpec:
		s.bad[v.Job] = append(s.bad[v.Job], r)
	case *VolumePlace:
		k := placeKey{v.Job, v.Volume, v.Slot}
		s.places[k] = append(s.places[k], r)
	}
}

// forget takes a record out of the log and the indices; its cell is the caller's.
func (s *State) forget(r *wire.Record, quiet bool) {
	s.count--
	s.logRemove(r)
	s.touch(r)
	switch v := r.Value.(type) {
	case *Claim:
		if v.Peer == s.self {
			if s.mine[v.Slot.Job]--; s.mine[v.Slot.Job] == 0 {
				delete(s.mine, v.Slot.Job)
			}
		}
	case *Head:
		last := len(s.cells[headKey(v.Job)]) == 0
		if last {
			delete(s.heads, v.Job)
		}
		if last || s.may != nil {
			s.relist()
		}
	case *job.Spec:
		delete(s.unfit, v)
		delete(s.beyond, v)
		for i := range v.Tasks {
			delete(s.tasks, &v.Tasks[i])
		}
	case *Verdict:
		if k := refOf(v.Slot, v.Life, v.Token, v.Peer); s.lost[k] == v {
			delete(s.lost, k)
		}
	case *BadSpec:
		remove(s.bad, v.Job, r)
	case *VolumePlace:
		remove(s.places, placeKey{v.Job, v.Volume, v.Slot}, r)
	case *Card:
		delete(s.judged, v)
	}
	if !quiet {
		s.changes = append(s.changes, Change{Drop: r})
	}
}

func remove[K comparable](m map[K][]*wire.Record, k K, r *wire.Record) {
	rest := slices.DeleteFunc(slices.Clone(m[k]), func(x *wire.Record) bool { return x == r })
	if len(rest) == 0 {
		delete(m, k)
		return
	}
	m[k] = rest
}
