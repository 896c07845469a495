package ledger

import "shoal/wire"

// HadOf returns the records of an issuer that this peer's mark covers, by number: what
// of them it drops is dropped by all.
func (s *State) HadOf(p wire.PeerID) (out []*wire.Record) {
	l := s.lookLog(p)
	if l == nil {
		return nil
	}
	for _, r := range l.recs {
		if covers(l.mark, r.Num.Version()) {
			out = append(out, r)
		}
	}
	return out
}

// DropGone drops, as its issuer would have, a record by a peer that left or was removed.
// Others drop it when they next compare logs.
func (s *State) DropGone(r *wire.Record) {
	if m := s.Member(r.Num.Issuer); m != nil && (m.Revoked || m.Left) {
		s.drop(r)
	}
}
