package auction

import (
	"math"
	"testing"

	"shoal/wire"
)

// A marked peer loses to every other with as many copies, whatever it says of itself, and
// still takes what nobody else can.
func TestBlame_RanksAPeerLast(t *testing.T) {
	for _, c := range []struct {
		name   string
		bucket uint32 // of the marked peer's own bid
		others bool
		want   wire.PeerID
	}{
		{"with a bid as good", 0, true, peer(2)},
		{"whose cost class would overflow", math.MaxUint32, true, peer(2)},
		{"nobody else bids", 0, false, peer(1)},
	} {
		s, _ := Open(at(0), Config{ID: 1, Self: peer(0), Cell: "cell", Lots: []Lot{webLot(1, res(1, 1))},
			Asked: []wire.PeerID{peer(1), peer(2)}, Blame: map[wire.PeerID]uint32{peer(1): 3}})
		for n := 1; n <= 2; n++ {
			free, no := res(900, 900), ""
			if n == 2 {
				free = res(100, 100) // less room: by that alone it would lose
				if !c.others {
					no = "cpu"
				}
			}
			offer := wire.Offer{No: no}
			if n == 1 {
				offer.Bucket = c.bucket
			}
			s.Bid(at(1), peer(n), &wire.Bid{Call: 1, Free: free, Total: res(1000, 1000), Offers: []wire.Offer{offer}})
		}
		out := s.Tick(at(2))
		if len(out) != 1 || out[0].To != c.want {
			t.Errorf("%s: %d awards, %+v; want one to %v", c.name, len(out), out, c.want)
		}
	}
}
