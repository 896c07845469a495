package auction

import (
	"fmt"
	"slices"
	"testing"

	"shoal/job"
	"shoal/wire"
)

// zoned makes peers of zones: peer n has the labels of the n-th map.
func zoned(labels ...map[string]string) func(wire.PeerID) *job.Facts {
	return func(p wire.PeerID) *job.Facts {
		for n, l := range labels {
			if p == peer(n) {
				return &job.Facts{Labels: l}
			}
		}
		return nil
	}
}

func zone(z string) map[string]string { return map[string]string{"zone": z} }

func TestSpread_CountsByPlace(t *testing.T) {
	rack := func(z, r string) map[string]string { return map[string]string{"zone": z, "rack": r} }
	s := NewSpread([]string{"zone", "rack"}, zoned(rack("a", "1"), rack("a", "2"), rack("b", "1"), nil, rack("", "1")))
	for _, n := range []int{0, 0, 1, 2, 3} {
		s.Add(peer(n))
	}
	for n, want := range []copiesAround{{3, 2}, {3, 1}, {1, 1}, {1, 1}, {1, 0}, {1, 1}} { // the last is not known
		if got := s.around(peer(n)); got != want {
			t.Errorf("around peer %d: %v, want %v", n, got, want)
		}
	}
	if NewSpread(nil, nil).around(peer(0)) != (copiesAround{}) {
		t.Error("copies around a peer of a task that is not spread")
	}
	for range 300 {
		s.Add(peer(2))
	}
	if got := s.terms([]byte{1, 2}, s.around(peer(2))); !slices.Equal(got, []byte{1, 2, 0, 0, 0, 0, 0, 0, 255, 255}) {
		t.Errorf("terms %v", got)
	}
}

// A world of three zones of unequal peers: one with room for all, two, and six.
func zonedWorld(t testing.TB) (*world, *Book, func(wire.PeerID) *job.Facts) {
	w := newWorld(t, 9, task(res(100, 100)))
	var labels []map[string]string
	for n, z := range []string{"a", "b", "b", "c", "c", "c", "c", "c", "c"} {
		w.addPeer(n, res(int64(4000-n*300), 4000))
		labels = append(labels, zone(z))
	}
	return w, NewBook(), zoned(labels...)
}

// byZone counts the copies by zone.
func (w *world) byZone(facts func(wire.PeerID) *job.Facts) map[string]int {
	out := map[string]int{}
	for id, p := range w.peers {
		out[facts(id).Labels["zone"]] += len(p.claims)
	}
	return out
}

// Both kinds of sale give each zone as many, whatever room its peers have, counting what is
// there and what they give themselves.
func TestSpread_OverZones(t *testing.T) {
	for _, called := range []bool{false, true} {
		w, book, facts := zonedWorld(t)
		w.tellAll(book, 1)
		lot := webLot(9, res(100, 100))
		lot.Spread = NewSpread([]string{"zone"}, facts)
		var rest []Lot
		if called {
			w.open(1<<20, lot)
		} else if _, rest = w.direct(1<<20, book, lot); len(rest) > 0 {
			t.Fatalf("%d lots are not sold on standing bids", len(rest))
		}
		w.run()
		if got := fmt.Sprint(w.byZone(facts)); got != "map[a:3 b:3 c:3]" {
			t.Errorf("called %v: %s", called, got)
		}
		for n := range 9 {
			if most := len(w.peers[peer(n)].claims); n > 2 && most > 1 || n > 0 && most > 2 {
				t.Errorf("called %v: peer %d has %d copies: within a zone peers count", called, n, most)
			}
		}
	}
}

// What zones have before a sale counts, and a zone without room is passed over.
func TestSpread_EvensOut(t *testing.T) {
	w, book, facts := zonedWorld(t)
	w.peers[peer(0)].self.Free = res(250, 4000)
	w.tellAll(book, 1)
	lot := webLot(8, res(100, 100))
	lot.Spread = NewSpread([]string{"zone"}, facts)
	for range 3 {
		lot.Spread.Add(peer(5)) // c has three
	}
	w.direct(1<<20, book, lot)
	w.run()
	if got := fmt.Sprint(w.byZone(facts)); got != "map[a:2 b:4 c:2]" && got != "map[a:2 b:5 c:1]" {
		t.Errorf("%s, want a full, b and c even", got)
	}
}

// A copy that was declined is in no zone.
func TestSpread_DeclinedIsGivenBack(t *testing.T) {
	lot := webLot(1, res(100, 100))
	lot.Spread = NewSpread([]string{"zone"}, zoned(zone("a"), zone("b")))
	lot.Spread.Add(peer(1))
	s, _ := openSale(2, lot)
	s.Bid(at(1), peer(0), bid(s, res(500, 500), wire.Offer{}))
	s.Bid(at(1), peer(1), bid(s, res(900, 900), wire.Offer{}))
	to, a := only(t, s.Tick(at(2)))
	if to != peer(0) || lot.Spread.around(peer(0))[0] != 1 {
		t.Fatalf("awarded to %v with %v around it, want the zone without a copy", to.Short(), lot.Spread.around(peer(0)))
	}
	if terms := a.Summary.Bids[1].Terms; len(terms) != TermSpread+1 || terms[TermSpread] != 2 {
		t.Errorf("the summary says of the other %v, want one copy, and one, at %d", terms, TermSpread)
	}
	s.Reply(at(3), peer(0), decline(a, "busy", res(500, 500)))
	if to, _ := only(t, s.Tick(at(4))); to != peer(1) {
		t.Errorf("awarded to %v, want the other", to.Short())
	}
	if a, b := lot.Spread.around(peer(0))[0], lot.Spread.around(peer(1))[0]; a != 0 || b != 2 {
		t.Errorf("%d copies in one zone, %d in the other, want 0 and 2", a, b)
	}
}

// Eight standing bids do not suffice while nobody has bid of a zone that there is; and early
// bids of a call do not, of which more are to come.
func TestSpread_WaitsForAllZones(t *testing.T) {
	for _, tt := range []struct {
		zone string
		want bool // sold on standing bids
	}{{"a", true}, {"b", false}} {
		w, book := fewPeers(t, 10)
		labels := []map[string]string{zone(tt.zone)}
		for n := 1; n < 10; n++ {
			labels = append(labels, zone("a"))
			book.Hear(w.now, peer(n), standing(1, w.peers[peer(n)].self.Free))
		}
		lot := webLot(1, res(100, 100))
		lot.Spread = NewSpread([]string{"zone"}, zoned(labels...))
		if s, rest := w.direct(1<<20, book, lot); (s != nil) != tt.want || !tt.want && rest[0].Spread != lot.Spread {
			t.Errorf("one of zone %s has no standing bid: sold %v", tt.zone, s != nil)
		}
	}
	lot := webLot(1, res(100, 100))
	lot.Spread = NewSpread([]string{"zone"}, zoned())
	s, _ := openSale(10, lot)
	for n := range 9 {
		s.Bid(at(1), peer(n), bid(s, res(500, 500), wire.Offer{}))
	}
	if out := s.Tick(at(2)); len(out) != 0 {
		t.Errorf("%d awards while a bid is to come", len(out))
	}
	if s.Bid(at(3), peer(9), bid(s, res(500, 500), wire.Offer{})); len(s.Tick(at(3))) != 1 {
		t.Error("no award once all have bid")
	}
}
