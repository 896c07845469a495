package sim

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A SoakPlan says which seeds a soak draws scenarios of, and how large those are.
type SoakPlan struct {
	First uint64        // the first seed; 0 means 1
	Seeds int           // how many
	Peers int           // of each plan; 0 means DrawPeers
	Time  time.Duration // simulated, before the calm; 0 means DrawTime
	Jobs  int           // runs at once; 0 means GOMAXPROCS
	Keep  string        // directory for the shrunk plans of failing seeds; "": none is shrunk
	// Progress is told after each seed, from one goroutine at a time, if not nil.
	Progress func(*Soaked)
}

// A Soaked is what a soak has found. But for Wall and PerMinute, equal plans and
// programs give equal results.
type Soaked struct {
	Seeds     int             `json:"seeds"` // run
	First     uint64          `json:"first"`
	Peers     int             `json:"peers"`
	Time      time.Duration   `json:"time"` // of each plan
	Verdicts  map[Verdict]int `json:"verdicts"`
	Faults    int             `json:"faults"`    // in all plans
	Simulated time.Duration   `json:"simulated"` // all runs together
	Steps     uint64          `json:"steps"`
	Failures  []SoakFailure   `json:"failures"` // by seed

	// Rare is in how many plans each rare branch was taken. A soak of enough seeds
	// fails, as what did not come about, if Never names one.
	Rare  map[string]int `json:"rare"`
	Never []string       `json:"never"`

	Wall      time.Duration `json:"wall"`
	PerMinute float64       `json:"perMinute"` // seeds a minute
}

// A SoakFailure is a seed that failed.
type SoakFailure struct {
	Seed    uint64  `json:"seed"`
	Verdict Verdict `json:"verdict"`
	Failure Failure `json:"failure"`
	File    string  `json:"file,omitempty"`  // the shrunk plan, if plans are kept
	Lines   int     `json:"lines,omitempty"` // of it, of all in Of
	Of      int     `json:"of"`
	Replay  string  `json:"replay"`
}

// Every so many seeds one is run twice: the two traces must be the same.
const twiceEvery = 50

// A soak shrinks at most so many plans, each with at most so many runs.
const (
	maxKept    = 20
	shrinkRuns = 300
)

// Soak draws and runs a plan per seed, several at once, until ctx ends. The error
// is about the directory Keep alone; what was found is in the result.
func Soak(ctx context.Context, p SoakPlan) (*Soaked, error) {
	p = p.withDefaults()
	if p.Keep != "" {
		_, missing := os.Stat(p.Keep)
		if err := os.MkdirAll(p.Keep, 0o750); err != nil {
			return nil, err
		}
		if missing != nil {
			defer os.Remove(p.Keep) // which fails, as it should, where something is kept in it
		}
	}
	s := &soak{p: p, stop: func() bool { return ctx.Err() != nil }, began: time.Now(), out: Soaked{
		First: p.First, Peers: p.Peers, Time: p.Time, Verdicts: map[Verdict]int{}, Failures: []SoakFailure{},
		Rare: map[string]int{}, Never: []string{},
	}}
	seeds := make(chan uint64)
	var wait sync.WaitGroup
	for range p.Jobs {
		wait.Go(func() {
			for seed := range seeds {
				s.one(seed)
			}
		})
	}
	for i := 0; i < p.Seeds && ctx.Err() == nil && s.problem() == nil; i++ {
		seeds <- p.First + uint64(i)
	}
	close(seeds)
	wait.Wait()
	slices.SortFunc(s.out.Failures, func(a, b SoakFailure) int { return int(int64(a.Seed) - int64(b.Seed)) })
	for _, name := range RareBranches() {
		if s.out.Rare[name] == 0 {
			s.out.Never = append(s.out.Never, name)
		}
	}
	return &s.out, s.err
}

// EnoughSeeds is how many seeds must have been through every rare branch.
const EnoughSeeds = 2000

func (p SoakPlan) withDefaults() SoakPlan {
	if p.First == 0 {
		p.First = 1
	}
	if p.Peers == 0 {
		p.Peers = DrawPeers
	}
	if p.Time == 0 {
		p.Time = DrawTime
	}
	if p.Jobs <= 0 {
		p.Jobs = runtime.GOMAXPROCS(0)
	}
	return p
}

type soak struct {
	p     SoakPlan
	stop  func() bool
	began time.Time

	mu   sync.Mutex // guards what follows
	out  Soaked
	kept int
	err  error
}

func (s *soak) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// one draws, runs and tells of one seed.
func (s *soak) one(seed uint64) {
	plan := DrawFor(seed, s.p.Peers, s.p.Time)
	res := Run(plan, Options{Stop: s.stop})
	if res.Verdict == Interrupted {
		return // as if it had not been drawn
	}
	if seed%twiceEvery == 0 {
		if again := Run(plan, Options{Stop: s.stop}); again.Verdict != Interrupted && (again.Hash != res.Hash || again.Steps != res.Steps) {
			res.Verdict = Crash
			res.Failure = &Failure{Kind: Crash, Text: fmt.Sprintf("two runs differ: trace %s after %d steps, %s after %d",
				res.Hash, res.Steps, again.Hash, again.Steps)}
		}
	}
	var failed *SoakFailure
	if res.Failure != nil {
		failed = &SoakFailure{Seed: seed, Verdict: res.Verdict, Failure: *res.Failure, Of: len(plan.Ops),
			Replay: fmt.Sprintf("shoal sim soak --first %d --seeds 1 --peers %d --time %v", seed, s.p.Peers, s.p.Time)}
		s.keep(plan, failed)
	}
	s.add(plan, &res, failed)
}

// keep shrinks a failing plan and writes it down, if plans are kept.
func (s *soak) keep(plan *Scenario, f *SoakFailure) {
	s.mu.Lock()
	s.kept++
	want := s.p.Keep != "" && s.kept <= maxKept
	s.mu.Unlock()
	if !want {
		return
	}
	small, _ := shrink(plan, shrinkRuns, s.stop)
	f.File = filepath.Join(s.p.Keep, fmt.Sprintf("soak-%d.txt", f.Seed))
	f.Lines, f.Replay = len(small.Ops), "shoal sim run "+Quote(f.File)
	text := fmt.Sprintf("# Seed %d, cut down from %d lines to %d: %s\n%s", f.Seed, f.Of, f.Lines, firstLine(f.Failure.String()), small)
	if err := os.WriteFile(f.File, []byte(text), 0o600); err != nil {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
}

func (s *soak) add(plan *Scenario, res *Result, failed *SoakFailure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.out
	o.Seeds++
	o.Verdicts[res.Verdict]++
	o.Faults += plan.Faults()
	o.Simulated += res.Simulated
	o.Steps += res.Steps
	for name := range res.Rare { // in any order: each is counted alone
		o.Rare[name]++
	}
	if failed != nil {
		o.Failures = append(o.Failures, *failed)
	}
	o.Wall = time.Since(s.began)
	o.PerMinute = float64(o.Seeds) / o.Wall.Minutes()
	if s.p.Progress != nil {
		s.p.Progress(o)
	}
}

// Verdict is the gravest of all seeds: a crash before a broken invariant before
// something that did not come about, be it a rare branch in EnoughSeeds.
func (o *Soaked) Verdict() Verdict {
	for _, v := range []Verdict{Crash, Safety, Liveness} {
		if o.Verdicts[v] > 0 {
			return v
		}
	}
	if o.Seeds >= EnoughSeeds && len(o.Never) > 0 {
		return Liveness
	}
	return OK
}
