package ledger_test

import (
	"slices"
	"testing"

	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

// A court is a ledger that asks for rights: the first two peers have them.
type court struct {
	t                   *testing.T
	led                 *ledger.State
	operator, other, no *ledgertest.Writer
}

func newCourt(t *testing.T) *court {
	x := &court{t: t, led: someMay().New()}
	x.operator, x.other, x.no = &ledgertest.Writer{ID: wire.PeerID{1}}, &ledgertest.Writer{ID: wire.PeerID{2}}, &ledgertest.Writer{ID: wire.PeerID{3}}
	return x
}

func (x *court) merge(r *wire.Record) *wire.Record {
	x.t.Helper()
	if _, err := x.led.Merge(r); err != nil {
		x.t.Fatal(err)
	}
	return r
}

func (x *court) card(w *ledgertest.Writer, cert []byte) {
	x.t.Helper()
	x.merge(w.Seal(wire.KindCard, &ledger.Card{Peer: w.ID, Cert: cert}))
}

func (x *court) head(w *ledgertest.Writer, h ledger.Head) *wire.Record {
	x.t.Helper()
	h.Job, h.Author = ledgertest.Slots[0].Job, w.ID
	return x.merge(w.Seal(wire.KindHead, &h))
}

// TestHeads_WithoutTheRightDoNothing has a peer that may only run jobs write heads that
// rank above an operator's: more than are kept, one of which removes the job with its
// volumes.
func TestHeads_WithoutTheRightDoNothing(t *testing.T) {
	x := newCourt(t)
	x.card(x.operator, ledgertest.Entitled)
	x.card(x.no, nil)
	wanted := x.head(x.operator, ledger.Head{Life: 1, Revision: 1, Spec: wire.Hash{1}})
	for n := range uint64(2 * ledger.MaxHeads) {
		x.head(x.no, ledger.Head{Life: 1 + n/4, Revision: 2 + n, Spec: wire.Hash{2}})
	}
	x.head(x.no, ledger.Head{Life: 9, Revision: 1, Deleted: true, Volumes: true})
	slot := ledgertest.Slots[0]
	if got := x.led.HeadRecord(slot.Job); got != wanted {
		t.Errorf("the wanted head is %v", got)
	}
	if heads := x.led.Heads(slot.Job); len(heads) != 1 || len(x.led.Conflicts(slot.Job)) != 0 {
		t.Errorf("%d heads count, %d conflict", len(heads), len(x.led.Conflicts(slot.Job)))
	}
	if !x.led.WantsSlot(slot, 1) || x.led.AwaitsCard(slot.Job) || x.led.IsReleased(&ledger.VolumePlace{Job: slot.Job, Life: 1}) {
		t.Error("the operator's job is no longer wanted, or its volumes are released")
	}
	if n := x.led.Len(); n != 2+1+ledger.MaxHeads {
		t.Errorf("%d records are kept", n)
	}
}

// TestHeads_CountOnceTheRightIsKnown has heads come before the card of their author.
func TestHeads_CountOnceTheRightIsKnown(t *testing.T) {
	x := newCourt(t)
	slot := ledgertest.Slots[0]
	x.card(x.operator, ledgertest.Entitled)
	x.head(x.operator, ledger.Head{Life: 1, Revision: 1, Deleted: true})
	again := x.head(x.other, ledger.Head{Life: 2, Revision: 1, Spec: wire.Hash{1}})
	if h := x.led.Head(slot.Job); h == nil || !h.Deleted {
		t.Errorf("the head is %+v", h)
	}
	if !x.led.AwaitsCard(slot.Job) || !x.led.WantsSlot(slot, 2) {
		t.Error("a slot is given up though the right of a later head's author is not known")
	}
	x.led.ChangedHeads()
	before := x.led.HeadsVersion()
	x.card(x.other, ledgertest.Entitled)
	if x.led.HeadRecord(slot.Job) != again || x.led.AwaitsCard(slot.Job) || !x.led.WantsSlot(slot, 2) || x.led.WantsSlot(slot, 1) {
		t.Error("the later head does not count, and its author's card is here")
	}
	if !slices.Contains(x.led.ChangedHeads(), slot.Job) || x.led.HeadsVersion() == before {
		t.Error("that the head came to count was not told")
	}
	x.card(x.other, nil)
	if h := x.led.Head(slot.Job); h == nil || !h.Deleted {
		t.Error("the head counts still, and its author has lost the right")
	}
}

// TestJobs_OfNobodyWithTheRight are not listed.
func TestJobs_OfNobodyWithTheRight(t *testing.T) {
	x := newCourt(t)
	x.card(x.no, nil)
	x.head(x.no, ledger.Head{Life: 1, Revision: 1, Spec: wire.Hash{1}})
	if ids := x.led.Jobs(); len(ids) != 0 {
		t.Errorf("listed: %v", ids)
	}
	x.card(x.no, ledgertest.Entitled)
	if ids := x.led.Jobs(); !slices.Equal(ids, []job.ID{ledgertest.Slots[0].Job}) {
		t.Errorf("listed once it may: %v", ids)
	}
}

// TestMember_RemovalStands has a peer that may remove nobody speak of one who was
// removed, with greater numbers and before and after.
func TestMember_RemovalStands(t *testing.T) {
	x := newCourt(t)
	x.card(x.operator, ledgertest.Entitled)
	x.card(x.no, nil)
	x.card(x.other, nil)
	word := func(w *ledgertest.Writer, m ledger.Member) *wire.Record {
		m.Peer = x.other.ID
		return x.merge(w.Seal(wire.KindMember, &m))
	}
	word(x.no, ledger.Member{Revoked: true, Seq: 5})
	if x.led.IsRevoked(x.other.ID) || !x.led.IsMember(x.other.ID) {
		t.Error("a peer without the right removed another")
	}
	word(x.other, ledger.Member{Seq: 7})
	removal := word(x.operator, ledger.Member{Revoked: true, Seq: 1})
	word(x.no, ledger.Member{Revoked: true, Seq: 99})
	word(x.no, ledger.Member{Seq: 100})
	word(x.other, ledger.Member{Seq: 101})
	if !x.led.IsRevoked(x.other.ID) || x.led.MemberRecord(x.other.ID) != removal {
		t.Error("the removal no longer stands")
	}
}

// TestStanding_OfWhatDoesNotCount has a removal by a peer without the right, one by an
// operator, and a volume on the peer that this one removed.
func TestStanding_OfWhatDoesNotCount(t *testing.T) {
	x := newCourt(t)
	x.card(x.operator, ledgertest.Entitled)
	x.card(x.other, ledgertest.Entitled)
	x.card(x.no, nil)
	void := x.merge(x.no.Seal(wire.KindMember, &ledger.Member{Peer: x.other.ID, Revoked: true, Seq: 9}))
	place := x.merge(x.other.Seal(wire.KindVolumePlace, &ledger.VolumePlace{Job: ledgertest.Slots[0].Job, Volume: "db", Peer: x.other.ID, Life: 1}))
	if m, p := x.led.StandingOf(void), x.led.StandingOf(place); m != ledger.Ended || p != ledger.Live {
		t.Errorf("a removal that does not count is %v, the volume of its peer %v", m, p)
	}
	removal := x.merge(x.operator.Seal(wire.KindMember, &ledger.Member{Peer: x.other.ID, Revoked: true, Seq: 1}))
	if m, p := x.led.StandingOf(removal), x.led.StandingOf(place); m != ledger.Deleted || p != ledger.Ended {
		t.Errorf("a removal that counts is %v, the volume of its peer %v", m, p)
	}
}
