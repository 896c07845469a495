package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/job"
)

func (c *cli) jobsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs",
		Args:  wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.tellUnready(cmd.Context()); err != nil {
				return err
			}
			jobs, err := c.client().Jobs(cmd.Context(), all)
			if err != nil {
				return err
			}
			return c.answer(jobs, func() { c.printJobs(jobs) })
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "removed ones too, while they are remembered")
	return cmd
}

// tellUnready says on stderr, ahead of what is listed, that the peer that answers is not
// ready: it shows what it knew when it last heard others. Of a peer that cannot be asked
// only its silence is an error; any other is left to the listing.
func (c *cli) tellUnready(ctx context.Context) error {
	st, err := c.client().Status(ctx)
	var none *client.UnreachableError
	switch {
	case errors.As(err, &none) && none.Silent():
		return err // the listing would wait as long for the same
	case err == nil && st.State != "ready":
		c.sayUnready(st)
	}
	return nil
}

func (c *cli) sayUnready(st api.Status) {
	state := st.State
	if st.Why != "" {
		state += " (" + oneLine(st.Why) + ")"
	}
	fmt.Fprintf(c.err, "shoal: this peer is %s: what follows is what it last knew\n", state)
}

func (c *cli) printJobs(jobs []api.Job) {
	var rows [][]string
	for _, j := range jobs {
		if c.quiet {
			fmt.Fprintln(c.out, j.Job)
			continue
		}
		wanted, serving := 0, 0
		for _, t := range j.Tasks {
			wanted += t.Wanted
			serving += t.Serving + t.Completed
		}
		rows = append(rows, []string{
			j.Job, fmt.Sprint(j.Revision), j.State, fmt.Sprintf("%d/%d", serving, wanted), fmt.Sprint(len(j.Tasks)), j.Author,
			strings.Join(j.Conflicts, "; "),
		})
	}
	if !c.quiet {
		c.table("", []string{"JOB", "REVISION", "STATE", "SERVING", "TASKS", "ACCEPTED BY", "CONFLICT"}, rows)
	}
}

func (c *cli) psCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "ps [JOB|JOB/TASK]",
		Short:             "List slots: who holds each, how it is, which address answers",
		Args:              wants(0, 1, "at most one job or task"),
		ValidArgsFunction: c.complete(false, taskNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			of := strings.Join(args, "")
			if err := c.tellUnready(cmd.Context()); err != nil {
				return err
			}
			slots, err := c.client().Slots(cmd.Context(), of)
			if err != nil {
				return err
			}
			return c.answer(slots, func() { c.printSlots(slots, of) })
		},
	}
}

// staleAfter is how long a holder may be silent before ps says so; beats of a
// metered peer come each 8 s.
const staleAfter = 10 * time.Second

func (c *cli) printSlots(slots api.Slots, of string) {
	if len(slots.Slots) == 0 && of != "" && !c.quiet {
		fmt.Fprintf(c.out, "%s is stopped: no slot is wanted\n", of)
		c.silent(slots.Freshness)
		return
	}
	var rows [][]string
	for _, s := range slots.Slots {
		if c.quiet {
			fmt.Fprintln(c.out, s.Slot)
			continue
		}
		run := ""
		if s.Run > 0 {
			run = fmt.Sprint(s.Run)
		}
		rows = append(rows, []string{s.Slot, phaseText(s), s.Peer, lasting(s.For), run, strings.Join(s.Addresses, " "), detail(s)})
	}
	if !c.quiet {
		c.table("", []string{"SLOT", "PHASE", "PEER", "FOR", "RUN", "ADDRESS", "DETAIL"}, rows)
	}
	c.silent(slots.Freshness)
}

func phaseText(s api.Slot) string {
	switch {
	case s.Phase == "removed": // with its peer: it does not end as surplus does
		return s.Phase
	case s.Surplus:
		return s.Phase + " (surplus)"
	case s.Phase == "completed" && s.Exit != 0:
		return fmt.Sprintf("%s (exit %d)", s.Phase, s.Exit)
	case s.Peer != "" && !s.Current:
		return s.Phase + " (old spec)"
	}
	return s.Phase
}

// detail is the last column: what went wrong, and how stale the row is.
func detail(s api.Slot) string {
	var parts []string
	if s.Detail != "" {
		parts = append(parts, oneLine(s.Detail))
	}
	parts = append(parts, s.Problems...)
	switch {
	case s.HeardAgo == api.Never:
		parts = append(parts, "peer not heard since this one's start")
	case s.Doubted || time.Duration(s.HeardAgo) > staleAfter:
		parts = append(parts, "peer not heard for "+age(s.HeardAgo))
	}
	if s.Waits != nil && s.Waits.NextTry > 0 {
		parts = append(parts, nextTry(s.Waits))
	}
	return strings.Join(parts, "; ")
}

func (c *cli) inspectCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "inspect JOB|SLOT",
		Short:             "Show all that is known of a job or slot, as JSON",
		Args:              wants(1, 1, "one job or slot"),
		ValidArgsFunction: c.complete(false, slotNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.output = "json"
			if err := c.tellUnready(cmd.Context()); err != nil {
				return err
			}
			if slot, err := job.ParseSlotID(args[0]); err == nil {
				why, err := c.client().Why(cmd.Context(), slot.String())
				if err != nil {
					return err
				}
				return c.answer(why, nil)
			}
			id, err := job.ParseID(args[0])
			if err != nil {
				return usagef("%w", err)
			}
			detail, err := c.client().Inspect(cmd.Context(), id)
			if err != nil {
				return err
			}
			return c.answer(detail, nil)
		},
	}
}

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how this peer is",
		Args:  wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.client().Status(cmd.Context())
			if err != nil {
				return becauseNoMember(err)
			}
			return c.answer(st, func() { c.printStatus(st) })
		},
	}
}

// becauseNoMember says of a daemon that does not answer that its peer, whose state is
// where it is looked for by itself, is no member any more.
func becauseNoMember(err error) error {
	var none *client.UnreachableError
	if dir, badDir := stateAt(""); badDir == nil && errors.As(err, &none) {
		if id, badState := dir.load(); badState == nil && id.noMember() != nil {
			return id.noMember()
		}
	}
	return err
}

func (c *cli) printStatus(st api.Status) {
	if c.quiet {
		fmt.Fprintln(c.out, st.State)
		return
	}
	state := st.State
	if st.Why != "" {
		state += ": " + st.Why
	}
	state += givesWay(st.Peer)
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(c.out, "%-9s %s\n", name, oneLine(text))
		}
	}
	line("peer", "%s  %s", st.Peer.Name, st.Peer.ID)
	line("state", "%s, up %s", state, age(st.Uptime))
	line("swarm", "%s, %s, %d ready", short(st.Swarm), count(st.Peers, "peer"), st.ReadyPeers)
	line("work", "%s here; %s in the swarm", count(st.Slots, "slot"), count(st.Jobs, "job"))
	line("engine", "%s", cmp.Or(st.Engine, "not known yet"))
	line("free", "%s of %s", resources(st.Free), resources(st.Peer.Capacity))
	line("missing", "%s", strings.Join(st.Missing, "; "))
	line("held", "%s", st.Held)
	line("ledger", "%s, digest %s", count(st.Records, "record"), short(st.Digest))
	line("address", "%s", st.Address)
	for _, p := range st.Problems {
		line("problem", "%s: %s", strings.TrimSuffix(p.Job+"/"+p.Task, "/"), p.Why)
	}
	line("listen", "%s", strings.Join(st.Listen, " "))
	line("state dir", "%s", st.StateDir)
	line("version", "%s", st.Version)
}

// short is the beginning of a hash, enough to tell apart.
func short(hash string) string { return hash[:min(12, len(hash))] }

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program and of the daemon",
		Args:  wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.client().Status(cmd.Context())
			v := map[string]string{"client": version}
			if err == nil {
				v["daemon"] = st.Version
			}
			return c.answer(v, func() {
				fmt.Fprintf(c.out, "client  %s\ndaemon  %s\n", version, cmp.Or(v["daemon"], "does not answer"))
			})
		},
	}
}
