package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// TestLaterValue_StopsItsTaskAlone has a later version give one task of two a type that
// this one does not know: the other goes on, is sold again when its holder dies, and is
// scaled here; for the one that waits, why says for what.
func TestLaterValue_StopsItsTaskAlone(t *testing.T) {
	w := newWorld(t, 3)
	w.run(10 * time.Second)
	p := w.peers[0]
	spec := testSpec("shop", job.Task{Name: "db", Count: 1}, job.Task{Name: "web", Count: 3})
	w.ask(p, Request{Deploy: &Deploy{Spec: spec}})
	w.run(10 * time.Second)
	later := spec
	later.Tasks = slices.Clone(spec.Tasks)
	later.Task("db").Type = 99
	body := wire.MustMarshal(&later)
	var recs []*wire.Record
	for seq, r := range []*wire.Record{
		{Kind: wire.KindSpec, Body: body},
		{Kind: wire.KindHead, Body: wire.MustMarshal(&ledger.Head{Job: spec.ID(), Life: 1, Revision: 2, Spec: wire.HashOf(body), Author: wire.PeerID{9}})},
	} {
		r.Num = wire.Number{Issuer: wire.PeerID{9}, Inc: 1, Nonce: 1, Seq: uint64(seq + 1)}
		r.Seal(wire.HashOf([]byte("w")), testKey(wire.PeerID{9}))
		recs = append(recs, r)
	}
	for _, x := range w.peers {
		w.step(x, Input{Received: &Received{From: wire.PeerID{9}, Msg: &wire.Push{Records: recs}}})
	}
	w.run(60 * time.Second)
	w.crash(w.peers[2])
	w.run(60 * time.Second)
	w.wantRunning("a holder died", "shop/web.0", "shop/web.1", "shop/web.2")
	asked := 0
	for i, x := range w.peers[:2] {
		if why, err := x.core.Why("shop/db.0"); err != nil || i == 0 && why.Waiting == nil && why.Slot.Phase != "waiting" {
			t.Errorf("%+v %v", why, err)
		} else if why.Waiting != nil && why.Waiting.Asked > 0 && !strings.Contains(why.Waiting.Noes[0].Text, "later version: the task has type 99") {
			t.Errorf("it waits for %+v", why.Waiting)
		} else if why.Waiting != nil {
			asked += why.Waiting.Asked
		}
	}
	if asked == 0 {
		t.Error("nobody has asked for bids on what waits")
	}
	if rep := w.ask(p, Request{Scale: &Scale{Job: spec.ID(), Task: "web", Count: 4}}); rep.Err != "" {
		t.Errorf("scale: %s", rep.Err)
	}
	if rep := w.ask(p, Request{Deploy: &Deploy{Spec: later}}); !strings.Contains(rep.Err, "type: 99") {
		t.Errorf("deployed here, it says %q", rep.Err)
	}
	w.run(20 * time.Second)
	w.wantRunning("scaled", "shop/web.0", "shop/web.1", "shop/web.2", "shop/web.3")
	if s, _, _ := p.core.Inspect(spec.ID()); s.Task("db").Type != 99 {
		t.Errorf("scaling made it %v", s.Task("db").Type)
	}
}

// TestJobs_WithoutItsSpecWaits has the head of a job come before its spec: what it wants is
// not known, and it is not stopped.
func TestJobs_WithoutItsSpecWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.run(10 * time.Second)
	p := w.peers[0]
	spec := testSpec("shop", job.Task{Name: "web", Count: 0})
	issuer := wire.PeerID{9}
	record := func(seq uint64, kind wire.RecordKind, v any) *wire.Record {
		r := &wire.Record{Kind: kind, Body: wire.MustMarshal(v), Num: wire.Number{Issuer: issuer, Inc: 1, Nonce: 1, Seq: seq}}
		r.Seal(wire.HashOf([]byte("w")), testKey(issuer))
		return r
	}
	head := record(1, wire.KindHead, &ledger.Head{Job: spec.ID(), Life: 1, Revision: 1, Spec: wire.HashOf(wire.MustMarshal(&spec)), Author: issuer})
	for _, tc := range []struct {
		rec  *wire.Record
		want string
	}{{head, "waiting"}, {record(2, wire.KindSpec, &spec), "stopped"}} {
		w.step(p, Input{Received: &Received{From: issuer, Msg: &wire.Push{Records: []*wire.Record{tc.rec}}}})
		if jobs := p.core.Jobs(false); len(jobs) != 1 || jobs[0].State != tc.want {
			t.Errorf("after the %v: %+v, want it %s", tc.rec.Kind, jobs, tc.want)
		}
	}
}
