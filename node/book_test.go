package node

import (
	"testing"
	"time"

	"shoal/job"
	"shoal/wire"
)

// wantKnown checks that the steward and the second of each lane can answer for all.
func (w *world) wantKnown(what string) {
	w.t.Helper()
	for l := range Lanes {
		for _, s := range w.peers[0].core.stewards(l)[:2] {
			for _, at := range w.peers {
				if at.id != s {
					continue
				}
				known := at.core.known()
				for _, p := range w.peers {
					if p.up && known(p.id) == nil {
						w.t.Errorf("%s: %s, of lane %d, does not know %s", what, at.name, l, p.name)
					}
				}
			}
		}
	}
}

// Stewards and seconds have the bids of all, who say what is so; a new one has them at once.
func TestStanding_StewardsKnow(t *testing.T) {
	w := newWorld(t, 7)
	w.run(3 * time.Second)
	w.wantKnown("three seconds after the start")
	w.run(40 * time.Second)
	w.wantKnown("at rest")

	spec := testSpec("shop", job.Task{Name: "web", Count: 7, Needs: job.Resources{CPUMilli: 500, MemBytes: 1 << 20}})
	if r := w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: spec}}); r.Err != "" {
		t.Fatal(r.Err)
	}
	w.run(time.Second)
	for _, p := range w.peers {
		for _, at := range w.peers {
			near := at.core.stewards(quarterOf(p.id))[:2]
			if at != p && (at.id == near[0] || at.id == near[1]) {
				if bid := at.core.known()(p.id); bid == nil || bid.Free.CPUMilli != 1500 {
					t.Errorf("%s says of %s after a claim: %+v", at.name, p.name, bid)
				}
			}
		}
	}

	first := w.peers[0].core.stewards(0)[0]
	for _, p := range w.peers[1:] {
		if p.id == first {
			w.crash(p)
		}
	}
	w.run(5 * time.Second)
	w.wantKnown("after a steward is gone")
}

// What a peer lets go reaches all stewards before they next hear of it anyway; what it takes
// only those of its quarter.
func TestStanding_WhatIsNews(t *testing.T) {
	near, far := wire.PeerID{1}, wire.PeerID{2}
	bid := func(cpu int64, no string) wire.Standing {
		return wire.Standing{Seq: uint64(cpu) + uint64(len(no)), No: no, Free: job.Resources{CPUMilli: cpu}}
	}
	for _, c := range []struct {
		name      string
		was, is   wire.Standing
		near, far bool
	}{
		{"nothing", bid(5, ""), bid(5, ""), false, false},
		{"less", bid(5, ""), bid(4, ""), true, false},
		{"more", bid(5, ""), bid(6, ""), true, true},
		{"refuses", bid(5, ""), bid(5, "draining"), true, true},
		{"takes again", bid(5, "draining"), bid(5, ""), true, true},
		{"load alone", bid(5, ""), wire.Standing{Seq: 99, Load: 2, Free: job.Resources{CPUMilli: 5}}, false, false},
	} {
		w := newWorld(t, 1)
		core := w.peers[0].core
		core.book.near = []wire.PeerID{near}
		for p, want := range map[wire.PeerID]bool{near: c.near, far: c.far} {
			for _, d := range []struct {
				after time.Duration
				news  bool
			}{{tellApart - 1, false}, {growApart, want}} {
				core.out = &Ready{}
				is := c.is
				if got := core.isNews(p, &told{bid: c.was, at: core.now.Add(-d.after)}, &is); got != d.news {
					t.Errorf("%s: told of %v after %v: %v", c.name, p.Short(), d.after, got)
				}
			}
		}
	}
}
