package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A Parting is where two runs, or two traces, are no longer the same.
type Parting struct {
	Step    uint64    `json:"step,omitempty"`    // of runs: the first whose trace differs; 0: of traces
	Alike   bool      `json:"alike,omitempty"`   // of runs: all steps with effects read alike
	Content string    `json:"content,omitempty"` // of runs: what differs without its showing in words
	Line    int       `json:"line,omitempty"`    // of traces: the first that differs
	Before  []string  `json:"before,omitempty"`  // the trace of A just before it
	A       []string  `json:"a"`                 // how each goes on from there; empty: it has ended
	B       []string  `json:"b"`
	StepA   *StepView `json:"stepA,omitempty"` // the first step with effects that reads otherwise
	StepB   *StepView `json:"stepB,omitempty"`
}

// ErrInterrupted says that Options.Stop has ended a comparison.
var ErrInterrupted = errors.New("interrupted before the two were compared")

// Diff runs two scenarios, or one with two seeds, and finds where they part: the
// first step at all, and the first with effects whose words differ, which may come
// later and have another number on each side. Nil if the runs are the same.
func Diff(a *Scenario, ao Options, b *Scenario, bo Options) (*Parting, error) {
	ao.hashes, bo.hashes = true, true
	ra, _ := execute(a, ao)
	rb, _ := execute(b, bo)
	if ra.w.interrupted || rb.w.interrupted {
		return nil, ErrInterrupted
	}
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
	stepA, stepB := partWords(ra.w.trace.words, rb.w.trace.words)
	if p.Alike = stepA == 0 && stepB == 0; p.Alike {
		stepA, stepB = p.Step, p.Step
		if at >= len(x) {
			stepA = 0
		}
		if at >= len(y) {
			stepB = 0
		}
	}
	var err error
	if p.StepB, p.Before, err = lookStep(b, bo, stepB); err != nil {
		return nil, err
	}
	if stepA > 0 {
		p.StepA, p.Before, err = lookStep(a, ao, stepA)
	}
	p.Content = p.content(ra.w.seed != rb.w.seed)
	return p, err
}

// partWords finds the first step with effects that reads otherwise, by its number in
// either run; 0: that run has no more of them, or, both, all read alike.
func partWords(x, y []worded) (a, b uint64) {
	at := 0
	for at < len(x) && at < len(y) && x[at].hash == y[at].hash {
		at++
	}
	if at < len(x) {
		a = x[at].step
	}
	if at < len(y) {
		b = y[at].step
	}
	return a, b
}

// lookStep runs up to a step and shows it; nothing for 0.
func lookStep(s *Scenario, o Options, step uint64) (*StepView, []string, error) {
	if step == 0 {
		return nil, nil, nil
	}
	seen, err := Look(s, o, LookAt{Step: step})
	if err != nil {
		return nil, nil, err
	}
	if seen.Result.Verdict == Interrupted {
		return nil, nil, ErrInterrupted
	}
	return seen.Step, seen.Before, nil
}

// content says what differs before words do, or without it; "" if words differ at once.
func (p *Parting) content(seeds bool) string {
	shown := p.StepA
	if shown == nil {
		shown = p.StepB
	}
	switch {
	case !p.Alike && shown != nil && shown.Step <= p.Step:
		return ""
	case seeds:
		return "identities, delays and what else is drawn from the seed"
	case p.Alike && p.StepA != nil && p.StepB != nil && p.StepA.At != p.StepB.At:
		return fmt.Sprintf("its time, %v and %v", p.StepA.At, p.StepB.At)
	case p.Alike && p.StepA != nil && p.StepB != nil && p.StepA.WakeAt != p.StepB.WakeAt:
		return fmt.Sprintf("when the peer wants to be woken, at %v and %v of its clock", p.StepA.WakeAt, p.StepB.WakeAt)
	}
	return "times, or fields of a record that the words leave out"
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
