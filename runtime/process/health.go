package process

import (
	"cmp"
	"syscall"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// A spawnRequest asks ShimMain's goroutine to start a check.
type spawnRequest struct {
	args   []string
	answer chan<- spawned
}

type spawned struct {
	pid   int
	ended <-chan syscall.WaitStatus
	err   error
}

// checkCommand returns what a health check runs, or nil if there is none.
func checkCommand(h *job.Health) []string {
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	switch h.Test[0] {
	case "CMD":
		return h.Test[1:]
	case "CMD-SHELL":
		return []string{"/bin/sh", "-c", h.Test[1]}
	}
	return nil
}

// checkHealth runs the check again and again, as a container engine does: the
// first after one interval; one success is healthy; so many failures in a row, not
// counting those of the start period, are unhealthy.
func (s *shim) checkHealth(over <-chan struct{}) {
	h := s.spec.Health
	interval := cmp.Or(h.Interval, 30*time.Second)
	retries := cmp.Or(h.Retries, 3)
	begun := time.Now()
	failures, seen := 0, runtime.HealthStarting
	for {
		select {
		case <-time.After(interval):
		case <-over:
			return
		}
		was := seen
		if s.check(checkCommand(h), cmp.Or(h.Timeout, 30*time.Second), over) {
			failures, seen = 0, runtime.Healthy
		} else if seen != runtime.HealthStarting || time.Since(begun) >= h.StartPeriod {
			if failures++; failures >= retries {
				seen = runtime.Unhealthy
			}
		}
		if seen == was {
			continue
		}
		select {
		case s.health <- seen:
		case <-over:
			return
		}
	}
}

// check runs one check and reports whether it ended with 0 in time. One that is
// late is killed with all of its process group.
func (s *shim) check(args []string, timeout time.Duration, over <-chan struct{}) bool {
	answer := make(chan spawned, 1)
	select {
	case s.spawns <- spawnRequest{args: args, answer: answer}:
	case <-over:
		return false
	}
	p := <-answer
	if p.err != nil {
		return false
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case ws := <-p.ended:
		return ws.Exited() && ws.ExitStatus() == 0
	case <-over:
	case <-late.C:
		syscall.Kill(-p.pid, syscall.SIGKILL) // its leader is not reaped yet: ended would hold it
	}
	return false
}
