package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"shoal/internal/plain"
	"shoal/job"
	"shoal/job/compose"
	"shoal/sim"
	simplan "shoal/sim/plan"
	"shoal/sim/report"
)

// maxScenarioBytes is many times the largest scenario that a machine could run.
const maxScenarioBytes = 64 << 20

// aScenario is what a file of `shoal sim` should be.
const aScenario = "a scenario, or a plan that ends in .yaml"

// scenario reads a file: a plan if its name ends in .yaml or .yml, else a scenario.
// The plan is nil for a scenario.
func (c *cli) scenario(ctx context.Context, file string, seed *uint64) (*sim.Scenario, *simplan.Plan, error) {
	data, err := plain.Read(file, aScenario, maxScenarioBytes)
	if err != nil {
		return nil, nil, err
	}
	if ext := strings.ToLower(filepath.Ext(file)); ext != ".yaml" && ext != ".yml" {
		s, err := sim.Parse(bytes.NewReader(data), file)
		return s, nil, err
	}
	p, err := simplan.Read(data, file, simplan.Options{Seed: seed, Compose: func(name, jobName string) (*job.Spec, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		spec, warnings, err := compose.Load(ctx, compose.Options{Files: []string{name}, Name: jobName, Env: environment()})
		for _, w := range warnings {
			c.progress("%s", w)
		}
		return spec, err
	}})
	if err != nil {
		return nil, nil, err
	}
	return p.Scenario, p, nil
}

// fits refuses a run that would need more memory than there is, before it starts.
func fits(s *sim.Scenario, o sim.Options) error {
	need, have := s.MemoryNeeded(o), freeMemory()
	if have == 0 || need <= have {
		collectLess(need, have)
		return nil
	}
	return fmt.Errorf("%s: %d peers need about %s of memory with their slots, and %s is free: take fewer peers, less work, or another machine",
		s.Name, s.PeerCount(o.Peers), gib(need), gib(have))
}

// soakFits is fits for a soak.
func soakFits(p *sim.SoakPlan) error {
	need, have := p.MemoryNeeded(), freeMemory()
	if have == 0 || need <= have {
		collectLess(need, have)
		return nil
	}
	return fmt.Errorf("plans of %d peers, several at once, need about %s of memory, and %s is free: take fewer --peers or --jobs",
		p.Peers, gib(need), gib(have))
}

func gib(n int64) string { return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB" }

// reportable refuses a report that could not be written, before the run.
func reportable(file string) error {
	switch info, err := os.Stat(file); {
	case err != nil: // there is none yet, or what follows says why not
	case !info.Mode().IsRegular():
		return usagef("--report %s: that is no plain file; name one to write, such as out.html", file)
	case !isReport(file):
		return usagef("--report %s: that file is there and is no report, so it stays; name another", file)
	}
	dir := filepath.Dir(file)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return usagef("--report %s: there is no folder %s; make it first", file, dir)
	}
	part, err := os.Create(file + ".part")
	if err != nil {
		return usagef("--report %s: nothing can be written into the folder %s: %w", file, dir, errors.Unwrap(err))
	}
	return errors.Join(part.Close(), os.Remove(part.Name()))
}

// isReport reports whether a file begins as a report does, or is empty.
func isReport(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(report.Begin))
	n, err := io.ReadFull(f, head)
	return errors.Is(err, io.EOF) || err == nil && string(head[:n]) == report.Begin
}

// writeReport writes the report of a run; the file is there whole or not at all.
func (c *cli) writeReport(file string, result *sim.Result, s *sim.Scenario, p *simplan.Plan) error {
	o := report.Options{Text: s.String()}
	if p != nil {
		o.Title, o.Names, o.Text = p.Title, p.Peers, p.Text
	}
	var page bytes.Buffer
	if err := report.Write(&page, result, o); err != nil {
		return err
	}
	part, err := os.Create(file + ".part")
	if err != nil {
		return err
	}
	_, err = part.Write(page.Bytes())
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	c.progress("report: %s", file)
	return nil
}
