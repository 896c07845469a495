package sim

import (
	"slices"

	"shoal/wire"
)

// A recordSet holds records by number: per issuer one sorted list, which costs a
// pointer a record where a map would cost its whole number. Records are immutable
// and shared by all machines of a world, so a thousand disks of one swarm hold
// little more than one.
type recordSet struct {
	logs  [][]*wire.Record // by issuer, each by version, none empty
	count int
}

func isOfJob(r *wire.Record) bool { return r.Kind == wire.KindHead || r.Kind == wire.KindSpec }

// find returns where the log of an issuer is, or would be.
func (s *recordSet) find(p wire.PeerID) (int, bool) {
	return slices.BinarySearchFunc(s.logs, p, func(log []*wire.Record, p wire.PeerID) int { return log[0].Num.Issuer.Compare(p) })
}

func findNumber(log []*wire.Record, n wire.Number) (int, bool) {
	v := n.Version()
	if last := len(log) - 1; last >= 0 && log[last].Num.Version().Compare(v) < 0 {
		return len(log), false // by far the most usual
	}
	return slices.BinarySearchFunc(log, v, func(r *wire.Record, v wire.Version) int { return r.Num.Version().Compare(v) })
}

// put adds a record, in place of one with its number.
func (s *recordSet) put(r *wire.Record) {
	i, known := s.find(r.Num.Issuer)
	if !known {
		s.logs = slices.Insert(s.logs, i, []*wire.Record{r})
		s.count++
		return
	}
	at, found := findNumber(s.logs[i], r.Num)
	if found {
		s.logs[i][at] = r
		return
	}
	s.count++
	s.logs[i] = slices.Insert(s.logs[i], at, r)
}

func (s *recordSet) drop(n wire.Number) {
	i, known := s.find(n.Issuer)
	if !known {
		return
	}
	log := s.logs[i]
	at, found := findNumber(log, n)
	if !found {
		return
	}
	s.count--
	if len(log) == 1 {
		s.logs = slices.Delete(s.logs, i, i+1)
		return
	}
	s.logs[i] = slices.Delete(log, at, at+1)
}

// get returns the record of a number, or nil.
func (s *recordSet) get(n wire.Number) *wire.Record {
	if i, known := s.find(n.Issuer); known {
		if at, found := findNumber(s.logs[i], n); found {
			return s.logs[i][at]
		}
	}
	return nil
}

// each calls f with every record, by number.
func (s *recordSet) each(f func(*wire.Record)) {
	for _, log := range s.logs {
		for _, r := range log {
			f(r)
		}
	}
}

func (s *recordSet) clone() recordSet {
	c := recordSet{logs: make([][]*wire.Record, len(s.logs)), count: s.count}
	for i, log := range s.logs {
		c.logs[i] = slices.Clone(log)
	}
	return c
}
