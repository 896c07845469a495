package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/wire"
)

// A DrainState is how far a drain is, as the draining peer itself says.
type DrainState struct {
	Peer     string      `json:"peer"`
	Draining bool        `json:"draining"` // or leaving
	Leaving  bool        `json:"leaving,omitempty"`
	Deadline Age         `json:"deadline"` // until what is left is stopped; 0: over; null: there is none
	Slots    []DrainSlot `json:"slots"`    // still held there
	Freshness
}

// A DrainSlot is a slot that a draining peer still holds.
type DrainSlot struct {
	Slot  string `json:"slot"`
	Phase string `json:"phase"`
	Ends  bool   `json:"ends,omitempty"`  // its container is being stopped
	Stays string `json:"stays,omitempty"` // why it is not moved; empty: it is to move
	Waits string `json:"waits,omitempty"` // why nobody has taken it yet, as a steward says
}

func (s *Server) drain(ctx context.Context, q DrainRequest) (Empty, error) {
	here := func() (Empty, error) { return s.drainSelf(ctx, q) }
	return s.atPeer(ctx, q.Peer, "/drain", DrainRequest{Undo: q.Undo, Deadline: q.Deadline}, here)
}

func (s *Server) drainSelf(ctx context.Context, q DrainRequest) (Empty, error) {
	if q.Undo && q.Deadline != 0 {
		return Empty{}, failf(http.StatusBadRequest, "what is undone has no deadline")
	}
	if err := checkDeadline(q.Deadline); err != nil {
		return Empty{}, err
	}
	_, err := s.do(ctx, node.Request{Drain: &node.Drain{Undo: q.Undo, Deadline: time.Duration(q.Deadline)}})
	if err == nil && q.Undo && s.cfg.Purge != nil {
		s.cfg.Purge(false) // of a leave that is taken back
	}
	return Empty{}, err
}

// checkDeadline judges that of a drain or a leave; 0 is none.
func checkDeadline(a Age) error {
	if d := time.Duration(a); d != 0 && (d < time.Second || d > Longest) {
		return failf(http.StatusBadRequest, "a deadline lies between a second and 366 days")
	}
	return nil
}

// drainState tells what a draining peer still holds, and why others do not take it.
func (s *Server) drainState(ctx context.Context, r *http.Request) (out DrainState, err error) {
	id, isSelf, err := s.peer(ctx, r.FormValue("peer"))
	if err != nil {
		return out, err
	}
	if isSelf {
		out, err = s.ownDrainState(ctx, r)
	} else {
		err = s.unanswered(ctx, id, s.fetch(ctx, id, http.MethodGet, "/drain", nil, &out), "")
	}
	if err != nil {
		return out, err
	}
	open := map[job.ID][]wire.PeerID{}
	for _, d := range out.Slots {
		if slot, err := job.ParseSlotID(d.Slot); err == nil && d.Stays == "" && !d.Ends {
			open[slot.Job] = nil
		}
	}
	if err := s.view(ctx, func(c *node.Core) {
		for id := range open {
			open[id] = c.Lead(id)
		}
	}); err != nil {
		return out, err
	}
	waits, silent := s.askStewards(ctx, open)
	for i := range out.Slots {
		d := &out.Slots[i]
		if d.Stays == "" && !d.Ends {
			d.Waits = cmp.Or(d.Waits, waits[d.Slot].Reason)
		}
	}
	out.Unanswered = silent
	return out, nil
}

func (s *Server) ownDrainState(ctx context.Context, _ *http.Request) (out DrainState, err error) {
	out.Slots = []DrainSlot{}
	err = s.view(ctx, func(c *node.Core) {
		v := c.Draining()
		out.Peer, out.Draining, out.Leaving, out.Deadline = c.Status().Self.Name, v.Draining, v.Leaving, Age(v.Left)
		for _, d := range v.Slots {
			out.Slots = append(out.Slots, DrainSlot{Slot: c.SlotName(d.Slot), Phase: d.Phase, Ends: d.Ends, Stays: d.Stays})
		}
	})
	return out, err
}
