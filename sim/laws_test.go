package sim

import (
	"maps"
	"slices"
	"testing"
	"time"

	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

// TestLaws_OnRealStates takes the ledgers of all peers of drawn runs at several moments,
// split and healed ones, full of records that others have beaten or dropped since, and
// joins them in drawn orders, groups and repetitions: what is left and all that is
// derived of it must be equal.
func TestLaws_OnRealStates(t *testing.T) {
	t.Parallel()
	unseen := map[wire.RecordKind]bool{laterKind: true}
	for _, k := range ledgertest.Kinds {
		if k.Kind < wire.FirstOpenKind {
			unseen[k.Kind] = true
		}
	}
	const first, least, most = 301, 10, 60 // more than the least only until each kind was seen
	for seed := uint64(first); seed < first+least || len(unseen) > 0 && seed < first+most; seed++ {
		states, swarm := capture(t, DrawFor(seed, 6, 2*time.Minute), 10)
		law := ledgertest.Swarm{ID: swarm, Verify: verify}
		rnd := stream(seed, 0, "laws")
		if err := ledgertest.Laws(rnd, law, 2, states...); err != nil {
			t.Errorf("seed %d, all peers at all moments: %v", seed, err)
		}
		for range 10 { // of few states none makes up for what another lacks
			few := make([][]*wire.Record, 2+rnd.IntN(2))
			for i := range few {
				few[i] = states[rnd.IntN(len(states))]
			}
			if err := ledgertest.Laws(rnd, law, 1, few...); err != nil {
				t.Errorf("seed %d, some peers at some moments: %v", seed, err)
			}
		}
		for _, r := range slices.Concat(states...) {
			delete(unseen, r.Kind)
		}
	}
	if len(unseen) > 0 {
		t.Errorf("no peer ever held a record of the kinds %v", slices.Collect(maps.Keys(unseen)))
	}
}

// capture runs a plan and returns what every running peer held at so many moments.
// What a ledger derived then it must derive again of its records alone.
func capture(t *testing.T, s *Scenario, moments int) (states [][]*wire.Record, swarm wire.Hash) {
	t.Helper()
	r := newRun(s, s.Seed, Options{})
	r.start()
	r.plan()
	for i := range moments {
		r.w.runUntil(s.Run * time.Duration(i+1) / time.Duration(moments))
		if r.w.failure != nil {
			t.Fatalf("%s: %v", s.Name, r.w.failure)
		}
		for _, m := range r.w.machines {
			if m.core == nil {
				continue
			}
			l := m.core.Ledger()
			records := l.Records()
			states = append(states, records)
			if again := loaded(t, r.w.swarm, l, records); ledgertest.Derived(again) != ledgertest.Derived(l) {
				t.Errorf("at %v %s derives\n%s\nand of its records alone\n%s", r.w.now, m.name, ledgertest.Derived(l), ledgertest.Derived(again))
			}
		}
	}
	return states, r.w.swarm
}

// loaded is a ledger made of records as a starting peer makes it of its disk.
func loaded(t *testing.T, swarm wire.Hash, of *ledger.State, records []*wire.Record) *ledger.State {
	t.Helper()
	l := ledger.New(wire.PeerID{1}, swarm, verify)
	for _, r := range records {
		if err := l.Load(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range of.Jobs() {
		l.LoadRemoved(ledger.Removed{Job: id, Life: of.RemovedLife(id)})
	}
	return l
}
