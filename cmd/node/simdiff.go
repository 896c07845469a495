package main

import (
	"errors"
	"fmt"
	"strconv"

	"shoal/internal/plain"
	"shoal/sim"
)

// diff finds the first difference of two seeds of a scenario, of two scenarios, or
// of two traces.
func (c *cli) diff(args []string, o replayOptions) error {
	var p *sim.Parting
	var err error
	if len(args) == 3 {
		p, err = diffSeeds(args[0], args[1], args[2], o.run)
	} else {
		p, err = diffFiles(args[0], args[1], o.run)
	}
	if errors.Is(err, sim.ErrInterrupted) {
		return &coded{exitInterrupted, err}
	}
	if err != nil {
		return err
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

func diffSeeds(file, a, b string, o sim.Options) (*sim.Parting, error) {
	s, err := readScenario(file)
	if err != nil {
		return nil, err
	}
	options := func(text string) (sim.Options, error) {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return o, usagef("--diff %s: %q is no seed; want a whole number from 0 on", file, text)
		}
		o.Seed = &seed
		return o, nil
	}
	oa, err := options(a)
	if err != nil {
		return nil, err
	}
	ob, err := options(b)
	if err != nil {
		return nil, err
	}
	return sim.Diff(s, oa, s, ob)
}

func diffFiles(a, b string, o sim.Options) (*sim.Parting, error) {
	sa, errA := readScenario(a)
	sb, errB := readScenario(b)
	if errA == nil && errB == nil {
		return sim.Diff(sa, o, sb, o)
	}
	if errA == nil || errB == nil { // one scenario, and one file that is none
		return nil, errors.Join(errA, errB)
	}
	fa, err := plain.Open(a, "a trace", 0)
	if err != nil {
		return nil, err
	}
	defer fa.Close()
	fb, err := plain.Open(b, "a trace", 0)
	if err != nil {
		return nil, err
	}
	defer fb.Close()
	return sim.DiffTraces(fa, fb)
}

func readScenario(file string) (*sim.Scenario, error) {
	f, err := plain.Open(file, "a scenario or a trace", 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return sim.Parse(f, file)
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
