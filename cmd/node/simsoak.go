package main

import (
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"shoal/sim"
)

func (c *cli) simSoakCommand() *cobra.Command {
	p := sim.SoakPlan{First: 1, Seeds: 200, Peers: sim.DrawPeers, Time: sim.DrawTime}
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run a random scenario per seed; failing ones are cut down and kept",
		Long: `Run a random scenario per seed: work, and faults of several kinds, all drawn up front.
The same seed is the same scenario, always. One that fails is cut down to the lines
that matter and written to --keep, from where shoal sim run shows it again.

Exit codes: 0 all well; 1 --keep cannot be written; 3 a core crashed; 4 an invariant was broken;
5 something that had to come about did not, as a rare branch in 2000 seeds. Of several the gravest, in this order;
125 wrong usage; 130 interrupted.`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.soak(cmd, p) },
	}
	f := cmd.Flags()
	f.IntVar(&p.Seeds, "seeds", p.Seeds, "how many seeds to run")
	f.Uint64Var(&p.First, "first", p.First, "the first seed")
	f.IntVar(&p.Peers, "peers", p.Peers, "peers of each scenario")
	durationFlag(f, &p.Time, "time", p.Time, bounds{10 * time.Second, 24 * time.Hour, "10s to 24h"},
		"simulated time of each, before faults end and progress is demanded")
	f.StringVar(&p.Keep, "keep", "soak", "directory for the shrunk scenarios of failing seeds; empty: none is shrunk")
	f.IntVar(&p.Jobs, "jobs", 0, "scenarios run at once (default: one per processor)")
	return cmd
}

func checkSoak(p *sim.SoakPlan) error {
	switch {
	case p.Seeds < 1:
		return usagef("--seeds %d: want 1 or more", p.Seeds)
	case p.First < 1:
		return usagef("--first 0: want 1 or more")
	case p.First > math.MaxUint64-uint64(p.Seeds-1):
		return usagef("--first %d: %d seeds from there on go beyond the last, %d", p.First, p.Seeds, uint64(math.MaxUint64))
	case p.Peers < 2 || p.Peers > sim.MaxDrawPeers:
		return usagef("--peers %d: want 2 to %d", p.Peers, sim.MaxDrawPeers)
	case p.Time < 10*time.Second || p.Time > 24*time.Hour:
		return usagef("--time %v: want 10s to 24h", p.Time)
	case p.Jobs < 0:
		return usagef("--jobs %d: want 1 or more", p.Jobs)
	}
	return nil
}

// progressEvery is how often a soak says how far it is.
const progressEvery = 5 * time.Second

func (c *cli) soak(cmd *cobra.Command, p sim.SoakPlan) error {
	if err := checkSoak(&p); err != nil {
		return err
	}
	if err := soakFits(&p); err != nil {
		return err
	}
	said, failed := time.Now(), 0
	p.Progress = func(s *sim.Soaked) {
		for _, f := range s.Failures[failed:] {
			c.progress("seed %d: %s", f.Seed, &f.Failure)
		}
		if failed = len(s.Failures); time.Since(said) >= progressEvery {
			said = time.Now()
			c.progress("%d of %d seeds, %d failed, %.0f a minute", s.Seeds, p.Seeds, failed, s.PerMinute)
		}
	}
	interrupted(cmd.Context())
	got, err := sim.Soak(cmd.Context(), p)
	if err != nil {
		return err
	}
	if err := c.answer(got, func() { c.soaked(got) }); err != nil {
		return err
	}
	if v := got.Verdict(); v != sim.OK {
		return &coded{v.ExitCode(), errSaid}
	}
	if got.Seeds < p.Seeds {
		return &coded{exitInterrupted, fmt.Errorf("interrupted after %d of %d seeds", got.Seeds, p.Seeds)}
	}
	return nil
}

func (c *cli) soaked(s *sim.Soaked) {
	for _, f := range s.Failures {
		fmt.Fprintf(c.out, "seed %d: %s\n", f.Seed, &f.Failure)
		if f.File != "" {
			fmt.Fprintf(c.out, "  cut down from %d lines to %d: %s\n", f.Of, f.Lines, f.File)
		}
		fmt.Fprintf(c.out, "  again: %s\n", f.Replay)
	}
	for _, name := range sim.RareBranches() {
		if n := s.Rare[name]; n > 0 {
			fmt.Fprintf(c.out, "%6d seeds  %s\n", n, name)
		}
	}
	for _, name := range s.Never {
		fmt.Fprintf(c.out, " never reached  %s\n", name)
	}
	fmt.Fprintf(c.out, "%d seeds of %d peers, %v each: %d ok, %d failed; %d faults, %v simulated, %.0f seeds a minute\n",
		s.Seeds, s.Peers, s.Time, s.Verdicts[sim.OK], len(s.Failures), s.Faults, s.Simulated.Round(time.Second), s.PerMinute)
}
