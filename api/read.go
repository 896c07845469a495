package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

func (s *Server) status(ctx context.Context, _ *http.Request) (out Status, err error) {
	err = s.view(ctx, func(c *node.Core) { out = statusOf(c.Status()) })
	at := s.reachable()
	out.Version, out.StateDir, out.Address, out.Problems = s.cfg.Version, s.cfg.StateDir, at.ip, at.problems
	if s.cfg.Held != nil {
		out.Held = s.cfg.Held()
	}
	if s.cfg.Listen != nil {
		out.Listen = s.cfg.Listen()
	}
	if since := s.steppedBack(); !since.IsZero() {
		out.Why = "at " + since.Format(time.TimeOnly) + ", since another machine runs with its key"
		out.Slots = 0 // its claims are the other's by now, its containers are stopped
	}
	return out, err
}

// steppedBack is when this peer went mute since its key runs elsewhere; zero: it did not.
func (s *Server) steppedBack() time.Time {
	if s.cfg.SteppedBack == nil {
		return time.Time{}
	}
	return s.cfg.SteppedBack()
}

func (s *Server) peerList(ctx context.Context, _ *http.Request) (out []Peer, err error) {
	out = []Peer{}
	err = s.view(ctx, func(c *node.Core) {
		n := namesOf(c)
		for _, p := range c.Peers() {
			out = append(out, peerOf(p, n))
		}
	})
	if s.cfg.Links != nil {
		addLinks(out, s.cfg.Links())
	}
	s.amend(out)
	return out, err
}

// amend tells of the listed peers what the core does not know.
func (s *Server) amend(peers []Peer) {
	var others []string
	if s.cfg.OtherVersions != nil {
		others = s.cfg.OtherVersions()
	}
	isBack := !s.steppedBack().IsZero()
	for i := range peers {
		p := &peers[i]
		p.OtherVersion = slices.Contains(others, p.ID)
		switch {
		case isBack && p.Self:
			p.State, p.Slots, p.Claimed = "stepped back", 0, job.Resources{}
		case isBack && p.State != "left" && p.State != "removed":
			p.State, p.Doubters, p.Votes = "unknown", nil, 0 // they do not speak with it any more
		}
	}
}

func (s *Server) jobs(ctx context.Context, r *http.Request) (out []Job, err error) {
	out = []Job{}
	err = s.view(ctx, func(c *node.Core) {
		n := namesOf(c)
		for _, v := range c.Jobs(r.FormValue("all") != "") {
			out = append(out, jobOf(v, n))
		}
	})
	return out, err
}

func (s *Server) inspect(ctx context.Context, r *http.Request) (out JobDetail, err error) {
	id, err := parseJob(r.PathValue("namespace") + "/" + r.PathValue("name"))
	if err != nil {
		return out, err
	}
	var found error
	err = s.view(ctx, func(c *node.Core) {
		spec, v, err := c.Inspect(id)
		if err != nil {
			found = failf(http.StatusNotFound, "%v", err)
			return
		}
		out.Job, out.Want = jobOf(v, namesOf(c)), spec
	})
	if err == nil {
		err = found
	}
	return out, err
}

// slotList lists slots, of one target or of all jobs, and asks the stewards what
// those that nobody holds wait for.
func (s *Server) slotList(ctx context.Context, r *http.Request) (Slots, error) {
	out := Slots{Slots: []Slot{}}
	open := map[job.ID][]wire.PeerID{}
	at := s.reachable()
	var found error
	err := s.view(ctx, func(c *node.Core) {
		views, err := slotViews(c, r.FormValue("of"))
		found = err
		for _, v := range views {
			out.Slots = append(out.Slots, slotOf(v, at))
			if v.Phase == "waiting" {
				asks(open, v.ID, c)
			}
		}
	})
	if err != nil || found != nil {
		return out, first(err, found)
	}
	waits, silent := s.askStewards(ctx, open)
	for i := range out.Slots {
		fillWait(&out.Slots[i], waits)
	}
	out.Unanswered = silent
	return out, nil
}

// asks notes whom to ask what a slot waits for: the stewards of its job, or the peer whose
// own it is.
func asks(open map[job.ID][]wire.PeerID, slot job.SlotID, c *node.Core) {
	if p, ok := ledger.OwnerOf(slot); ok {
		open[job.ID(slot.String())] = []wire.PeerID{p}
	} else if open[slot.Job] == nil {
		open[slot.Job] = c.Lead(slot.Job)
	}
}

func slotViews(c *node.Core, of string) ([]node.SlotView, error) {
	if of == "" {
		return c.Slots(""), nil
	}
	t, err := resolve(c, of)
	if err != nil {
		return nil, err
	}
	views := c.Slots(string(t.job))
	return slices.DeleteFunc(views, func(v node.SlotView) bool {
		return t.task != "" && v.ID.Task != t.task || t.slot != "" && v.Slot != t.slot
	}), nil
}

func fillWait(s *Slot, waits map[string]Waiting) {
	w, ok := waits[s.Slot]
	if !ok || s.Phase != "waiting" {
		return
	}
	s.Waits, s.For = &w, w.Since
	if w.Reason != "" {
		s.Detail = w.Reason
	}
}

// why explains a slot, or every slot of a job or task.
func (s *Server) why(ctx context.Context, r *http.Request) (Whys, error) {
	out := Whys{Slots: []Why{}}
	open := map[job.ID][]wire.PeerID{}
	at := s.reachable()
	var found error
	err := s.view(ctx, func(c *node.Core) {
		n := namesOf(c)
		texts, omitted, err := whySlots(c, r.FormValue("of"))
		if err != nil {
			found = err
			return
		}
		out.Omitted = omitted
		for _, text := range texts {
			v, err := c.Why(text)
			if err != nil {
				found = failf(http.StatusNotFound, "%v", err)
				return
			}
			if v.Slot.Phase == "waiting" {
				asks(open, v.Slot.ID, c)
			}
			out.Slots = append(out.Slots, whyOf(v, n, at))
		}
	})
	if err != nil || found != nil {
		return out, first(err, found)
	}
	waits, silent := s.askStewards(ctx, open)
	for i := range out.Slots {
		fillWait(&out.Slots[i].Slot, waits)
	}
	out.Unanswered = silent
	return out, nil
}

// maxWhys bounds the slots of a job that one answer explains.
const maxWhys = 256

// whySlots returns the slots to explain, those that wait first, and how many there are
// beyond maxWhys.
func whySlots(c *node.Core, of string) (texts []string, omitted int, err error) {
	t, err := resolve(c, of)
	if err != nil {
		return nil, 0, err
	}
	if t.slot != "" {
		return []string{t.slot}, 0, nil
	}
	views, err := slotViews(c, of)
	var others []string
	for _, v := range views {
		switch {
		case v.Surplus:
		case v.Phase == "waiting":
			texts = append(texts, v.Slot)
		default:
			others = append(others, v.Slot)
		}
	}
	texts = append(texts, others...)
	omitted = max(0, len(texts)-maxWhys)
	return texts[:len(texts)-omitted], omitted, err
}

func (s *Server) waiting(ctx context.Context, _ *http.Request) (out []Waiting, err error) {
	out = []Waiting{}
	err = s.view(ctx, func(c *node.Core) {
		name := c.Status().Self.Name
		for _, v := range c.Waiting() {
			out = append(out, waitingOf(v, name))
		}
	})
	return out, err
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
