//go:build mutants

package mutant

// Enabled reports whether bugs can be planted in this build.
const Enabled = true

var planted Mutant

// Is reports whether that bug is planted in this process.
func Is(m Mutant) bool { return m == planted }

// Plant plants one bug in this process, in place of any other; None takes it out.
// No core may be running meanwhile.
func Plant(m Mutant) { planted = m }
