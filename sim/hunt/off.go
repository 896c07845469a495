//go:build !mutants

// Command hunt needs a build with the tag mutants; see main.go.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "hunt: this build has no bugs to plant: go run -tags mutants ./sim/hunt")
	os.Exit(2)
}
