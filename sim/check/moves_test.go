package check

import (
	"slices"
	"testing"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// TestMoves_Finds has a holder of slot 2 move, with its lower slots in several states.
func TestMoves_Finds(t *testing.T) {
	before := wire.Hash{7}
	for _, c := range []struct {
		name        string
		parallelism int
		on, to      [2]bool // of slots 0 and 1: whether they are on the new spec, and serve
		found       bool
	}{
		{"both serve on it", 1, [2]bool{true, true}, [2]bool{true, true}, false},
		{"one starts on it", 1, [2]bool{true, true}, [2]bool{true, false}, true},
		{"one is on the old", 1, [2]bool{false, true}, [2]bool{true, true}, true},
		{"one is on the old, two may move", 2, [2]bool{false, true}, [2]bool{true, true}, false},
		{"both are on the old, two may move", 2, [2]bool{false, false}, [2]bool{true, true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, m := newCrowd(2), NewMoves()
			spec := &job.Spec{Namespace: "default", Name: "web", Tasks: []job.Task{{
				Name: "web", Image: "web", Count: 3, Update: job.Update{Parallelism: c.parallelism},
			}}}
			spec.Defaults()
			body := record(1, 2, wire.KindSpec, spec)
			head := &ledger.Head{Job: "default/web", Life: 1, Revision: 1, Spec: wire.HashOf(body.Body), Author: wire.PeerID{1}}
			records := slices.Concat(wanted(2)[2:], []*wire.Record{body, record(1, 3, wire.KindHead, head)})
			after := ledger.TaskHash(&spec.Tasks[0])
			for i := range 2 {
				low := claim(i, 1, ledger.Running)
				low.Peer, low.Needs, low.Spec = wire.PeerID{2}, job.Resources{CPUMilli: 1, MemBytes: 1}, before
				if c.on[i] {
					low.Spec = after
				}
				if c.to[i] {
					low.Phase = ledger.Serving
				}
				records = append(records, record(2, uint64(5+i), wire.KindClaim, low))
			}
			w.know(t, records)
			write := func(seq uint64, spec wire.Hash, run uint32) error {
				cl := claim(2, 1, ledger.Accepted)
				cl.Peer, cl.Spec, cl.Run = wire.PeerID{1}, spec, run
				r := record(1, seq, wire.KindClaim, cl)
				r.Value = cl
				return m.Wrote(w.members[0], []node.Write{{Put: r}})
			}
			if err := write(8, before, 1); err != nil {
				t.Fatal(err)
			}
			if err := write(9, after, 2); (err != nil) != c.found {
				t.Fatalf("found: %v", err)
			}
		})
	}
}
