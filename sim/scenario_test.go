package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScenarios runs every scenario twice: it must hold, and the two runs must be
// the same, event for event.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first := runText(t, string(text), file)
			if first.Verdict != OK {
				t.Fatal(first.String())
			}
			again := runText(t, string(text), file)
			if again.Hash != first.Hash || again.Steps != first.Steps {
				t.Fatalf("two runs differ: hash %s after %d steps, %s after %d", first.Hash, first.Steps, again.Hash, again.Steps)
			}
		})
	}
}

func runText(t *testing.T, text, name string) Result {
	t.Helper()
	res, err := RunScenario(strings.NewReader(text), name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}
