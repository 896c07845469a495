package auction

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A world runs sales against bidders that answer truly, over a network that
// delays, loses and repeats. It watches, at each award: tokens grow, no slot is
// in flight twice, no bidder is awarded more than it reported.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	loss   float64
	repeat float64
	now    clock.Instant
	seq    int
	queue  []event
	peers  map[wire.PeerID]*livePeer
	sales  []*Sale
	task   job.Task

	bids      int
	awards    int                             // messages
	declines  int                             // for want of resources
	perBidder map[wire.PeerID]int             // award messages
	lastToken map[*Sale]map[job.SlotID]uint64 // greatest awarded
}

type event struct {
	at  clock.Instant
	seq int
	do  func()
}

type livePeer struct {
	self   Self
	claims map[job.SlotID]wire.Token
}

func newWorld(t testing.TB, seed uint64, task job.Task) *world {
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: opened, task: task, peers: make(map[wire.PeerID]*livePeer),
		perBidder: make(map[wire.PeerID]int), lastToken: make(map[*Sale]map[job.SlotID]uint64)}
}

func (w *world) find(id job.ID, life uint64, task string, _ wire.Hash) (*job.Spec, *job.Task, bool) {
	return &job.Spec{Namespace: id.Namespace(), Name: id.Name()}, &w.task, task == w.task.Name && life == 1
}

func (w *world) addPeer(n int, total job.Resources) {
	p := &livePeer{claims: make(map[job.SlotID]wire.Token)}
	p.self = Self{ID: peer(n), Free: total, Total: total, OS: "linux", Arch: "amd64", Driver: "docker", Ready: true,
		CopiesOf: func(job.ID, string) int { return len(p.claims) }}
	w.peers[peer(n)] = p
}

func (w *world) after(d time.Duration, do func()) {
	w.seq++
	w.queue = append(w.queue, event{w.now.Add(d), w.seq, do})
}

// carry delivers a message in 1 to 60 ms, perhaps not at all, perhaps twice.
func (w *world) carry(do func()) {
	for n := 1; n > 0; n-- {
		if w.rng.Float64() < w.repeat {
			n++
		}
		if w.rng.Float64() >= w.loss {
			w.after(time.Duration(1+w.rng.IntN(60))*time.Millisecond, do)
		}
	}
}

func (w *world) open(id uint64, lots ...Lot) *Sale {
	c := Config{ID: id, Self: peer(0), Cell: "lab/0", Lots: lots}
	for n := range len(w.peers) {
		c.Asked = append(c.Asked, peer(n))
	}
	s, out := Open(w.now, c)
	w.sales = append(w.sales, s)
	w.lastToken[s] = make(map[job.SlotID]uint64)
	w.send(s, out)
	return s
}

func (w *world) send(s *Sale, out []wire.Envelope) {
	for _, e := range out {
		switch m := e.Msg.(type) {
		case *wire.Call:
			for n := range len(w.peers) {
				if id := peer(n); e.To == id || e.To.IsZero() && id != s.cfg.Self {
					w.carry(func() { w.call(s, id, m) })
				}
			}
		case *wire.Award:
			w.watch(s, e.To, m)
			w.carry(func() { w.award(s, e.To, m) })
		}
	}
}

func (w *world) call(s *Sale, id wire.PeerID, m *wire.Call) {
	b := Answer(&w.peers[id].self, m, w.find)
	if !Qualifies(&w.peers[id].self, m, b, w.find) {
		return
	}
	w.bids++
	w.carry(func() { s.Bid(w.now, id, b) })
}

// award is the winner's side: true state first, a claim for each slot it takes.
func (w *world) award(s *Sale, id wire.PeerID, m *wire.Award) {
	p := w.peers[id]
	r := &wire.Reply{Award: m.ID}
	for i := range m.Slots {
		a := &m.Slots[i]
		d := wire.Decision{Slot: a.Slot, Token: a.Token}
		if have, held := p.claims[a.Slot]; held && have != a.Token {
			d.Decline = "own claim"
		} else if !held {
			if _, d.Decline = CheckAward(&p.self, a, w.find); d.Decline == "" {
				p.claims[a.Slot] = a.Token
			} else {
				w.declines++
			}
		}
		r.Decisions = append(r.Decisions, d)
	}
	if f := p.self.Free; f.CPUMilli < 0 || f.MemBytes < 0 || f.DiskBytes < 0 {
		w.t.Fatalf("%v overcommitted: %+v", id.Short(), f)
	}
	r.Bid.Free = p.self.Free
	w.carry(func() { s.Reply(w.now, id, r) })
}

// watch is called with each award before it leaves.
func (w *world) watch(s *Sale, to wire.PeerID, m *wire.Award) {
	w.awards++
	w.perBidder[to]++
	for _, a := range m.Slots {
		if last := w.lastToken[s][a.Slot]; uint64(a.Token) <= last {
			w.t.Fatalf("%v: token %d after %d", a.Slot, a.Token, last)
		}
		w.lastToken[s][a.Slot] = uint64(a.Token)
		flights := 0
		for _, t := range s.byID[a.Slot].tries {
			if t.state == flying {
				flights++
			}
		}
		if flights != 1 {
			w.t.Fatalf("%v is in flight %d times", a.Slot, flights)
		}
	}
	if left := s.bidders[to].left(); left.CPUMilli < 0 || left.MemBytes < 0 || left.DiskBytes < 0 {
		w.t.Fatalf("awarded %v beyond what it reported: %+v", to.Short(), left)
	}
}

// run plays until every sale is over and nothing is on its way.
func (w *world) run() {
	w.tick()
	for range 1 << 20 {
		next := clock.Instant(0)
		for _, s := range w.sales {
			next = clock.Earliest(next, s.WakeAt())
		}
		slices.SortFunc(w.queue, func(a, b event) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) })
		switch {
		case len(w.queue) > 0 && (next == 0 || w.queue[0].at <= next):
			e := w.queue[0]
			w.queue = w.queue[1:]
			w.now = max(w.now, e.at)
			e.do()
		case next != 0:
			w.now = max(w.now, next)
		default:
			return
		}
		w.tick()
	}
	w.t.Fatalf("a sale does not end")
}

func (w *world) tick() {
	for _, s := range w.sales {
		w.send(s, s.Tick(w.now))
		if again := s.Tick(w.now); again != nil {
			w.t.Fatalf("a repeated Tick sent %v", again)
		}
	}
}

// results returns the last outcome of each slot.
func results(s *Sale) map[job.SlotID]Outcome {
	got := make(map[job.SlotID]Outcome)
	for _, o := range s.Outcomes() {
		got[o.Slot] = o
	}
	return got
}

func task(needs job.Resources) job.Task {
	return job.Task{Name: "web", Image: "web:1", Needs: needs}
}

func TestSale_ThousandSlotsOverFiftyBidders(t *testing.T) {
	w := newWorld(t, 1, task(res(100, 64)))
	for n := range 50 {
		w.addPeer(n, res(2000, 4096)) // room for exactly 20 each
	}
	lot := webLot(1000, res(100, 64))
	s := w.open(1<<20, lot)
	w.run()
	for id, o := range results(s) {
		if o.Result != Sold || o.Attempts != 1 {
			t.Fatalf("%v: %+v", id, o)
		}
	}
	for n := range 50 {
		p := w.peers[peer(n)]
		if len(p.claims) != 20 || w.perBidder[peer(n)] != 1 {
			t.Errorf("peer %d holds %d slots from %d awards, want 20 from 1", n, len(p.claims), w.perBidder[peer(n)])
		}
	}
	if w.declines != 0 {
		t.Errorf("%d declines in a world without other sales", w.declines)
	}
}

func TestSale_PackFillsTheFullestFirst(t *testing.T) {
	w := newWorld(t, 2, task(res(100, 100)))
	for n := range 5 {
		w.addPeer(n, res(1000, 1000))
	}
	w.peers[peer(3)].self.Free = res(500, 500) // the fullest: room for 5
	lot := webLot(12, res(100, 100))
	lot.Policy = PolicyPack
	w.open(1<<20, lot)
	w.run()
	var held []int
	for n := range 5 {
		held = append(held, len(w.peers[peer(n)].claims))
	}
	full := held[3]
	slices.Sort(held)
	if full != 5 || !slices.Equal(held, []int{0, 0, 0, 5, 7}) {
		t.Errorf("copies %v, the fullest took %d", held, full)
	}
}

func TestSale_SpreadPutsCopiesApart(t *testing.T) {
	w := newWorld(t, 3, task(res(100, 100)))
	for n := range 6 {
		w.addPeer(n, res(1000*int64(n+1), 1000*int64(n+1)))
	}
	w.open(1<<20, webLot(4, res(100, 100)), webLot(8, res(100, 100))) // one task in two lots, slots named twice
	w.run()
	for n := range 6 {
		if got := len(w.peers[peer(n)].claims); got < 1 || got > 2 {
			t.Errorf("peer %d of 6 holds %d of 8 copies", n, got)
		}
	}
}

// Two stewards at once never overcommit a bidder, and both sales end.
func TestSale_Twins(t *testing.T) {
	w := newWorld(t, 4, task(res(100, 100)))
	for n := range 8 {
		w.addPeer(n, res(1000, 1000))
	}
	a, b := w.open(1<<20, webLot(60, res(100, 100))), w.open(1<<21, webLot(60, res(100, 100)))
	w.run()
	if !a.Over() || !b.Over() {
		t.Fatal("a sale is not over")
	}
	held := make(map[job.SlotID]bool)
	for _, p := range w.peers {
		for id := range p.claims {
			held[id] = true
		}
	}
	if len(held) != 60 {
		t.Errorf("%d of 60 slots are held", len(held))
	}
}

// Whatever the network does, a sale ends within its bounds, says of each slot
// what became of it, and never claims a slot was sold that its winner lacks.
func propSale(t *rapid.T) {
	w := newWorld(nil, rapid.Uint64().Draw(t, "seed"), task(res(100, 100)))
	w.t = failer{TB: nil, t: t}
	w.loss = rapid.SampledFrom([]float64{0, 0.05, 0.3, 0.9}).Draw(t, "loss")
	w.repeat = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "repeat")
	for n := range rapid.IntRange(1, 40).Draw(t, "peers") {
		w.addPeer(n, res(int64(w.rng.IntN(12))*100, 1000))
	}
	var lots []Lot
	for range rapid.IntRange(1, 2).Draw(t, "lots") {
		l := webLot(rapid.IntRange(1, 40).Draw(t, "slots"), res(100, 100))
		l.Policy = rapid.SampledFrom([]string{PolicySpread, PolicyPack}).Draw(t, "policy")
		lots = append(lots, l)
	}
	for n := range rapid.IntRange(1, 2).Draw(t, "sales") {
		w.open(uint64(n+1)<<20, lots...)
	}
	drops := rapid.IntRange(0, 3).Draw(t, "drops")
	for range drops {
		victim := peer(w.rng.IntN(len(w.peers)))
		w.after(time.Duration(w.rng.IntN(500))*time.Millisecond, func() {
			for _, s := range w.sales {
				s.Drop(w.now, victim)
			}
		})
	}
	w.run()
	for _, s := range w.sales {
		got := results(s)
		if len(got) != len(s.slots) {
			t.Fatalf("%d outcomes of %d slots", len(got), len(s.slots))
		}
		for id, o := range got {
			if o.Result == Sold && w.peers[o.Peer].claims[id] != o.Token {
				t.Fatalf("%v sold to %v, who has no such claim", id, o.Peer.Short())
			}
			if o.Result == Unsold && len(o.Reasons) == 0 {
				t.Fatalf("%v is unsold without a reason", id)
			}
		}
		if w.now > opened.Add(EndAfter+MaxAttempts*ReplyAfter+time.Second) {
			t.Fatalf("ended at %v", w.now)
		}
	}
	if w.loss == 0 && len(w.sales) == 1 && drops == 0 && w.declines > 0 {
		t.Fatalf("%d declines for want of room with nobody else selling", w.declines)
	}
}

func TestSale_AnyNetwork(t *testing.T) { rapid.Check(t, propSale) }

// A failer lets the world fail a rapid test.
type failer struct {
	testing.TB
	t *rapid.T
}

func (f failer) Fatalf(format string, args ...any) { f.t.Fatalf(format, args...) }

// Equal inputs give equal awards, byte for byte.
func TestSale_IsDeterministic(t *testing.T) {
	play := func() (sent []byte) {
		s, _ := openSale(40, webLot(300, res(20, 20)))
		for n := range 40 {
			s.Bid(at(1), peer(n), bid(s, res(int64(100+n%3*100), 900), wire.Offer{Bucket: uint32(n % 2)}))
		}
		now := at(CloseAfter)
		for !s.Over() {
			for _, e := range s.Tick(now) {
				sent = append(sent, e.To[:]...)
				sent = append(sent, wire.MustMarshal(e.Msg)...)
			}
			now = now.Add(ReplyAfter)
		}
		return append(sent, fmt.Sprint(s.Outcomes())...)
	}
	if first := play(); !bytes.Equal(first, play()) {
		t.Error("two sales with equal inputs differ")
	}
}

func BenchmarkSale_Decide(b *testing.B) {
	for _, size := range []struct{ peers, slots int }{{20, 1}, {20, 60}, {192, 1000}} {
		b.Run(fmt.Sprintf("peers=%d/slots=%d", size.peers, size.slots), func(b *testing.B) {
			lot := webLot(size.slots, res(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				s, _ := openSale(size.peers, lot)
				for n := range size.peers {
					for c, lots := range s.calls {
						s.Bid(at(1), peer(n), &wire.Bid{Call: s.cfg.ID + uint64(c), Free: res(900, 900), Total: res(1000, 1000), Offers: make([]wire.Offer, len(lots))})
					}
				}
				if len(s.Tick(at(2))) == 0 {
					b.Fatal("nothing awarded")
				}
			}
		})
	}
}
