package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

var swarm = wire.HashOf([]byte("test swarm"))

// fakeKey signs by hashing; it makes real enough signatures at no cost.
type fakeKey wire.PeerID

func (k fakeKey) Sign(msg []byte) []byte { return sign(wire.PeerID(k), msg) }

func sign(p wire.PeerID, msg []byte) []byte {
	h := sha256.New()
	h.Write(p[:])
	h.Write(msg)
	return h.Sum(nil)
}

func verify(p wire.PeerID, msg, sig []byte) bool { return slices.Equal(sign(p, msg), sig) }

func peer(n byte) wire.PeerID { return wire.PeerID{n} }

// a writer issues records as a peer does.
type writer struct {
	id  wire.PeerID
	inc uint32
	seq uint64
}

func (w *writer) seal(kind wire.RecordKind, body any) *wire.Record {
	w.seq++
	r := &wire.Record{
		Num:  wire.Number{Issuer: w.id, Inc: max(w.inc, 1), Nonce: 7, Seq: w.seq},
		Kind: kind, Body: wire.MustMarshal(body),
	}
	r.Seal(swarm, fakeKey(w.id))
	return r
}

func (w *writer) head(name string, life, rev uint64, deleted bool, salt byte) *wire.Record {
	return w.seal(wire.KindHead, &Head{Job: job.MakeID("", name), Life: life, Revision: rev, Deleted: deleted, Spec: wire.Hash{salt}, Author: w.id})
}

func (w *writer) claim(slot job.SlotID, life uint64, t wire.Token, p Phase) *wire.Record {
	return w.seal(wire.KindClaim, &Claim{Slot: slot, Life: life, Token: t, Peer: w.id, Phase: p})
}

func (w *writer) spec(name string, count int) *wire.Record {
	s := &job.Spec{Namespace: "default", Name: name, Tasks: []job.Task{{Name: "web", Image: "web", Count: count}}}
	s.Defaults()
	return w.seal(wire.KindSpec, s)
}

var slot0 = job.SlotID{Job: "default/shop", Task: "web"}

// drawRecord makes records of few values, so that they compete for their keys.
func drawRecord(t *rapid.T, ws []*writer) *wire.Record {
	w := ws[rapid.IntRange(0, len(ws)-1).Draw(t, "writer")]
	life := uint64(rapid.IntRange(1, 2).Draw(t, "life"))
	token := wire.Token(rapid.IntRange(1, 3).Draw(t, "token"))
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return w.head("shop", life, uint64(rapid.IntRange(1, 4).Draw(t, "rev")), rapid.Bool().Draw(t, "deleted"), byte(rapid.IntRange(0, 2).Draw(t, "salt")))
	case 1:
		return w.claim(slot0, life, token, Phase(rapid.IntRange(int(Accepted), int(Superseded)).Draw(t, "phase")))
	case 2:
		of := ws[rapid.IntRange(0, len(ws)-1).Draw(t, "of")].id
		return w.seal(wire.KindVerdict, &Verdict{Slot: slot0, Life: life, Token: token, Peer: of, Refuted: uint32(rapid.IntRange(0, 2).Draw(t, "refuted")), By: w.id})
	case 3:
		return w.seal(wire.KindCard, &Card{Peer: w.id, Name: fmt.Sprint(token)})
	case 4:
		return w.seal(wire.KindMember, &Member{Peer: w.id, Left: rapid.Bool().Draw(t, "left"), Seq: uint64(token)})
	case 5:
		return w.seal(wire.KindVolumePlace, &VolumePlace{Job: slot0.Job, Volume: "db", Peer: w.id})
	default:
		r := w.seal(wire.FirstOpenKind+1, "a kind of a later version")
		r.Key, r.Rank = []byte{byte(token)}, []byte{byte(life)}
		r.Seal(swarm, fakeKey(w.id))
		return r
	}
}

// whole is the ledger of a peer that knows all it ever wrote.
func whole(n byte) *State {
	s := New(peer(n), swarm, verify)
	s.MakeWhole(1, 1)
	return s
}

func newState() *State { return New(peer(200), swarm, verify) }

func mergeAll(t interface{ Fatalf(string, ...any) }, s *State, rs []*wire.Record) *State {
	for _, r := range rs {
		if _, err := s.Merge(r); err != nil {
			t.Fatalf("merge %v: %v", r.Num, err)
		}
	}
	return s
}

// Merge must be a join: order, grouping and repetition of what arrives cannot
// matter.
func TestMergeIsJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := []*writer{{id: peer(1)}, {id: peer(2)}, {id: peer(3)}}
		var rs []*wire.Record
		for range rapid.IntRange(1, 24).Draw(t, "records") {
			rs = append(rs, drawRecord(t, ws))
		}
		want := mergeAll(t, newState(), rs).Hash()
		if got := mergeAll(t, newState(), rapid.Permutation(rs).Draw(t, "order")).Hash(); got != want {
			t.Fatalf("merge depends on order: %v, %v", got, want)
		}
		twice := append(slices.Clone(rs), rapid.Permutation(rs).Draw(t, "again")...)
		if got := mergeAll(t, newState(), twice).Hash(); got != want {
			t.Fatalf("merge depends on repetition: %v, %v", got, want)
		}
		cut := rapid.IntRange(0, len(rs)).Draw(t, "cut")
		left, right := mergeAll(t, newState(), rs[:cut]), mergeAll(t, newState(), rs[cut:])
		if got := mergeAll(t, left, right.Records()).Hash(); got != want {
			t.Fatalf("merge depends on grouping: %v, %v", got, want)
		}
	})
}

// exchange runs one whole exchange that a opens with b.
func exchange(t interface{ Fatalf(string, ...any) }, a, b *State) {
	if a.Digest() == b.Digest() {
		return
	}
	lists, more := a.Lists(b.Marks())
	marks := make([]wire.Mark, len(lists))
	for i, l := range lists {
		marks[i] = l.Mark
	}
	d, drops := b.Answer(lists)
	if _, err := a.Absorb(d, nil); err != nil {
		t.Fatalf("a absorbs: %v", err)
	}
	g := a.Give(d.Want, marks)
	g.More = g.More || d.More || more
	if _, err := b.Absorb(g, drops); err != nil {
		t.Fatalf("b absorbs: %v", err)
	}
}

// After an exchange two ledgers hold the same, whatever each had before, and a
// second one finds nothing to do.
func TestExchangeMakesEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := []*writer{{id: peer(1)}, {id: peer(2)}, {id: peer(3)}}
		states := []*State{whole(1), whole(2), whole(3)}
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			i := rapid.IntRange(0, 2).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				j := rapid.IntRange(0, 2).Draw(t, "with")
				if i != j {
					exchange(t, states[i], states[j])
				}
			case 1:
				if own := states[i].ClaimsBy(peer(byte(i + 1))); len(own) > 0 && own[0].Phase.Ended() {
					states[i].DropOwn(states[i].ClaimRecord(own[0].Slot, own[0].Life, own[0].Token, own[0].Peer))
				}
			default:
				states[i].Own(drawRecord(t, ws[i:i+1]))
			}
		}
		for range 3 {
			exchange(t, states[0], states[1])
			exchange(t, states[1], states[2])
		}
		if a, b, c := states[0].Hash(), states[1].Hash(), states[2].Hash(); a != b || b != c {
			t.Fatalf("ledgers differ after exchanges: %v %v %v", a, b, c)
		}
		if states[0].Digest() != states[1].Digest() {
			t.Fatalf("equal ledgers have different digests")
		}
	})
}

// What its writer dropped does not come back from a peer that still has it.
func TestExchangeDropsWhatWasPruned(t *testing.T) {
	w := &writer{id: peer(1)}
	a, b := whole(1), whole(2)
	r := w.claim(slot0, 1, 1, Stopped)
	a.Own(r)
	exchange(t, a, b)
	a.DropOwn(r)
	exchange(t, b, a)
	if b.Len() != 0 {
		t.Errorf("b still holds %d records, want 0", b.Len())
	}
	if _, err := b.Merge(r); wire.Judge(err) != wire.Ignore {
		t.Errorf("merging the dropped record again: %v, want it ignored as stale", err)
	}
}

func TestMergeRefuses(t *testing.T) {
	w := &writer{id: peer(1)}
	good := w.head("shop", 1, 1, false, 0)
	forged := *good
	forged.Sig = slices.Clone(good.Sig)
	forged.Sig[0] ^= 1
	other := *good
	other.Seal(wire.HashOf([]byte("another swarm")), fakeKey(w.id))
	notMine := w.claim(slot0, 1, 1, Accepted)
	notMine.Num.Issuer = peer(9)
	notMine.Value = nil
	notMine.Seal(swarm, fakeKey(peer(9)))
	for name, r := range map[string]*wire.Record{
		"nil": nil, "no body": {Num: good.Num, Kind: wire.KindHead}, "forged signature": &forged,
		"another swarm": &other, "claim in another's name": notMine,
		"unknown kind without key": w.seal(15, 1),
	} {
		if _, err := newState().Merge(r); wire.Judge(err) != wire.Reject {
			t.Errorf("%s: %v, want it rejected", name, err)
		}
	}
}

// A removed life stays removed, whatever arrives later and from whomever.
func TestRemovedStaysRemoved(t *testing.T) {
	w, old := &writer{id: peer(1)}, &writer{id: peer(2)}
	s := newState()
	mergeAll(t, s, []*wire.Record{w.head("shop", 1, 1, false, 0), w.head("shop", 1, 2, true, 0), w.claim(slot0, 1, 1, Stopped)})
	s.Remove(slot0.Job, 1)
	if s.Len() != 0 {
		t.Fatalf("%d records are left of a forgotten job", s.Len())
	}
	if _, err := s.Merge(old.head("shop", 1, 9, false, 3)); err == nil {
		t.Error("a head of a removed life was merged")
	}
	if out, err := s.Merge(old.head("shop", 2, 1, false, 3)); err != nil || out != Merged {
		t.Errorf("a head of the next life: %v, %v", out, err)
	}
}

func TestWinner(t *testing.T) {
	a, b := &writer{id: peer(1)}, &writer{id: peer(2)}
	base := func() *State {
		s := newState()
		spec := a.spec("shop", 1)
		h := a.seal(wire.KindHead, &Head{Job: slot0.Job, Life: 1, Revision: 1, Spec: wire.HashOf(spec.Body), Author: a.id})
		return mergeAll(t, s, []*wire.Record{spec, h})
	}
	for _, tt := range []struct {
		name   string
		claims []*wire.Record
		want   wire.PeerID
	}{
		{"none", nil, wire.PeerID{}},
		{"lowest token", []*wire.Record{a.claim(slot0, 1, 2, Serving), b.claim(slot0, 1, 1, Accepted)}, b.id},
		{"ended does not count", []*wire.Record{a.claim(slot0, 1, 1, Failed), b.claim(slot0, 1, 2, Accepted)}, b.id},
		{"another life does not count", []*wire.Record{a.claim(slot0, 2, 1, Serving)}, wire.PeerID{}},
		{"lost does not count", []*wire.Record{a.claim(slot0, 1, 1, Serving), b.seal(wire.KindVerdict, &Verdict{Slot: slot0, Life: 1, Token: 1, Peer: a.id, By: b.id})}, wire.PeerID{}},
	} {
		s := mergeAll(t, base(), tt.claims)
		var got wire.PeerID
		if w := s.Winner(slot0); w != nil {
			got = w.Peer
		}
		if got != tt.want {
			t.Errorf("%s: winner %v, want %v", tt.name, got.Short(), tt.want.Short())
		}
	}
}

// A peer that lost what it once wrote must not have the others drop it: its own
// mark stays below until it has heard from them.
func TestLostDiskDropsNothing(t *testing.T) {
	w := &writer{id: peer(1)}
	before, b, c := whole(1), whole(2), whole(3)
	r := w.head("shop", 1, 1, false, 0)
	before.Own(r)
	exchange(t, before, b)
	after := New(peer(1), swarm, verify) // the disk is gone; it first meets c, who never had the head
	exchange(t, after, c)
	w.inc, w.seq = 2, 0
	after.Own(w.seal(wire.KindCard, &Card{Peer: w.id, Name: "again"}))
	exchange(t, after, c)
	exchange(t, after, b)
	if b.Head(slot0.Job) == nil || after.Head(slot0.Job) == nil {
		t.Errorf("the head is gone: at b %v, at its author %v", b.Head(slot0.Job), after.Head(slot0.Job))
	}
}

// A spec that its issuer pruned is brought in again by whoever still names it.
func TestPrunedSpecIsRevived(t *testing.T) {
	x, y := &writer{id: peer(1)}, &writer{id: peer(2)}
	a, b := whole(1), whole(2)
	spec := x.spec("shop", 1)
	a.Own(spec)
	exchange(t, a, b)
	b.Own(y.seal(wire.KindHead, &Head{Job: slot0.Job, Life: 1, Revision: 1, Spec: wire.HashOf(spec.Body), Author: y.id}))
	a.DropOwn(spec)
	exchange(t, b, a)
	again := b.Revive()
	if len(again) != 1 || string(again[0].Body) != string(spec.Body) {
		t.Fatalf("%d specs to bring in again, want the one that a head names", len(again))
	}
	b.Own(y.seal(wire.KindSpec, again[0].Value))
	exchange(t, b, a)
	if a.Spec(wire.HashOf(spec.Body)) == nil || b.Spec(wire.HashOf(spec.Body)) == nil {
		t.Error("the spec is gone")
	}
}

// An exchange that breaks off after its first half leaves the old version of a
// claim where the new one has not arrived.
func TestBrokenExchangeLosesNothing(t *testing.T) {
	w := &writer{id: peer(1)}
	a, b := whole(1), whole(2)
	a.Own(w.claim(slot0, 1, 1, Starting))
	exchange(t, a, b)
	a.Own(w.claim(slot0, 1, 1, Serving))
	lists, _ := a.Lists(b.Marks())
	b.Answer(lists) // and the closing Delta never comes
	if got := b.MaxToken(slot0, 1); got != 1 {
		t.Errorf("b knows token %d of the slot, want 1", got)
	}
	cut := &wire.Delta{Drop: []wire.Number{b.ClaimRecord(slot0, 1, 1, w.id).Num}, More: true}
	if _, err := b.Absorb(cut, nil); err != nil || b.MaxToken(slot0, 1) != 1 {
		t.Errorf("after a Delta cut for size b knows token %d, %v, want 1", b.MaxToken(slot0, 1), err)
	}
}

// What is beaten between the Lists that name it and the closing Delta that is to
// bring it: the other end then keeps the old version, and asks again.
func TestExchangeOfWhatIsBeatenMeanwhile(t *testing.T) {
	w := &writer{id: peer(1)}
	a, b := whole(1), whole(2)
	a.Own(w.claim(slot0, 1, 1, Starting))
	exchange(t, a, b)
	a.Own(w.claim(slot0, 1, 1, Running))
	lists, _ := a.Lists(b.Marks())
	d, drops := b.Answer(lists)
	if a.Lacks(d.Want) {
		t.Error("a lacks what it has just listed")
	}
	a.Own(w.claim(slot0, 1, 1, Serving))
	if !a.Lacks(d.Want) {
		t.Error("a has what was beaten")
	}
	g := a.Give(d.Want, nil)
	g.More = true
	if _, err := b.Absorb(g, drops); err != nil || b.MaxToken(slot0, 1) != 1 {
		t.Errorf("b knows token %d of the slot, %v, want 1", b.MaxToken(slot0, 1), err)
	}
	exchange(t, a, b)
	if got := b.ClaimsOf(slot0); len(got) != 1 || got[0].Phase != Serving {
		t.Errorf("b has %v after the next exchange", got)
	}
}

// Records above the marks count in a digest: of a dead issuer nothing else would
// tell two peers apart.
func TestDigestSeesWhatIsAboveTheMarks(t *testing.T) {
	w := &writer{id: peer(1)}
	a, b := whole(2), whole(3)
	mergeAll(t, a, []*wire.Record{w.head("shop", 1, 1, false, 0)})
	mergeAll(t, b, []*wire.Record{w.head("blog", 1, 1, false, 0)})
	if a.Digest() == b.Digest() {
		t.Error("different ledgers have one digest")
	}
}

// What no valid submission has is carried along and wanted by nobody.
func TestUnfitSpecIsNotWanted(t *testing.T) {
	w := &writer{id: peer(1)}
	s := newState()
	spec := w.seal(wire.KindSpec, &job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Image: "web", Count: 30_000_000}}})
	mergeAll(t, s, []*wire.Record{spec, w.seal(wire.KindHead, &Head{Job: slot0.Job, Life: 1, Revision: 1, Spec: wire.HashOf(spec.Body), Author: w.id})})
	if got := s.Wanted(slot0.Job); got != nil {
		t.Errorf("%d tasks are wanted", len(got))
	}
}

func FuzzOpen(f *testing.F) {
	w := &writer{id: peer(1)}
	f.Add(uint8(wire.KindHead), w.head("shop", 1, 1, false, 0).Body)
	f.Add(uint8(wire.KindClaim), w.claim(slot0, 1, 1, Accepted).Body)
	f.Fuzz(func(_ *testing.T, kind uint8, body []byte) {
		r := &wire.Record{Num: wire.Number{Issuer: peer(1), Inc: 1, Seq: 1}, Kind: wire.RecordKind(kind), Key: []byte{1}, Body: body}
		r.Seal(swarm, fakeKey(peer(1)))
		s := newState()
		if _, err := s.Merge(r); err == nil {
			s.Winner(slot0)
			s.Wanted(slot0.Job)
			s.Sweep()
		}
	})
}

// A key at work twice: who takes its log for whole vouches for what it wrote itself,
// not for a later number of the other, of which it may have heard in part.
func TestMakeWhole_VouchesForItsOwnStart(t *testing.T) {
	other := &writer{id: peer(1)}
	s := New(peer(1), swarm, verify)
	r := other.claim(slot0, 1, 1, Running)
	if out, err := s.Merge(r); out != Merged || err != nil {
		t.Fatal(out, err)
	}
	s.MakeWhole(r.Num.Inc, r.Num.Nonce+1)
	if got := s.Marks()[0].UpTo.Seq; got != 0 {
		t.Errorf("the mark is at %d, and nothing was written here", got)
	}
}

// An altered record is told as forged even where its number is at or below a mark, or
// its life is over: nobody is to think that this peer has had it.
func TestOffer_AlteredBelowAMark(t *testing.T) {
	s := New(peer(9), swarm, verify)
	w := &writer{id: peer(1)}
	head, removed := w.head("shop", 1, 1, false, 1), w.head("gone", 1, 1, false, 1)
	s.LoadMark(head.Num)
	s.LoadRemoved(Removed{Job: "default/gone", Life: 1})
	for _, c := range []struct {
		r    *wire.Record
		want Offered
	}{{head, OfferedDropped}, {removed, OfferedRemoved}} {
		altered := *c.r
		altered.Sig = slices.Clone(c.r.Sig)
		altered.Sig[0] ^= 1
		if got := s.Offer(c.r); got != c.want {
			t.Errorf("%v: %v, want %v", c.r.Num, got, c.want)
		}
		if got := s.Offer(&altered); got != OfferedForged {
			t.Errorf("%v, altered: %v, want forged", c.r.Num, got)
		}
	}
}
