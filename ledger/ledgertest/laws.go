package ledgertest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"shoal/ledger"
	"shoal/wire"
)

// A Swarm is whose records are merged, and how their signatures are checked.
type Swarm struct {
	ID     wire.Hash
	Verify wire.Verifier
	May    func(p wire.PeerID, cert []byte) bool // as ledger.State.Entitle takes it
}

// New returns an empty ledger of somebody who has written nothing.
func (s Swarm) New() *ledger.State {
	l := ledger.New(wire.PeerID{0xff, 0xee}, s.ID, s.Verify)
	l.Entitle(s.May)
	return l
}

// Join merges records one after the other into an empty ledger.
func (s Swarm) Join(records ...[]*wire.Record) (*ledger.State, error) {
	l := s.New()
	for _, r := range slices.Concat(records...) {
		if _, err := l.Merge(r); err != nil {
			return nil, fmt.Errorf("merge %v %v: %w", r.Kind, r.Num, err)
		}
	}
	return l, nil
}

// Laws reports in which way joining the records of some peers depends on more than
// which records they are: on their order, on how they are grouped, on repetition, on
// what was joined already. It compares the records left and everything derived of
// them, and sees to it that nothing beaten ever comes back. rounds is how often each
// law is tried, with other orders drawn from r.
func Laws(r *rand.Rand, s Swarm, rounds int, states ...[]*wire.Record) error {
	base, err := s.Join(states...)
	if err != nil {
		return err
	}
	want, derived := base.Hash(), Derived(base)
	for range rounds {
		for _, law := range []struct {
			name string
			join func(*rand.Rand, Swarm, [][]*wire.Record) (*ledger.State, error)
		}{{"commutative", shuffled}, {"associative", grouped}, {"idempotent", repeated}, {"monotone", onlyUp}} {
			got, err := law.join(r, s, states)
			if err != nil {
				return fmt.Errorf("not %s: %w", law.name, err)
			}
			if got.Hash() != want {
				return fmt.Errorf("merge is not %s: %d records are left, and %d of the same otherwise", law.name, got.Len(), base.Len())
			}
			if text := Derived(got); text != derived {
				return fmt.Errorf("what is derived of equal records is not %s:\n%s\nand otherwise\n%s", law.name, text, derived)
			}
		}
	}
	return nil
}

func shuffled(r *rand.Rand, s Swarm, states [][]*wire.Record) (*ledger.State, error) {
	return s.Join(shuffle(r, slices.Concat(states...)))
}

// grouped joins drawn groups of the records, then what is left of the groups.
func grouped(r *rand.Rand, s Swarm, states [][]*wire.Record) (*ledger.State, error) {
	groups := make([][]*wire.Record, 1+r.IntN(5))
	for _, rec := range slices.Concat(states...) {
		i := r.IntN(len(groups))
		groups[i] = append(groups[i], rec)
	}
	for i, g := range groups {
		l, err := s.Join(g)
		if err != nil {
			return nil, err
		}
		groups[i] = l.Records()
	}
	return s.Join(groups...)
}

// repeated joins everything twice, in two orders mixed with one another.
func repeated(r *rand.Rand, s Swarm, states [][]*wire.Record) (*ledger.State, error) {
	all := slices.Concat(states...)
	return s.Join(shuffle(r, slices.Concat(all, all)))
}

// onlyUp joins in a drawn order and watches that what was beaten stays away.
func onlyUp(r *rand.Rand, s Swarm, states [][]*wire.Record) (*ledger.State, error) {
	l := s.New()
	beaten := map[wire.Hash]bool{}
	for _, rec := range shuffle(r, slices.Concat(states...)) {
		out, err := l.Merge(rec)
		switch {
		case err != nil:
			return nil, err
		case out == ledger.Beaten:
			beaten[rec.Hash()] = true
		case out == ledger.Merged && beaten[rec.Hash()]:
			return nil, fmt.Errorf("%v %v was beaten and is back", rec.Kind, rec.Num)
		}
		for _, ch := range l.Take() {
			if ch.Drop != nil {
				beaten[ch.Drop.Hash()] = true
			}
		}
	}
	for _, rec := range slices.Concat(states...) {
		if out, _ := l.Merge(rec); out == ledger.Merged || (out == ledger.Known) == beaten[rec.Hash()] {
			return nil, fmt.Errorf("%v %v, beaten before: %v, gives outcome %d", rec.Kind, rec.Num, beaten[rec.Hash()], out)
		}
	}
	return l, nil
}

func shuffle(r *rand.Rand, records []*wire.Record) []*wire.Record {
	out := slices.Clone(records)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
