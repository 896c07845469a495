package api

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"shoal/job"
	"shoal/node"
)

// reachable is where published ports answer on this peer, and which do not.
type reachable struct {
	ip       string // empty: unknown
	problems []PortProblem
}

func (s *Server) reachable() reachable {
	var at reachable
	if s.cfg.Address != nil {
		at.ip = s.cfg.Address()
	}
	if s.cfg.Problems != nil {
		at.problems = s.cfg.Problems()
	}
	return at
}

// slot tells the addresses of a slot's published ports from what is amiss with them.
func (r reachable) slot(v node.SlotView) (addresses, problems []string) {
	silent := map[uint16]bool{}
	for _, p := range r.problems {
		if p.Job == v.ID.Job.String() && (p.Task == v.ID.Task || p.Task == "") {
			silent[p.Port] = true
			problems = append(problems, p.Why)
		}
	}
	for _, p := range v.Ports {
		if p.Published != 0 && r.ip != "" && !silent[p.Published] {
			addresses = append(addresses, net.JoinHostPort(r.ip, strconv.Itoa(int(p.Published))))
		}
	}
	return addresses, problems
}

// OwnPorts lists the TCP ports in a peer's own addresses, which no job can publish there.
func OwnPorts(listen []string) []uint16 {
	var out []uint16
	for _, a := range listen {
		_, rest, _ := strings.Cut(a, "/tcp/")
		text, _, _ := strings.Cut(rest, "/")
		port, err := strconv.ParseUint(text, 10, 16)
		if err == nil && port != 0 && !slices.Contains(out, uint16(port)) {
			out = append(out, uint16(port))
		}
	}
	return out
}

// checkPorts refuses a spec that publishes the port of the swarm itself.
func (s *Server) checkPorts(spec *job.Spec) error {
	if s.cfg.Listen == nil {
		return nil
	}
	own := OwnPorts(s.cfg.Listen())
	for _, t := range spec.Tasks {
		for _, p := range t.Ports {
			if slices.Contains(own, p.Published) {
				return failf(http.StatusBadRequest, "task %s: port %d is the swarm's own on this peer; publish another", t.Name, p.Published)
			}
		}
	}
	return nil
}
