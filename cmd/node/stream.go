package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
)

// maxFollowed bounds the slots whose output is read at once.
const maxFollowed = 64

func (c *cli) logsCommand() *cobra.Command {
	var o client.LogOptions
	cmd := &cobra.Command{
		Use:               "logs SLOT|JOB|JOB/TASK...",
		Short:             "Show what containers print, wherever they are",
		Args:              wants(1, -1, "slots, jobs or tasks"),
		ValidArgsFunction: c.complete(true, slotNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Tail < 0 {
				return usagef("--tail %d: want a number of lines", o.Tail)
			}
			return c.showLogs(cmd.Context(), args, o)
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on until interrupted")
	cmd.Flags().IntVar(&o.Tail, "tail", 0, "only the last lines of each slot (0: all that is kept)")
	return cmd
}

// withOutput lists the slots of what was named that have a container, each once.
func (c *cli) withOutput(ctx context.Context, named []string) ([]string, error) {
	var slots []string
	for _, of := range named {
		all, err := c.client().Slots(ctx, of)
		if err != nil {
			return nil, err
		}
		found := false
		for _, s := range all.Slots {
			if s.Peer == "" || s.Surplus {
				continue
			}
			if found = true; !slices.Contains(slots, s.Slot) {
				slots = append(slots, s.Slot)
			}
		}
		if !found {
			return nil, fmt.Errorf("nothing of %s has a container yet: see `shoal why %s`", of, of)
		}
	}
	if len(slots) > maxFollowed {
		return nil, fmt.Errorf("%s: %d slots, at most %d can be read at once: name a task or a slot", strings.Join(named, ", "), len(slots), maxFollowed)
	}
	return slots, nil
}

func (c *cli) showLogs(ctx context.Context, named []string, o client.LogOptions) error {
	slots, err := c.withOutput(ctx, named)
	if err != nil {
		return err
	}
	var out sync.Mutex
	show := func(l api.LogLine) error {
		out.Lock()
		defer out.Unlock()
		switch {
		case l.Err != "":
			return errors.New(l.Slot + ": " + l.Err)
		case c.json():
			return c.line(l, "")
		case l.Stream == "stderr" && len(slots) == 1:
			_, err := fmt.Fprintln(c.err, l.Text)
			return err
		case len(slots) == 1:
			return c.line(l, l.Text)
		}
		return c.line(l, fmt.Sprintf("%-20s | %s", l.Slot, l.Text))
	}
	errs := make([]error, len(slots))
	var wg sync.WaitGroup
	for i, slot := range slots {
		wg.Go(func() { errs[i] = c.client().Logs(ctx, slot, o, show) })
	}
	wg.Wait()
	return quietly(ctx, errors.Join(errs...))
}

// quietly makes an interrupt of what goes on for ever no error.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func (c *cli) eventsCommand() *cobra.Command {
	var o client.EventOptions
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened: who joined, died, sold, claimed, and why a copy ended",
		Long: `Show what happened at every peer that answers, in the order of their clocks.
With --follow only what happens at this peer.`,
		Args: wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.client().Events(cmd.Context(), o, func(e api.Event) error { return c.line(e, eventText(e)) })
			return quietly(cmd.Context(), err)
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on until interrupted")
	durationFlag(cmd.Flags(), &o.Since, "since", 0, bounds{0, forEver, "up to 366 days, such as 10m"}, "only what is younger, such as 10m")
	cmd.Flags().BoolVar(&o.Here, "here", false, "only what happened at this peer")
	return cmd
}

func eventText(e api.Event) string {
	what := e.Slot
	if what == "" {
		what = e.Job
	}
	text := oneLine(e.Text)
	if what != "" && !strings.Contains(text, what) {
		text = what + ": " + text
	}
	return fmt.Sprintf("%s  %-8s %-11s %s", e.Time.Local().Format(time.DateTime), e.From, e.Kind, text)
}
