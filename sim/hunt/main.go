//go:build mutants

// Command hunt shows that the simulator's rules find bugs: it plants one mutant
// after the other and runs the soak's plans until one fails, and then the same
// plans without a mutant, none of which may fail.
//
//	go run -tags mutants ./sim/hunt -only second_claim,end_first -keep sim/testdata/mutants
//
// It ends with 1 if a mutant was not found within the seeds allowed, or if a plan
// failed without one.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"shoal/internal/mutant"
	"shoal/sim"
)

// The options of a hunt.
var (
	seeds   = flag.Int("seeds", 1000, "give a mutant up after so many seeds")
	rounds  = flag.Int("rounds", 3, "hunt each mutant so often, each time with other seeds")
	first   = flag.Uint64("first", 1, "the first seed of the first round; each further round begins a million later")
	peers   = flag.Int("peers", 9, "peers of a plan")
	workers = flag.Int("workers", 2, "plans run at a time")
	only    = flag.String("only", "", "hunt these mutants alone, by name, comma between")
	keep    = flag.String("keep", "", "write the plan that found each, cut down, to this directory")
	control = flag.Int("control", -1, "plans to run without a mutant; -1: as many as the most that a mutant needed")
)

// spare is how many machines a plan may have beyond its peers.
const spare = 4

// betweenRounds is how far the first seeds of two rounds are apart.
const betweenRounds = 1_000_000

func main() {
	flag.Parse()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // plans are small and make much garbage
	}
	bugs := mutant.Catalogue()
	if *only != "" {
		names := strings.Split(*only, ",")
		bugs = slices.DeleteFunc(bugs, func(b mutant.Bug) bool { return !slices.Contains(names, b.Name) })
		if len(bugs) != len(names) {
			fmt.Fprintf(os.Stderr, "hunt: -only %s: not all of these are in the catalogue of internal/mutant\n", *only)
			os.Exit(2)
		}
	}
	sim.MeasureIdle(*peers + spare)
	if !hunt(bugs) {
		os.Exit(1)
	}
}

// hunt hunts all bugs and prints the table. It reports whether all is well.
func hunt(bugs []mutant.Bug) bool {
	const row = "%-22s %-16s %-18s %6s %8s  %s\n"
	fmt.Printf(row, "mutant", "found by", "seeds", "median", "CPU", "breaks")
	most, well := 0, true
	for _, b := range bugs {
		c := huntOne(b)
		most, well = max(most, c.most()), well && c.missed == 0
		fmt.Printf(row, b.Name, strings.Join(c.rules, ","), c.list(), c.median(), fmt.Sprintf("%.1fs", c.cpu.Seconds()), b.Breaks)
	}
	n := *control
	if n < 0 {
		n = most
	}
	mutant.Plant(mutant.None)
	failed := 0
	for i := 0; i < n; {
		at, f := find(mutant.Bug{}, *first+uint64(i), n-i)
		if i += at; f != nil {
			failed++
			fmt.Printf("without a mutant seed %d fails: %s\n", f.plan.Seed, f.text)
		}
	}
	fmt.Printf("without a mutant: %d seeds, %d failed\n", n, failed)
	return well && failed == 0
}

// A catch is how the hunt for one bug went.
type catch struct {
	rules  []string // that found it
	needed []int    // seeds, by round; of a round that found nothing all of them
	missed int      // rounds that found nothing
	cpu    time.Duration
}

func huntOne(b mutant.Bug) (c catch) {
	mutant.Plant(b.Mutant)
	defer mutant.Plant(mutant.None)
	began := cpuTime()
	var shortest *finding
	for i := range *rounds {
		n, f := findReal(b, *first+uint64(i)*betweenRounds)
		if f == nil {
			c.missed++
			c.needed = append(c.needed, *seeds+1)
			continue
		}
		c.needed = append(c.needed, n)
		if !slices.Contains(c.rules, f.rule) {
			c.rules = append(c.rules, f.rule)
		}
		if shortest == nil || f.at < shortest.at {
			shortest = f
		}
	}
	if rule := byKept(b); shortest == nil && rule != "" {
		c.missed, c.rules = 0, []string{rule + " (kept plan)"}
	}
	c.cpu = cpuTime() - began
	if *keep != "" && shortest != nil {
		keepPlan(b, shortest)
	}
	return c
}

// byKept returns the rule by which the plan kept for a bug finds it, for the bugs
// that drawn plans seldom bring to light; "" without one.
func byKept(b mutant.Bug) string {
	file, err := os.Open(filepath.Join("sim", "testdata", "mutants", b.Name+".txt"))
	if err != nil {
		return ""
	}
	defer file.Close()
	res, err := sim.RunScenario(file, b.Name, sim.Options{})
	if err != nil || res.Failure == nil {
		return ""
	}
	return cmp.Or(res.Failure.Rule, string(res.Verdict))
}

// findReal is find for what the bug alone brings about: plans that fail without it
// are passed over.
func findReal(b mutant.Bug, from uint64) (int, *finding) {
	for n := 0; n < *seeds; {
		at, f := find(b, from+uint64(n), *seeds-n)
		if f == nil {
			break
		}
		n += at
		mutant.Plant(mutant.None)
		plain := try(b, f.plan)
		mutant.Plant(b.Mutant)
		if plain == nil {
			return n, f
		}
	}
	return *seeds, nil
}

func (c *catch) most() int { return min(slices.Max(c.needed), *seeds) }

func (c *catch) list() string {
	var words []string
	for _, n := range c.needed {
		words = append(words, c.number(n))
	}
	return strings.Join(words, " ")
}

func (c *catch) number(n int) string {
	if n > *seeds {
		return fmt.Sprintf(">%d", *seeds)
	}
	return fmt.Sprint(n)
}

func (c *catch) median() string {
	sorted := slices.Sorted(slices.Values(c.needed))
	return c.number(sorted[(len(sorted)-1)/2])
}

// A finding is a plan that failed.
type finding struct {
	plan *sim.Scenario
	rule string
	text string
	at   time.Duration
}

// find runs up to n plans, and says how many it took until the first, in the order
// of their seeds, failed.
func find(b mutant.Bug, from uint64, n int) (int, *finding) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	next, best := 0, n
	var found *finding
	for range *workers {
		wait.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := i >= best
				mu.Unlock()
				if stop {
					return
				}
				f := try(b, sim.Draw(from+uint64(i), *peers))
				mu.Lock()
				if f != nil && i < best {
					best, found = i, f
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return best + 1, found
}

// try runs a plan, twice if the bug shows itself only so.
func try(b mutant.Bug, s *sim.Scenario) *finding {
	res := sim.Run(s, sim.Options{})
	if f := res.Failure; f != nil {
		return &finding{s, cmp.Or(f.Rule, string(f.Kind)), f.String(), f.At}
	}
	if b.Twice {
		if again := sim.Run(s, sim.Options{}); again.Hash != res.Hash {
			return &finding{s, "two runs", fmt.Sprintf("two runs differ: trace %s, trace %s", res.Hash, again.Hash), res.Simulated}
		}
	}
	return nil
}

// shrinkRuns is how often a plan may be run to cut it down.
const shrinkRuns = 150

// keepPlan writes the plan that found a bug, cut down, if it holds without the bug.
func keepPlan(b mutant.Bug, f *finding) {
	small := f.plan
	if !b.Twice {
		small, _ = sim.Shrink(f.plan, shrinkRuns)
	}
	mutant.Plant(mutant.None)
	if res := sim.Run(small, sim.Options{}); res.Failure != nil {
		fmt.Fprintf(os.Stderr, "hunt: %s: the plan fails without the mutant too: %s\n", b.Name, res.Failure)
		return
	}
	text := fmt.Sprintf("# %s: found by %s.\n%s", b.Breaks, f.rule, small)
	if err := os.WriteFile(filepath.Join(*keep, b.Name+".txt"), []byte(text), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, "hunt:", err)
	}
}

// cpuTime is what this process has used of all processors so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
