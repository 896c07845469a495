package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"shoal/sim"
)

// simLoads are the flags of `shoal sim run` that change what a scenario's swarm has
// to do, and what it runs on.
type simLoads struct {
	workloads []string
	nodes     string
	plan      bool
}

func (l *simLoads) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&l.workloads, "workload", nil, "more work, as a scenario has it: 'rate=2/s mix=service:3,batch:1 trace=pods.csv'")
	cmd.Flags().StringVar(&l.nodes, "nodes", "", "peers as the nodes in this table (openb's columns), as many as --peers or the scenario says")
	cmd.Flags().BoolVar(&l.plan, "plan", false, "print the scenario with its workloads drawn, and run nothing")
}

// apply changes the scenario and the options for running it.
func (l *simLoads) apply(s *sim.Scenario, o *sim.Options) error {
	if l.nodes == "" && o.Peers > 0 {
		if err := s.CheckPeers(o.Peers); err != nil {
			return usagef("--peers %w", err)
		}
	}
	if l.nodes != "" {
		if err := s.UseNodes(l.nodes, o.Peers); err != nil {
			return usagef("--nodes: %w", err)
		}
		o.Peers = 0 // they are the scenario's own now
	}
	for _, text := range l.workloads {
		if err := s.AddWorkload(text); err != nil {
			return usagef("--workload: %w", err)
		}
	}
	return nil
}

// plan prints a scenario as it would run: its workloads drawn into lines.
func (c *cli) plan(s *sim.Scenario, o sim.Options) error {
	seed := s.Seed
	if o.Seed != nil {
		seed = *o.Seed
	}
	drawn := *s.Expand(seed, o.Peers)
	drawn.Seed = seed
	if o.Peers > 0 {
		drawn.Groups[0].Count = o.Peers // CheckPeers has seen that there is one group
	}
	text := drawn.String()
	return c.answer(map[string]any{"scenario": s.Name, "plan": text}, func() { fmt.Fprint(c.out, text) })
}
