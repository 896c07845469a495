package job

import (
	"cmp"
	"slices"
	"time"
)

// Defaults fills what the user left open and puts lists whose order means nothing
// into one order, so that the same wish gives the same bytes and the same hash. It
// is for the submitter's side: a peer validates a received Spec and never changes it.
// It is idempotent, and Spec.Validate demands that it was called.
func (s *Spec) Defaults() {
	s.Namespace = cmp.Or(s.Namespace, DefaultNamespace)
	slices.Sort(s.Datacenters)
	slices.SortStableFunc(s.Tasks, func(a, b Task) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.Tasks {
		s.Tasks[i].defaults()
	}
}

func (t *Task) defaults() {
	// Needs are what a sale sets aside: reservations, else limits, else little.
	t.Needs.CPUMilli = cmp.Or(t.Needs.CPUMilli, t.Limits.CPUMilli, DefaultNeedsCPU)
	t.Needs.MemBytes = cmp.Or(t.Needs.MemBytes, t.Limits.MemBytes, DefaultNeedsMem)
	t.Needs.DiskBytes = cmp.Or(t.Needs.DiskBytes, t.Limits.DiskBytes)
	t.Pids = cmp.Or(t.Pids, DefaultPids)
	t.Pull = cmp.Or(t.Pull, "missing")
	t.Policy = cmp.Or(t.Policy, "spread")
	t.StopGrace = cmp.Or(t.StopGrace, DefaultStopGrace)

	restart := "always"
	if t.Type == Batch || t.Type == Cron {
		restart = "on-failure"
	}
	t.Restart.Policy = cmp.Or(t.Restart.Policy, restart)
	t.Restart.MaxAttempts = cmp.Or(t.Restart.MaxAttempts, DefaultRestarts)
	t.Restart.Delay = cmp.Or(t.Restart.Delay, time.Second)

	t.Update.Parallelism = cmp.Or(t.Update.Parallelism, 1)
	t.Update.Order = cmp.Or(t.Update.Order, "stop-first")
	t.Update.FailureAction = cmp.Or(t.Update.FailureAction, "pause")
	t.Failover.InIsland = cmp.Or(t.Failover.InIsland, "heal")
	t.Failover.OnReturn = cmp.Or(t.Failover.OnReturn, "incumbent")

	for i := range t.Ports {
		t.Ports[i].Protocol = cmp.Or(t.Ports[i].Protocol, "tcp")
	}
	for i := range t.DependsOn {
		t.DependsOn[i].Condition = cmp.Or(t.DependsOn[i].Condition, "started")
	}
	t.sortLists()
}

// sortLists orders what is a set. Command, Entrypoint, Health.Test and Constraints
// keep the order they were written in.
func (t *Task) sortLists() {
	slices.SortFunc(t.Ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Published, b.Published), cmp.Compare(a.Protocol, b.Protocol))
	})
	slices.SortStableFunc(t.Mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
	slices.SortStableFunc(t.DependsOn, func(a, b Dependency) int { return cmp.Compare(a.Task, b.Task) })
	slices.Sort(t.Expose)
	t.Expose = slices.Compact(t.Expose)
	for _, list := range []*[]string{&t.CapDrop, &t.ExtraHosts, &t.Tmpfs, &t.Aliases, &t.Devices} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}
