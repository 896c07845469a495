package main

import (
	"context"
	"net"

	"shoal/api"
	"shoal/node"
	"shoal/runtime/reach"
	"shoal/wire"
)

// services gives reach what the core knows, in reach's own words.
type services struct{ to *reach.Reach }

// Update implements the daemon's reach.
func (s services) Update(all []node.Service) {
	out := make([]reach.Service, len(all))
	for i, sv := range all {
		out[i] = reach.Service{Job: sv.Job, Task: sv.Task, Aliases: sv.Aliases, Ports: sv.Ports, Local: sv.Local}
		for _, e := range sv.Endpoints {
			out[i].Endpoints = append(out[i].Endpoints, reach.Endpoint(e))
		}
	}
	s.to.Update(out)
}

// newReach makes services answer by name and port, here and for other members.
func (p *peer) newReach() services {
	r := reach.New(reach.Config{
		Self: p.id.peer(), Networks: p.driver, Publish: p.o.publishOn(), Log: p.log,
		Open: func(ctx context.Context, to wire.PeerID) (net.Conn, error) { return p.host.Open(ctx, to, reach.Proto) },
	})
	p.host.Handle(reach.Proto, r.Serve)
	p.reach = r
	return services{r}
}

// problemsOf says in the api's words what of the jobs does not answer here.
func problemsOf(r *reach.Reach) func() []api.PortProblem {
	return func() []api.PortProblem {
		var out []api.PortProblem
		for _, p := range r.Problems() {
			out = append(out, api.PortProblem{Job: p.Job.String(), Task: p.Task, Port: p.Port, Why: p.Why})
		}
		return out
	}
}

// publishOn is the address that published ports answer on: the first plain one
// that the daemon was told to listen on, else all.
func (o *upOptions) publishOn() string {
	for _, l := range o.Listen {
		if net.ParseIP(l) != nil {
			return l
		}
	}
	return ""
}
