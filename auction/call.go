package auction

import (
	"fmt"
	"slices"

	"shoal/job"
	"shoal/wire"
)

const (
	callOverhead = 256 // bytes of a call beside its lots and records, amply
	slotBytes    = 5   // greatest encoded size of a slot's number: below 2^32

	// directBudget is the greatest size of a call on a stream: the largest record
	// there is, and room for lots.
	directBudget = wire.MaxRecordBytes + wire.MaxGossip
)

func (s *Sale) callBudget() int {
	if s.standing || len(s.asked) <= DirectUpTo {
		return directBudget
	}
	return wire.MaxGossip
}

// takeLots splits the lots of the configuration over as many calls as the bounds
// of a call ask for. A slot named twice is sold once.
func (s *Sale) takeLots(budget int) {
	p := packer{sale: s, budget: budget, sizes: make(map[*wire.Record]int)}
	groups := make(map[[2]string]int)
	for i := range s.cfg.Lots {
		from := &s.cfg.Lots[i]
		key := [2]string{string(from.Job), from.Task}
		group, ok := groups[key]
		if !ok {
			group = len(groups)
			groups[key] = group
		}
		wants := s.newWants(from)
		for len(wants) > 0 {
			wants = p.add(from, group, wants)
		}
	}
}

// newWants returns the wants of a lot that the sale can take and does not have
// yet; those that are too many become outcomes at once.
func (s *Sale) newWants(from *Lot) []Want {
	var wants []Want
	for _, w := range from.Slots {
		if _, twice := s.byID[w.Slot]; twice {
			continue
		}
		if len(s.byID) >= MaxSlots {
			reason := wire.Reason{Text: fmt.Sprintf("%s: it takes %d slots", SaleFull, MaxSlots), Count: uint32(len(s.asked))}
			s.excess = append(s.excess, Outcome{Slot: w.Slot, Result: Unsold, Reasons: []wire.Reason{reason}})
			continue
		}
		s.byID[w.Slot] = &slot{want: w, next: w.Token}
		wants = append(wants, w)
	}
	return wants
}

// A packer fills calls, one after the other.
type packer struct {
	sale   *Sale
	budget int                  // bytes of one call
	left   int                  // bytes left in the last call
	slots  int                  // slots in the last call
	have   []*wire.Record       // records in the last call
	sizes  map[*wire.Record]int // encoded
}

// add puts as many wants as fit into the last call, or opens a new one, and
// returns the rest.
func (p *packer) add(from *Lot, group int, wants []Want) []Want {
	s := p.sale
	w := wire.Lot{Job: from.Job, Life: from.Life, Task: from.Task, Spec: from.Spec, Needs: clampNeeds(from.Needs)}
	base := len(wire.MustMarshal(&w)) + 4
	var source []*wire.Record
	if !s.standing {
		source = from.Records
	}
	records, bytes := p.missing(source)
	last := len(s.calls) - 1
	if last < 0 || len(s.calls[last]) >= wire.MaxLots || p.slots >= wire.MaxSlotsPerCall ||
		p.left < base+bytes+slotBytes*min(len(wants), 16) {
		s.calls = append(s.calls, nil)
		last++
		p.left, p.slots, p.have = p.budget-callOverhead, 0, nil
		records, bytes = p.missing(source)
		if bytes > p.left/2 && base+bytes+slotBytes*wire.MaxSlotsPerCall > p.left {
			records, bytes = nil, 0 // too large for a topic: who lacks them finds them by repair
		}
	}
	n := min(len(wants), wire.MaxSlotsPerCall-p.slots, (p.left-base-bytes)/slotBytes)
	l := &lot{wire: w, from: from, policy: from.Policy, mix: s.cfg.Mix, records: records, group: group, call: last, place: len(s.calls[last])}
	for _, want := range wants[:n] {
		sl := s.byID[want.Slot]
		sl.lot = l
		l.wire.Slots = append(l.wire.Slots, want.Slot.Index)
		l.slots = append(l.slots, sl)
		s.slots = append(s.slots, sl)
	}
	if from.Spread != nil && !slices.Contains(s.spreads[group], from.Spread) {
		s.spreads[group] = append(s.spreads[group], from.Spread)
	}
	s.calls[last] = append(s.calls[last], l)
	s.lots = append(s.lots, l)
	p.left -= base + bytes + slotBytes*n
	p.slots += n
	p.have = append(p.have, records...)
	return wants[n:]
}

// missing returns the records that the last call does not carry yet, and their size.
func (p *packer) missing(records []*wire.Record) ([]*wire.Record, int) {
	var add []*wire.Record
	bytes := 0
	for _, r := range records {
		if r == nil || slices.Contains(p.have, r) || slices.Contains(add, r) {
			continue
		}
		if _, known := p.sizes[r]; !known {
			p.sizes[r] = len(wire.MustMarshal(r)) + 4
		}
		add = append(add, r)
		bytes += p.sizes[r]
	}
	return add, bytes
}

// envelopes makes some of the calls and addresses them: up to DirectUpTo peers are asked
// one by one.
func (s *Sale) envelopes(calls []int) []wire.Envelope {
	var out []wire.Envelope
	direct := len(s.asked) <= DirectUpTo
	for _, i := range calls {
		call := s.message(i, s.calls[i])
		if s.bounded {
			call.Threshold = bound(s.calls[i])
		}
		if !direct {
			out = append(out, wire.Envelope{Topic: wire.TopicCalls, Msg: call})
		}
		for _, id := range s.asked {
			if direct || id == s.cfg.Self {
				out = append(out, wire.Envelope{To: id, Msg: call})
			}
		}
	}
	return out
}

// message makes one call.
func (s *Sale) message(i int, lots []*lot) *wire.Call {
	call := &wire.Call{ID: s.cfg.ID + uint64(i), Steward: s.cfg.Self, Lane: s.cfg.Lane, Closes: CloseAfter}
	for _, l := range lots {
		call.Lots = append(call.Lots, l.wire)
		call.Records = append(call.Records, l.records...)
	}
	return call
}

// clampNeeds keeps needs from being negative, which would make room out of nothing.
func clampNeeds(r job.Resources) job.Resources {
	return job.Resources{CPUMilli: max(r.CPUMilli, 0), MemBytes: max(r.MemBytes, 0), DiskBytes: max(r.DiskBytes, 0),
		GPUMilli: max(r.GPUMilli, 0)}
}
