package sim

import (
	"maps"
	"slices"

	"shoal/wire"
)

// A recordSet holds records by number: per issuer one sorted list, which costs a
// pointer a record where a map would cost its whole number. Records are immutable
// and shared by all machines of a world, so a thousand disks of one swarm hold
// little more than one.
type recordSet struct {
	logs    map[wire.PeerID][]*wire.Record // by version
	issuers []wire.PeerID                  // sorted
	jobs    map[wire.Number]*wire.Record   // heads and specs again: few, and often asked for
	count   int
}

func newRecordSet() recordSet {
	return recordSet{logs: map[wire.PeerID][]*wire.Record{}, jobs: map[wire.Number]*wire.Record{}}
}

func isOfJob(r *wire.Record) bool { return r.Kind == wire.KindHead || r.Kind == wire.KindSpec }

func findNumber(log []*wire.Record, n wire.Number) (int, bool) {
	v := n.Version()
	if last := len(log) - 1; last >= 0 && log[last].Num.Version().Compare(v) < 0 {
		return len(log), false // by far the most usual
	}
	return slices.BinarySearchFunc(log, v, func(r *wire.Record, v wire.Version) int { return r.Num.Version().Compare(v) })
}

// put adds a record, in place of one with its number.
func (s *recordSet) put(r *wire.Record) {
	if isOfJob(r) {
		s.jobs[r.Num] = r
	}
	log, known := s.logs[r.Num.Issuer]
	if !known {
		at, _ := slices.BinarySearchFunc(s.issuers, r.Num.Issuer, wire.PeerID.Compare)
		s.issuers = slices.Insert(s.issuers, at, r.Num.Issuer)
	}
	at, found := findNumber(log, r.Num)
	if found {
		log[at] = r
		return
	}
	s.count++
	s.logs[r.Num.Issuer] = slices.Insert(log, at, r)
}

func (s *recordSet) drop(n wire.Number) {
	log := s.logs[n.Issuer]
	if at, found := findNumber(log, n); found {
		s.count--
		if isOfJob(log[at]) {
			delete(s.jobs, n)
		}
		s.logs[n.Issuer] = slices.Delete(log, at, at+1)
	}
}

func (s *recordSet) has(n wire.Number) bool {
	_, found := findNumber(s.logs[n.Issuer], n)
	return found
}

// each calls f with every record, by number.
func (s *recordSet) each(f func(*wire.Record)) {
	for _, p := range s.issuers {
		for _, r := range s.logs[p] {
			f(r)
		}
	}
}

func (s *recordSet) clone() recordSet {
	c := recordSet{logs: make(map[wire.PeerID][]*wire.Record, len(s.logs)), issuers: slices.Clone(s.issuers), jobs: maps.Clone(s.jobs), count: s.count}
	for p, log := range s.logs {
		c.logs[p] = slices.Clone(log)
	}
	return c
}
