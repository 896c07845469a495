//go:build !mutants

package mutant_test

import (
	"os/exec"
	"strings"
	"testing"

	"shoal/internal/mutant"
)

// TestRelease_HasNoMutant compiles packages that ask for mutants as a release does:
// neither a symbol of this package nor a word of a branch is left in their code.
func TestRelease_HasNoMutant(t *testing.T) {
	if mutant.Enabled || mutant.Is(mutant.None) {
		t.Fatal("bugs can be planted without the tag")
	}
	out, err := exec.Command("go", "build", "-trimpath", "-gcflags=-S -dwarf=false", "shoal/ledger", "shoal/gossip", "shoal/auction").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "shoal/internal/mutant.") {
			t.Fatalf("a release asks for mutants: %s", line)
		}
	}
}
