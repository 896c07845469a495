package node

import (
	"fmt"
	"testing"
	"time"

	"shoal/auction"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// label sets a label of peers, by their place in the world.
func (w *world) label(key string, values ...string) {
	w.t.Helper()
	for i, v := range values {
		if v != "" {
			w.ask(w.peers[i], Request{Label: &Label{Set: map[string]string{key: v}}})
		}
	}
	w.run(3 * time.Second)
}

// byPeer counts the copies of a task that each peer holds.
func (w *world) byPeer(task string) []int {
	out := make([]int, len(w.peers))
	for i, p := range w.peers {
		for _, cl := range p.core.led.ClaimsBy(p.id) {
			if cl.Slot.Task == task && !cl.Phase.Ended() {
				out[i]++
			}
		}
	}
	return out
}

// Copies are spread over the values of a label before peers, in one sale and in several, and
// a peer without the label is of a value of its own.
func TestSpread_OverALabel(t *testing.T) {
	w := newWorld(t, 5)
	w.run(3 * time.Second)
	w.label("zone", "a", "a", "a", "b")
	web := job.Task{Name: "web", Count: 6, Spread: []string{"zone"}, Needs: job.Resources{CPUMilli: 100, MemBytes: 64 << 20}}
	for count := 6; count <= 12; count += 3 {
		web.Count = count
		w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", web)}})
		w.run(5 * time.Second)
		n := w.byPeer("web")
		if a := n[0] + n[1] + n[2]; a != count/3 || n[3] != count/3 || n[4] != count/3 {
			t.Errorf("of %d copies %d are in zone a, %d in b, %d in none: %v", count, a, n[3], n[4], n)
		}
	}
	var last *ledger.Claim
	w.peers[0].core.led.EachClaimOf("default/shop", func(cl *ledger.Claim) { last = cl })
	for _, b := range last.Summary.Bids {
		if len(b.Terms) <= auction.TermSpread || b.Terms[auction.TermSpread] == 0 {
			t.Errorf("%s: the bid of %x does not say how many copies there are around it: %v", last.Slot, b.Peer, b.Terms)
		}
	}
}

// What a peer knows of other copies makes what it would rather not have dearer, in its own
// bid as in the one that a steward makes in its place.
func TestBeside_RatherNearAndApart(t *testing.T) {
	w := newWorld(t, 4)
	w.run(3 * time.Second)
	w.label("zone", "a", "a", "b", "b")
	little := job.Resources{CPUMilli: 100, MemBytes: 64 << 20}
	w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "db", Count: 1, Constraints: []string{"name == n3"}, Needs: little})}})
	w.run(3 * time.Second)

	db, inZone := job.Affinity{Task: "db"}, job.Affinity{Task: "db", Over: "zone"}
	for _, tt := range []struct {
		a    job.Affinity
		want []string // by peer: where a copy is here, at whom, and where else
	}{
		{db, []string{"- - n3", "- - n3", "shop/db.0 - -", "- - n3"}},
		{inZone, []string{"- - n3", "- - n3", "shop/db.0 - -", "shop/db.0 n3 -"}},
		{job.Affinity{Task: "none"}, []string{"- - -", "- - -", "- - -", "- - -"}},
	} {
		for i, p := range w.peers {
			own := p.core.bidder()
			theirs := w.peers[(i+1)%4].core.known()(p.id)
			for _, self := range []*auction.Self{own, theirs} {
				if self == nil {
					t.Fatalf("%s has no standing bid", p.name)
				}
				f := self.Beside("default/shop", tt.a)
				if got := fmt.Sprintf("%s %s %s", dash(f.Here), dash(f.At), dash(f.Elsewhere)); got != tt.want[i] {
					t.Errorf("%v at %s: got %s, want %s", tt.a, p.name, got, tt.want[i])
				}
			}
		}
	}

	for _, tt := range []struct {
		name        string
		near, apart []job.Affinity
		want        [4]byte // cost at each peer
	}{
		{"near", []job.Affinity{db}, nil, [4]byte{16, 16, 0, 16}},
		{"apart over a label", nil, []job.Affinity{inZone}, [4]byte{0, 0, 16, 16}},
		{"both", []job.Affinity{inZone}, []job.Affinity{db}, [4]byte{16, 16, 16, 0}},
	} {
		task := job.Task{Name: "web", Image: "img", Near: tt.near, Apart: tt.apart, Needs: little}
		spec := testSpec("shop", task)
		find := func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) {
			return &spec, &spec.Tasks[0], true
		}
		call := &wire.Call{Lots: []wire.Lot{{Job: "default/shop", Task: "web", Slots: []int{0}}}}
		for i, p := range w.peers {
			got := byte(0)
			o := auction.Answer(p.core.bidder(), call, find).Offers[0]
			if len(o.Terms) > auction.TermAffinity {
				got = o.Terms[auction.TermAffinity]
			}
			if o.No != "" || got != tt.want[i] {
				t.Errorf("%s: %s bids at a cost of %d (%q), want %d", tt.name, p.name, got, o.No, tt.want[i])
			}
		}
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
