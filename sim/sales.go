package sim

import (
	"fmt"
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Sales is what the sales of a run have taken, until it ended. A placement is a claim
// that its holder has made durable after an award; a claim that goes on, as in an update
// or after a restart, is none, and neither is one without a sale.
type Sales struct {
	Placed        uint64             `json:"placed"`            // claims
	Awards        uint64             `json:"awards"`            // slots awarded, to whomever
	Declined      uint64             `json:"declined"`          // awarded slots that their bidder declined
	AwardsPerSlot float64            `json:"awardsPerSlot"`     // Awards by Placed; 0 without placements
	Claimed       *Times             `json:"claimed,omitempty"` // nil: no slot was claimed for the first time
	Kinds         map[string]Traffic `json:"kinds"`             // of the messages that sales consist of
	PerSlot       Traffic            `json:"perSlot"`           // all of Kinds by Placed; 0 without placements
}

// Times says how long slots waited, from the moment their job was accepted, which is when
// its submitter is answered, until their first claim was durable. A claim that was
// sooner counts as 0, and a slot that waited for room or for another task with all of
// its wait.
type Times struct {
	Slots int           `json:"slots"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

// Traffic is messages sent, each copy of a topic's counted, and their encoded bytes:
// frames, encryption and packet headers (about 60 bytes on a stream, 230 of a copy of a
// topic) are not in them. Bytes are 0 unless Options.Weigh asked for them.
type Traffic struct {
	Messages float64 `json:"messages"`
	Bytes    float64 `json:"bytes"`
}

// saleKinds are the messages that sales consist of, in their order.
var saleKinds = []wire.MessageKind{wire.MsgStanding, wire.MsgCall, wire.MsgBid, wire.MsgAward, wire.MsgReply}

// sales watches the sales of a world.
type sales struct {
	w     *World
	weigh bool // messages are encoded, to know their sizes

	placed, awards, declined uint64

	claims map[claimKey]struct{}
	first  map[slotLife]struct{}         // slots that have been claimed
	since  map[specLife]time.Duration    // when what a job wants was accepted
	early  map[specLife]int              // first claims from before that
	took   []time.Duration               // of first claims
	latest time.Duration                 // when the last claim was durable
	sent   [64]struct{ n, bytes uint64 } // by kind

	last wire.Message // weighed last: a call on streams goes to many
	size int
}

type claimKey struct {
	slotLife
	token wire.Token
	peer  int
}

// A specLife is what a job wants, since its name means this job.
type specLife struct {
	job  job.ID
	life uint64
	spec wire.Hash
}

func newSales(w *World) sales {
	return sales{w: w, claims: map[claimKey]struct{}{}, first: map[slotLife]struct{}{}, since: map[specLife]time.Duration{}, early: map[specLife]int{}}
}

// wrote looks for claims among the records of a step, durable at a time.
func (s *sales) wrote(m *machine, writes []node.Write, at time.Duration) {
	for i := range writes {
		r := writes[i].Put
		if r == nil || r.Kind != wire.KindClaim || r.Num.Issuer != m.id {
			continue
		}
		if cl, ok := r.Value.(*ledger.Claim); ok && cl.Phase == ledger.Accepted && cl.Run == 0 && cl.Slot.At == "" {
			s.claimed(m, cl, at)
		}
	}
}

func (s *sales) claimed(m *machine, cl *ledger.Claim, at time.Duration) {
	slot := slotLife{cl.Slot, cl.Life}
	key := claimKey{slot, cl.Token, m.index}
	if _, known := s.claims[key]; known {
		return
	}
	s.claims[key] = struct{}{}
	s.placed++
	s.latest = max(s.latest, at)
	if cl.Summary.Steward == m.id.Tag() {
		s.awards++ // to itself, which no message tells
	}
	if _, known := s.first[slot]; known {
		return
	}
	s.first[slot] = struct{}{}
	wanted := specLife{cl.Slot.Job, cl.Life, cl.JobSpec}
	if since, known := s.since[wanted]; known {
		s.took = append(s.took, max(at-since, 0))
	} else {
		s.early[wanted]++
	}
}

// accepted notes that a machine has answered the submitter of a job.
func (s *sales) accepted(m *machine, rep *node.Reply) {
	if rep.Err != "" || rep.Job == "" || m.core == nil {
		return
	}
	h := m.core.Ledger().Head(rep.Job)
	if h == nil || h.Life != rep.Life || h.Revision != rep.Revision {
		return // it is written over already
	}
	wanted := specLife{rep.Job, h.Life, h.Spec}
	if _, known := s.since[wanted]; known {
		return
	}
	s.since[wanted] = s.w.now
	s.took = append(s.took, make([]time.Duration, s.early[wanted])...)
	delete(s.early, wanted)
}

// says reads a message that a core has sent.
func (s *sales) says(msg wire.Message) {
	switch msg := msg.(type) {
	case *wire.Award:
		s.awards += uint64(len(msg.Slots))
	case *wire.Reply:
		for i := range msg.Decisions {
			if msg.Decisions[i].Decline != "" {
				s.declined++
			}
		}
	}
}

// weight is the size of a message's encoding, if it is of a sale and somebody asked for
// bytes; else 0.
func (s *sales) weight(msg wire.Message) int {
	if !s.weigh || !slices.Contains(saleKinds, msg.Kind()) {
		return 0
	}
	if msg != s.last {
		s.last, s.size = msg, 0
		if b, err := wire.Encode(msg); err == nil {
			s.size = len(b)
		}
	}
	return s.size
}

// carried counts one copy of a message of this weight on its way.
func (s *sales) carried(msg wire.Message, weight int) {
	c := &s.sent[msg.Kind()%64]
	c.n++
	c.bytes += uint64(weight)
}

// result sums up.
func (s *sales) result() *Sales {
	out := &Sales{Placed: s.placed, Awards: s.awards, Declined: s.declined, Kinds: map[string]Traffic{}}
	var all Traffic
	for _, k := range saleKinds {
		c := s.sent[k%64]
		if c.n == 0 {
			continue
		}
		out.Kinds[messageName(k)] = Traffic{float64(c.n), float64(c.bytes)}
		all.Messages, all.Bytes = all.Messages+float64(c.n), all.Bytes+float64(c.bytes)
	}
	if n := float64(s.placed); n > 0 {
		out.AwardsPerSlot, out.PerSlot = float64(s.awards)/n, Traffic{all.Messages / n, all.Bytes / n}
	}
	out.Claimed = timesOf(s.took)
	return out
}

// timesOf sorts a copy of some times; nil without any.
func timesOf(took []time.Duration) *Times {
	if len(took) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(took))
	at := func(percent int) time.Duration { return sorted[(len(sorted)*percent+99)/100-1] }
	return &Times{len(sorted), at(50), at(90), at(99), at(100)}
}

// String is what a person reads, in one line or two; "" without placements.
func (s *Sales) String() string {
	if s.Placed == 0 {
		return ""
	}
	text := fmt.Sprintf("sales: %d claims, %.2f awards each", s.Placed, s.AwardsPerSlot)
	if t := s.Claimed; t != nil {
		ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
		text += fmt.Sprintf("; from accepted to claimed p50 %s, p90 %s, p99 %s, most %s", ms(t.P50), ms(t.P90), ms(t.P99), ms(t.Max))
	}
	text += fmt.Sprintf("\n  each took %s", s.PerSlot.share(1))
	for _, k := range saleKinds {
		if c, ok := s.Kinds[messageName(k)]; ok {
			text += fmt.Sprintf("; %s %s", messageName(k), c.share(s.Placed))
		}
	}
	return text
}

// share writes one of n shares.
func (t Traffic) share(n uint64) string {
	text := fmt.Sprintf("%.2f messages", t.Messages/float64(n))
	if t.Bytes > 0 {
		text += fmt.Sprintf(" (%.0f B)", t.Bytes/float64(n))
	}
	return text
}
