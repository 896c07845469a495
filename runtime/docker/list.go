package docker

import (
	"context"
	"slices"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"shoal/runtime"
)

// inspectors is how many containers List asks for at once. Two milliseconds each
// on a small machine; more at once only crowd the engine.
const inspectors = 4

// List returns every container of this swarm and peer, sorted by name. One whose
// labels cannot be read comes with a Ref of swarm and peer alone, so that it can
// be seen and removed. It answers for all or for none: an error means that
// nothing is known.
func (d *Driver) List(ctx context.Context) ([]runtime.Observed, error) {
	var list []container.Summary
	err := d.call(ctx, "list containers", func(ctx context.Context) (err error) {
		list, err = d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: d.ownFilter()})
		return err
	})
	if err != nil {
		return nil, err
	}
	// After the first failure the rest is not asked: a silent engine would cost a
	// deadline for each.
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := make([]*runtime.Observed, len(list))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(inspectors, len(list)) {
		wg.Go(func() {
			for i := range next {
				o, err := d.observe(asking, list[i].ID)
				if err != nil {
					cancel(err) // only the first is kept
				}
				seen[i] = o
			}
		})
	}
	for i := range list {
		next <- i
	}
	close(next)
	wg.Wait()
	if asking.Err() != nil {
		return nil, context.Cause(asking)
	}

	out := make([]runtime.Observed, 0, len(list))
	for _, o := range seen {
		if o != nil {
			out = append(out, *o)
		}
	}
	slices.SortFunc(out, func(a, b runtime.Observed) int { return strings.Compare(a.Container, b.Container) })
	return out, nil
}

// observe inspects one container; nil if it has gone since it was listed.
func (d *Driver) observe(ctx context.Context, id string) (o *runtime.Observed, err error) {
	err = d.call(ctx, "inspect "+clip(id, 12), func(ctx context.Context) error {
		c, err := d.api.ContainerInspect(ctx, id)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err == nil {
			o = observed(c)
		}
		return err
	})
	return o, err
}

func observed(c container.InspectResponse) *runtime.Observed {
	ref, _ := runtime.ParseLabels(c.Config.Labels) // on error: what could be read
	o := &runtime.Observed{
		Container: strings.TrimPrefix(c.Name, "/"),
		ID:        c.ID,
		Ref:       ref,
		State:     state(c.State),
		Health:    health(c.State),
	}
	if o.State != runtime.StateCreated {
		o.Starts = c.State.StartedAt
	}
	if o.State == runtime.StateExited {
		o.ExitCode, o.OOM = c.State.ExitCode, c.State.OOMKilled
	}
	if o.State == runtime.StateRunning && c.NetworkSettings != nil {
		for _, n := range c.NetworkSettings.Networks { // there is one: the job's
			o.Address = n.IPAddress
		}
	}
	return o
}

// isRunning reports whether the container has a process. A paused one has, and so
// has one the engine is about to restart, which ours never are.
func isRunning(s *container.State) bool {
	return s.Running || s.Paused || s.Restarting
}

func state(s *container.State) runtime.State {
	switch {
	case isRunning(s):
		return runtime.StateRunning
	case s.Status == container.StateCreated:
		return runtime.StateCreated
	}
	return runtime.StateExited
}

func health(s *container.State) runtime.HealthState {
	if s.Health == nil {
		return runtime.HealthNone
	}
	switch s.Health.Status {
	case container.Starting:
		return runtime.HealthStarting
	case container.Healthy:
		return runtime.Healthy
	case container.Unhealthy:
		return runtime.Unhealthy
	}
	return runtime.HealthNone
}
