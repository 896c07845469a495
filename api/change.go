package api

import (
	"context"
	"net/http"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/wire"
)

func (s *Server) deploy(ctx context.Context, q DeployRequest) (Change, error) {
	if q.Spec == nil {
		return Change{}, failf(http.StatusBadRequest, "deploy: the field spec is missing")
	}
	q.Spec.Defaults() // for who writes JSON by hand; the command line has done so
	if err := s.checkPorts(q.Spec); err != nil {
		return Change{}, err
	}
	return s.change(ctx, node.Request{Deploy: &node.Deploy{Spec: *q.Spec, Base: q.Base}})
}

func (s *Server) remove(ctx context.Context, q RemoveRequest) (Change, error) {
	id, err := parseJob(q.Job)
	if err != nil {
		return Change{}, err
	}
	return s.change(ctx, node.Request{Remove: &node.Remove{Job: id, Volumes: q.Volumes}})
}

// locate finds what a user named.
func (s *Server) locate(ctx context.Context, text string) (t target, err error) {
	var found error
	err = s.view(ctx, func(c *node.Core) { t, found = resolve(c, text) })
	return t, first(err, found)
}

func (s *Server) scale(ctx context.Context, q ScaleRequest) (Change, error) {
	t, err := s.locate(ctx, q.Target)
	if err != nil {
		return Change{}, err
	}
	if t.slot != "" {
		return Change{}, failf(http.StatusBadRequest, "%q is one slot: name its task, such as shop/web=3", q.Target)
	}
	if t.task == "" {
		if t.task, err = s.onlyTask(ctx, t.job); err != nil {
			return Change{}, err
		}
	}
	return s.change(ctx, node.Request{Scale: &node.Scale{Job: t.job, Task: t.task, Count: q.Count}})
}

func (s *Server) onlyTask(ctx context.Context, id job.ID) (task string, err error) {
	var found error
	err = s.view(ctx, func(c *node.Core) {
		spec, _, err := c.Inspect(id)
		switch {
		case err != nil:
			found = failf(http.StatusNotFound, "%v", err)
		case len(spec.Tasks) != 1:
			found = failf(http.StatusBadRequest, "job %s has %d tasks: name one, such as %s/%s=3", id, len(spec.Tasks), id, spec.Tasks[0].Name)
		default:
			task = spec.Tasks[0].Name
		}
	})
	return task, first(err, found)
}

func (s *Server) restart(ctx context.Context, q TargetRequest) (Change, error) {
	t, err := s.locate(ctx, q.Target)
	if err != nil {
		return Change{}, err
	}
	r := node.Restart{Job: t.job, Task: t.task, Index: -1}
	if slot, err := job.ParseSlotID(t.slot); err == nil {
		r.Index = slot.Index
	}
	return s.change(ctx, node.Request{Restart: &r})
}

func (s *Server) rollback(ctx context.Context, q RollbackRequest) (Change, error) {
	id, err := parseJob(q.Job)
	if err != nil {
		return Change{}, err
	}
	return s.change(ctx, node.Request{Rollback: &node.Rollback{Job: id, Revision: q.Revision}})
}

func (s *Server) stop(ctx context.Context, q TargetRequest) (Change, error) {
	t, err := s.locate(ctx, q.Target)
	if err != nil {
		return Change{}, err
	}
	if t.slot != "" {
		return Change{}, failf(http.StatusBadRequest, "%q is one slot: stop its task or job, or scale it down", q.Target)
	}
	return s.change(ctx, node.Request{Stop: &node.Stop{Job: t.job, Task: t.task}})
}

// peer finds a member, and whether it is this one.
func (s *Server) peer(ctx context.Context, text string) (id wire.PeerID, isSelf bool, err error) {
	return s.peerBy(ctx, text, findPeer)
}

// peerBy finds a peer by findPeer or another of its kind.
func (s *Server) peerBy(
	ctx context.Context, text string, find func(*node.Core, string) (wire.PeerID, error),
) (id wire.PeerID, isSelf bool, err error) {
	var found error
	err = s.view(ctx, func(c *node.Core) {
		id, found = find(c, text)
		isSelf = id == c.Status().Self.ID
	})
	return id, isSelf, first(err, found)
}

// atPeer does on this peer what here does, or asks the peer named to do it.
func (s *Server) atPeer(ctx context.Context, name, path string, body any, here func() (Empty, error)) (Empty, error) {
	id, isSelf, err := s.peer(ctx, name)
	if err != nil {
		return Empty{}, err
	}
	if isSelf {
		return here()
	}
	return Empty{}, s.unanswered(ctx, id, s.fetch(ctx, id, http.MethodPost, path, body, nil), ", so nothing was changed")
}

func (s *Server) label(ctx context.Context, q LabelRequest) (Empty, error) {
	here := func() (Empty, error) { return s.labelSelf(ctx, q) }
	return s.atPeer(ctx, q.Peer, "/label", LabelRequest{Set: q.Set}, here)
}

func (s *Server) labelSelf(ctx context.Context, q LabelRequest) (Empty, error) {
	if len(q.Set) == 0 {
		return Empty{}, failf(http.StatusBadRequest, "no label given: want KEY=VALUE")
	}
	for k, v := range q.Set {
		if err := job.CheckName(k); err != nil {
			return Empty{}, failf(http.StatusBadRequest, "label %v", err)
		}
		if len(v) > 256 {
			return Empty{}, failf(http.StatusBadRequest, "label %s: a value of %d bytes, at most 256 are allowed", k, len(v))
		}
	}
	_, err := s.do(ctx, node.Request{Label: &node.Label{Set: q.Set}})
	return Empty{}, err
}

func (s *Server) expel(ctx context.Context, q ExpelRequest) (Empty, error) {
	if q.Peer == "" {
		return Empty{}, failf(http.StatusBadRequest, "no peer named")
	}
	id, _, err := s.peerBy(ctx, q.Peer, findExpelled)
	if err != nil {
		return Empty{}, err
	}
	_, err = s.do(ctx, node.Request{Expel: &node.Expel{Peer: id}})
	return Empty{}, err
}

func (s *Server) leave(ctx context.Context, q LeaveRequest) (Empty, error) {
	if err := checkDeadline(q.Deadline); err != nil {
		return Empty{}, err
	}
	if q.Purge {
		if err := s.mayPurge(ctx); err != nil {
			return Empty{}, err
		}
	}
	// Before: a peer that holds nothing may be gone as soon as it has answered.
	if s.cfg.Purge != nil {
		s.cfg.Purge(q.Purge)
	}
	_, err := s.do(ctx, node.Request{Leave: &node.Leave{Deadline: time.Duration(q.Deadline)}})
	if err != nil && s.cfg.Purge != nil {
		s.cfg.Purge(false)
	}
	return Empty{}, err
}

// mayPurge refuses to delete the swarm's root key while others live on.
func (s *Server) mayPurge(ctx context.Context) error {
	if s.cfg.RootKey == nil || s.cfg.RootKey() == "" {
		return nil
	}
	others := 0
	err := s.view(ctx, func(c *node.Core) {
		for _, p := range c.Peers() {
			if !p.Self && p.State != "left" && p.State != "removed" {
				others++
			}
		}
	})
	if err != nil || others == 0 {
		return err
	}
	return failf(http.StatusConflict,
		"%s is the swarm's root key, which alone brings back a swarm that is wholly lost: move it to a safe place first, or leave without --purge",
		s.cfg.RootKey())
}

func (s *Server) down(ctx context.Context, q DownRequest) (Empty, error) {
	if s.cfg.Stop == nil {
		return Empty{}, failf(http.StatusServiceUnavailable, "this daemon is not to be stopped this way")
	}
	if d := time.Duration(q.For); d < 0 || d > LongestPause {
		return Empty{}, failf(http.StatusBadRequest, "the others wait for a day at most")
	}
	if q.For > 0 {
		if _, err := s.do(ctx, node.Request{Pause: &node.Pause{For: time.Duration(q.For)}}); err != nil {
			return Empty{}, err
		}
		s.letItSpread(ctx)
	}
	s.cfg.Stop()
	return Empty{}, nil
}

// letItSpread gives a record just written the time of one push before this peer is
// silent. Nothing tells when all have it.
func (s *Server) letItSpread(ctx context.Context) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

func (s *Server) ticket(ctx context.Context, q TicketRequest) (Ticket, error) {
	switch {
	case s.cfg.Ticket == nil:
		return Ticket{}, failf(http.StatusServiceUnavailable, "this daemon makes no tickets")
	case q.Uses < 0 || q.Uses > MaxUses:
		return Ticket{}, failf(http.StatusBadRequest, "%d uses: want 1 to %d, or 0 for any number", q.Uses, MaxUses)
	case q.TTL != 0 && time.Duration(q.TTL) < time.Second || time.Duration(q.TTL) > Longest:
		return Ticket{}, failf(http.StatusBadRequest, "a ticket lasts from a second to 366 days")
	}
	t, err := s.cfg.Ticket(ctx, q)
	if err != nil {
		err = failf(http.StatusForbidden, "%v", err)
	}
	return t, err
}
