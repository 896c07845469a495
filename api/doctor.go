package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"shoal/auction"
	"shoal/internal/doctor"
	"shoal/node"
	"shoal/wire"
)

// A Health is the answer of doctor: each check with what was seen.
type Health struct {
	Peer     string           `json:"peer,omitempty"`    // empty: no daemon answered, the command looked by itself
	Version  string           `json:"version,omitempty"` // of the daemon
	OK       bool             `json:"ok"`                // no finding is a failure
	Findings []doctor.Finding `json:"findings"`
}

// HealthOf sums findings up.
func HealthOf(peer string, findings []doctor.Finding) Health {
	return Health{Peer: peer, OK: !doctor.Failed(findings), Findings: findings}
}

// A Clock is a peer's wall clock at the moment it answered.
type Clock struct {
	Now time.Time `json:"now"`
}

// clocksAsked bounds the members whose clock is compared with this one.
const clocksAsked = 16

func (s *Server) clock(context.Context, *http.Request) (Clock, error) {
	return Clock{time.Now()}, nil
}

// doctor looks at this peer: what the daemon sees of its machine and network, what the
// core knows, and how far other members' clocks are from this one.
func (s *Server) doctor(ctx context.Context, _ *http.Request) (Health, error) {
	if s.cfg.Vitals == nil {
		return Health{}, failf(http.StatusServiceUnavailable, "this is no running peer: `shoal doctor` without --state looks at this machine")
	}
	st, err := s.status(ctx, nil)
	if err != nil {
		return Health{}, err
	}
	peers, err := s.peerList(ctx, nil)
	if err != nil {
		return Health{}, err
	}
	var observers []wire.PeerID
	if err := s.view(ctx, func(c *node.Core) { observers = c.Observers() }); err != nil {
		return Health{}, err
	}
	var clocks []doctor.Clock
	var silent []string
	var asking sync.WaitGroup
	asking.Go(func() { clocks, silent = s.compareClocks(ctx, peers) })
	p, m := s.cfg.Vitals(ctx)
	asking.Wait()
	p.Clocks, p.Unasked = clocks, silent
	p.Name, p.State, p.Why, p.Uptime, p.Version, p.Missing = st.Peer.Name, st.State, st.Why, time.Duration(st.Uptime), st.Version, st.Missing
	// What is missing is what cannot be read; of the disk there is a finding of its own.
	p.Missing = slices.DeleteFunc(p.Missing, func(m string) bool { return m == node.DiskNearlyFull })
	if no := st.Peer.TakesNothing; auction.Class(no) == auction.OwnerRefuses {
		p.Closed = no
	}
	p.Store.Records, p.Store.Digest = st.Records, st.Digest[:min(12, len(st.Digest))]
	for _, pr := range st.Problems {
		p.Ports = append(p.Ports, pr.Job+": "+pr.Why)
	}
	p.Members = membersOf(peers, observers)
	nameAll(&p, peers)
	h := HealthOf(p.Name, doctor.Running(p, m))
	h.Version = p.Version
	return h, nil
}

// membersOf puts the others into the words of doctor; who left or was removed is none.
func membersOf(peers []Peer, observers []wire.PeerID) []doctor.Member {
	var out []doctor.Member
	for _, p := range peers {
		if p.Self || p.State == "left" || p.State == "removed" {
			continue
		}
		m := doctor.Member{
			Name: p.Name, State: p.State, Version: p.Version, Profile: p.Profile, Heard: time.Duration(p.SpokeAgo), OtherVersion: p.OtherVersion,
		}
		if p.Link != nil {
			m.Path = p.Link.Path
		}
		m.Observes = slices.ContainsFunc(observers, func(o wire.PeerID) bool { return o.String() == p.ID })
		out = append(out, m)
	}
	return out
}

// nameAll turns the peer IDs of who gathered the facts into names.
func nameAll(p *doctor.Peer, peers []Peer) {
	names := map[string]string{}
	for _, q := range peers {
		names[q.ID] = q.Name
	}
	for i, id := range p.Reach.Relays {
		p.Reach.Relays[i] = cmp.Or(names[id], id)
	}
	for i, l := range p.Protocol {
		p.Protocol[i].Peer = cmp.Or(names[l.Peer], l.Peer)
	}
	slices.SortFunc(p.Protocol, func(a, b doctor.Lack) int { return cmp.Compare(a.Peer, b.Peer) })
}

// compareClocks asks some connected members for their wall clock; the middle of the
// round trip is when they looked at it.
func (s *Server) compareClocks(ctx context.Context, peers []Peer) (clocks []doctor.Clock, silent []string) {
	if s.peers == nil {
		return nil, nil
	}
	var ask []Peer
	for _, p := range peers {
		if !p.Self && p.Link != nil && len(ask) < clocksAsked {
			ask = append(ask, p)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	answers := gather(ask, func(p Peer) (doctor.Clock, error) {
		id, err := wire.ParsePeerID(p.ID)
		if err != nil {
			return doctor.Clock{}, err
		}
		var c Clock
		if err := s.fetch(ctx, id, http.MethodGet, "/clock", nil, &c); err != nil { // it opens the stream
			return doctor.Clock{}, err
		}
		asked := time.Now()
		if err := s.fetch(ctx, id, http.MethodGet, "/clock", nil, &c); err != nil {
			return doctor.Clock{}, err
		}
		half := time.Since(asked) / 2
		return doctor.Clock{Peer: p.Name, Ahead: c.Now.Sub(asked.Add(half)), Error: half}, nil
	})
	for i, a := range answers {
		if a.err != nil {
			silent = append(silent, ask[i].Name)
			continue
		}
		clocks = append(clocks, a.value)
	}
	return clocks, silent
}
