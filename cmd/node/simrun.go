package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"shoal/sim"
	simplan "shoal/sim/plan"
)

// runFlags are those of `shoal sim run`.
type runFlags struct {
	trace, lines, print, plan bool
	report, shrink            string
	loads                     simLoads
}

func (c *cli) simRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE...",
		Short: "Run scenarios, or plans of your own; the same seed gives the same trace, always",
		Long: `Run scenarios, or plans of your own; the same seed gives the same trace, always.

A file that ends in .yaml is a plan: your peers, sites and links, your Compose file,
your faults. docs/SIMULATION.md describes it; --print shows the scenario it makes.

Exit codes: 0 all well; 1 a file is wrong; 3 a core crashed; 4 an invariant was broken;
5 something that had to come about did not; 125 wrong usage; 130 interrupted.`,
		Example: `  shoal sim run my.yaml --report out.html
  shoal sim run my.yaml --shrink failures
  shoal sim run sim/testdata/holder_dies.txt --seed 42`,
		Args: wants(1, -1, "a scenario's or plan's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.loads.options(cmd)
			if err != nil {
				return err
			}
			o.Lines, o.Weigh = true, true
			if f.trace {
				o.Trace = c.err
			}
			if f.report != "" && len(args) > 1 {
				return usagef("--report %s: one run makes one report, and there are %d files", f.report, len(args))
			}
			return c.runAll(cmd.Context(), args, o, &f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.lines, "lines", false, "print what happened, not only when something was wrong")
	flags.BoolVar(&f.trace, "trace", false, "write every step to stderr")
	flags.BoolVar(&f.plan, "plan", false, "print the scenario with its workloads drawn, and run nothing")
	flags.BoolVar(&f.print, "print", false, "print the scenario instead of running it")
	flags.StringVar(&f.report, "report", "", "write what happened into one HTML `file`")
	flags.StringVar(&f.shrink, "shrink", "", "cut a failing run down to the lines that matter, and write it into this `directory`")
	f.loads.flags(cmd)
	return cmd
}

// runAll reads all files, and then runs them one after the other; the exit code is
// the worst.
func (c *cli) runAll(ctx context.Context, files []string, o sim.Options, f *runFlags) error {
	var all []*toRun
	for _, file := range files {
		t, err := c.load(ctx, file, o, &f.loads)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	worst := 0
	for _, t := range all {
		code, err := c.simulate(t, f)
		if err != nil {
			return err
		}
		if worst = max(worst, code); code == exitInterrupted {
			break
		}
	}
	if worst != 0 {
		return &coded{worst, errSaid}
	}
	return nil
}

// A toRun is a file that was read, and how it is run.
type toRun struct {
	s *sim.Scenario
	p *simplan.Plan // nil: the file is a scenario
	o sim.Options
}

// load reads a file and applies the flags to it.
func (c *cli) load(ctx context.Context, file string, o sim.Options, l *simLoads) (*toRun, error) {
	s, p, err := c.scenario(ctx, file, o.Seed)
	if err != nil {
		return nil, err
	}
	if err := l.apply(s, &o); err != nil {
		return nil, err
	}
	return &toRun{s, p, o}, nil
}

func (c *cli) simulate(t *toRun, f *runFlags) (code int, err error) {
	s, p, o := t.s, t.p, t.o
	if f.plan {
		return 0, c.plan(s, o)
	}
	if f.print {
		text := asRun(s, o).String()
		if p != nil && !f.loads.changed() {
			text = p.Text
		}
		_, err := fmt.Fprint(c.out, text)
		return 0, err
	}
	if err := fits(s, o); err != nil {
		return 0, err
	}
	if f.report != "" {
		if err := reportable(f.report); err != nil {
			return 0, err
		}
	}
	if f.shrink != "" {
		if err := makeable(f.shrink); err != nil {
			return 0, fmt.Errorf("--shrink: %w", err)
		}
	}
	defer c.speakOf(t)()
	bar := c.newBar(s.Run)
	o.Progress, o.Record = bar.at, f.report != ""
	result := sim.Run(s, o)
	bar.end()
	if f.report != "" && result.Verdict != sim.Interrupted {
		if err := c.writeReport(f.report, &result, s, p); err != nil {
			return 0, err
		}
	}
	if err := c.ran(&result, f); err != nil {
		return 0, err
	}
	if f.shrink != "" && result.Failure != nil {
		err = c.shrink(t, f.shrink)
	}
	return result.Verdict.ExitCode(), err
}

// lastLines is how many lines before a finding are printed.
const lastLines = 60

// ran says how a run ended.
func (c *cli) ran(result *sim.Result, f *runFlags) error {
	if c.json() && !f.lines {
		result.Lines = nil
	}
	return c.answer(result, func() {
		if lines := result.Lines; result.Failure != nil || f.lines {
			if n := len(lines) - lastLines; !f.lines && n > 0 {
				fmt.Fprintf(c.out, "%d earlier lines; --lines prints them\n", n)
				lines = lines[n:]
			}
			for _, l := range lines {
				fmt.Fprintln(c.out, l)
			}
		}
		fmt.Fprintln(c.out, result.String())
	})
}

// shrink cuts a failing run down and writes it into a directory; what a plan calls the
// peers stands at its head.
func (c *cli) shrink(t *toRun, dir string) error {
	c.progress("cutting it down; Ctrl-C ends that with what there is")
	small, of := sim.ShrinkRun(t.s, t.o)
	base := filepath.Base(t.s.Name)
	name := fmt.Sprintf("%s-%d", strings.TrimSuffix(base, filepath.Ext(base)), small.Seed)
	text := fmt.Sprintf("# %s, seed %d, cut down from %d lines to %d.\n", base, small.Seed, of, len(small.Ops))
	if t.p != nil {
		for i, name := range t.p.Peers[:min(len(t.p.Peers), small.PeerCount(0))] {
			text += fmt.Sprintf("# n%d = %s\n", i+1, name)
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("--shrink: %w", err)
	}
	file, err := writeNew(dir, name, text+small.String())
	if err != nil {
		return fmt.Errorf("--shrink: %w", err)
	}
	c.progress("cut down from %d lines to %d: shoal sim run %s", of, len(small.Ops), sim.Quote(file))
	return nil
}

// writeNew writes text as NAME.txt, or, where that is there, NAME-2.txt and so on.
func writeNew(dir, name, text string) (file string, err error) {
	file = filepath.Join(dir, name+".txt")
	for n := 2; ; n++ {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) && n < 1000 {
			file = filepath.Join(dir, fmt.Sprintf("%s-%d.txt", name, n))
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.WriteString(text)
		return file, errors.Join(err, f.Close())
	}
}

// makeable refuses a directory that cannot be made or written into, before a run that
// may need it: it tries the nearest one that is there, and leaves nothing behind.
func makeable(dir string) error {
	at := filepath.Clean(dir)
	info, err := os.Stat(at)
	for errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no directory", at)
	}
	probe, err := os.CreateTemp(at, ".probe")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
