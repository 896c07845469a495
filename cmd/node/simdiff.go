package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"shoal/internal/plain"
	"shoal/sim"
)

// diff finds the first difference of two seeds of a scenario, of two scenarios, or
// of two traces.
func (c *cli) diff(cmd *cobra.Command, args []string, o replayOptions) error {
	if o.atStep || o.at.Peer != "" {
		return usagef("--diff shows the first step that differs; leave --step and --dump out")
	}
	var p *sim.Parting
	var t *toRun
	var err error
	if len(args) == 3 {
		t, p, err = c.diffSeeds(cmd.Context(), args[0], args[1], args[2], &o)
	} else {
		t, p, err = c.diffFiles(cmd, args[0], args[1], &o)
	}
	if errors.Is(err, sim.ErrInterrupted) {
		return &coded{exitInterrupted, err}
	}
	if err != nil {
		return err
	}
	if t != nil {
		defer c.speakOf(t)()
	}
	a, b := args[len(args)-2], args[len(args)-1]
	if err := c.answer(map[string]any{"equal": p == nil, "difference": p}, func() { c.parting(a, b, p) }); err != nil {
		return err
	}
	if p != nil {
		return &coded{exitError, errSaid}
	}
	return nil
}

func (c *cli) diffSeeds(ctx context.Context, file, a, b string, o *replayOptions) (*toRun, *sim.Parting, error) {
	if o.run.Seed != nil {
		return nil, nil, usagef("--seed: the two seeds stand behind %s already; leave the flag out", file)
	}
	var both [2]*toRun
	for i, text := range []string{a, b} {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, nil, usagef("--diff %s: %q is no seed; want a whole number from 0 on", file, text)
		}
		run := o.run
		run.Seed = &seed
		if both[i], err = c.load(ctx, file, run, &o.loads); err != nil {
			return nil, nil, err
		}
	}
	return diffRuns(both[0], both[1])
}

// diffRuns compares two runs; the first of them names the peers, where both call them
// the same.
func diffRuns(a, b *toRun) (*toRun, *sim.Parting, error) {
	for _, t := range []*toRun{a, b} {
		if err := fits(t.s, t.o); err != nil {
			return nil, nil, err
		}
	}
	p, err := sim.Diff(a.s, a.o, b.s, b.o)
	if a.p == nil || b.p == nil || !slices.Equal(a.p.Peers, b.p.Peers) {
		return nil, p, err
	}
	return a, p, err
}

func (c *cli) diffFiles(cmd *cobra.Command, a, b string, o *replayOptions) (*toRun, *sim.Parting, error) {
	ta, errA := c.load(cmd.Context(), a, o.run, &o.loads)
	tb, errB := c.load(cmd.Context(), b, o.run, &o.loads)
	if errA == nil && errB == nil {
		return diffRuns(ta, tb)
	}
	if errA == nil || errB == nil { // one scenario, and one file that is none
		return nil, nil, errors.Join(errA, errB)
	}
	if err := o.loads.none(cmd, a, "a trace"); err != nil {
		return nil, nil, errA
	}
	fa, err := plain.Open(a, "a trace", 0)
	if err != nil {
		return nil, nil, err
	}
	defer fa.Close()
	fb, err := plain.Open(b, "a trace", 0)
	if err != nil {
		return nil, nil, err
	}
	defer fb.Close()
	p, err := sim.DiffTraces(fa, fb)
	return nil, p, err
}

func (c *cli) parting(a, b string, p *sim.Parting) {
	if p == nil {
		fmt.Fprintf(c.out, "%s and %s are the same\n", a, b)
		return
	}
	for _, l := range p.Before {
		fmt.Fprintln(c.out, "  "+oneLine(l))
	}
	if p.Line > 0 {
		fmt.Fprintf(c.out, "%s and %s differ from line %d on\n", a, b, p.Line)
		for _, side := range []struct {
			name  string
			lines []string
		}{{a, p.A}, {b, p.B}} {
			if len(side.lines) == 0 {
				fmt.Fprintf(c.out, "%s ends here\n", side.name)
			}
			for _, l := range side.lines {
				fmt.Fprintf(c.out, "%s: %s\n", side.name, oneLine(l))
			}
		}
		return
	}
	switch {
	case p.Alike:
		fmt.Fprintf(c.out, "%s and %s are alike in words, different in content from step %d on: %s\n", a, b, p.Step, p.Content)
	case p.Content != "":
		fmt.Fprintf(c.out, "%s and %s differ in content from step %d on: %s. The first step that reads otherwise:\n", a, b, p.Step, p.Content)
	default:
		fmt.Fprintf(c.out, "%s and %s differ from step %d on\n", a, b, p.Step)
	}
	for _, side := range []struct {
		name string
		step *sim.StepView
	}{{a, p.StepA}, {b, p.StepB}} {
		fmt.Fprintf(c.out, "%s: ", side.name)
		if side.step == nil {
			fmt.Fprintln(c.out, "has ended before it")
			continue
		}
		c.step(side.step)
	}
}
