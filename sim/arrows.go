package sim

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"shoal/job"
	"shoal/wire"
)

// A sentMessage is one that a diagram may show.
type sentMessage struct {
	from, to      int // to -1: all
	sent, arrives time.Duration
	msg           wire.Message
	lost          bool
}

// remembers reports whether a diagram may show messages of a kind: those that decide
// something, not the beats and the repair that go on all the time.
func remembers(k wire.MessageKind) bool {
	return k == wire.MsgVotes || k == wire.MsgStore || k == wire.MsgStored ||
		k == wire.MsgCall || k == wire.MsgBid || k == wire.MsgAward || k == wire.MsgReply
}

// remember keeps a message for a while.
func (r *recorder) remember(s sentMessage) {
	if !remembers(s.msg.Kind()) {
		return
	}
	if len(r.ring) < ringLen {
		r.ring = append(r.ring, s)
		return
	}
	r.ring[r.next] = s
	r.next = (r.next + 1) % ringLen
}

// remembered calls f with the messages kept, oldest first.
func (r *recorder) remembered(f func(*sentMessage)) {
	for i := range r.ring {
		f(&r.ring[(r.next+i)%len(r.ring)])
	}
}

// topic selects what a diagram is about.
type topic struct {
	slot  job.SlotID
	peer  wire.PeerID // whose death; zero: nobody's
	since time.Duration
	calls map[uint64]int // shown, by ID
	bids  int
	votes map[int]bool
}

const (
	maxBidsShown  = 4
	maxCallsShown = 2
	maxVotesShown = 4
)

// diagram draws how a slot came to its new peer, after a fault or for the first time.
func (r *recorder) diagram(h Handover, f *FaultSpan) {
	t := topic{slot: h.Slot, since: h.At - h.Took, calls: map[uint64]int{}, votes: map[int]bool{}}
	d := Diagram{At: h.At, Title: fmt.Sprintf("how %s was first placed", h.Slot)}
	if f != nil {
		t.peer = r.w.machines[h.From].id
		d.Title = fmt.Sprintf("how %s went from %s to %s", h.Slot, r.w.machines[h.From].name, r.w.machines[h.To].name)
		d.Arrows = append(d.Arrows, Arrow{From: f.Peer, To: f.Peer, Sent: f.From, Arrives: f.From, Kind: "fault", Text: f.Text})
	}
	winner := h.To
	r.remembered(func(s *sentMessage) {
		if s.sent >= t.since && len(d.Arrows) < maxArrows-1 && t.wants(s, winner) {
			d.Arrows = append(d.Arrows, r.arrow(s, t.peer))
		}
	})
	d.Arrows = append(d.Arrows, Arrow{From: h.To, To: h.To, Sent: h.At, Arrives: h.At, Kind: "start", Text: h.Slot.String() + " runs"})
	r.out.Diagram = d
}

// wants reports whether a message belongs to the story of the slot.
func (t *topic) wants(s *sentMessage, winner int) bool {
	switch m := s.msg.(type) {
	case *wire.Votes:
		about := slices.ContainsFunc(m.Votes, func(v wire.Vote) bool { return v.Of == t.peer })
		if !about || t.votes[s.from] || len(t.votes) >= maxVotesShown {
			return false
		}
		t.votes[s.from] = true
		return true
	case *wire.Call:
		about := slices.ContainsFunc(m.Lots, func(l wire.Lot) bool {
			return l.Job == t.slot.Job && l.Task == t.slot.Task && slices.Contains(l.Slots, t.slot.Index)
		})
		if !about || t.calls[m.ID] > maxCallsShown && s.to != winner {
			return false
		}
		t.calls[m.ID]++
		return true
	case *wire.Bid:
		if t.calls[m.Call] == 0 || m.No != "" || t.bids >= maxBidsShown && s.from != winner {
			return false
		}
		t.bids++
		return true
	case *wire.Award:
		return slices.ContainsFunc(m.Slots, func(a wire.AwardedSlot) bool { return a.Slot == t.slot })
	case *wire.Reply:
		return slices.ContainsFunc(m.Decisions, func(d wire.Decision) bool { return d.Slot == t.slot })
	}
	return false
}

// arrow draws a message; of votes those on the given peer, if it is one.
func (r *recorder) arrow(s *sentMessage, dead wire.PeerID) Arrow {
	return Arrow{From: s.from, To: s.to, Sent: s.sent, Arrives: s.arrives, Lost: s.lost,
		Kind: messageName(s.msg.Kind()), Text: r.about(s.msg, dead)}
}

// slotText finds a slot in a finding's text.
var slotText = regexp.MustCompile(`\b[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_-]*\.[0-9]+\b`)

// failureDiagram draws the last messages before the failure: those about the slot it
// names, if it names one and there are some, else the very last.
func (r *recorder) failureDiagram() {
	fail := r.w.failure
	d := Diagram{At: fail.At, Title: "the last messages before the violation"}
	slot, err := job.ParseSlotID(slotText.FindString(fail.Text))
	t := topic{slot: slot, calls: map[uint64]int{}, votes: map[int]bool{}}
	var about, all []Arrow
	r.remembered(func(s *sentMessage) {
		all = append(all, r.arrow(s, wire.PeerID{}))
		if err == nil && t.wants(s, -1) {
			about = append(about, r.arrow(s, wire.PeerID{}))
		}
	})
	if d.Arrows = all; len(about) >= 3 {
		d.Arrows, d.Title = about, fmt.Sprintf("the last messages about %s before the violation", slot)
	}
	d.Arrows = d.Arrows[max(0, len(d.Arrows)-maxArrows+1):]
	slices.SortStableFunc(d.Arrows, func(a, b Arrow) int { return cmp.Compare(a.Sent, b.Sent) })
	r.out.Diagram = d
}

// about says what a message is about, in a few words.
func (r *recorder) about(msg wire.Message, dead wire.PeerID) string {
	var words []string
	switch m := msg.(type) {
	case *wire.Votes:
		for _, v := range m.Votes {
			if dead.IsZero() || v.Of == dead {
				words = append(words, r.w.nameOf(v.Of)+" is dead, says "+r.w.nameOf(v.By))
			}
		}
	case *wire.Call:
		for _, l := range m.Lots {
			words = append(words, fmt.Sprintf("%s/%s ×%d", l.Job, l.Task, len(l.Slots)))
		}
	case *wire.Bid:
		if words = append(words, m.No); m.No == "" {
			words = words[:0]
			for _, o := range m.Offers[:min(len(m.Offers), 1)] {
				words = append(words, fmt.Sprintf("%d copies here, bucket %d", o.Copies, o.Bucket))
			}
		}
	case *wire.Award:
		for i := range m.Slots {
			words = append(words, fmt.Sprintf("%s, token %d", m.Slots[i].Slot, m.Slots[i].Token))
		}
	case *wire.Reply:
		for _, d := range m.Decisions {
			if d.Decline == "" {
				words = append(words, d.Slot.String()+" taken")
			} else {
				words = append(words, d.Slot.String()+": "+d.Decline)
			}
		}
	case *wire.Store:
		words = append(words, fmt.Sprintf("%d records", len(m.Records)))
	case *wire.Stored:
		if words = append(words, "done"); m.Refused != "" {
			words[0] = m.Refused
		}
	}
	const most = 3
	if len(words) > most {
		words = append(words[:most], fmt.Sprintf("%d more", len(words)-most))
	}
	return strings.Join(words, "; ")
}
