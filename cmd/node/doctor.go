package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/internal/doctor"
	"shoal/ledger/badger"
)

// doctorWait is how long the daemon may take; what it asks has shorter deadlines.
const doctorWait = 15 * time.Second

func (c *cli) doctorCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this peer and its machine, and say what to do",
		Long: `Check this peer and its machine, one line a check, and say what to do where something is wrong.

Where a daemon runs it is asked: it compares its clock with up to 16 members, looks at its engine, port, disk and
limits, and says how others reach it. Where none answers, the command looks at this machine by itself,
and at the store that the peer left, as shoal ledger verify does: at a copy in $TMPDIR, for 20 s at most.
Exit code 0: all is well, or there are warnings only; 1: something fails.`,
		Args:              wants(0, 0, "no argument"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := c.health(cmd.Context(), state)
			if err != nil {
				return err
			}
			if err := c.answer(h, func() { c.printHealth(h) }); err != nil {
				return err
			}
			if !h.OK {
				return &coded{exitError, errors.New("")} // it has been said
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "where no daemon answers: the state directory (default $SHOAL_STATE, else "+defaultState()+")")
	return cmd
}

// health asks the daemon or, where none answers, looks by itself.
func (c *cli) health(ctx context.Context, state string) (api.Health, error) {
	limited, cancel := context.WithTimeout(ctx, doctorWait)
	defer cancel()
	h, err := c.client().Doctor(limited)
	switch {
	case err == nil && h.Version != version:
		h.Findings = append(h.Findings, doctor.Finding{
			Check: "program", Grade: doctor.Warn, Saw: fmt.Sprintf("this program is version %s, the daemon %s", version, h.Version),
			Do: "restart the daemon: `shoal down`, then start it as before; containers run on.",
		})
		return h, nil
	case err == nil:
		return h, nil
	case ctx.Err() != nil:
		return h, ctx.Err()
	case isMissing(err):
		return h, fmt.Errorf("the daemon is of an earlier version, which cannot be asked this: restart it: %w", err)
	}
	dir, absErr := stateAt(state)
	if absErr != nil {
		return h, absErr
	}
	o, machine := c.outside(ctx, dir, err)
	return api.HealthOf("", doctor.Alone(o, machine.look(ctx))), nil
}

// outside is what can be told of a daemon that does not answer, and how its machine is
// to be looked at: by what the last `up` was told.
func (c *cli) outside(ctx context.Context, dir stateDir, why error) (doctor.Outside, looker) {
	o := doctor.Outside{Socket: c.socket}
	var none *client.UnreachableError
	switch {
	case errors.Is(why, os.ErrPermission):
		o.Foreign = true
	case errors.Is(why, context.DeadlineExceeded):
		o.Hung, o.Err = true, "no answer in "+doctorWait.String()
	case !errors.As(why, &none) || !none.Absent():
		o.Hung, o.Err = true, why.Error()
	}
	o.Holder, _ = bounded(ctx, machineWait, func(context.Context) (string, error) { return badger.Holder(dir.path("store")), nil })
	o.Member, _ = bounded(ctx, machineWait, func(context.Context) (string, error) { return notMember(dir), nil })
	if o.Member == "" && !o.Foreign {
		o.Store = storeAtRest(ctx, dir, o.Holder)
	}
	up := &upOptions{state: dir}
	up.settings, _ = bounded(ctx, machineWait, func(context.Context) (settings, error) { return dir.loadSettings() })
	if up.Driver == "" {
		up.Driver = "auto"
	}
	return o, looker{o: up, busy: o.Holder != "" || o.Hung || o.Foreign}
}

// notMember is why the peer of a state directory is no member; empty if it is.
func notMember(dir stateDir) string {
	id, err := dir.load()
	switch {
	case err != nil:
		return err.Error()
	case id.noMember() != nil:
		return id.noMember().Error()
	case id == nil || !id.member:
		return fmt.Sprintf("this machine is no member of a swarm: no membership is in %s", dir)
	}
	return ""
}

func (c *cli) printHealth(h api.Health) {
	counts := map[doctor.Grade]int{}
	for _, f := range h.Findings {
		counts[f.Grade]++
		switch {
		case c.quiet && f.Grade != doctor.OK:
			fmt.Fprintln(c.out, f.Check)
		case c.quiet:
		case f.Do == "":
			fmt.Fprintf(c.out, "%-4s  %-11s %s\n", f.Grade, f.Check, oneLine(f.Saw))
		default:
			fmt.Fprintf(c.out, "%-4s  %-11s %s: %s\n", f.Grade, f.Check, oneLine(f.Saw), f.Do)
		}
	}
	c.progress("%d ok, %d to look at, %d wrong", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
}
