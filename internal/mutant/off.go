//go:build !mutants

package mutant

// Enabled reports whether bugs can be planted in this build.
const Enabled = false

// Is is false: this build has no bugs to plant.
func Is(Mutant) bool { return false }
