package auction

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

// The greatest summary a sale can make, of texts as long as peers may send and
// figures as large as they get, still fits into a claim.
func TestSummary_FitsItsBound(t *testing.T) {
	const peers = 200
	lot := webLot(1, res(1, 1))
	lot.Slots[0].Since = 1
	c := Config{ID: math.MaxUint64 - IDSpan, Self: peer(0), Cell: "x", Lots: []Lot{lot}}
	for n := range peers {
		c.Asked = append(c.Asked, peer(n))
	}
	s, _ := Open(math.MaxInt64/2, c)
	for n := range peers {
		o := wire.Offer{Copies: math.MaxUint32, Bucket: math.MaxUint32, Terms: make([]byte, 1<<10)}
		if n >= 20 {
			o = wire.Offer{No: fmt.Sprintf("%03d", n/20) + strings.Repeat("é", 1<<16)}
		}
		s.Bid(s.opened, peer(n), &wire.Bid{Call: c.ID, Offers: []wire.Offer{o},
			Free: job.Resources{CPUMilli: math.MaxInt64, MemBytes: math.MaxInt64}, Total: job.Resources{CPUMilli: math.MaxInt64, MemBytes: math.MaxInt64}})
	}
	_, a := only(t, s.Tick(s.opened.Add(CloseAfter)))
	a.Summary.Took, a.Summary.Waited = math.MaxInt64, math.MaxInt64
	a.Summary.Asked, a.Summary.Passed = math.MaxUint32, math.MaxUint32
	for i := range a.Summary.Bids {
		a.Summary.Bids[i].Room = math.MinInt64
	}
	for i := range a.Summary.Noes {
		a.Summary.Noes[i].Count = math.MaxUint32
	}
	if n := len(wire.MustMarshal(&a.Summary)); n > 1024 || len(a.Summary.Bids) != wire.MaxSummaryBids || len(a.Summary.Noes) == 0 {
		t.Errorf("summary of %d bytes, %d bids, %d refusals; at most 1024 bytes", n, len(a.Summary.Bids), len(a.Summary.Noes))
	}
}

// Every call stays within the bounds of a call, and together they offer each
// slot once.
func TestOpen_SplitsCalls(t *testing.T) {
	long := strings.Repeat("n", job.MaxName)
	record := func(size int) *wire.Record { return &wire.Record{Body: make([]byte, size), Sig: make([]byte, 64)} }
	var lots []Lot
	for n := range 200 {
		l := Lot{Job: job.MakeID(long, fmt.Sprintf("%s%03d", long[3:], n)), Life: math.MaxUint64, Task: long,
			Needs: job.Resources{CPUMilli: math.MaxInt64, MemBytes: math.MaxInt64, DiskBytes: math.MaxInt64}}
		l.Records = []*wire.Record{record(300 + 40*n), record(2000)}
		for i := range 1 + n*n%30 {
			l.Slots = append(l.Slots, Want{Slot: job.SlotID{Job: l.Job, Task: l.Task, Index: 9000 + i}, Token: 1})
		}
		l.Slots = append(l.Slots, l.Slots[0])
		lots = append(lots, l)
	}
	lots[7].Records = []*wire.Record{record(250 << 10)} // larger than a topic carries
	for _, peers := range []int{3, DirectUpTo, DirectUpTo + 1, 192} {
		s, out := openSale(peers, lots...)
		direct, most := peers <= DirectUpTo, wire.MaxGossip
		if direct {
			most = wire.MaxFrame
		}
		if want := len(s.calls) * map[bool]int{true: peers, false: 2}[direct]; len(out) != want {
			t.Errorf("%d peers: %d messages of %d calls, want %d", peers, len(out), len(s.calls), want)
		}
		offered, records, seen := 0, make(map[*wire.Record]bool), make(map[uint64]bool)
		for _, e := range out {
			call := e.Msg.(*wire.Call)
			if direct == e.To.IsZero() && e.To != peer(0) {
				t.Fatalf("%d peers: a call to %v on %v", peers, e.To.Short(), e.Topic)
			}
			if seen[call.ID] {
				continue
			}
			seen[call.ID] = true
			slots := 0
			for _, l := range call.Lots {
				slots += len(l.Slots)
			}
			for _, r := range call.Records {
				records[r] = true
			}
			offered += slots
			if b, err := wire.Encode(call); err != nil || len(b) > most || len(call.Lots) > wire.MaxLots || slots > wire.MaxSlotsPerCall {
				t.Errorf("%d peers: call of %d bytes, %d lots, %d slots, %v", peers, len(b), len(call.Lots), slots, err)
			}
		}
		if offered != len(s.slots) || offered != len(s.byID) {
			t.Errorf("%d peers: %d slots offered of %d", peers, offered, len(s.slots))
		}
		if len(records) < 390 || records[lots[7].Records[0]] != direct {
			t.Errorf("%d peers: %d records travel, the large one %v", peers, len(records), records[lots[7].Records[0]])
		}
	}
}

func TestOpen_TakesNoMoreThanItsBound(t *testing.T) {
	s, _ := openSale(1, webLot(MaxSlots+3, res(1, 1)))
	s.Bid(at(1), peer(0), &wire.Bid{Call: s.cfg.ID, No: Draining})
	s.Tick(at(EndAfter))
	got := make(map[string]int)
	for _, o := range s.Outcomes() {
		got[Class(o.Reasons[0].Text)]++
	}
	if len(s.slots) != MaxSlots || got[SaleFull] != 3 {
		t.Errorf("%d slots, outcomes %v", len(s.slots), got)
	}
}

func TestSale_TokensRiseAboveWhatIsKnown(t *testing.T) {
	s, _ := openSale(3, webLot(1, res(1, 1)))
	s.Raise(slotID("web", 0), 7)
	s.Raise(slotID("web", 0), 3)
	for n := range 3 {
		s.Bid(at(1), peer(n), bid(s, res(500, 500), wire.Offer{}))
	}
	to, a := only(t, s.Tick(at(2)))
	if a.Token != 8 {
		t.Fatalf("token %d, want 8", a.Token)
	}
	s.Raise(slotID("web", 0), math.MaxUint64)
	s.Reply(at(3), to, decline(a, "token 18446744073709551615 is known", res(1, 1)))
	if out := s.Tick(at(3)); out != nil || !s.Over() {
		t.Fatalf("sold on past the last token: %v", out)
	}
	if o := s.Outcomes()[0]; o.Result != Unsold || Refusals(o.Reasons) == "" || !slices.ContainsFunc(o.Reasons, func(r wire.Reason) bool { return r.Text == TokensUsedUp }) {
		t.Errorf("outcome %+v", o)
	}
}

func TestSale_FiveAwardsThenTheQueue(t *testing.T) {
	s, _ := openSale(7, webLot(1, res(1, 1)))
	for n := range 7 {
		s.Bid(at(1), peer(n), bid(s, res(500, 500), wire.Offer{}))
	}
	for n := range MaxAttempts {
		to, a := only(t, s.Tick(at(2)))
		if a.Token != wire.Token(n+1) {
			t.Fatalf("award %d has token %d", n, a.Token)
		}
		s.Reply(at(2), to, decline(a, "mood: bad", res(500, 500)))
	}
	if out := s.Tick(at(3)); out != nil || !s.Over() {
		t.Fatalf("a sixth award: %v", out)
	}
	o := s.Outcomes()[0]
	if o.Attempts != MaxAttempts || o.LastToken != MaxAttempts || Refusals(o.Reasons) != "5 mood, 2 not tried" {
		t.Errorf("outcome %+v", o)
	}
}

func TestSale_ExcludedOnlyAsLastResort(t *testing.T) {
	lot := webLot(2, res(100, 100))
	lot.Slots[0].Exclude = []wire.PeerID{peer(1)}
	s, _ := openSale(2, lot)
	s.Bid(at(1), peer(0), bid(s, res(100, 100), wire.Offer{Copies: 4}))
	s.Bid(at(1), peer(1), bid(s, res(900, 900), wire.Offer{}))
	got := awardsOf(t, s.Tick(at(2)))
	if len(got[peer(0)]) != 1 || got[peer(0)][0].Slot.Index != 0 || len(got[peer(1)]) != 1 {
		t.Fatalf("awards %v", got)
	}
	s.Reply(at(3), peer(0), decline(got[peer(0)][0], "no", res(0, 0)))
	if to, _ := only(t, s.Tick(at(3))); to != peer(1) {
		t.Errorf("with nobody else left the slot went to %v", to.Short())
	}
}

func TestSale_VolumesBindSlots(t *testing.T) {
	s, _ := openSale(2, webLot(3, res(100, 100)))
	s.Bid(at(1), peer(0), bid(s, res(900, 900), wire.Offer{Volumes: []int{2, 0}}))
	s.Bid(at(1), peer(1), bid(s, res(100, 100), wire.Offer{Volumes: []int{2}}))
	got := awardsOf(t, s.Tick(at(2)))
	if len(got[peer(0)]) != 1 || got[peer(0)][0].Slot.Index != 0 || len(got[peer(1)]) != 1 || got[peer(1)][0].Slot.Index != 2 {
		t.Fatalf("awards %v", got)
	}
	for _, p := range []int{0, 1} {
		s.Reply(at(3), peer(p), accept(got[peer(p)][0], res(0, 0)))
	}
	s.Tick(at(3))
	var unsold []Outcome
	for _, o := range s.Outcomes() {
		if o.Result == Unsold {
			unsold = append(unsold, o)
		}
	}
	if len(unsold) != 1 || unsold[0].Slot.Index != 1 || Refusals(unsold[0].Reasons) != "2 volume elsewhere" {
		t.Errorf("unsold %+v", unsold)
	}
}

func TestSale_DoubtedBidderIsPassedOver(t *testing.T) {
	s, _ := openSale(3, webLot(1, res(100, 100)))
	s.Bid(at(1), peer(0), bid(s, res(900, 900), wire.Offer{}))
	s.Bid(at(1), peer(1), bid(s, res(500, 500), wire.Offer{}))
	s.Drop(at(1), peer(2)) // owes an answer: nobody waits for it
	to, a := only(t, s.Tick(at(2)))
	if to != peer(0) {
		t.Fatalf("awarded to %v", to.Short())
	}
	s.Drop(at(3), to)
	s.Drop(at(3), to)
	next, b := only(t, s.Tick(at(3)))
	if next != peer(1) || b.Token != a.Token+1 {
		t.Fatalf("after doubt: token %d to %v", b.Token, next.Short())
	}
	s.Bid(at(4), peer(0), bid(s, res(900, 900), wire.Offer{}))
	s.Reply(at(4), next, accept(b, res(1, 1)))
	if !s.Over() || s.Outcomes()[0].Peer != next {
		t.Errorf("not sold to the runner-up")
	}
}

func TestSale_TakenSlotIsNotSold(t *testing.T) {
	s, _ := openSale(2, webLot(2, res(100, 100)))
	s.Taken(slotID("web", 0))
	s.Taken(slotID("web", 77))
	for n := range 2 {
		s.Bid(at(1), peer(n), bid(s, res(900, 900), wire.Offer{}))
	}
	to, a := only(t, s.Tick(at(2)))
	if a.Slot.Index != 1 {
		t.Fatalf("sold %v", a.Slot)
	}
	s.Taken(a.Slot) // while its award is on the way
	s.Reply(at(3), to, decline(a, "live claim: of another", res(900, 900)))
	if out := s.Tick(at(3)); out != nil || !s.Over() {
		t.Fatalf("sold on: %v", out)
	}
	for _, o := range s.Outcomes() {
		if o.Result != Taken {
			t.Errorf("%v: %v", o.Slot, o.Result)
		}
	}
}

// Whatever peers send, a sale keeps its books within what they may hold, sends
// awards only to those that bid, and ends.
func propHostile(t *rapid.T) {
	s, _ := openSale(rapid.IntRange(0, 5).Draw(t, "peers"), webLot(3, res(100, 100)), Lot{Job: "a/b", Task: "c", Needs: res(-5, 50),
		Slots: []Want{{Slot: job.SlotID{Job: "a/b", Task: "c", Index: -4}, Token: math.MaxUint64}}})
	any64 := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 100, 1 << 27, math.MaxInt64}))
	amounts := func() job.Resources {
		return job.Resources{CPUMilli: any64.Draw(t, "cpu"), MemBytes: any64.Draw(t, "mem"), DiskBytes: any64.Draw(t, "disk")}
	}
	now := opened
	bidders := make(map[wire.PeerID]bool)
	var sent []wire.AwardedSlot
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		from := peer(rapid.IntRange(0, 6).Draw(t, "from"))
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0, 1:
			b := &wire.Bid{Call: s.cfg.ID + uint64(rapid.IntRange(-1, 1).Draw(t, "call")), Free: amounts(), Total: amounts()}
			for range rapid.IntRange(0, 3).Draw(t, "offers") {
				b.Offers = append(b.Offers, wire.Offer{Copies: rapid.Uint32().Draw(t, "copies"), Bucket: rapid.Uint32().Draw(t, "bucket"),
					No: rapid.SampledFrom([]string{"", "", "x: y", "\xff\x00", ":"}).Draw(t, "no"), Volumes: rapid.SliceOfN(rapid.IntRange(-5, 5), 0, 4).Draw(t, "volumes")})
			}
			bidders[from] = true
			s.Bid(now, from, b)
		case 2:
			r := &wire.Reply{Award: rapid.Uint64().Draw(t, "award"), Bid: wire.Standing{Free: amounts()}}
			for _, a := range sent {
				r.Decisions = append(r.Decisions, wire.Decision{Slot: a.Slot, Token: a.Token, Decline: rapid.SampledFrom([]string{"", "no"}).Draw(t, "word")})
			}
			r.Decisions = append(r.Decisions, wire.Decision{Slot: slotID("web", 99)}, wire.Decision{Slot: slotID("web", 0), Token: 4})
			s.Reply(now, from, r)
		case 3:
			s.Drop(now, from)
		case 4:
			s.Raise(slotID("web", rapid.IntRange(0, 3).Draw(t, "slot")), wire.Token(rapid.Uint64().Draw(t, "token")))
		case 5:
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "wait")))
		}
		for _, e := range s.Tick(now) {
			if !bidders[e.To] {
				t.Fatalf("award to %v, who never bid", e.To.Short())
			}
			sent = append(sent, e.Msg.(*wire.Award).Slots...)
		}
		for _, b := range s.ranked {
			if l := b.left(); b.away.CPUMilli < 0 || b.away.MemBytes < 0 || !b.silent && !b.gone && b.replied == 0 && (l.CPUMilli < 0 || l.MemBytes < 0) {
				t.Fatalf("books of %v: free %+v, away %+v", b.id.Short(), b.free, b.away)
			}
		}
		s.Outcomes()
	}
	for range 2 * MaxAttempts {
		now = now.Add(ReplyAfter)
		s.Tick(now)
	}
	if !s.Over() {
		t.Fatal("not over")
	}
}

func TestSale_HostilePeers(t *testing.T) { rapid.Check(t, propHostile) }
