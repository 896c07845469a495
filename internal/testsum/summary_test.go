package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The counts must be those of go test itself, so these run the real one on small
// modules.
func TestCountsOfRealRuns(t *testing.T) {
	const head = "package x\nimport \"testing\"\n"
	for _, tc := range []struct {
		name, src  string
		wantLast   string
		wantInside string // part of the output
		wantOK     bool
	}{
		{"passes", "func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) {}", "2 passed, 0 failed", "ok    x", true},
		{"subtests count, parents do not",
			`func TestA(t *testing.T) { t.Run("1", func(*testing.T) {}); t.Run("2", func(*testing.T) {}) }`,
			"2 passed, 0 failed", "", true},
		{"failure shows its output", `func TestA(t *testing.T) { t.Error("the reason") }; func TestB(t *testing.T) {}`,
			"1 passed, 1 failed", "the reason", false},
		{"failing subtest counts once",
			`func TestA(t *testing.T) { t.Run("1", func(t *testing.T) { t.Error("sub") }); t.Run("2", func(*testing.T) {}) }`,
			"1 passed, 1 failed", "failed: x TestA/1", false},
		{"skip gives its reason", `func TestA(t *testing.T) { t.Skip("not root") }; func TestB(t *testing.T) {}`,
			"1 passed, 0 failed, 1 skipped", "skipped: 1 (x.TestA): not root", true},
		{"panic", `func TestA(t *testing.T) {}; func TestB(t *testing.T) { panic("boom") }`, "1 passed, 1 failed", "boom", false},
		{"does not build", `func TestA(t *testing.T) { undefined() }`, "0 passed, 1 failed", "undefined", false},
		{"vet objects", "import \"fmt\"\nfunc TestA(t *testing.T) { fmt.Printf(\"%d\", \"x\") }",
			"0 passed, 1 failed", "Printf", false},
		{"nothing ran", ``, "0 passed, 0 failed", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			src := head + tc.src
			if tc.src == "" {
				src = "package x\n"
			}
			write(t, filepath.Join(dir, "go.mod"), "module x\n\ngo 1.26\n")
			write(t, filepath.Join(dir, "x_test.go"), src)
			t.Chdir(dir)
			var out strings.Builder
			s := newSummary(&out)
			runStage(s, []string{"go", "test", "-json", "-vet=all", "./..."})
			ok := s.close(nil)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; last != tc.wantLast || ok != tc.wantOK {
				t.Errorf("last line %q, ok %v; want %q, %v", last, ok, tc.wantLast, tc.wantOK)
			}
			if !strings.Contains(out.String(), tc.wantInside) {
				t.Errorf("output lacks %q:\n%s", tc.wantInside, out.String())
			}
		})
	}
}

func TestChecksCountAsOne(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out)
	runStage(s, []string{"true"})
	runStage(s, []string{"false"})
	runStage(s, []string{"no-such-command-here"})
	if s.passed != 1 || s.failed != 2 {
		t.Errorf("%d passed, %d failed; want 1, 2:\n%s", s.passed, s.failed, out.String())
	}
}

func TestParseArgs(t *testing.T) {
	notes, stages, err := parseArgs([]string{"-note", "a", "-note", "", "--", "go", "test", "--", "lint"})
	if err != nil || !slices.Equal(notes, []string{"a"}) || len(stages) != 2 || stages[1][0] != "lint" {
		t.Errorf("notes %q, stages %q, %v", notes, stages, err)
	}
	for _, bad := range [][]string{nil, {"x"}, {"-note"}, {"--"}, {"--", "a", "--"}} {
		if _, _, err := parseArgs(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
