package node

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// world drives a few cores with a perfect network and engine, in virtual time.
// It is for the composition's own tests; faults are the simulator's business.
type world struct {
	t     testing.TB
	tap   func(wire.Message, []byte) // sees each message as it travels; nil: nobody does
	now   time.Duration
	peers []*testPeer
	queue []delivery
	seq   int
	wireN int
}

type delivery struct {
	at  time.Duration
	seq int
	to  *testPeer
	in  Input
}

type testPeer struct {
	id      wire.PeerID
	name    string
	core    *Core
	start   time.Duration
	up      bool
	stored  Stored
	engine  map[string]*runtime.Observed
	replies map[uint64]Reply
	events  []Event
	wakeAt  time.Duration
	starts  int
	cut     bool
	halt    Halt
	extend  func(wire.RecordKind, []byte) []byte // Config.Extend
	damaged bool                                 // Config.Damaged
	accept  bool                                 // Config.AcceptLoss
}

type testKey wire.PeerID

func (k testKey) Sign(msg []byte) []byte {
	h := sha256.Sum256(append(slices.Clone(k[:]), msg...))
	return h[:]
}

func testVerify(p wire.PeerID, msg, sig []byte) bool {
	return slices.Equal(testKey(p).Sign(msg), sig)
}

func newWorld(t testing.TB, n int) *world {
	w := &world{t: t}
	for i := range n {
		p := &testPeer{
			id: wire.PeerID{byte(i + 1), 0x5a}, name: fmt.Sprintf("n%d", i+1), engine: map[string]*runtime.Observed{},
			replies: map[uint64]Reply{}, stored: Stored{Locals: map[string][]byte{}},
		}
		w.peers = append(w.peers, p)
		w.boot(p, i == 0)
	}
	return w
}

func (w *world) boot(p *testPeer, founder bool) {
	p.starts++
	p.up, p.start = true, w.now
	core, err := New(Config{
		Self: p.id, Swarm: wire.HashOf([]byte("w")), Key: testKey(p.id), Verify: testVerify,
		Seed: uint64(p.id[0]), Nonce: uint64(p.starts), Name: p.name, Founder: founder, Version: "test",
		Extend: p.extend, Damaged: p.damaged, AcceptLoss: p.accept,
	}, p.stored)
	if err != nil {
		w.t.Fatal(err)
	}
	p.core = core
	w.step(p, Input{Facts: &runtime.Facts{Capacity: job.Resources{CPUMilli: 2000, MemBytes: 4 << 30, DiskBytes: 100 << 30}, OS: "linux", Arch: "amd64", Driver: "docker"}})
	w.relink()
	w.snapshot(p)
}

func (w *world) relink() {
	for _, a := range w.peers {
		for _, b := range w.peers {
			if a != b && a.up {
				w.push(0, a, Input{Linked: &Linked{Peer: b.id, Up: b.up && !a.cut && !b.cut}})
			}
		}
	}
}

func (w *world) push(after time.Duration, to *testPeer, in Input) {
	w.seq++
	w.queue = append(w.queue, delivery{w.now + after, w.seq, to, in})
}

func (w *world) step(p *testPeer, in Input) {
	in.Now = clock.Instant(w.now-p.start) + 1
	rd, err := p.core.Step(in)
	if err != nil {
		w.t.Errorf("%v %s: %v", w.now, p.name, err)
	}
	for _, wr := range rd.Records {
		w.store(p, wr)
	}
	for _, e := range rd.Messages {
		for _, q := range w.peers {
			if q != p && q.up && !q.cut && !p.cut && (e.To == q.id || e.Topic != 0) {
				w.wireN++
				w.push(5*time.Millisecond, q, Input{Received: &Received{From: p.id, Topic: e.Topic, Msg: w.recode(e.Msg)}})
			}
		}
	}
	for _, r := range rd.Replies {
		p.replies[r.ID] = r
	}
	for _, a := range rd.Actions {
		w.act(p, a)
	}
	for _, e := range rd.Events {
		w.t.Logf("%7.3f %s %-12s %s", w.now.Seconds(), p.name, e.Kind, e.Text)
	}
	p.events = append(p.events, rd.Events...)
	p.halt = cmp.Or(p.halt, rd.Halt)
	p.wakeAt = p.start + time.Duration(rd.WakeAt)
	if rd.WakeAt == 0 {
		p.wakeAt = 1 << 62
	}
	if rd.WakeAt != 0 && rd.WakeAt < in.Now {
		p.wakeAt = w.now + time.Millisecond
	}
}

// recode sends every message through its encoding, so that nothing travels that
// the wire format loses.
func (w *world) recode(m wire.Message) wire.Message {
	b, err := wire.Encode(m)
	if err != nil {
		w.t.Fatalf("encode %T: %v", m, err)
	}
	if w.tap != nil {
		w.tap(m, b)
	}
	out, err := wire.Decode(b)
	if err != nil {
		w.t.Fatalf("decode %T: %v", m, err)
	}
	return out
}

func (w *world) store(p *testPeer, wr Write) {
	switch {
	case wr.Put != nil:
		p.stored.Records = append(p.stored.Records, wr.Put)
	case wr.Drop != nil:
		p.stored.Records = slices.DeleteFunc(p.stored.Records, func(r *wire.Record) bool { return r.Num == *wr.Drop })
	case wr.Local != nil && wr.Local.Value == nil:
		delete(p.stored.Locals, wr.Local.Key)
	case wr.Local != nil:
		p.stored.Locals[wr.Local.Key] = wr.Local.Value
	}
}

func (w *world) act(p *testPeer, a runtime.Action) {
	res := runtime.Result{ID: a.ID, Op: a.Op, Container: a.Container}
	c := p.engine[a.Container]
	switch a.Op {
	case runtime.OpCreate:
		if c == nil {
			p.engine[a.Container] = &runtime.Observed{Container: a.Container, ID: fmt.Sprint(w.seq), Ref: a.Ref, State: runtime.StateCreated}
		}
	case runtime.OpStart:
		if c == nil {
			res.Err = "no such container"
		} else {
			c.State, c.Address, c.Starts = runtime.StateRunning, "10.0.0.1", fmt.Sprint(w.now)
		}
	case runtime.OpStop:
		if c != nil {
			c.State, c.Address, c.ExitCode = runtime.StateExited, "", 143
		}
	case runtime.OpRemove:
		delete(p.engine, a.Container)
	}
	w.push(30*time.Millisecond, p, Input{Done: &res})
}

func (w *world) snapshot(p *testPeer) {
	sn := &runtime.Snapshot{Begun: clock.Instant(w.now-p.start) + 1}
	names := make([]string, 0, len(p.engine))
	for n := range p.engine {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		sn.Containers = append(sn.Containers, *p.engine[n])
	}
	w.step(p, Input{Snapshot: sn})
}

// run goes on for d; a snapshot comes every half second.
func (w *world) run(d time.Duration) {
	end := w.now + d
	nextSnap := w.now
	for {
		next := nextSnap
		for _, p := range w.peers {
			if p.up {
				next = min(next, max(p.wakeAt, w.now))
			}
		}
		for _, q := range w.queue {
			next = min(next, q.at)
		}
		if next > end {
			w.now = end
			return
		}
		w.now = next
		w.deliver()
		for _, p := range w.peers {
			if p.up && p.wakeAt <= w.now {
				w.step(p, Input{})
				p.wakeAt = max(p.wakeAt, w.now+time.Millisecond)
			}
		}
		if w.now >= nextSnap {
			nextSnap += 500 * time.Millisecond
			for _, p := range w.peers {
				if p.up {
					w.snapshot(p)
				}
			}
		}
	}
}

func (w *world) deliver() {
	var due []delivery
	w.queue = slices.DeleteFunc(w.queue, func(d delivery) bool {
		if d.at <= w.now {
			due = append(due, d)
			return true
		}
		return false
	})
	slices.SortFunc(due, func(a, b delivery) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
	for _, d := range due {
		if d.to.up {
			w.step(d.to, d.in)
		}
	}
}

// crash ends a peer as a power cut does: its containers are stopped, its disk stays.
func (w *world) crash(p *testPeer) {
	p.up = false
	w.queue = slices.DeleteFunc(w.queue, func(d delivery) bool { return d.to == p })
	for _, c := range p.engine {
		if c.State == runtime.StateRunning {
			c.State, c.Address, c.ExitCode = runtime.StateExited, "", 137
		}
	}
	w.relink()
}

func (w *world) ask(p *testPeer, r Request) Reply {
	w.seq++
	r.ID = uint64(w.seq)
	w.step(p, Input{Request: &r})
	for range 300 {
		if rep, ok := p.replies[r.ID]; ok {
			return rep
		}
		w.run(10 * time.Millisecond)
	}
	w.t.Fatalf("no reply to %+v", r)
	return Reply{}
}

func testSpec(name string, tasks ...job.Task) job.Spec {
	s := job.Spec{Namespace: "default", Name: name, Tasks: tasks}
	for i := range s.Tasks {
		if s.Tasks[i].Image == "" {
			s.Tasks[i].Image = "img"
		}
	}
	s.Defaults()
	return s
}

// running counts running containers over all peers, by slot.
func (w *world) running() map[string]int {
	out := map[string]int{}
	for _, p := range w.peers {
		for _, c := range p.engine {
			if c.State == runtime.StateRunning && p.up {
				out[c.Ref.Slot.String()]++
			}
		}
	}
	return out
}

func (w *world) wantRunning(what string, slots ...string) {
	w.t.Helper()
	got := w.running()
	for _, s := range slots {
		if got[s] != 1 {
			w.t.Errorf("%s, at %v: %d containers of %s run, want 1; all: %v", what, w.now, got[s], s, got)
		}
	}
	if len(got) != len(slots) {
		w.t.Errorf("%s, at %v: %v run, want %v", what, w.now, got, slots)
	}
}

func (w *world) wantEqual() {
	w.t.Helper()
	var first wire.Hash
	for _, p := range w.peers {
		if !p.up {
			continue
		}
		if h := p.core.Ledger().Hash(); first.IsZero() {
			first = h
		} else if h != first {
			w.t.Errorf("at %v: ledger of %s differs", w.now, p.name)
		}
	}
}

func TestDeployRunsEverywhere(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	for _, p := range w.peers {
		if st := p.core.Status(); st.State != "ready" {
			t.Fatalf("%s is %s: %s", p.name, st.State, st.Why)
		}
	}
	rep := w.ask(w.peers[1], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}})
	if rep.Err != "" || len(rep.Stores) != 3 {
		t.Fatalf("reply %+v", rep)
	}
	w.run(10 * time.Second)
	w.wantRunning("deployed", "shop/web.0", "shop/web.1", "shop/web.2")
	w.wantEqual()
	if again := w.ask(w.peers[2], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}}); again.Changed || len(again.Stores) != 3 {
		t.Errorf("the same job again: %+v, want no change, confirmed by three stores", again)
	}
	for _, p := range w.peers {
		if s := p.core.Slots(""); len(s) != 3 || s[0].Phase != "serving" {
			t.Errorf("%s: slots %+v", p.name, s)
		}
	}
	if rep := w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/shop"}}); rep.Err != "" {
		t.Fatalf("remove: %+v", rep)
	}
	w.run(5 * time.Second)
	w.wantRunning("removed")
	if rep := w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 1})}}); rep.Life != 2 {
		t.Fatalf("deploy after rm: %+v, want life 2", rep)
	}
	w.run(5 * time.Second)
	w.wantRunning("second life", "shop/web.0")
	w.wantEqual()
}

func TestDeathIsRepaired(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 4})}})
	w.run(8 * time.Second)
	w.crash(w.peers[0])
	w.run(20 * time.Second)
	w.wantRunning("one died", "shop/web.0", "shop/web.1", "shop/web.2", "shop/web.3")
	w.crash(w.peers[1])
	w.run(25 * time.Second)
	w.wantRunning("two died", "shop/web.0", "shop/web.1", "shop/web.2", "shop/web.3")
	w.boot(w.peers[0], false)
	w.boot(w.peers[1], false)
	w.run(40 * time.Second)
	w.wantRunning("back", "shop/web.0", "shop/web.1", "shop/web.2", "shop/web.3")
	w.wantEqual()
}

func TestAloneAfterPowerCut(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}})
	w.run(8 * time.Second)
	for _, p := range w.peers {
		w.crash(p)
	}
	w.run(time.Second)
	w.boot(w.peers[2], false)
	w.run(8 * time.Second)
	n := 0
	for _, c := range w.peers[2].engine {
		if c.State == runtime.StateRunning {
			n++
		}
	}
	if n == 0 {
		t.Errorf("nothing runs on the peer that came back alone")
	}
}

// Removed while it was away, a peer is shown the record of it by a member that
// exchanges nothing with it: it becomes no island, and ends with what it ran.
func TestRemovedWhileAway(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	task := job.Task{Name: "web", Count: 3}
	task.Update.Order = "start-first"
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", task)}})
	w.run(8 * time.Second)
	away := w.peers[2]
	w.crash(away)
	w.ask(w.peers[0], Request{Expel: &Expel{Peer: away.id}})
	w.run(time.Second)
	record := w.peers[1].core.Ledger().MemberRecord(away.id)
	if record == nil || !w.peers[1].core.Ledger().IsRevoked(away.id) {
		t.Fatal("the others do not know of the removal")
	}
	away.cut, away.halt = true, "" // from now on nobody speaks with it
	w.boot(away, false)
	w.run(time.Second)
	msg := w.recode(&wire.Push{Records: []*wire.Record{record}})
	w.step(away, Input{Received: &Received{From: w.peers[1].id, Msg: msg}})
	for range 30 {
		if away.halt != "" {
			break
		}
		w.run(time.Second)
		if s := away.core.Status(); s.State == "ready" || !strings.Contains(s.Why, "was removed from swarm") {
			t.Fatalf("it is %s: %s", s.State, s.Why)
		}
	}
	if away.halt != HaltExpelled {
		t.Errorf("it halts: %q", away.halt)
	}
	for _, c := range away.engine {
		if c.State == runtime.StateRunning {
			t.Errorf("%s runs on", c.Ref.Slot)
		}
	}
}

func TestUpdateRowByRow(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}})
	w.run(10 * time.Second)
	w.ask(w.peers[2], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3, Image: "img2"})}})
	w.run(40 * time.Second)
	w.wantRunning("updated", "shop/web.0", "shop/web.1", "shop/web.2")
	for _, s := range w.peers[1].core.Slots("") {
		if !s.Current || s.Phase != "serving" {
			t.Errorf("%s: %+v", s.Slot, s)
		}
	}
	w.wantEqual()
}

func TestDrainMovesWork(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}})
	w.run(10 * time.Second)
	w.ask(w.peers[0], Request{Drain: &Drain{}})
	w.run(15 * time.Second)
	w.wantRunning("drained", "shop/web.0", "shop/web.1", "shop/web.2")
	for _, c := range w.peers[0].engine {
		if c.State == runtime.StateRunning {
			t.Errorf("%s still runs on the drained peer", c.Container)
		}
	}
	w.wantEqual()
}

func TestSplitHeals(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}})
	w.run(10 * time.Second)
	w.peers[2].cut = true
	w.relink()
	w.run(40 * time.Second)
	for _, p := range w.peers[1:] {
		rep := w.ask(p, Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3, Image: "by-" + p.name})}})
		if rep.Err != "" {
			t.Fatalf("%s: %+v", p.name, rep)
		}
	}
	w.run(30 * time.Second)
	w.peers[2].cut = false
	w.relink()
	w.run(60 * time.Second)
	w.wantRunning("healed", "shop/web.0", "shop/web.1", "shop/web.2")
	w.wantEqual()
}
