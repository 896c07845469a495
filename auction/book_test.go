package auction

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

const fresh = 11 * time.Second

func standing(seq uint64, free job.Resources) *wire.Standing {
	return &wire.Standing{Inc: 1, Seq: seq, Free: free}
}

func TestBook_NewestCounts(t *testing.T) {
	for _, c := range []struct {
		name     string
		m        wire.Standing
		want     int64 // CPU free afterwards
		improved bool
	}{
		{"the same again", wire.Standing{Inc: 2, Seq: 5, Free: res(900, 1)}, 500, false},
		{"older", wire.Standing{Inc: 2, Seq: 4, Free: res(900, 900)}, 500, false},
		{"of an earlier start", wire.Standing{Inc: 1, Seq: 9, Free: res(900, 900)}, 500, false},
		{"newer, more free", wire.Standing{Inc: 2, Seq: 6, Free: res(501, 400)}, 501, true},
		{"newer, less free", wire.Standing{Inc: 2, Seq: 6, Free: res(400, 400)}, 400, false},
		{"of the next start", wire.Standing{Inc: 3, Seq: 1, Free: res(600, 600)}, 600, true},
		{"newer, takes nothing", wire.Standing{Inc: 2, Seq: 6, No: Draining, Free: res(900, 900)}, 900, false},
		{"still as it was never said", wire.Standing{Inc: 2, Seq: 6, Still: true}, 500, false},
		{"a device more", wire.Standing{Inc: 2, Seq: 6, Free: res(500, 500), GPUs: []uint16{1}}, 500, true},
		{"less than nothing", wire.Standing{Inc: 2, Seq: 6, Free: job.Resources{CPUMilli: -5, MemBytes: 1 << 62}}, 0, true},
	} {
		b := NewBook()
		b.Hear(1, peer(1), &wire.Standing{Inc: 2, Seq: 5, Free: res(500, 500)})
		if improved := b.Hear(2, peer(1), &c.m); improved != c.improved {
			t.Errorf("%s: improved %v", c.name, improved)
		}
		if got, ok := b.Get(3, peer(1), fresh); !ok || got.Free.CPUMilli != c.want {
			t.Errorf("%s: %d free, want %d", c.name, got.Free.CPUMilli, c.want)
		}
	}
}

// A bid that is not renewed is not known any more; one that is, if only by "still so", is.
func TestBook_Stale(t *testing.T) {
	b := NewBook()
	b.Hear(at(0), peer(1), standing(1, res(1, 1)))
	b.Hear(at(0), peer(2), standing(1, res(1, 1)))
	b.Hear(at(fresh), peer(2), &wire.Standing{Inc: 1, Seq: 1, Still: true})
	for n, want := range []bool{false, true, true} {
		if _, ok := b.Get(at(fresh), peer(n), fresh); ok != want {
			t.Errorf("at the bound peer %d is known: %v", n, ok)
		}
	}
	for n, want := range []bool{false, false, true} {
		if _, ok := b.Get(at(fresh+1), peer(n), fresh); ok != want {
			t.Errorf("after it peer %d is known: %v", n, ok)
		}
	}
	b.Retain(func(p wire.PeerID) bool { return p == peer(1) })
	if b.Len() != 1 {
		t.Errorf("%d peers are remembered of one", b.Len())
	}
}

// What was awarded and is not answered is nobody else's, in any sale, and comes back.
func TestBook_DeductsWhatIsInFlight(t *testing.T) {
	b := NewBook()
	left := func(d time.Duration) int64 {
		got, _ := b.Get(at(d), peer(1), time.Hour)
		return got.Free.CPUMilli
	}
	b.fly(at(0), peer(1), res(1, 1)) // nobody: not in the book
	b.Hear(at(0), peer(1), standing(1, res(1000, 1000)))
	b.fly(at(0), peer(1), res(100, 1))
	b.fly(at(1), peer(1), res(200, 1))
	if got := left(2); got != 700 {
		t.Fatalf("%d left beside two awards", got)
	}
	b.land(peer(1), res(200, 1))
	b.land(peer(1), res(200, 1)) // twice
	if got := left(2); got != 900 {
		t.Fatalf("%d left beside one award", got)
	}
	if got := left(flightFor); got != 1000 {
		t.Errorf("%d left once its reply cannot be expected", got)
	}
	var none *Book
	none.fly(0, peer(1), res(1, 1))
	none.land(peer(1), res(1, 1))
}

// direct opens a sale on what the world's peers have said, of those that it knows.
func (w *world) direct(id uint64, book *Book, lots ...Lot) (*Sale, []Lot) {
	c := Config{ID: id, Self: peer(0), Cell: "lab/0", Lots: lots, Book: book, Find: w.find}
	for n := range len(w.peers) {
		c.Asked = append(c.Asked, peer(n))
	}
	c.Known = func(p wire.PeerID) *Self {
		bid, ok := book.Get(w.now, p, fresh)
		if !ok || bid.Flags&wire.AskMe != 0 {
			return nil
		}
		self := w.peers[p].self
		self.Free, self.No = bid.Free, bid.No
		return &self
	}
	s, rest := Direct(w.now, c)
	if s != nil {
		w.sales = append(w.sales, s)
		w.lastToken[s] = make(map[job.SlotID]uint64)
	}
	return s, rest
}

// tellAll has every peer say what is true of it.
func (w *world) tellAll(b *Book, seq uint64) {
	for n := range len(w.peers) {
		b.Hear(w.now, peer(n), standing(seq, w.peers[peer(n)].self.Free))
	}
}

func fewPeers(t testing.TB, n int) (*world, *Book) {
	w := newWorld(t, 9, task(res(100, 100)))
	for i := range n {
		w.addPeer(i, res(1000, 1000))
	}
	return w, NewBook()
}

func TestDirect_WhenBidsSuffice(t *testing.T) {
	for _, c := range []struct {
		name          string
		peers, told   int
		silent, slots int
		want          bool
	}{
		{"all at hand, one passes", 5, 5, 4, 1, true},
		{"all at hand, none passes", 5, 5, 5, 1, false},
		{"one is missing, few pass", 8, 7, 0, 1, false},
		{"one is missing, eight pass", 9, 8, 0, 1, true},
		{"one is missing, eight pass without room for all", 9, 8, 0, 81, false},
		{"all at hand without room for all", 8, 8, 0, 81, true},
		{"nobody has said anything", 5, 0, 0, 1, false},
	} {
		w, b := fewPeers(t, c.peers)
		w.tellAll(b, 1)
		for n := range c.silent {
			b.Hear(w.now, peer(n), &wire.Standing{Inc: 1, Seq: 2, No: EngineSilent})
		}
		for n := c.told; n < c.peers; n++ {
			b.Hear(w.now, peer(n), &wire.Standing{Inc: 1, Seq: 3, Flags: wire.AskMe})
		}
		s, rest := w.direct(1<<20, b, webLot(c.slots, res(100, 100)))
		if (s != nil) != c.want || (len(rest) == 0) != c.want {
			t.Errorf("%s: sold %v, %d lots to be called", c.name, s != nil, len(rest))
		}
		if !c.want && rest[0].Hopeless != (c.silent == c.peers) {
			t.Errorf("%s: hopeless %v", c.name, rest[0].Hopeless)
		}
	}
}

// Slots that standing bids did not sell, and those of devices, are called; others of
// their lots are not.
func TestDirect_LeavesToCalls(t *testing.T) {
	w, b := fewPeers(t, 4)
	w.tellAll(b, 1)
	lot := webLot(3, res(100, 100))
	lot.Slots[1].Call = true
	s, rest := w.direct(1<<20, b, lot, Lot{Job: "default/none", Task: "gone", Slots: []Want{{Slot: slotID("gone", 0), Token: 1}}})
	if s == nil || len(s.Slots()) != 2 || len(rest) != 2 || len(rest[1].Slots) != 1 || rest[1].Slots[0].Slot.Index != 1 {
		t.Fatalf("sold %v, left %+v", s.Slots(), rest)
	}
	w.task.Devices = []string{"/dev/ttyUSB0"}
	if s, rest = w.direct(1<<21, b, webLot(1, res(100, 100))); s != nil || len(rest) != 1 {
		t.Error("devices are sold without asking")
	}
}

// Awards on true standing bids are all accepted, with nobody called.
func TestDirect_OneAwardASlot(t *testing.T) {
	w, b := fewPeers(t, 50)
	w.tellAll(b, 1)
	s, rest := w.direct(1<<20, b, webLot(400, res(100, 100)))
	if len(rest) != 0 {
		t.Fatalf("%d lots are left", len(rest))
	}
	w.run()
	for id, o := range results(s) {
		if o.Result != Sold || o.Attempts != 1 || !o.Standing {
			t.Fatalf("%v: %+v", id, o)
		}
	}
	if w.declines != 0 {
		t.Errorf("%d declines", w.declines)
	}
}

// Two sales of one steward do not award the same room, though neither has been answered.
func TestDirect_SalesShareTheBook(t *testing.T) {
	w, b := fewPeers(t, 2)
	w.tellAll(b, 1)
	one := webLot(10, res(100, 100))
	two := webLot(10, res(100, 100))
	for i := range two.Slots {
		two.Slots[i].Slot.Index += 100
	}
	w.direct(1<<20, b, one)
	w.tick()
	if s, _ := w.direct(1<<21, b, two); s == nil {
		t.Fatal("nothing is left for the second")
	}
	w.run()
	if w.declines != 0 {
		t.Errorf("%d declines", w.declines)
	}
}

// Peers that say more than they have get nothing that they cannot hold, and cost a
// declined award each, whose reply puts the book right.
func TestDirect_LyingBids(t *testing.T) {
	w, b := fewPeers(t, 10)
	w.tellAll(b, 1)
	for n := range 4 {
		w.peers[peer(n)].self.Free = res(50, 50)
		b.Hear(w.now, peer(n), standing(9, res(1000, 1000)))
	}
	s, _ := w.direct(1<<20, b, webLot(20, res(100, 100)))
	w.run()
	for id, o := range results(s) {
		if o.Result != Sold || len(w.peers[o.Peer].claims) == 0 {
			t.Errorf("%v: %+v", id, o)
		}
	}
	for n := range 4 {
		if len(w.peers[peer(n)].claims) != 0 {
			t.Errorf("liar %d holds %d slots", n, len(w.peers[peer(n)].claims))
		}
	}
	if w.declines == 0 || w.declines > 4*MaxAttempts {
		t.Errorf("%d declines", w.declines)
	}
}

// Whatever the standing bids say, however old they are, and with two stewards at once,
// no bidder is overcommitted, each sale ends, and what it leaves unsold is to be called.
func propDirect(t *rapid.T) {
	w := newWorld(failer{t: t}, rapid.Uint64().Draw(t, "seed"), task(res(100, 100)))
	w.loss = rapid.SampledFrom([]float64{0, 0.05, 0.5}).Draw(t, "loss")
	w.repeat = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "repeat")
	peers := rapid.IntRange(1, 30).Draw(t, "peers")
	for n := range peers {
		w.addPeer(n, res(int64(w.rng.IntN(12))*100, 1000))
	}
	for n := range rapid.IntRange(1, 2).Draw(t, "stewards") {
		b := NewBook()
		w.tellAll(b, 1)
		for range rapid.IntRange(0, 10).Draw(t, "lies") {
			said := standing(rapid.Uint64().Draw(t, "seq"), job.Resources{CPUMilli: rapid.Int64().Draw(t, "cpu"), MemBytes: rapid.Int64().Draw(t, "mem")})
			b.Hear(w.now, peer(w.rng.IntN(peers)), said)
		}
		lot := webLot(rapid.IntRange(1, 60).Draw(t, "slots"), res(100, 100))
		lot.Policy = rapid.SampledFrom([]string{PolicySpread, PolicyPack}).Draw(t, "policy")
		s, rest := w.direct(uint64(n+1)<<20, b, lot)
		left := 0
		for _, l := range rest {
			left += len(l.Slots)
		}
		if s != nil {
			left += len(s.Slots())
		}
		if left != len(lot.Slots) {
			t.Fatalf("%d of %d slots are sold or to be called", left, len(lot.Slots))
		}
	}
	w.run()
	for _, s := range w.sales {
		for id, o := range results(s) {
			if o.Result == Sold && w.peers[o.Peer].claims[id] != o.Token {
				t.Fatalf("%v sold to %v, who has no such claim", id, o.Peer.Short())
			}
			if !o.Standing {
				t.Fatalf("%v: %+v", id, o)
			}
		}
	}
	if w.now > opened.Add(MaxAttempts*ReplyAfter+time.Second) {
		t.Fatalf("ended at %v", w.now)
	}
}

func TestDirect_AnyBook(t *testing.T) { rapid.Check(t, propDirect) }

// Of peers that are alike those of the lane's own quarter are taken first, if eight of
// them can; copies stay apart all the same.
func TestSale_OwnQuarterFirst(t *testing.T) {
	for _, c := range []struct{ peers, slots, own, most int }{
		{32, 6, 6, 1},  // of 8 in its own quarter
		{32, 20, 8, 1}, // beyond them to others, not twice to its own
		{28, 7, 0, 1},  // 7 are too few to go by
	} {
		w, b := fewPeers(t, c.peers)
		w.tellAll(b, 1)
		quarter := func(p wire.PeerID) bool { return p[0]%4 == 1 }
		conf := Config{ID: 1 << 20, Self: peer(0), Cell: "lab/0", Lots: []Lot{webLot(c.slots, res(100, 100))}, Own: quarter, Find: w.find,
			Known: func(p wire.PeerID) *Self { return &w.peers[p].self }}
		for n := range c.peers {
			conf.Asked = append(conf.Asked, peer(n))
		}
		s, _ := Direct(w.now, conf)
		w.sales, w.lastToken[s] = []*Sale{s}, make(map[job.SlotID]uint64)
		w.run()
		own, most := 0, 0
		for id, p := range w.peers {
			if quarter(id) {
				own += len(p.claims)
			}
			most = max(most, len(p.claims))
		}
		if c.own > 0 && own != c.own || most != c.most {
			t.Errorf("%d slots on %d peers: %d in the own quarter, want %d; at most %d on one", c.slots, c.peers, own, c.own, most)
		}
	}
}
