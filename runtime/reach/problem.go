package reach

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"

	"shoal/job"
)

// A Problem is what of a job does not answer on this peer, and why.
type Problem struct {
	Job  job.ID
	Task string // empty: the job's own network
	Port uint16 // as published; 0: what the job's containers see
	Why  string // "port 8080 is taken on this peer: address already in use"
}

// Problems lists what cannot be listened on now, by job, task and port. What is tried
// again with success is in it no more.
func (r *Reach) Problems() []Problem {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.problems), func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Why, b.Why))
	})
}

func problemOf(addr string, t target, err error) Problem {
	cause := err
	var call *os.SyscallError
	if errors.As(err, &call) {
		cause = call.Err
	}
	p := Problem{Job: t.job, Task: t.task, Port: t.published}
	switch {
	case p.Port == 0:
		p.Why = fmt.Sprintf("service %s does not answer at %s on this peer: %v", t.task, addr, cause)
	case errors.Is(err, syscall.EADDRINUSE):
		p.Why = fmt.Sprintf("port %d is taken on this peer: %v", p.Port, cause)
	default:
		p.Why = fmt.Sprintf("port %d cannot be opened on this peer: %v", p.Port, cause)
	}
	return p
}

func noNames(id job.ID, err error) Problem {
	return Problem{Job: id, Why: fmt.Sprintf("services of %s do not find one another on this peer: %v", id, err)}
}
