package sim

import (
	"slices"
	"strings"
	"testing"
)

// TestResult_NamesWhatWasNotExercised runs a swarm in which nobody forges, and nobody is
// blamed: two rules have nothing to compare, and the result says which.
func TestResult_NamesWhatWasNotExercised(t *testing.T) {
	res, err := RunScenario(strings.NewReader("peers 3\nrun 30s seed=1\nat 10s submit web replicas=2\n"), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	idle := res.Unexercised()
	if !slices.Contains(idle, "S3") || !slices.Contains(idle, "fair") || slices.Contains(idle, "S1") || slices.Contains(idle, "S6") {
		t.Fatalf("not exercised: %v, of %v", idle, res.Checks)
	}
	if text := res.String(); !strings.Contains(text, "not exercised: ") {
		t.Fatal(text)
	}
}
