package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"shoal/sim"
)

// simLoads are the flags that change how a scenario is run: what repeats a run, in
// `shoal sim run` and in `shoal sim replay` alike.
type simLoads struct {
	seed      uint64
	peers     int
	encode    bool
	workloads []string
	nodes     string
}

func (l *simLoads) flags(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&l.seed, "seed", 0, "source of chance (default: the file's)")
	cmd.Flags().IntVar(&l.peers, "peers", 0, "number of peers, if all are alike (default: the file's)")
	cmd.Flags().BoolVar(&l.encode, "encode", false, "encode and decode each message")
	cmd.Flags().StringArrayVar(&l.workloads, "workload", nil, "more work, as a scenario has it: 'rate=2/s mix=service:3,batch:1 trace=pods.csv'")
	cmd.Flags().StringVar(&l.nodes, "nodes", "", "peers as the nodes in this table (openb's columns), as many as --peers or the scenario says")
}

// options are those that the flags say; each file gets a copy of its own.
func (l *simLoads) options(cmd *cobra.Command) (sim.Options, error) {
	o := sim.Options{Encode: l.encode, Stop: interrupted(cmd.Context())}
	if cmd.Flags().Changed("peers") {
		if o.Peers = l.peers; l.peers < 1 {
			return o, usagef("--peers %d: want 1 or more", l.peers)
		}
	}
	if cmd.Flags().Changed("seed") {
		o.Seed = &l.seed
	}
	return o, nil
}

// none refuses flags of a scenario where the file is something else.
func (l *simLoads) none(cmd *cobra.Command, file, what string) error {
	for _, name := range []string{"seed", "peers", "encode", "workload", "nodes"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s: %s is %s, which is as it is; leave the flag out", name, file, what)
		}
	}
	return nil
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

// changed reports whether a flag makes the run another one than the file's, but for the
// seed.
func (l *simLoads) changed() bool {
	return l.peers > 0 || l.encode || len(l.workloads) > 0 || l.nodes != ""
}

// asRun is a scenario with the options it runs with as its own.
func asRun(s *sim.Scenario, o sim.Options) *sim.Scenario {
	out := *s
	if o.Seed != nil {
		out.Seed = *o.Seed
	}
	out.Encode = s.Encode || o.Encode
	if o.Peers > 0 {
		out.Groups = slices.Clone(s.Groups)
		out.Groups[0].Count = o.Peers // CheckPeers has seen that there is one group
	}
	return &out
}

// plan prints a scenario as it would run: its workloads drawn into lines.
func (c *cli) plan(s *sim.Scenario, o sim.Options) error {
	s = asRun(s, o)
	text := s.Expand(s.Seed, 0).String()
	return c.answer(map[string]any{"scenario": s.Name, "plan": text}, func() { fmt.Fprint(c.out, text) })
}
