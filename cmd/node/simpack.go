package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/sim"
	"shoal/sim/pack"
)

const (
	maxPackSeeds    = 10_000
	maxPackArrivals = 1_000 // percent
)

// packFlags are those of `shoal sim pack`.
type packFlags struct {
	nodes, pods, policy string
	pack.Options
}

func (c *cli) simPackCommand() *cobra.Command {
	f := packFlags{Options: pack.Options{First: 1, Seeds: 10, Percent: 130, Cell: 128}}
	cmd := &cobra.Command{
		Use:   "pack --nodes FILE --pods FILE",
		Short: "Pack a trace of pods onto nodes, centrally with full view and by sales",
		Long: `Pack a trace of pods onto nodes, in the format of the openb trace, and report how much
of the GPUs, CPUs and memory was placed, and how fragmented the rest is.

Policies bestfit and fgd place centrally, with full view: one scheduler that sees each
node as it is. They are the yardstick. bestfit takes the node on which the least is left;
fgd the one on which the fewest fragments arise that no usual pod could use (Weng et al.,
USENIX ATC 2023). Policies pack and spread place by sales, with the code that ships: the
nodes are peers in cells, each pod is a slot, offered in one cell and then in another.
No time passes and nothing is lost, so what a sale takes there is shown, not how long.

Nodes without a GPU are left out. For each seed the pods come in another order, and
copies of them until they ask for --arrivals percent of all GPUs. The same seed gives
the same placement, always.

Exit codes: 0 all well; 1 a file is wrong; 125 wrong usage; 130 interrupted.`,
		Example: `  shoal sim pack --nodes nodes.csv --pods pods.csv
  shoal sim pack --nodes nodes.csv --pods pods.csv --policy fgd --arrivals 100 -o json`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return c.pack(&f, interrupted(cmd.Context()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.nodes, "nodes", "", "a table of nodes, `file` in CSV: sn,cpu_milli,memory_mib,gpu,model")
	flags.StringVar(&f.pods, "pods", "", "a table of pods, `file` in CSV: name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,…")
	flags.StringVar(&f.policy, "policy", "", orList(pack.Policies)+" (default: "+strings.Join(pack.Usual, ", ")+", of the same arrivals)")
	flags.IntVar(&f.Seeds, "seeds", f.Seeds, "how many seeds to run")
	flags.Uint64Var(&f.First, "first", f.First, "the first seed")
	flags.IntVar(&f.Cell, "cell", f.Cell, "peers of a cell, all of which a sale in it asks")
	flags.IntVar(&f.Percent, "arrivals", f.Percent, "GPUs that all arriving pods ask for, in percent of what there is")
	return cmd
}

func (f *packFlags) check() error {
	switch {
	case f.nodes == "":
		return usagef("--nodes is missing: name a table of nodes, such as nodes.csv")
	case f.pods == "":
		return usagef("--pods is missing: name a table of pods, such as pods.csv")
	case f.policy != "" && !slices.Contains(pack.Policies, f.policy):
		return usagef("--policy %q: want %s", f.policy, orList(pack.Policies))
	case f.Seeds < 1 || f.Seeds > maxPackSeeds:
		return usagef("--seeds %d: want 1 to %d", f.Seeds, maxPackSeeds)
	case f.First > math.MaxUint64-uint64(f.Seeds-1):
		return usagef("--first %d: %d seeds from there on go beyond the last, %d", f.First, f.Seeds, uint64(math.MaxUint64))
	case f.Cell < 1 || f.Cell > pack.MaxCell:
		return usagef("--cell %d: want 1 to %d peers", f.Cell, pack.MaxCell)
	case f.Percent < 1 || f.Percent > maxPackArrivals:
		return usagef("--arrivals %d: want 1 to %d percent", f.Percent, maxPackArrivals)
	}
	f.Policies = pack.Usual
	if f.policy != "" {
		f.Policies = []string{f.policy}
	}
	return nil
}

func (c *cli) pack(f *packFlags, stop func() bool) error {
	trace, err := sim.ReadPackTrace(f.nodes, f.pods)
	if err != nil {
		return err
	}
	said, all := time.Now(), len(f.Policies)*f.Seeds
	var last pack.At
	f.Watch = func(at pack.At) bool {
		if last = at; time.Since(said) >= progressEvery {
			said = time.Now()
			c.progress("%s, seed %d: %d of %d pods; %d of %d placements done", at.Policy, at.Seed, at.Pods, at.Of, at.Done, all)
		}
		return stop()
	}
	r, err := trace.Run(f.Options)
	switch {
	case errors.Is(err, pack.ErrStopped):
		return &coded{exitInterrupted, fmt.Errorf("interrupted after %d of %d placements", last.Done, all)}
	case err != nil:
		return fmt.Errorf("%s with %s: %w", f.nodes, f.pods, err)
	}
	return c.answer(r, func() { c.packed(r) })
}

// orList prints "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// packed prints a report: a line for each policy and seed, and the means.
func (c *cli) packed(r *pack.Report) {
	fmt.Fprintf(c.out, "%d pods of a trace, arriving at %d %% of %d GPUs on %d nodes",
		r.Pods, r.Percent, r.GPUs, r.Nodes)
	if r.Without > 0 {
		fmt.Fprintf(c.out, "; %d nodes without a GPU left out", r.Without)
	}
	fmt.Fprintln(c.out)
	var rows [][]string
	row := func(policy, seed, pods string, f pack.Figures) {
		cells := []string{policy, seed, pods}
		for _, v := range []float64{f.GPU, f.CPU, f.Mem, f.Fragments, f.Fragmentation} {
			cells = append(cells, strconv.FormatFloat(v, 'f', 2, 64))
		}
		rows = append(rows, cells)
	}
	for _, p := range r.Policies {
		for _, s := range p.Seeds {
			row(p.Policy, strconv.FormatUint(s.Seed, 10), fmt.Sprintf("%d of %d", s.Pods, s.Arrived), s.Figures)
		}
		row(p.Policy, "mean", "", p.Mean)
	}
	c.table("", []string{"POLICY", "SEED", "PODS", "GPU %", "CPU %", "MEM %", "FRAGMENTS %", "OF FREE %"}, rows)
	for _, p := range r.Policies {
		if s := p.Sale; s != nil {
			fmt.Fprintf(c.out, "%s: sold in %s of up to %s; each slot took %.1f bids, %.2f awards, %.1f messages and %.0f bytes\n",
				p.Policy, count(s.Cells, "cell"), count(s.Cell, "peer"), s.Bids, s.Awards, s.Messages, s.Bytes)
		}
	}
}
