package sim

import "slices"

// Shrink takes lines out of a failing scenario for as long as it fails by the same
// rule, first halves, then quarters, down to single lines (after Zeller's ddmin).
// It returns the scenario as it is if that does not fail, and runs it at most
// maxRuns times.
func Shrink(s *Scenario, maxRuns int) *Scenario {
	first := Run(s, Options{})
	if first.Failure == nil {
		return s
	}
	fails := func(c *Scenario) bool {
		maxRuns--
		res := Run(c, Options{})
		return res.Failure != nil && res.Failure.Kind == first.Failure.Kind && res.Failure.Rule == first.Failure.Rule
	}
	best := *s
	for size := max(1, len(best.Ops)/2); size > 0 && maxRuns > 0; size /= 2 {
		for at := 0; at < len(best.Ops) && maxRuns > 0; {
			fewer := best
			fewer.Ops = slices.Delete(slices.Clone(best.Ops), at, min(at+size, len(best.Ops)))
			if fails(&fewer) {
				best = fewer
			} else {
				at += size
			}
		}
	}
	return &best
}
