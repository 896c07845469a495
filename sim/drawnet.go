package sim

import (
	"slices"
	"strings"
	"time"
)

// topologyOneIn is in how many plans one has peers that are connected otherwise than
// the rest.
const topologyOneIn = 4

// topology draws where the peers of a plan are: in some plans up to a third of them are
// another kind of machine, behind NAT or one public address, at a thin line, or of
// another profile. The rest can be dialled, so that those always have a relay. It has a
// stream of its own: all else of a plan is the same with and without it.
func (d *drawer) topology(s *Scenario, seed uint64) {
	d.r = stream(seed, 0, "topology")
	if d.r.IntN(topologyOneIn) > 0 || d.peers < 3 {
		return
	}
	apart := s.Groups[0]
	apart.Count = 1 + d.r.IntN(d.peers/3)
	apart.Capacity.CPUMilli = int64(500 * (1 + d.r.IntN(8)))
	apart.NIC.NAT = d.pick("", "yes", "yes", "relay")
	apart.Profile = d.pick("", "", "small", "metered")
	if d.r.IntN(2) == 0 {
		apart.NIC.Addr = "cabin"
	}
	if d.r.IntN(3) == 0 {
		apart.NIC.Uplink = 1_000_000 << d.r.IntN(4)
	}
	s.Groups[0].Count -= apart.Count
	s.Groups = append(s.Groups, apart)
	if d.r.IntN(3) == 0 {
		s.Net.ConnCap = apart.Count + d.r.IntN(2) // with less some could never meet
	}
	if d.r.IntN(2) == 0 {
		s.Net.Reorder = float64(1+d.r.IntN(10)) / 100
	}
	s.Net.Punch = float64(d.r.IntN(11)) / 10
}

// zones has the peers of a plan that can be dialled in two or three zones, if it has placed
// tasks; the others, if there are any, have no such label.
func (d *drawer) zones(s *Scenario, seed uint64) {
	d.r = stream(seed, 0, "zones")
	if !slices.ContainsFunc(d.ops, func(op Op) bool { return strings.HasPrefix(strings.Join(op.Args, " "), "placed") }) {
		return
	}
	var groups []PeerGroup
	left := s.Groups[0]
	for _, zone := range []string{"a", "b", "c"}[:2+d.r.IntN(2)] {
		in := left
		in.Labels = map[string]string{"zone": zone}
		if in.Count = min(1+d.r.IntN(max(1, s.Groups[0].Count/2)), left.Count); in.Count > 0 {
			groups = append(groups, in)
		}
		left.Count -= in.Count
	}
	if left.Count > 0 {
		groups = append(groups, left)
	}
	s.Groups = append(groups, s.Groups[1:]...)
}

// loseImage lets an image be had nowhere, or not at one peer, for a while.
func (d *drawer) loseImage(at time.Duration) {
	d.add(at, "lose sim/job%d%s for=%v", d.r.IntN(3), d.yes(2, "at="+d.peer()), d.seconds(5, 90))
}
