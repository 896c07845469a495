package docker

import (
	"context"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"shoal/runtime"
)

// Do performs one action; done twice it is as done once. It returns nil, or an
// error that wraps runtime.ErrPermanent (no repeat on this peer can help),
// runtime.ErrSilent (the engine did not answer; whether it acted is not known,
// and a repeat finds out), or neither (try again).
func (d *Driver) Do(ctx context.Context, a runtime.Action) error {
	switch a.Op {
	case runtime.OpCreate:
		return d.create(ctx, a)
	case runtime.OpStart:
		return d.start(ctx, a)
	case runtime.OpStop:
		return d.stop(ctx, a)
	case runtime.OpRemove:
		return d.remove(ctx, a)
	}
	return permanent("action %d on %s: unknown operation %d", a.ID, a.Container, a.Op)
}

// own returns the container of that name, or nil if there is none. A container
// that is not this peer's is a permanent error: nothing may be done to it.
func (d *Driver) own(ctx context.Context, name string) (*container.InspectResponse, error) {
	var found *container.InspectResponse
	err := d.call(ctx, "inspect "+name, func(ctx context.Context) error {
		c, err := d.api.ContainerInspect(ctx, name)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		found = &c
		return err
	})
	if err != nil || found == nil {
		return nil, err
	}
	l := found.Config.Labels
	if l[runtime.LabelSwarm] != d.opts.Swarm || l[runtime.LabelPeer] != d.opts.Peer.String() {
		return nil, permanent("container %s is not of this swarm and peer; remove or rename it by hand", name)
	}
	return found, nil
}

func (d *Driver) create(ctx context.Context, a runtime.Action) error {
	if a.Task == nil {
		return permanent("create %s: no task given", a.Container)
	}
	if a.Ref.Swarm != d.opts.Swarm || a.Ref.Peer != d.opts.Peer {
		return permanent("create %s: it is of swarm %s and peer %s, not of this one", a.Container, a.Ref.Swarm, a.Ref.Peer.Short())
	}
	// The common repeat: the container is there, so image, network and volumes are.
	if found, err := d.own(ctx, a.Container); err != nil || found != nil {
		return checkSame(found, a, err)
	}
	if err := d.ensureImage(ctx, a.Container, a.Task); err != nil {
		return err
	}
	network, err := d.EnsureNetwork(ctx, a.Ref.Slot.Job)
	if err != nil {
		return err
	}
	plan, err := d.plan(ctx, a, network)
	if err != nil {
		return err
	}
	if err := d.ensureVolumes(ctx, a); err != nil {
		return err
	}
	return d.createNamed(ctx, a, plan)
}

// createNamed asks for the container until it is there, ours or another's: of
// many that ask at once the engine serves one and tells the others "conflict",
// some of them before the first one's container can be inspected.
func (d *Driver) createNamed(ctx context.Context, a runtime.Action, p plan) error {
	for begun := time.Now(); ; {
		err := d.call(ctx, "create "+a.Container, func(ctx context.Context) error {
			_, err := d.api.ContainerCreate(ctx, p.config, p.host, p.network, p.platform, a.Container)
			return err
		})
		if !cerrdefs.IsConflict(err) {
			return err
		}
		if found, err2 := d.own(ctx, a.Container); err2 != nil || found != nil {
			return checkSame(found, a, err2)
		}
		if time.Since(begun) > d.opts.CallDeadline {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("create %s: %w", a.Container, err)
		}
	}
}

// checkSame reports whether a container found is the one wanted.
func checkSame(found *container.InspectResponse, a runtime.Action, err error) error {
	if err != nil {
		return err
	}
	ref, err := runtime.ParseLabels(found.Config.Labels)
	if err != nil {
		return permanent("container %s is there, but %w", a.Container, err)
	}
	if ref != a.Ref {
		return fmt.Errorf("create %s: it is there with spec %s, wanted is %s; remove it first", a.Container, ref.Spec, a.Ref.Spec)
	}
	return nil
}

func (d *Driver) start(ctx context.Context, a runtime.Action) error {
	found, err := d.own(ctx, a.Container)
	switch {
	case err != nil:
		return err
	case found == nil:
		return fmt.Errorf("start %s: there is no such container; create it first", a.Container)
	case isRunning(found.State), wasStarted(found, a.Run):
		return nil
	}
	return d.call(ctx, "start "+a.Container, func(ctx context.Context) error {
		return d.api.ContainerStart(ctx, found.ID, container.StartOptions{})
	})
}

// wasStarted reports whether the container has already had the run asked for: a
// short batch run may have ended before its start is repeated, and must not be
// done twice. Only the run that the container was made for can be told apart.
func wasStarted(c *container.InspectResponse, run uint32) bool {
	started, err := time.Parse(time.RFC3339Nano, c.State.StartedAt)
	return run != 0 && err == nil && started.Year() > 1 && c.Config.Labels[runtime.LabelRun] == fmt.Sprint(run)
}

func (d *Driver) stop(ctx context.Context, a runtime.Action) error {
	found, err := d.own(ctx, a.Container)
	if err != nil || found == nil || !isRunning(found.State) {
		return err
	}
	grace := max(a.Grace, 0)
	seconds := int((grace + time.Second - 1) / time.Second) // the engine counts whole seconds
	limit := time.Duration(seconds)*time.Second + d.opts.CallDeadline
	return d.callFor(ctx, limit, "stop "+a.Container, func(ctx context.Context) error {
		return gone(d.api.ContainerStop(ctx, found.ID, container.StopOptions{Timeout: &seconds}))
	})
}

func (d *Driver) remove(ctx context.Context, a runtime.Action) error {
	found, err := d.own(ctx, a.Container)
	if err != nil || found == nil {
		return err
	}
	err = d.call(ctx, "remove "+a.Container, func(ctx context.Context) error {
		// RemoveVolumes takes the unnamed volumes only; named ones outlive their container.
		return gone(d.api.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}))
	})
	if cerrdefs.IsConflict(err) { // someone else's remove is under way
		return d.awaitGone(ctx, a.Container, err)
	}
	return err
}

// awaitGone waits within the call deadline for a removal under way.
func (d *Driver) awaitGone(ctx context.Context, name string, conflict error) error {
	for begun := time.Now(); time.Since(begun) < d.opts.CallDeadline; {
		found, err := d.own(ctx, name)
		if err != nil || found == nil {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return conflict
}

// gone makes "there is no such thing" a success.
func gone(err error) error {
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// pause waits for d or the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
