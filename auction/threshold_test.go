package auction

import (
	"testing"

	"shoal/job"
	"shoal/wire"
)

// manyPeers is a world too large to be asked one by one, the emptier the higher the number.
func manyPeers(t *testing.T, n int) *world {
	w := newWorld(t, 5, task(res(100, 100)))
	for i := range n {
		w.addPeer(i, res(10_000, 10_000))
		w.peers[peer(i)].self.Free = res(int64(1000+i), 5000)
	}
	return w
}

// call opens a sale by a call; known says whether its steward has the peers' bids.
func (w *world) callAll(known bool, lots ...Lot) *Sale {
	c := Config{ID: 1 << 20, Self: peer(0), Cell: "lab/0", Lots: lots, Find: w.find}
	for n := range len(w.peers) {
		c.Asked = append(c.Asked, peer(n))
	}
	if known {
		c.Known = func(p wire.PeerID) *Self { return &w.peers[p].self }
	}
	s, out := Open(w.now, c)
	w.sales, w.lastToken[s] = append(w.sales, s), make(map[job.SlotID]uint64)
	w.send(s, out)
	return s
}

func (w *world) scoreOf(n int) *wire.Score {
	p := &w.peers[peer(n)].self
	s := Score(Terms{Free: p.Free, Total: p.Total, Needs: w.task.Needs, Bucket: Bucket(Costs{}), Order: 1 << 63})
	return &s
}

func TestThreshold_LetsAsManyAnswerAsAreWanted(t *testing.T) {
	w := manyPeers(t, 200)
	lot := webLot(1, res(100, 100))
	lot.Most = w.scoreOf(200 - wantedBids)
	s := w.callAll(false, lot)
	w.run()
	if w.bids != wantedBids || results(s)[slotID("web", 0)].Result != Sold {
		t.Errorf("%d bids, want %d; %+v", w.bids, wantedBids, results(s))
	}
}

// A threshold that nobody meets costs one more call, not the sale.
func TestThreshold_TooStrict(t *testing.T) {
	w := manyPeers(t, 100)
	lot := webLot(1, res(100, 100))
	lot.Most = &wire.Score{}
	s := w.callAll(false, lot)
	w.run()
	if o := results(s)[slotID("web", 0)]; o.Result != Sold || w.bids != 100 || w.now < opened.Add(CloseAfter) {
		t.Errorf("%+v with %d bids", o, w.bids)
	}
}

// Where nobody passes nobody need say so, if it is known why; else all are asked.
func TestThreshold_NobodyPasses(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := manyPeers(t, 100)
		w.task.Needs = res(9000, 1)
		s := w.callAll(known, webLot(1, res(9000, 1)))
		w.run()
		o := results(s)[slotID("web", 0)]
		if want := map[bool]int{false: 100}[known]; w.bids != want {
			t.Errorf("known %v: %d answers, want %d", known, w.bids, want)
		}
		if o.Result != Unsold || Refusals(o.Reasons) != "100 cpu" || o.NearMiss != peer(99) {
			t.Errorf("known %v: %+v", known, o)
		}
	}
}

// The book tells of some what is so of all: a sixteenth of those known stands for a
// sixteenth of those asked.
func TestThreshold_FromTheBook(t *testing.T) {
	w := manyPeers(t, 160)
	b := NewBook()
	for n := 0; n < 160; n += 32 {
		b.Hear(w.now, peer(n), standing(1, w.peers[peer(n)].self.Free)) // 5 of 160: too few to sell on
	}
	s, rest := w.direct(1<<20, b, webLot(1, res(100, 100)))
	if s != nil || len(rest) != 1 || rest[0].Most == nil {
		t.Fatalf("sold %v, left %+v", s != nil, rest)
	}
	if got, want := rest[0].Most.Room, w.scoreOf(128).Room; got != want {
		t.Errorf("room %d, want that of the best one known, %d", got, want)
	}
	s = w.callAll(false, rest...)
	w.run()
	if w.bids < EnoughBids || w.bids > 47 || results(s)[slotID("web", 0)].Result != Sold {
		t.Errorf("%d bids, %+v", w.bids, results(s))
	}
}
