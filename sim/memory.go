package sim

// What a run keeps: a machine, what each knows of each other one, and what each holds
// of a slot. It was measured with `go test ./sim -bench Memory`, and doubled for the
// garbage between two collections.
const (
	bytesPerPeer = 200 << 10
	bytesPerPair = 3 << 10
	bytesPerCopy = 150 // of a slot's records at one peer
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

// MemoryNeeded estimates how many bytes a run takes at its height; peers is
// Options.Peers.
func (s *Scenario) MemoryNeeded(peers int) int64 {
	n, slots := int64(s.PeerCount(peers)), int64(0)
	for i := range s.Jobs {
		for j := range s.Jobs[i].Tasks {
			slots += int64(s.Jobs[i].Tasks[j].Count)
		}
	}
	for i := range s.Ops {
		slots += int64(s.Ops[i].number("replicas", 0))
	}
	return bytesAlways + n*(bytesPerPeer+n*bytesPerPair+slots*bytesPerCopy)
}
