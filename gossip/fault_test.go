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

// settled is how long a fresh world runs until everybody hears its neighbours.
const settled = 12 * time.Second

func (w *world) mustBeSound(what string) {
	w.t.Helper()
	if wrong := w.wrong(); len(wrong) > 0 {
		w.t.Fatalf("%s: %v", what, wrong)
	}
}

// everDead lists who ever held a peer dead that is up.
func (w *world) everDead() (found []string) {
	for _, nd := range w.nodes {
		for _, c := range nd.changes {
			if c.To == Dead && !w.byID[c.Peer].down {
				found = append(found, fmt.Sprintf("%d held %d dead", nd.i, w.byID[c.Peer].i))
			}
		}
	}
	return found
}

type lossRule func(from, to *node) float64

// cut loses all that one peer sends to another.
func cut(from, to int) lossRule {
	return func(a, b *node) float64 {
		if a.i == from && b.i == to {
			return 1
		}
		return 0
	}
}

// sick loses a share of all that goes to or from peer 0.
func sick(p float64) lossRule {
	return func(a, b *node) float64 {
		if a.i == 0 || b.i == 0 {
			return p
		}
		return 0
	}
}

// split loses all between the first n peers and the rest.
func split(n int) lossRule {
	return func(a, b *node) float64 {
		if (a.i < n) != (b.i < n) {
			return 1
		}
		return 0
	}
}

// Bad links of one peer must not kill healthy ones, nor itself as long as a
// majority of its observers hears it.
func TestBadLinks_KillNobody(t *testing.T) {
	for _, tc := range []struct {
		name  string
		peers int
		lose  lossRule
	}{
		{"one-way cut at 3", 3, cut(0, 1)},
		{"one-way cut at 10", 10, cut(0, 1)},
		{"one-way cut the other way", 10, cut(1, 0)},
		{"one peer loses 40 % of 10", 10, sick(0.4)},
		{"one peer loses 40 % of 20", 20, sick(0.4)},
		{"all lose 5 %", 20, loss(0.05)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(5) {
				w := newWorld(t, seed, tc.peers)
				w.run(settled)
				w.lose = tc.lose
				w.run(60 * time.Second)
				if found := w.everDead(); len(found) > 0 {
					t.Errorf("seed %d: %v", seed, found)
				}
			}
		})
	}
}

// A peer that hears nobody accuses many, but kills none for the others. It falls
// silent itself towards those it holds dead, and is held dead for it.
func TestDeafPeer_ConvincesNobody(t *testing.T) {
	w := newWorld(t, 1, 20)
	w.run(settled)
	w.lose = func(_, to *node) float64 {
		if to.i == 0 {
			return 1
		}
		return 0
	}
	w.run(60 * time.Second)
	for _, nd := range w.nodes[1:] {
		for i := range w.nodes {
			if _, ok := nd.deadAt[i]; ok && i != 0 {
				t.Errorf("%d takes %d for dead on the word of a deaf peer", nd.i, i)
			}
		}
	}
}

func TestPausedPeer_AccusesNobody(t *testing.T) {
	for _, n := range []int{2, 3, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t, 5, n)
			w.run(settled)
			paused := w.nodes[0]
			before := len(paused.changes)
			w.pause(paused, 60*time.Second)
			w.run(30 * time.Second)
			for _, nd := range w.nodes[1:] {
				if !nd.Dead(paused.id) {
					t.Errorf("%d does not hold the paused peer dead", nd.i)
				}
			}
			w.run(30*time.Second + time.Millisecond)
			if paused.MayJudge(w.local(paused)) {
				t.Error("it may judge right after waking")
			}
			w.run(10 * time.Second)
			for _, c := range paused.changes[before:] {
				if doubtful(c.To) {
					t.Errorf("on waking it doubts: %v", c)
				}
			}
			w.mustBeSound("10 s after waking")
			if !paused.MayJudge(w.local(paused)) {
				t.Error("it may not judge 10 s after waking")
			}
			if paused.Stats().Slept != 1 {
				t.Errorf("slept %d times, want once", paused.Stats().Slept)
			}
		})
	}
}

// After a split both sides hold the other dead; once healed, everybody is heard
// again within seconds.
func TestHeal(t *testing.T) {
	for _, tc := range []struct {
		peers, left int
		within      time.Duration
	}{{2, 1, 5 * time.Second}, {3, 1, 5 * time.Second}, {20, 10, 10 * time.Second}, {64, 20, 15 * time.Second}} {
		t.Run(fmt.Sprintf("%d of %d", tc.left, tc.peers), func(t *testing.T) {
			w := newWorld(t, 9, tc.peers)
			w.run(settled)
			w.lose = split(tc.left)
			w.run(30 * time.Second)
			for _, a := range w.nodes {
				for _, b := range w.nodes {
					if apart := (a.i < tc.left) != (b.i < tc.left); apart != a.Dead(b.id) && a != b {
						t.Fatalf("split: %d holds %d dead: %v, want %v", a.i, b.i, !apart, apart)
					}
				}
			}
			w.lose = nil
			healed := w.now
			for len(w.wrong()) > 0 && w.now.Sub(healed) < 2*tc.within {
				w.run(100 * time.Millisecond)
			}
			took := w.now.Sub(healed)
			t.Logf("all heard again after %v", took)
			if took > tc.within {
				t.Errorf("took %v, want at most %v: %d pairs left", took, tc.within, len(w.wrong()))
			}
			w.run(20 * time.Second)
			w.mustBeSound("20 s later")
		})
	}
}

// A peer that starts again under a greater incarnation is alive soon to all who have its
// new card, and learns who died while it was away. Those who have not find it when they
// happen to redial it.
func TestRestart(t *testing.T) {
	for _, withCard := range []bool{true, false} {
		w := newWorld(t, 4, 20)
		w.run(settled)
		w.crash(w.nodes[3], w.nodes[4])
		w.run(20 * time.Second)
		back, within := w.nodes[3], 15*time.Second
		back.inc++
		w.boot(back, w.now+1)
		if withCard {
			within = 3 * time.Second
			w.run(time.Second)
			for _, nd := range w.nodes {
				if !nd.down {
					nd.SetPeers(w.local(nd), w.cards())
				}
			}
		}
		w.run(within)
		w.mustBeSound(fmt.Sprintf("%v after the restart", within))
		if !back.Dead(w.nodes[4].id) {
			t.Errorf("it holds the other %v, want dead", back.State(w.nodes[4].id))
		}
	}
}

func TestWaiting_DelaysDeath(t *testing.T) {
	w := newWorld(t, 2, 5)
	w.run(settled)
	gone := w.nodes[0]
	cards := w.cards()
	for i := range cards {
		if cards[i].ID == gone.id {
			cards[i].Waiting = 40 * time.Second
		}
	}
	for _, nd := range w.nodes[1:] {
		nd.SetPeers(w.local(nd), cards)
	}
	w.crash(gone)
	w.run(38 * time.Second)
	suspects := 0
	for _, nd := range w.nodes[1:] {
		if nd.Dead(gone.id) {
			t.Fatalf("%d holds dead after 38 s whom it was asked to wait for", nd.i)
		}
		if nd.State(gone.id) == Suspect {
			suspects++
		}
	}
	if suspects == 0 {
		t.Error("nobody suspects a peer that is down")
	}
	w.run(5 * time.Second)
	if n := w.missed(); n > 0 {
		t.Errorf("%d peers still wait after 43 s", n)
	}
}

// Metered peers beat each 8 s: they live among others, and their deaths are found
// in their own beats.
func TestMetered(t *testing.T) {
	w := newWorld(t, 3, 16, func(i int) bool { return i%2 == 0 })
	w.run(120 * time.Second)
	if found := w.everDead(); len(found) > 0 {
		t.Fatalf("idle: %v", found)
	}
	info, _ := w.nodes[1].Info(w.nodes[0].id)
	for _, o := range info.Observers {
		if !w.byID[o].metered {
			t.Errorf("metered peer observed by unmetered %d though there are enough", w.byID[o].i)
		}
	}
	w.crash(w.nodes[0], w.nodes[1])
	w.run(12 * time.Second)
	if w.nodes[3].Dead(w.nodes[0].id) || !w.nodes[3].Dead(w.nodes[1].id) {
		t.Errorf("after 12 s: metered %v, other %v", w.nodes[3].State(w.nodes[0].id), w.nodes[3].State(w.nodes[1].id))
	}
	w.run(70 * time.Second)
	if n := w.missed(); n > 0 {
		t.Errorf("%d pairs undeclared 82 s after the crash", n)
	}
}

// An idle swarm says little: beats to observers, and few asks.
func TestIdleTraffic(t *testing.T) {
	w := newWorld(t, 8, 20)
	w.run(60 * time.Second)
	clear(w.sent)
	w.topic = 0
	w.run(100 * time.Second)
	per := func(k wire.MessageKind) float64 { return float64(w.sent[k]) / 20 / 100 }
	t.Logf("per peer and second: %.2f beats, %.2f asks, %.2f votes", per(wire.MsgBeat), per(wire.MsgObserve), per(wire.MsgVotes))
	if per(wire.MsgBeat) > 9 || per(wire.MsgObserve) > 0.6 || w.sent[wire.MsgVotes] > 0 || w.topic > 0 {
		t.Errorf("too much: %v", w.sent)
	}
}

// FuzzReceive throws arbitrary messages at a peer: nothing panics, every table
// stays within its bound, and WakeAt never makes the caller spin.
func FuzzReceive(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, seed, 6)
		w.run(time.Second)
		m := w.nodes[0].Membership
		now := clock.Instant(time.Second)
		who := func() wire.PeerID { return peerID(rng.IntN(9)) }
		for range 300 {
			now = now.Add(time.Duration(1 + rng.Int64N(int64(3*time.Second))))
			switch rng.IntN(4) {
			case 0:
				m.Linked(now, who(), rng.IntN(2) == 0)
			case 1:
				m.SetPeers(now, w.cards()[:rng.IntN(7)])
				m.Watch([]wire.PeerID{who(), who()})
				m.SetStewards([]wire.PeerID{who()})
				m.Refuted(now, who(), uint32(extreme(rng)), extreme(rng))
			}
			m.Receive(now, who(), anyMessage(rng, who))
			m.Partner(now)
			fx := m.Tick(now)
			if fx.WakeAt <= now || fx.WakeAt > now.Add(2*time.Second) {
				t.Fatalf("woken at %v, now %v", fx.WakeAt, now)
			}
			for _, p := range m.all {
				if len(p.votes) > maxHeld {
					t.Fatalf("%d votes held", len(p.votes))
				}
				m.Info(p.ID)
			}
			m.MayBeMe(now)
			if slices.Contains(m.Neighbours(), m.cfg.Self) {
				t.Fatal("own neighbour")
			}
		}
	})
}

func extreme(rng *rand.Rand) uint64 {
	return []uint64{0, 1, 2, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1}[rng.IntN(7)]
}

func anyMessage(rng *rand.Rand, who func() wire.PeerID) wire.Message {
	switch rng.IntN(4) {
	case 0:
		return &wire.Beat{
			Inc: uint32(extreme(rng)), Nonce: extreme(rng), Beat: extreme(rng),
			Every: time.Duration(extreme(rng)), Ready: rng.IntN(2) == 0,
		}
	case 1:
		return &wire.Observe{For: time.Duration(extreme(rng))}
	case 2:
		v := &wire.Votes{Public: rng.IntN(2) == 0}
		for range rng.IntN(100) {
			vote := wire.Vote{Of: who(), Inc: uint32(extreme(rng)), Last: extreme(rng), By: who()}
			if rng.IntN(20) > 0 {
				vote.Sig = cheapKey(vote.By).Sign(vote.SignedBytes(testSwarm))
			}
			v.Votes = append(v.Votes, vote)
		}
		return v
	default:
		return []wire.Message{(*wire.Beat)(nil), (*wire.Votes)(nil), (*wire.Observe)(nil), nil, &wire.Probe{}}[rng.IntN(5)]
	}
}
