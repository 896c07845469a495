package runtime

import (
	"fmt"
	"math/rand/v2"
	"time"

	"shoal/clock"
	"shoal/job"
)

// Bounds on what a holder does on its own before a slot is sold elsewhere.
const (
	MinBackoff       = time.Second      // before the first restart, where the task says nothing
	MaxBackoff       = 5 * time.Minute  // between two starts of a container that keeps ending; ±10 %
	MaxEngineBackoff = 30 * time.Second // between two tries after an error of the engine; ±10 %
	SteadyAfter      = 10 * time.Minute // of serving: the next end counts as the first
	ServeWithin      = time.Minute      // of its first start a container is to serve, if its health check asks for no longer
	MaxTries         = 10               // errors in a row of an answering engine before the claim fails

	maxWait = 24 * time.Hour // no duration from a file puts a deadline further off
)

// An end is how a run ended.
type end struct {
	code int
	why  string // a failure whatever the code; empty: judge by the code
}

// verdict is what follows from the end of a run.
type verdict uint8

const (
	restart verdict = iota
	complete
	fail
)

// judge applies the task's restart policy to the end of a run. "always" and
// "unless-stopped" are one: what a user stops has no claim. An unknown policy is
// the type's default. A batch that exits with 0 is complete under every policy.
func judge(t *job.Task, e end) verdict {
	good := e.code == 0 && e.why == ""
	switch policyOf(t) {
	case "no":
		if good {
			return complete
		}
		return fail
	case "on-failure":
		if good {
			return complete
		}
	}
	if good && runsOnce(t) {
		return complete
	}
	return restart
}

func policyOf(t *job.Task) string {
	switch p := t.Restart.Policy; {
	case p == "no", p == "on-failure", p == "always":
		return p
	case p != "unless-stopped" && runsOnce(t):
		return "on-failure"
	}
	return "always"
}

func runsOnce(t *job.Task) bool { return t.Type == job.Batch || t.Type == job.Cron }

func maxRestarts(t *job.Task) int {
	if t.Restart.MaxAttempts > 0 {
		return t.Restart.MaxAttempts
	}
	return job.DefaultRestarts
}

// backoff returns base·2ⁿ⁻¹ for the nth failure in a row, at most limit, ±10 %
// so that what failed together is not started together. A nil chance gives the
// middle.
func backoff(chance *rand.Rand, base time.Duration, n int, limit time.Duration) time.Duration {
	if base <= 0 {
		base = MinBackoff
	}
	d := min(base, limit)
	for i := 1; i < n && d < limit; i++ {
		d = min(2*d, limit)
	}
	if chance == nil {
		return d
	}
	return d / 1000 * time.Duration(900+chance.Int64N(201))
}

// NotServingAfter is how long after its first start a task may take to serve
// before that is reported: ServeWithin, or the start period and all retries of
// its own health check, whichever is longer.
func NotServingAfter(t *job.Task) time.Duration {
	if !hasCheck(t) {
		return ServeWithin
	}
	retries, interval := t.Health.Retries, t.Health.Interval
	if retries <= 0 {
		retries = 3
	}
	if interval <= 0 {
		interval = 30 * time.Second
	}
	// Clamped first, so that no product of two numbers from a file overflows.
	checks := time.Duration(min(retries, 10_000)) * min(interval, maxWait)
	return max(ServeWithin, min(min(t.Health.StartPeriod, maxWait)+checks, maxWait))
}

// hasCheck reports whether the task itself has a health check; ["NONE"] switches
// off the one of the image.
func hasCheck(t *job.Task) bool {
	return t.Health != nil && len(t.Health.Test) > 0 && t.Health.Test[0] != "NONE"
}

// after is now plus d, with d kept within bounds.
func after(now clock.Instant, d time.Duration) clock.Instant {
	return now.Add(min(max(d, 0), maxWait))
}

// cutShort reports whether an exit code found at the daemon's start may come from
// the end of the machine or the engine rather than from the task: killed (137),
// asked to end (143), or lost by the engine (255).
func cutShort(code int) bool { return code == 137 || code == 143 || code == 255 }

func exitText(code int, oom bool) string {
	if oom {
		return "out of memory: the kernel killed it at its memory limit"
	}
	if code == 0 {
		return ""
	}
	return fmt.Sprintf("exited with code %d", code)
}
