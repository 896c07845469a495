package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
)

// leaveFlags are those of `shoal leave`.
type leaveFlags struct {
	deadline, timeout time.Duration
	purge, detach     bool
	state             string
}

func (c *cli) leaveCommand() *cobra.Command {
	var f leaveFlags
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Move this peer's work elsewhere, give up its membership and end",
		Long: `Move this peer's work elsewhere, give up its membership and end. It waits until that is done. A start-first slot
runs on until its replacement serves, for ever if nobody can take it: with --deadline whatever is left then is stopped
all the same. The peer goes on leaving when nobody waits for it any more, and when its daemon is started again;
until it has left, shoal undrain takes that back.`,
		Args: wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.deadline > 0 && !cmd.Flags().Changed("timeout") {
				f.timeout = f.deadline + drainMargin
			}
			return c.leave(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.purge, "purge", false,
		"delete the state directory too, also of a peer that has left or was removed; refused while root.key is in it and others live on")
	flags.StringVar(&f.state, "state", "", "the directory, where no daemon runs (default $SHOAL_STATE, else "+defaultState()+")")
	durationFlag(flags, &f.deadline, "deadline", 0, deadlines, "stop what has not moved after so long (default: it runs on)")
	flags.BoolVarP(&f.detach, "detach", "d", false, "return at once; do not wait until it is done")
	durationFlag(flags, &f.timeout, "timeout", 5*time.Minute, timeouts, "how long to wait; the peer goes on leaving (0: for ever)")
	return cmd
}

func (c *cli) leave(ctx context.Context, f leaveFlags) error {
	before, err := c.client().Status(ctx) // for its directory
	if err != nil && !f.purge {
		return err
	}
	if err == nil {
		err = c.client().Leave(ctx, api.LeaveRequest{Purge: f.purge, Deadline: api.Age(f.deadline)})
	}
	if err != nil {
		if f.purge {
			return c.purgePast(f.state, err)
		}
		return err
	}
	if f.detach {
		return c.done("this peer is leaving; `shoal ps` shows what it still holds, `shoal undrain` takes that back")
	}
	c.progress("leaving: the daemon ends once its slots run elsewhere")
	limited, cancel := limitedTo(ctx, f.timeout)
	defer cancel()
	w := drainWatch{cli: c, leaves: true, told: map[string]string{}}
	last, err := w.await(limited)
	name := cmp.Or(last.Peer, before.Peer.Name, "this peer")
	switch {
	case ctx.Err() != nil:
		return &coded{exitInterrupted, fmt.Errorf("stopped watching; %s goes on leaving, also when its daemon is started again; `shoal undrain` takes that back", name)}
	case limited.Err() != nil:
		return &coded{exitTimeout, f.late(name, last, w.open(last))}
	case err != nil:
		return err
	}
	return c.hasLeft(before)
}

// late says that a peer goes on leaving when nobody waits for it any more.
func (f leaveFlags) late(name string, last api.DrainState, open string) error {
	left, hint := count(len(last.Slots), "slot"), "--deadline stops in the end what nobody takes, "
	if len(last.Slots) == 0 {
		left, hint = "its membership", ""
	} else if f.deadline > 0 {
		hint = ""
	}
	return fmt.Errorf("%s still holds %s after %s and goes on leaving; %s`shoal undrain` takes the leave back%s", name, left, f.timeout, hint, open)
}

// hasLeft judges by what the daemon has left on the disk whether it ended because the peer
// left.
func (c *cli) hasLeft(before api.Status) error {
	id, err := stateDir(before.StateDir).load()
	switch {
	case err == nil && id != nil && id.past == wasRemoved:
		return id.noMember()
	case err == nil && id != nil && id.member:
		return fmt.Errorf("the daemon has ended before %s had left: it goes on leaving when it is started again; `shoal undrain` takes that back then", before.Peer.Name)
	}
	return c.done("this peer has left the swarm")
}

// limitedTo is ctx with a limit; 0 is none.
func limitedTo(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// purgePast deletes the state of a peer that is no member any more. Where no daemon
// answers for one that still is, that stays the error: its work is to be moved first.
func (c *cli) purgePast(state string, err error) error {
	var none *client.UnreachableError
	dir, absErr := stateAt(state)
	if absErr != nil || !errors.As(err, &none) {
		return err
	}
	id, loadErr := dir.load()
	if loadErr != nil || id.noMember() == nil {
		return err
	}
	if err := dir.purge(); err != nil {
		return err
	}
	return c.done("%s is deleted; it was of swarm %s", dir, id.cert.Swarm.Short())
}
