package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// An event is one line of go test -json, see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64 // seconds
	Output  string
	// ImportPath is set instead of Package in the events of a build.
	ImportPath  string
	FailedBuild string
}

type testKey struct{ pkg, test string }

// summary counts over all stages. Output is kept only while a test runs.
type summary struct {
	out                     io.Writer
	passed, failed, skipped int
	running                 map[testKey]bool
	output                  map[testKey][]string // of tests not ended; test "" is the package's own
	hasSubtests             map[testKey]bool
	failedIn                map[string]int      // failures counted per package
	failedUnder             map[testKey]bool    // a subtest of this test failed
	passedIn                map[string]int      // tests passed per package
	skips                   map[string][]string // reason → tests
	failures                []string            // names, for the end
}

func newSummary(out io.Writer) *summary {
	return &summary{
		out: out, running: map[testKey]bool{}, output: map[testKey][]string{}, hasSubtests: map[testKey]bool{},
		failedIn: map[string]int{}, failedUnder: map[testKey]bool{}, passedIn: map[string]int{}, skips: map[string][]string{},
	}
}

// read takes in the events of one go test -json. A line that is no event is
// printed: it is the go command speaking.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				s.add(e)
			} else {
				fmt.Fprintf(s.out, "%s\n", strings.TrimSuffix(string(line), "\n"))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) add(e event) {
	key := testKey{e.Package, e.Test}
	switch e.Action {
	case "run":
		s.running[key] = true
		for up, ok := parent(key); ok; up, ok = parent(up) {
			s.hasSubtests[up] = true
		}
	case "output":
		s.output[key] = append(s.output[key], e.Output)
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(key, e.Action)
		}
	}
}

func parent(key testKey) (testKey, bool) {
	cut := strings.LastIndex(key.test, "/")
	if cut < 0 {
		return testKey{}, false
	}
	return testKey{key.pkg, key.test[:cut]}, true
}

func (s *summary) endTest(key testKey, action string) {
	output := s.output[key]
	delete(s.running, key)
	delete(s.output, key)
	switch action {
	case "fail":
		s.failTest(key, output)
	case "skip":
		s.skipped++
		reason := skipReason(output)
		s.skips[reason] = append(s.skips[reason], path.Base(key.pkg)+"."+key.test)
	case "pass":
		if !s.hasSubtests[key] {
			s.passed++
			s.passedIn[key.pkg]++
		}
	}
}

func (s *summary) failTest(key testKey, output []string) {
	fmt.Fprintf(s.out, "--- FAIL: %s %s\n%s", key.pkg, key.test, strings.Join(output, ""))
	for up, ok := parent(key); ok; up, ok = parent(up) {
		s.failedUnder[up] = true
	}
	if s.failedUnder[key] {
		return // counted with the subtest
	}
	s.failed++
	s.failedIn[key.pkg]++
	s.failures = append(s.failures, key.pkg+" "+key.test)
}

func (s *summary) endPackage(e event) {
	own := strings.Join(s.output[testKey{e.Package, ""}], "")
	delete(s.output, testKey{e.Package, ""})
	if e.Action == "fail" {
		s.endUnfinished(e.Package)
		fmt.Fprintf(s.out, "FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
		if s.failedIn[e.Package] == 0 {
			fmt.Fprint(s.out, own)
			s.failed++
			s.failures = append(s.failures, e.Package)
		}
		return
	}
	if n := s.passedIn[e.Package]; n > 0 {
		fmt.Fprintf(s.out, "ok    %s  %.1fs  %d tests\n", e.Package, e.Elapsed, n)
	}
}

// endUnfinished fails the tests that a panic or a time limit cut off. Subtests come
// first, so that their parents are not counted as well.
func (s *summary) endUnfinished(pkg string) {
	var cut []testKey
	for key := range s.running {
		if key.pkg == pkg {
			cut = append(cut, key)
		}
	}
	slices.SortFunc(cut, func(a, b testKey) int { return strings.Compare(b.test, a.test) })
	for _, key := range cut {
		s.endTest(key, "fail")
	}
}

// check adds a stage that is no go test: one check, passed or failed.
func (s *summary) check(name string, err error) {
	if err == nil {
		s.passed++
		return
	}
	fmt.Fprintf(s.out, "FAIL  %s: %v\n", name, err)
	s.failed++
	s.failures = append(s.failures, name)
}

// skipReason finds the text that a test gave to Skip in its output.
func skipReason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				return text
			}
		}
		return line
	}
	return "no reason given"
}

// close prints what failed, one line on what was skipped and why, and the closing
// line. It reports whether all is well: something passed and nothing failed.
func (s *summary) close(notes []string) bool {
	for _, name := range s.failures {
		fmt.Fprintln(s.out, "failed:", name)
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(s.skips)) {
		tests := s.skips[reason]
		parts = append(parts, fmt.Sprintf("%d (%s%s): %s", len(tests), tests[0], more(tests), reason))
	}
	if parts = append(parts, notes...); len(parts) > 0 {
		fmt.Fprintln(s.out, "skipped:", strings.Join(parts, "; "))
	}
	line := fmt.Sprintf("%d passed, %d failed", s.passed, s.failed)
	if s.skipped > 0 {
		line += fmt.Sprintf(", %d skipped", s.skipped)
	}
	fmt.Fprintln(s.out, line)
	return s.failed == 0 && s.passed > 0
}

func more(tests []string) string {
	if len(tests) > 1 {
		return ", …"
	}
	return ""
}
