package sim

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A Parting is where two runs, or two traces, are no longer the same.
type Parting struct {
	Step   uint64    `json:"step,omitempty"`   // of runs: the first that differs; 0: of traces
	Line   int       `json:"line,omitempty"`   // of traces: the first that differs
	Before []string  `json:"before,omitempty"` // the trace just before it, the same in both
	A      []string  `json:"a"`                // how each goes on from there; empty: it has ended
	B      []string  `json:"b"`
	StepA  *StepView `json:"stepA,omitempty"`
	StepB  *StepView `json:"stepB,omitempty"`
}

// Diff runs two scenarios, or one with two seeds, and finds the first step at which
// they differ; nil if they do not.
func Diff(a *Scenario, ao Options, b *Scenario, bo Options) (*Parting, error) {
	ao.hashes, bo.hashes = true, true
	ra, _ := execute(a, ao)
	rb, _ := execute(b, bo)
	x, y := ra.w.trace.hashes, rb.w.trace.hashes
	at := 0
	for at < len(x) && at < len(y) && x[at] == y[at] {
		at++
	}
	if at == len(x) && at == len(y) {
		return nil, nil
	}
	ao.hashes, bo.hashes = false, false
	p := &Parting{Step: uint64(at) + 1}
	for _, side := range []struct {
		s    *Scenario
		o    Options
		has  bool
		step **StepView
	}{{a, ao, at < len(x), &p.StepA}, {b, bo, at < len(y), &p.StepB}} {
		if !side.has {
			continue
		}
		seen, err := Look(side.s, side.o, LookAt{Step: p.Step})
		if err != nil {
			return nil, err
		}
		*side.step, p.Before = seen.Step, seen.Before
	}
	return p, nil
}

// afterLines is how many lines of each trace are shown from the difference on.
const afterLines = 3

// DiffTraces compares two traces as `shoal sim run --trace` writes them, of two
// programs for example, line by line; nil if they are the same. The error is one of
// reading.
func DiffTraces(a, b io.Reader) (*Parting, error) {
	x, y := newLines(a), newLines(b)
	var before []string
	for n := 1; ; n++ {
		la, okA := x.next()
		lb, okB := y.next()
		if err := firstError(x.s.Err(), y.s.Err()); err != nil {
			return nil, err
		}
		if !okA && !okB {
			return nil, nil
		}
		if la == lb && okA == okB {
			if before = append(before, la); len(before) > beforeLines {
				before = before[1:]
			}
			continue
		}
		return &Parting{Line: n, Before: before, A: x.rest(la, okA), B: y.rest(lb, okB)}, nil
	}
}

type lines struct{ s *bufio.Scanner }

func newLines(r io.Reader) lines {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), 1<<20)
	return lines{s}
}

func (l lines) next() (string, bool) {
	if !l.s.Scan() {
		return "", false
	}
	return strings.TrimRight(l.s.Text(), " "), true
}

// rest is a line and the few after it.
func (l lines) rest(first string, ok bool) (out []string) {
	for line := first; ok && len(out) < afterLines; line, ok = l.next() {
		out = append(out, line)
	}
	return out
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("read a trace: %w", err)
		}
	}
	return nil
}
