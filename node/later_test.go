package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// TestRevivedSpec_KeepsItsName has a peer bring in again a spec that its issuer dropped
// and a head still names: written anew without the fields that this version does not
// know it would have another hash, and the head would name nothing.
func TestRevivedSpec_KeepsItsName(t *testing.T) {
	w := newWorld(t, 1)
	core, other := w.peers[0].core, wire.PeerID{9}
	spec := testSpec("shop", job.Task{Name: "web", Count: 0})
	fields := map[uint64]any{}
	if err := wire.Unmarshal(wire.MustMarshal(&spec), &fields); err != nil {
		t.Fatal(err)
	}
	fields[1000] = "of a later version"
	body := wire.MustMarshal(fields)
	seal := func(seq uint64, kind wire.RecordKind, body []byte) *wire.Record {
		r := &wire.Record{Num: wire.Number{Issuer: other, Inc: 1, Nonce: 1, Seq: seq}, Kind: kind, Body: body}
		r.Seal(wire.HashOf([]byte("w")), testKey(other))
		return r
	}
	told := seal(1, wire.KindSpec, body)
	head := seal(2, wire.KindHead, wire.MustMarshal(&ledger.Head{Job: spec.ID(), Life: 1, Revision: 1, Spec: wire.HashOf(body), Author: other}))
	w.step(w.peers[0], Input{Received: &Received{From: other, Msg: &wire.Push{Records: []*wire.Record{told, head}}}})
	if _, err := core.led.Absorb(&wire.Delta{Drop: []wire.Number{told.Num}}, nil); err != nil {
		t.Fatal(err)
	}
	w.step(w.peers[0], Input{})
	again := core.led.SpecRecord(wire.HashOf(body))
	if again == nil || again.Num.Issuer != w.peers[0].id || len(core.led.Wanted(spec.ID())) != 1 {
		t.Errorf("the spec that the head names is gone: %v", again)
	}
}

// withField is how a version writes tasks that has a field more.
func withField(field uint64) func(wire.RecordKind, []byte) []byte {
	return func(kind wire.RecordKind, body []byte) []byte {
		if kind != wire.KindSpec {
			return body
		}
		spec := map[uint64]any{}
		if err := wire.Unmarshal(body, &spec); err != nil {
			panic(err)
		}
		for _, t := range spec[4].([]any) {
			t.(map[any]any)[field] = "of a later version"
		}
		return wire.MustMarshal(spec)
	}
}

// newMixed is a swarm of two: one that knows a field more of tasks, and one that does not.
func newMixed(t *testing.T, field uint64) (w *world, newer, old *testPeer) {
	w = newWorld(t, 2)
	newer, old = w.peers[0], w.peers[1]
	w.run(3 * time.Second)
	w.crash(newer)
	newer.extend = withField(field)
	w.boot(newer, false)
	w.run(20 * time.Second)
	return w, newer, old
}

// hasField reports whether the wanted spec of the job still has it, in each task.
func (p *testPeer) hasField(id job.ID, field uint64) bool {
	r := p.core.led.SpecRecord(p.core.led.Head(id).Spec)
	tasks := wire.Parts(wire.Part(r.Body, 4))
	return len(tasks) > 0 && !slices.ContainsFunc(tasks, func(t []byte) bool { return wire.Part(t, field) == nil })
}

// TestLaterField_StaysInWhatAnEarlierVersionWrites has a peer that does not know a field
// of a job change that job in every way a user can.
func TestLaterField_StaysInWhatAnEarlierVersionWrites(t *testing.T) {
	for _, field := range []uint64{60, 1040} {
		w, newer, old := newMixed(t, field)
		spec := testSpec("shop", job.Task{Name: "web", Count: 1}, job.Task{Name: "db", Count: 1})
		if rep := w.ask(newer, Request{Deploy: &Deploy{Spec: spec}}); rep.Err != "" {
			t.Fatal(rep.Err)
		}
		again := testSpec("shop", job.Task{Name: "web", Count: 1, Image: "other"}, job.Task{Name: "db", Count: 1})
		if rep := w.ask(newer, Request{Deploy: &Deploy{Spec: again}}); rep.Err != "" {
			t.Fatal(rep.Err)
		}
		id := spec.ID()
		for _, tc := range []struct {
			name string
			req  Request
		}{
			{"scale", Request{Scale: &Scale{Job: id, Task: "web", Count: 2}}},
			{"restart", Request{Restart: &Restart{Job: id, Task: "db", Index: -1}}},
			{"rollback", Request{Rollback: &Rollback{Job: id}}},
			{"stop", Request{Stop: &Stop{Job: id}}},
			{"scale from nothing", Request{Scale: &Scale{Job: id, Task: "db", Count: 1}}},
		} {
			before := old.core.led.Head(id).Revision
			if rep := w.ask(old, tc.req); rep.Err != "" {
				t.Fatalf("%s: %s", tc.name, rep.Err)
			}
			w.run(time.Second)
			if h := newer.core.led.Head(id); h.Revision != before+1 || h.Author != old.id || !newer.hasField(id, field) {
				t.Errorf("field %d after %s: revision %d by %s, the field is there: %v", field, tc.name, h.Revision, h.Author.Short(), newer.hasField(id, field))
			}
		}
	}
}

// TestLaterField_WhoRuns has a job go to those who know all of it, and stay off others,
// who say why.
func TestLaterField_WhoRuns(t *testing.T) {
	w, newer, old := newMixed(t, 60)
	w.ask(old, Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 4})}})
	w.run(15 * time.Second)
	if n := len(old.core.ownClaims()); n == 0 {
		t.Fatal("the earlier version holds nothing of a job that it knows all of")
	}
	w.ask(newer, Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 4, Image: "other"})}})
	w.run(90 * time.Second)
	running := func(p *testPeer) (n int) {
		for _, o := range p.engine {
			if o.State == runtime.StateRunning {
				n++
			}
		}
		return n
	}
	if running(newer) != 4 || running(old) != 0 {
		t.Errorf("%d slots run where the field is known, %d elsewhere; want 4 and 0", running(newer), running(old))
	}
	w.crash(newer)
	w.run(60 * time.Second)
	why, err := old.core.Why("shop/web.0")
	if err != nil || why.Waiting == nil {
		t.Fatalf("nothing is said of why it waits: %+v, %v", why, err)
	}
	if running(old) != 0 || !strings.Contains(why.Waiting.Reason, "later version") {
		t.Errorf("with nobody left who knows the field %d run, and the slot waits: %s", running(old), why.Waiting.Reason)
	}
}
