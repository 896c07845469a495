package auction

import (
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

func peer(n int) wire.PeerID { return wire.PeerID{byte(n + 1), byte((n + 1) >> 8), 7} }

func slotID(task string, n int) job.SlotID {
	return job.SlotID{Job: "default/shop", Task: task, Index: n}
}

func webLot(count int, needs job.Resources) Lot {
	l := Lot{Job: "default/shop", Life: 1, Task: "web", Spec: wire.HashOf([]byte("web")), Needs: needs}
	for n := range count {
		l.Slots = append(l.Slots, Want{Slot: slotID("web", n), Token: 1})
	}
	return l
}

const opened = clock.Instant(10 * time.Second)

func at(d time.Duration) clock.Instant { return opened.Add(d) }

func openSale(peers int, lots ...Lot) (*Sale, []wire.Envelope) {
	c := Config{ID: 1 << 20, Self: peer(0), Cell: "lab/0", Lots: lots}
	for n := range peers {
		c.Asked = append(c.Asked, peer(n))
	}
	return Open(opened, c)
}

// bid answers the n-th call of a sale with one offer for each lot.
func bid(s *Sale, free job.Resources, offers ...wire.Offer) *wire.Bid {
	return &wire.Bid{Call: s.cfg.ID, Free: free, Total: res(1000, 1000), Offers: offers}
}

func awardsOf(t *testing.T, out []wire.Envelope) map[wire.PeerID][]wire.AwardedSlot {
	t.Helper()
	got := make(map[wire.PeerID][]wire.AwardedSlot)
	for _, e := range out {
		a, ok := e.Msg.(*wire.Award)
		if !ok {
			t.Fatalf("sent a %T, want an award", e.Msg)
		}
		if got[e.To] != nil {
			t.Fatalf("two awards to one bidder in one message batch")
		}
		got[e.To] = a.Slots
	}
	return got
}

// only returns the single award sent.
func only(t *testing.T, out []wire.Envelope) (wire.PeerID, wire.AwardedSlot) {
	t.Helper()
	if len(out) != 1 {
		t.Fatalf("%d messages, want one award", len(out))
	}
	a := out[0].Msg.(*wire.Award)
	if len(a.Slots) != 1 {
		t.Fatalf("award of %d slots, want 1", len(a.Slots))
	}
	return out[0].To, a.Slots[0]
}

func accept(a wire.AwardedSlot, free job.Resources) *wire.Reply {
	return &wire.Reply{Award: 1 << 21, Decisions: []wire.Decision{{Slot: a.Slot, Token: a.Token}}, Bid: wire.Standing{Free: free}}
}

func decline(a wire.AwardedSlot, why string, free job.Resources) *wire.Reply {
	return &wire.Reply{Award: 1 << 21, Decisions: []wire.Decision{{Slot: a.Slot, Token: a.Token, Decline: why}}, Bid: wire.Standing{Free: free}}
}

func TestSale_BestBidWins(t *testing.T) {
	s, calls := openSale(2, webLot(1, res(100, 100)))
	if len(calls) != 2 || calls[0].To != peer(0) || calls[1].To != peer(1) {
		t.Fatalf("calls %v, want one to each asked peer", calls)
	}
	s.Bid(at(1), peer(0), bid(s, res(500, 500), wire.Offer{}))
	if out := s.Tick(at(2)); out != nil {
		t.Fatalf("decided with one of two answers: %v", out)
	}
	s.Bid(at(3), peer(1), bid(s, res(600, 600), wire.Offer{}))
	to, a := only(t, s.Tick(at(4)))
	if to != peer(1) || a.Token != 1 || a.Slot != slotID("web", 0) {
		t.Fatalf("awarded %v token %d to %v, want web.0 token 1 to the emptier peer", a.Slot, a.Token, to)
	}
	if a.Summary.Passed != 2 || a.Summary.Asked != 2 || len(a.Summary.Bids) != 2 || a.Summary.Bids[0].Peer != to.Tag() {
		t.Errorf("summary %+v", a.Summary)
	}
	if out := s.Tick(at(5)); out != nil {
		t.Errorf("a second Tick sent %v", out)
	}
	s.Reply(at(6), to, accept(a, res(500, 500)))
	s.Reply(at(6), to, accept(a, res(500, 500)))
	o := s.Outcomes()
	if !s.Over() || s.WakeAt() != 0 || len(o) != 1 || o[0].Result != Sold || o[0].Peer != to || o[0].Token != 1 {
		t.Errorf("over %v, outcomes %+v", s.Over(), o)
	}
	if again := s.Outcomes(); again != nil {
		t.Errorf("outcomes twice: %+v", again)
	}
}

func TestSale_ClosesWithoutAllAnswers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ticks   []time.Duration // before the bid
		bidAt   time.Duration
		tickAt  time.Duration
		awarded bool
	}{
		{"in time, before closing", nil, CloseAfter - 1, CloseAfter - 1, false},
		{"in time, at closing", nil, CloseAfter - 1, CloseAfter, true},
		{"late, but the slot is still open", []time.Duration{CloseAfter}, EndAfter - 1, EndAfter - 1, true},
		{"read late by a steward that was held up", nil, EndAfter + 1, EndAfter + 1, true},
		{"after the end", []time.Duration{CloseAfter, EndAfter}, EndAfter, EndAfter, false},
	} {
		s, _ := openSale(3, webLot(1, res(100, 100)))
		if s.WakeAt() != at(CloseAfter) {
			t.Fatalf("%s: wakes at %v", tc.name, s.WakeAt())
		}
		for _, d := range tc.ticks {
			if out := s.Tick(at(d)); out != nil {
				t.Fatalf("%s: sent %v without a bid", tc.name, out)
			}
		}
		if len(tc.ticks) == 1 && s.WakeAt() != at(EndAfter) {
			t.Fatalf("%s: after closing it wakes at %v", tc.name, s.WakeAt())
		}
		s.Bid(at(tc.bidAt), peer(1), bid(s, res(500, 500), wire.Offer{}))
		if got := len(s.Tick(at(tc.tickAt))) == 1; got != tc.awarded {
			t.Errorf("%s: awarded %v, want %v", tc.name, got, tc.awarded)
		}
	}
}

func TestSale_EightBidsAreEnough(t *testing.T) {
	s, _ := openSale(20, webLot(1, res(100, 100)))
	for n := range EnoughBids {
		if out := s.Tick(at(1)); out != nil {
			t.Fatalf("decided at %d bids", n)
		}
		s.Bid(at(1), peer(n), bid(s, res(500, 500), wire.Offer{}))
	}
	if len(s.Tick(at(1))) != 1 {
		t.Fatal("not decided at 8 bids")
	}
	// 8 bids that cannot hold all are not enough.
	s, _ = openSale(20, webLot(9, res(500, 500)))
	for n := range EnoughBids {
		s.Bid(at(1), peer(n), bid(s, res(500, 500), wire.Offer{}))
	}
	if out := s.Tick(at(1)); out != nil {
		t.Fatal("decided although the 8 bids cannot hold 9 slots")
	}
}

func TestSale_DeclineAndSilenceGoToTheNext(t *testing.T) {
	s, _ := openSale(3, webLot(1, res(100, 100)))
	for n := range 3 {
		s.Bid(at(1), peer(n), bid(s, res(300+100*int64(n), 900), wire.Offer{}))
	}
	first, a := only(t, s.Tick(at(2)))
	s.Reply(at(3), first, decline(a, "memory: taken meanwhile", res(0, 0)))
	second, b := only(t, s.Tick(at(3)))
	if second == first || b.Token != 2 {
		t.Fatalf("after a decline: token %d to %v", b.Token, second)
	}
	if w := s.WakeAt(); w != at(3).Add(ReplyAfter) && w != at(CloseAfter) && w != at(2).Add(ReplyAfter) {
		t.Errorf("wakes at %v", w)
	}
	if out := s.Tick(at(3).Add(ReplyAfter - 1)); out != nil {
		t.Fatalf("gave up a nanosecond early: %v", out)
	}
	third, c := only(t, s.Tick(at(3).Add(ReplyAfter)))
	if third == first || third == second || c.Token != 3 {
		t.Fatalf("after silence: token %d to %v", c.Token, third)
	}
	// The silent one had accepted after all: the slot is sold, by its word.
	s.Reply(at(4).Add(ReplyAfter), second, accept(b, res(0, 0)))
	s.Reply(at(5).Add(ReplyAfter), third, decline(c, "live claim", res(0, 0)))
	o := s.Outcomes()
	if !s.Over() || len(o) != 1 || o[0].Peer != second || o[0].Token != 2 || o[0].LastToken != 3 || o[0].Attempts != 3 {
		t.Fatalf("outcome %+v, over %v", o, s.Over())
	}
}

func TestSale_AllRefuse(t *testing.T) {
	s, _ := openSale(4, webLot(2, res(100, 2048)))
	s.Bid(at(1), peer(0), bid(s, res(500, 700), wire.Offer{No: "memory: needs 2.0 GiB, 0.6 GiB free of 0.9 GiB"}))
	s.Bid(at(1), peer(1), bid(s, res(500, 500), wire.Offer{No: "memory: needs 2.0 GiB, 0.4 GiB free of 0.9 GiB"}))
	s.Bid(at(1), peer(2), bid(s, res(500, 500), wire.Offer{No: "label: wants gpu"}))
	s.Bid(at(1), peer(3), &wire.Bid{Call: s.cfg.ID, No: EngineSilent})
	if out := s.Tick(at(2)); out != nil || !s.Over() {
		t.Fatalf("sent %v, over %v", out, s.Over())
	}
	o := s.Outcomes()
	if len(o) != 2 || o[0].Result != Unsold || o[1].Result != Unsold || o[0].Answered != 4 || o[0].LastToken != 0 {
		t.Fatalf("outcomes %+v", o)
	}
	if got := Refusals(o[1].Reasons); got != "2 memory, 1 engine silent, 1 label" {
		t.Errorf("reasons %q", got)
	}
	if o[0].NearMiss != peer(0) || Class(o[0].Lacked) != Memory {
		t.Errorf("near miss %v %q, want the peer with most memory", o[0].NearMiss, o[0].Lacked)
	}
}

// The winner's claim may be merged before its reply is read; the slot is told as
// sold, once, and stays so.
func TestSale_ClaimSeenBeforeReply(t *testing.T) {
	s, _ := openSale(1, webLot(1, res(100, 100)))
	s.Bid(at(1), peer(0), bid(s, res(500, 500), wire.Offer{}))
	to, a := only(t, s.Tick(at(2)))
	s.Raise(a.Slot, a.Token)
	s.Taken(a.Slot)
	s.Reply(at(3), to, accept(a, res(400, 400)))
	s.Taken(a.Slot)
	if o := s.Outcomes(); len(o) != 1 || o[0].Result != Sold || !s.Over() {
		t.Errorf("outcomes %+v, over %v", o, s.Over())
	}
	if o := s.Outcomes(); o != nil {
		t.Errorf("told again: %+v", o)
	}
}

// What an award rests on travels with it, each record once and not without bound.
func TestSale_AwardCarriesWhatItRestsOn(t *testing.T) {
	shared, own := &wire.Record{Body: []byte{1}}, &wire.Record{Body: []byte{2}}
	large := make([]*wire.Record, 40)
	for i := range large {
		large[i] = &wire.Record{Body: make([]byte, wire.MaxRecordBytes)}
	}
	lot := webLot(3, res(100, 100))
	lot.Slots[0].Rests = []*wire.Record{shared, own, nil}
	lot.Slots[1].Rests = []*wire.Record{shared}
	lot.Slots[2].Rests = large
	s, _ := openSale(1, lot)
	s.Bid(at(1), peer(0), bid(s, res(500, 500), wire.Offer{}))
	out := s.Tick(at(2))
	a := out[0].Msg.(*wire.Award)
	if len(out) != 1 || len(a.Rests) < 4 || a.Rests[0] != shared || a.Rests[1] != own || a.Rests[2] != large[0] {
		t.Fatalf("rests on %d records", len(a.Rests))
	}
	if b, err := wire.Encode(a); err != nil || len(b) > wire.MaxFrame {
		t.Errorf("award of %d bytes, %v", len(b), err)
	}
}

// TestSummary_CountsEveryBidder has a bidder filled up and one decline: whoever was asked and
// could not take a slot is in its summary, with the reason.
func TestSummary_CountsEveryBidder(t *testing.T) {
	s, _ := openSale(3, webLot(3, res(100, 100)))
	s.Bid(opened, peer(0), bid(s, res(100, 100), wire.Offer{}))
	s.Bid(opened, peer(1), bid(s, res(900, 900), wire.Offer{}))
	s.Bid(opened, peer(2), bid(s, res(900, 900), wire.Offer{No: Label + ": wants disk == ssd"}))
	var slots []wire.AwardedSlot
	for _, given := range awardsOf(t, s.Tick(opened)) {
		slots = append(slots, given...)
	}
	if len(slots) != 3 {
		t.Fatalf("%d slots are awarded, want 3", len(slots))
	}
	filled := 0
	for _, a := range slots {
		n := int(a.Summary.Passed)
		for _, r := range a.Summary.Noes {
			n += int(r.Count)
			if r.Text == FilledUp {
				filled++
			}
		}
		if n != 3 {
			t.Errorf("%s tells of %d of 3 bidders: %+v", a.Slot, n, a.Summary)
		}
	}
	if filled == 0 {
		t.Error("no slot tells that a bidder filled up")
	}
	first := slots[0]
	for _, p := range []wire.PeerID{peer(0), peer(1)} {
		s.Reply(at(time.Millisecond), p, decline(first, OwnerRefuses+": holds 2 slots, at most 2", res(900, 900)))
	}
	for _, given := range awardsOf(t, s.Tick(at(time.Millisecond))) {
		if sum := given[0].Summary; len(sum.Noes) == 0 || Class(sum.Noes[0].Text) != OwnerRefuses {
			t.Errorf("the decline is not told first: %+v", sum)
		}
	}
}
