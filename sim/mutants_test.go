//go:build mutants

package sim

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/mutant"
)

// TestMutants runs the plan kept for each planted bug: with the bug it fails, without
// it holds. Bugs without a kept plan are for `make mutants` alone.
func TestMutants(t *testing.T) {
	kept := 0
	for _, b := range mutant.Catalogue() {
		text, err := os.ReadFile(filepath.Join("testdata", "mutants", b.Name+".txt"))
		if err != nil {
			continue
		}
		kept++
		t.Run(b.Name, func(t *testing.T) {
			plain := runText(t, string(text), b.Name)
			if plain.Verdict != OK {
				t.Fatalf("it fails without the bug: %s", plain.String())
			}
			mutant.Plant(b.Mutant)
			defer mutant.Plant(mutant.None)
			with := runText(t, string(text), b.Name)
			if again := b.Twice && runText(t, string(text), b.Name).Hash != with.Hash; !again && with.Verdict == OK {
				t.Fatalf("nothing shows that %s is broken", b.Breaks)
			}
		})
	}
	if kept < 15 {
		t.Fatalf("%d bugs have a kept plan, want 15 or more", kept)
	}
}
