package sim

// What a run keeps: a machine, what each knows of each other one, and what each holds
// of a slot. `go test ./sim -bench Memory` measures what the heap holds; this is what a
// process with GOGC=100 has at its height, garbage and all: 774 MiB with 300 peers and
// 3,105 slots, 6.3 GiB with 1,000 and 10,000.
const (
	bytesPerPeer = 200 << 10
	bytesPerPair = 11 << 9 // 5.5 KiB
	bytesPerCopy = 270     // of a slot's records at one peer
	bytesAlways  = 32 << 20
)

// PeerCount is how many peers a run begins with; peers is Options.Peers.
func (s *Scenario) PeerCount(peers int) int {
	if peers > 0 && len(s.Groups) == 1 {
		return peers
	}
	n := 0
	for _, g := range s.Groups {
		n += g.Count
	}
	return n
}

// MemoryNeeded estimates how many bytes a run with these options takes at its height,
// with all that its workloads bring and all who join.
func (s *Scenario) MemoryNeeded(o Options) int64 {
	s = s.Expand(o.seed(s), o.Peers)
	n := int64(s.PeerCount(o.Peers))
	for i := range s.Ops {
		if s.Ops[i].Verb == "join" {
			n++
		}
	}
	return bytesAlways + n*(bytesPerPeer+n*bytesPerPair+s.census().height*bytesPerCopy)
}

// MemoryNeeded estimates how many bytes a soak takes at its height: as many of its
// greatest plans as run at once. It looks at the first plans for all.
func (p SoakPlan) MemoryNeeded() int64 {
	const looked = 8
	p = p.withDefaults()
	most := int64(0)
	for i := range min(p.Seeds, looked) {
		plan := DrawFor(p.First+uint64(i), p.Peers, p.Time)
		most = max(most, plan.MemoryNeeded(Options{})-bytesAlways)
	}
	return bytesAlways + most*int64(min(p.Jobs, p.Seeds))
}
