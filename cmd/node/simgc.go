package main

import (
	"os"
	"runtime/debug"
)

// simGOGC is the setting of the collector that a simulation runs with where there is
// room: it makes much garbage, and collecting it at every doubling costs a quarter of the
// time (30 seeds of a soak took 7.6 s of CPU, and 5.7 s with this).
const simGOGC = 400

// collectLess sets the collector for a simulation, unless the environment's GOGC does.
func collectLess(need, have int64) {
	if os.Getenv("GOGC") == "" && roomy(need, have) {
		debug.SetGCPercent(simGOGC)
	}
}

// roomy reports whether what is free holds a simulation with simGOGC too. Its need is
// twice what it keeps, and then it takes five times that.
func roomy(need, have int64) bool { return have/5 >= need/2 }
