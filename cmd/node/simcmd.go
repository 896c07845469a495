package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"shoal/sim"
)

// errSaid ends the program with a code; what there was to say has been said.
var errSaid = errors.New("")

func (c *cli) simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run the same core in a simulated world",
	}
	cmd.AddCommand(c.simRunCommand(), c.simReplayCommand(), c.simSoakCommand())
	return cmd
}

func (c *cli) simRunCommand() *cobra.Command {
	var seed uint64
	var peers int
	var trace, encode, lines bool
	var loads simLoads
	cmd := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "Run scenarios; the same seed gives the same trace, always",
		Long: `Run scenarios; the same seed gives the same trace, always.

Exit codes: 0 all well; 1 a file is wrong; 3 a core crashed; 4 an invariant was broken;
5 something that had to come about did not.`,
		Args: wants(1, -1, "a scenario's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := sim.Options{Encode: encode, Lines: true}
			if cmd.Flags().Changed("peers") {
				if o.Peers = peers; peers < 1 {
					return usagef("--peers %d: want 1 or more", peers)
				}
			}
			if cmd.Flags().Changed("seed") {
				o.Seed = &seed
			}
			if trace {
				o.Trace = c.err
			}
			worst := 0
			for _, file := range args {
				code, err := c.simulate(file, o, &loads, lines)
				if err != nil {
					return err
				}
				worst = max(worst, code)
			}
			if worst != 0 {
				return &coded{worst, errSaid}
			}
			return nil
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 0, "source of chance (default: the scenario's)")
	cmd.Flags().IntVar(&peers, "peers", 0, "number of peers, if all are alike (default: the scenario's)")
	cmd.Flags().BoolVar(&lines, "lines", false, "print what happened, not only when something was wrong")
	cmd.Flags().BoolVar(&trace, "trace", false, "write every step to stderr")
	cmd.Flags().BoolVar(&encode, "encode", false, "encode and decode each message")
	loads.flags(cmd)
	return cmd
}

func (c *cli) simulate(file string, o sim.Options, loads *simLoads, lines bool) (code int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	scenario, err := sim.Parse(f, file)
	if err != nil {
		return 0, err
	}
	if err := loads.apply(scenario, &o); err != nil {
		return 0, err
	}
	if loads.plan {
		return 0, c.plan(scenario, o)
	}
	result := sim.Run(scenario, o)
	if c.json() && !lines {
		result.Lines = nil
	}
	err = c.answer(result, func() {
		if result.Failure != nil || lines {
			for _, l := range result.Lines {
				fmt.Fprintln(c.out, l)
			}
		}
		fmt.Fprintln(c.out, result.String())
	})
	return result.Verdict.ExitCode(), err
}
