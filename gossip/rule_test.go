package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/clock"
	"shoal/wire"
)

const second = clock.Instant(time.Second)

// alone makes a ready peer 0 that knows n-1 others, none heard yet.
func alone(n int) *Membership {
	m := New(Config{
		Self: peerID(0), Swarm: testSwarm, Key: cheapKey(peerID(0)), Verify: cheapVerify, Rand: rand.New(rand.NewPCG(1, 2)),
	})
	m.SetPeers(0, readyCards(n))
	m.Start(0, 1, 1)
	m.SetReady(0, true)
	m.Tick(0)
	return m
}

func readyCards(n int) []Peer {
	var cards []Peer
	for i := range n {
		cards = append(cards, Peer{ID: peerID(i), Inc: 1, Nonce: 1, Ready: true})
	}
	return cards
}

func beatOf(inc uint32, nonce, n uint64) *wire.Beat {
	return &wire.Beat{Inc: inc, Nonce: nonce, Beat: n, Every: time.Second, Ready: true}
}

// tickTo lets m tick alone, each time it asks for it, until the instant end.
func tickTo(m *Membership, from, end clock.Instant, each func(clock.Instant)) clock.Instant {
	for now := from; now < end; {
		if each != nil {
			each(now)
		}
		now = min(max(m.Tick(now).WakeAt, now+1), end)
	}
	m.Tick(end)
	return end
}

func voteBy(by, of int) wire.Vote {
	v := wire.Vote{Of: peerID(of), Inc: 1, Last: 3, By: peerID(by)}
	v.Sig = cheapKey(v.By).Sign(v.SignedBytes(testSwarm))
	return v
}

// Of two peers the one that is left must believe the other dead, by its own vote.
func TestTwoPeers(t *testing.T) {
	for _, tc := range []struct {
		at   time.Duration // since the last beat
		want State
	}{
		{3*time.Second + 249*time.Millisecond, Alive},
		{3*time.Second + 250*time.Millisecond, Suspect},
		{7*time.Second + 249*time.Millisecond, Suspect},
		{7*time.Second + 250*time.Millisecond, Dead},
	} {
		m := alone(2)
		other := peerID(1)
		m.Receive(second, other, beatOf(1, 1, 1))
		tickTo(m, second, second.Add(tc.at), nil)
		if got := m.State(other); got != tc.want {
			t.Errorf("%v after its last beat: %v, want %v", tc.at, got, tc.want)
		}
		if m.Doubted(other) != doubtful(tc.want) {
			t.Errorf("%v after its last beat: doubted %v", tc.at, m.Doubted(other))
		}
	}
}

// A peer that never beat is counted out from the asking.
func TestUnheard_IsCountedOut(t *testing.T) {
	m := alone(2)
	if got := m.State(peerID(1)); got != Unheard {
		t.Fatalf("at first: %v", got)
	}
	tickTo(m, 1, 8*second, nil)
	if since, ok := m.DeadSince(peerID(1)); !ok || since < 7*second {
		t.Fatalf("dead since %v, %v", since, ok)
	}
	if got := m.RepairDelay(peerID(1), 5*time.Second); got != massRepair {
		t.Errorf("repair of a peer not heard since our start after %v, want %v", got, massRepair)
	}
}

func TestBeats(t *testing.T) {
	for _, tc := range []struct {
		name    string
		beat    *wire.Beat
		card    uint32 // incarnation of its card, nonce 5
		revives bool
	}{
		{"a later beat", beatOf(2, 5, 11), 1, true},
		{"the same again", beatOf(2, 5, 10), 1, false},
		{"an earlier one", beatOf(2, 5, 9), 1, false},
		{"of an earlier incarnation", beatOf(1, 9, 99), 2, false},
		{"of an equal one, lower nonce", beatOf(2, 4, 99), 2, false},
		{"of an earlier one, the later was forgotten with its disk", beatOf(1, 9, 99), 1, true},
		{"of an equal one, lower nonce, the other was forgotten", beatOf(2, 4, 99), 1, true},
		{"of an equal one, greater nonce", beatOf(2, 6, 1), 1, true},
		{"of a greater incarnation", beatOf(3, 1, 1), 1, true},
		{"number zero", beatOf(3, 1, 0), 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := alone(2)
			cards := readyCards(2)
			cards[1].Inc, cards[1].Nonce = tc.card, 5
			m.SetPeers(second, cards)
			m.Receive(second, peerID(1), beatOf(2, 5, 10))
			if lower := beatOf(2, 4, 50); tc.revives {
				m.Receive(second, peerID(1), lower) // while the greater start is heard the lower one is stale
				if m.Stats().StaleBeats != 1 {
					t.Errorf("a lower start's beat counts while the greater one beats")
				}
				m.stats.StaleBeats = 0
			}
			now := tickTo(m, second, 20*second, nil)
			m.Receive(now, peerID(1), tc.beat)
			if m.Dead(peerID(1)) == tc.revives {
				t.Errorf("dead: %v", m.Dead(peerID(1)))
			}
			if stale := m.Stats().StaleBeats > 0; stale == tc.revives {
				t.Errorf("counted as stale: %v", stale)
			}
			if ago, heard := m.HeardAgo(peerID(1), tc.beat.Inc, tc.beat.Nonce); tc.revives && (!heard || ago != 0) {
				t.Errorf("heard: %v, %v ago", heard, ago)
			}
		})
	}
}

// A card under a greater incarnation says that its peer lives.
func TestGreaterCard_EndsDeath(t *testing.T) {
	m := alone(2)
	now := tickTo(m, 1, 9*second, nil)
	cards := readyCards(2)
	cards[1].Inc = 2
	m.SetPeers(now, cards)
	if m.Dead(peerID(1)) || m.Doubted(peerID(1)) {
		t.Fatalf("%v", m.State(peerID(1)))
	}
}

// votersOn returns observers of peer 1 and others that are none, in m's view.
func votersOn(m *Membership, n int) (observers, others []int) {
	info, _ := m.Info(peerID(1))
	for i := 2; i < n; i++ {
		if slices.Contains(info.Observers, peerID(i)) {
			observers = append(observers, i)
		} else {
			others = append(others, i)
		}
	}
	return observers, others
}

func TestVotes(t *testing.T) {
	const n = 40
	m := alone(n)
	observers, others := votersOn(m, n)
	info, _ := m.Info(peerID(1))
	enough := (2*len(info.Observers) + 2) / 3
	cast := func(voters ...int) (list []wire.Vote) {
		for _, by := range voters {
			list = append(list, voteBy(by, 1))
		}
		return list
	}
	forged := cast(observers[:enough]...)
	forged[0].Last++
	for _, tc := range []struct {
		name    string
		votes   []wire.Vote
		doubted bool
		dead    bool
		check   func(Stats) bool
	}{
		{"enough", cast(observers[:enough]...), true, true, nil},
		{"one short of it", cast(observers[:enough-1]...), true, false, nil},
		{"one twice and thrice", cast(slices.Repeat(observers[:1], 12)...), true, false, nil},
		{"no observers", cast(others[:20]...), false, false, func(s Stats) bool { return s.Outside == 20 && s.Refused == 4 }},
		{"outsiders first", cast(append(slices.Clone(others[:20]), observers[:enough]...)...), true, true, nil},
		{"a forged one first", forged, false, false, func(s Stats) bool { return s.Forged == 1 }},
		{"on strangers", []wire.Vote{voteBy(2, 99), voteBy(99, 1)}, false, false, func(s Stats) bool { return s.Strangers == 2 }},
		{"by itself", []wire.Vote{voteBy(1, 1)}, false, false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := alone(n)
			m.Receive(second, peerID(2), &wire.Votes{Votes: tc.votes})
			m.Tick(second)
			if m.Doubted(peerID(1)) != tc.doubted || m.Dead(peerID(1)) != tc.dead {
				t.Errorf("doubted %v, dead %v", m.Doubted(peerID(1)), m.Dead(peerID(1)))
			}
			if tc.check != nil && !tc.check(m.Stats()) {
				t.Errorf("%+v", m.Stats())
			}
		})
	}
}

// Votes that are not repeated lapse, and a beat heard ends them and any death.
func TestVotes_Lapse(t *testing.T) {
	m := alone(40)
	m.SetReady(0, false) // no observer: it suspects nobody itself
	observers, _ := votersOn(m, 40)
	vote := voteBy(observers[0], 1)
	m.Receive(second, peerID(observers[0]), &wire.Votes{Votes: []wire.Vote{vote}})
	m.Tick(second)
	now := second.Add(lapseBeats * time.Second)
	tickTo(m, second, now-1, nil)
	if !m.Doubted(peerID(1)) {
		t.Error("lapsed too soon")
	}
	m.Tick(now)
	if m.Doubted(peerID(1)) {
		t.Error("did not lapse")
	}
	m.Receive(now, peerID(observers[0]), &wire.Votes{Votes: []wire.Vote{vote}})
	m.Receive(now, peerID(1), beatOf(1, 1, 9))
	m.Receive(now, peerID(observers[0]), &wire.Votes{Votes: []wire.Vote{vote}})
	if m.Doubted(peerID(1)) {
		t.Error("doubted in spite of a beat heard just now")
	}
}

// When much goes at once, it may be me.
func TestMass(t *testing.T) {
	for _, tc := range []struct {
		peers, dead int
		mass        bool
	}{{4, 2, false}, {4, 3, true}, {20, 4, false}, {20, 5, true}} {
		t.Run(fmt.Sprintf("%d of %d", tc.dead, tc.peers), func(t *testing.T) {
			w := newWorld(t, 6, tc.peers)
			w.run(settled)
			w.crash(w.nodes[1 : 1+tc.dead]...)
			w.run(14 * time.Second)
			nd := w.nodes[0]
			if nd.MayBeMe(w.local(nd)) != tc.mass {
				t.Errorf("MayBeMe %v", !tc.mass)
			}
			want := 5 * time.Second
			if tc.mass {
				want = massRepair
			}
			if got := nd.RepairDelay(w.nodes[1].id, 5*time.Second); got != want {
				t.Errorf("repair after %v, want %v", got, want)
			}
			w.run(60 * time.Second)
			if nd.MayBeMe(w.local(nd)) {
				t.Error("MayBeMe a minute later")
			}
		})
	}
}

// A watched peer can become suspect; there is no vote on it.
func TestWatch(t *testing.T) {
	m := alone(40)
	var far wire.PeerID
	for i := 1; i < 40; i++ {
		if p := m.byID[peerID(i)]; p.obs == nil {
			far = p.ID
		}
	}
	m.Watch([]wire.PeerID{far})
	keep := func(now clock.Instant) { // all others beat
		for i := 1; i < 40; i++ {
			if id := peerID(i); id != far {
				m.Receive(now, id, beatOf(1, 1, uint64(now)+1))
			}
		}
	}
	tickTo(m, second, 20*second, keep)
	if m.State(far) != Suspect || len(m.Doubters(far)) > 0 {
		t.Errorf("%v, votes of %d", m.State(far), len(m.Doubters(far)))
	}
	m.Watch(nil)
	m.Tick(20 * second)
	if m.State(far) == Suspect {
		t.Error("still suspect though nobody counts")
	}
}

func TestSetPeers(t *testing.T) {
	m := alone(20)
	cards := readyCards(20)
	rand.New(rand.NewPCG(3, 3)).Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
	before := m.Neighbours()
	m.SetPeers(second, append(cards, cards[3]))
	if m.stale || !slices.Equal(before, m.Neighbours()) || len(m.ReadyPeers()) != 20 {
		t.Errorf("the same list in another order changed the view: %d ready", len(m.ReadyPeers()))
	}
	m.SetPeers(second, readyCards(10))
	if len(m.ReadyPeers()) != 10 || slices.ContainsFunc(m.Neighbours(), func(id wire.PeerID) bool { return m.byID[id] == nil }) {
		t.Errorf("%d ready, neighbours %v", len(m.ReadyPeers()), m.Neighbours())
	}
	m.SetPeers(second, nil)
	if got := m.ReadyPeers(); len(got) != 1 || got[0] != m.cfg.Self {
		t.Errorf("alone: %v", got)
	}
	if _, due := m.Partner(second); due {
		t.Error("a partner though alone")
	}
}

// A neighbour is due each second, anyone once a minute.
func TestPartner(t *testing.T) {
	m := alone(40)
	neighbours, anyone := 0, 0
	tickTo(m, 1, 600*second, func(now clock.Instant) {
		for i := 1; i < 40; i++ {
			m.Receive(now, peerID(i), beatOf(1, 1, uint64(now)+1))
		}
		for {
			id, due := m.Partner(now)
			if !due {
				return
			}
			if slices.Contains(m.Neighbours(), id) {
				neighbours++
			} else {
				anyone++
			}
		}
	})
	if neighbours < 540 || neighbours > 680 || anyone < 2 || anyone > 12 {
		t.Errorf("in 600 s %d exchanges with neighbours, %d with others", neighbours, anyone)
	}
}

// BenchmarkTick shows a second of one idle peer among 1,000.
func BenchmarkTick(b *testing.B) {
	m := alone(1000)
	now := second
	beats := 0
	for b.Loop() {
		now += second
		for _, t := range m.targets {
			m.Receive(now, t.ID, beatOf(1, 1, uint64(now)))
			beats++
		}
		m.Tick(now)
	}
	b.ReportMetric(float64(beats)/float64(b.N), "beats/op")
}

func BenchmarkSetPeersUnchanged(b *testing.B) {
	m := alone(1000)
	cards := readyCards(1000)
	slices.SortFunc(cards, func(x, y Peer) int { return x.ID.Compare(y.ID) })
	for b.Loop() {
		m.SetPeers(second, cards)
	}
}
