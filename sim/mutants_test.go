//go:build mutants

package sim

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/mutant"
)

// TestMutants runs the plan kept for each planted bug: with the bug it fails, without
// it holds.
func TestMutants(t *testing.T) {
	for _, b := range mutant.Catalogue() {
		text, err := os.ReadFile(filepath.Join("testdata", "mutants", b.Name+".txt"))
		if err != nil {
			t.Errorf("no plan is kept for %s: %v", b.Name, err)
			continue
		}
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
}
