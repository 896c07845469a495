// Testsum runs stages of tests one after the other, whatever became of the earlier
// ones, and closes with one line alone: "N passed, N failed", with ", N skipped"
// where some were.
//
//	testsum [-note TEXT]... -- go test -json ./... -- .bin/golangci-lint run
//
// A stage with the argument -json is read as the events of go test; any other
// command counts as one check that passes if it exits with 0. Only leaves count: a
// test with subtests is as good as these. A package that fails with no failing
// test (it does not build, vet objects, it panicked, it ran out of time) counts as
// one failure. No test is ever run twice.
//
// The exit code is 1 if anything failed or nothing passed, 2 on wrong usage.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	notes, stages, err := parseArgs(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	}
	s := newSummary(os.Stdout)
	for _, stage := range stages {
		runStage(s, stage)
	}
	if !s.close(notes) {
		os.Exit(1)
	}
}

// parseArgs splits the arguments at "--" into notes and stages.
func parseArgs(args []string) (notes []string, stages [][]string, err error) {
	for len(args) > 0 && args[0] != "--" {
		if args[0] != "-note" || len(args) < 2 {
			return nil, nil, fmt.Errorf("argument %q: want -note TEXT, or -- before a command", args[0])
		}
		if args[1] != "" {
			notes = append(notes, args[1])
		}
		args = args[2:]
	}
	for len(args) > 0 {
		args = args[1:]
		end := slices.Index(args, "--")
		if end < 0 {
			end = len(args)
		}
		if end == 0 {
			return nil, nil, errors.New("empty stage: want a command after each --")
		}
		stages = append(stages, args[:end])
		args = args[end:]
	}
	if len(stages) == 0 {
		return nil, nil, errors.New("no stage: want -- before a command")
	}
	return notes, stages, nil
}

// runStage runs one command and adds what it shows to the summary.
func runStage(s *summary, stage []string) {
	name := strings.Join(stage, " ")
	if len(name) > 160 {
		name = name[:160] + "…"
	}
	fmt.Fprintf(s.out, "== %s\n", name)
	cmd := exec.Command(stage[0], stage[1:]...) //nolint:noctx // an interrupt reaches the whole process group
	cmd.Stderr = os.Stderr
	if !slices.Contains(stage, "-json") {
		cmd.Stdout = s.out
		s.check(stage[0], cmd.Run())
		return
	}
	failedBefore := s.failed
	err := readEvents(cmd, s)
	if err != nil && s.failed == failedBefore {
		s.check(name, err) // it failed without an event that says why
	}
}

func readEvents(cmd *exec.Cmd, s *summary) error {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := s.read(pipe); err != nil {
		_, _ = io.Copy(io.Discard, pipe) // so that the command can end
		return errors.Join(err, cmd.Wait())
	}
	return cmd.Wait()
}
