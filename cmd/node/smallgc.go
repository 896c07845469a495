package main

import (
	"os"
	"runtime/debug"
)

// smallGOGC is the setting of the collector that a peer of the profile small runs with.
// What lives is some 8 MB, of which Go's own setting, 100, would let as much again be
// garbage; an idle peer makes so little that collecting it more often costs nothing.
const smallGOGC = 40

// collectMore sets the collector for a peer with little memory, unless the environment's
// GOGC does.
func collectMore(profile string) {
	if profile == "small" && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(smallGOGC)
	}
}
