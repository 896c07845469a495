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
)

// drainMargin is how long after its deadline a drain may take: containers have their
// grace to end in.
const drainMargin = 2 * time.Minute

// placeWait is how long a slot that was stopped may wait for another peer until the
// drain says that none took it.
const placeWait = 10 * time.Second

// deadlines are the bounds of --deadline.
var deadlines = bounds{time.Second, forEver, "a second to 366 days, such as 10m"}

// drainFlags are those of `shoal drain`.
type drainFlags struct {
	deadline, timeout time.Duration
	undo, detach      bool
}

func (c *cli) drainCommand() *cobra.Command {
	var f drainFlags
	cmd := &cobra.Command{
		Use:   "drain [PEER]",
		Short: "Move a peer's work elsewhere and give it no more",
		Long: `Move a peer's work elsewhere and give it no more, until undrain. It waits until that is done and says of each slot
what became of it. A start-first slot runs on until its replacement serves, for ever if nobody can take it; a slot
whose volume is there, or that never moves, stays. With --deadline whatever is left then is stopped all the same.`,
		Args:              wants(0, 1, "at most one peer"),
		ValidArgsFunction: c.complete(false, peerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			if f.undo {
				return c.undrain(cmd.Context(), name)
			}
			if f.deadline > 0 && !cmd.Flags().Changed("timeout") {
				f.timeout = f.deadline + drainMargin
			}
			return c.drain(cmd.Context(), name, f)
		},
	}
	flags := cmd.Flags()
	durationFlag(flags, &f.deadline, "deadline", 0, deadlines, "stop what has not moved after so long (default: it runs on)")
	flags.BoolVarP(&f.detach, "detach", "d", false, "return at once; do not wait until it is done")
	durationFlag(flags, &f.timeout, "timeout", 5*time.Minute, timeouts, "how long to wait; the peer goes on draining (0: for ever)")
	flags.BoolVar(&f.undo, "undo", false, "take work again")
	_ = flags.MarkHidden("undo") // `shoal undrain`
	return cmd
}

func (c *cli) undrainCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "undrain [PEER]",
		Short:             "Let a drained peer take work again; takes back a leave that is under way",
		Args:              wants(0, 1, "at most one peer"),
		ValidArgsFunction: c.complete(false, peerNames),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.undrain(cmd.Context(), strings.Join(args, "")) },
	}
}

func (c *cli) undrain(ctx context.Context, name string) error {
	if err := c.client().Drain(ctx, api.DrainRequest{Peer: name, Undo: true}); err != nil {
		return err
	}
	return c.done("%s takes work again", cmp.Or(name, "this peer"))
}

// A drained is what a drain has come to.
type drained struct {
	Peer    string      `json:"peer"`
	Moved   []drainSlot `json:"moved"`   // and the peer that holds it now
	Stopped []drainSlot `json:"stopped"` // nobody holds it, and why
	Stays   []drainSlot `json:"stays"`   // at the drained peer, and why
}

type drainSlot struct {
	Slot string `json:"slot"`
	Peer string `json:"peer,omitempty"`
	Why  string `json:"why,omitempty"`
}

func (c *cli) drain(ctx context.Context, name string, f drainFlags) error {
	if err := c.client().Drain(ctx, api.DrainRequest{Peer: name, Deadline: api.Age(f.deadline)}); err != nil {
		return err
	}
	if f.detach {
		return c.done("%s is draining; `shoal ps` shows what it still holds", cmp.Or(name, "this peer"))
	}
	limited, cancel := limitedTo(ctx, f.timeout)
	defer cancel()
	w := drainWatch{cli: c, name: name, told: map[string]string{}}
	last, err := w.await(limited)
	who := cmp.Or(last.Peer, name, "this peer") // it may not have answered yet
	switch {
	case ctx.Err() != nil:
		return &coded{exitInterrupted, fmt.Errorf("stopped watching; %s goes on draining, `shoal undrain %s` ends that", who, cmp.Or(last.Peer, name))}
	case limited.Err() != nil:
		return &coded{exitTimeout, fmt.Errorf("%s still holds %s after %s and goes on draining; --deadline stops in the end what nobody takes%s",
			who, count(len(last.Slots), "slot"), f.timeout, w.open(last))}
	case err != nil:
		return err
	}
	out := w.outcome(ctx, last)
	return c.answer(out, func() { c.printDrained(out) })
}

// A drainWatch follows a drain, or this peer's leave.
type drainWatch struct {
	cli    *cli
	name   string
	leaves bool
	told   map[string]string // what was last said of each slot
	seen   []string          // slots that were to move, in the order met
}

// await waits until nothing but what stays is left, of a leave until the daemon has ended.
func (w *drainWatch) await(ctx context.Context) (last api.DrainState, err error) {
	for {
		st, err := w.cli.client().DrainState(ctx, w.name)
		var p *api.Problem
		var none *client.UnreachableError
		switch {
		case w.leaves && errors.As(err, &none):
			if none.Absent() {
				return last, nil
			} // else it is ending, and cuts us off
		case err != nil && (ctx.Err() != nil || !errors.As(err, &p)):
			return last, err
		case err != nil && w.leaves: // it is ending
		case err != nil && w.told[""] != p.Detail: // the peer may be back soon
			w.told[""] = p.Detail
			w.cli.progress("  %s", p.Detail)
		case err == nil && !w.leaves && !st.Draining:
			return st, fmt.Errorf("%s takes work again: somebody has undone the drain", st.Peer)
		case err == nil && w.leaves && !st.Leaving:
			return st, fmt.Errorf("%s stays: somebody has taken the leave back", st.Peer)
		case err == nil:
			last = st
			if w.tell(st) == 0 && !w.leaves {
				return last, nil
			}
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// tell says what has changed since it last did, and returns how many slots are still
// to go.
func (w *drainWatch) tell(st api.DrainState) (left int) {
	for _, s := range st.Slots {
		if s.Stays == "" {
			left++
			if w.told[s.Slot] == "" {
				w.seen = append(w.seen, s.Slot)
			}
		}
		if text := drainText(s); w.told[s.Slot] != text {
			w.told[s.Slot] = text
			w.cli.progress("  %-24s %s", s.Slot, text)
		}
	}
	return left
}

func drainText(s api.DrainSlot) string {
	switch {
	case s.Stays != "":
		return "stays: " + s.Stays
	case s.Ends:
		return "is being stopped"
	case s.Waits != "":
		return s.Phase + " here still, nobody can take it: " + oneLine(s.Waits)
	}
	return s.Phase + " here still"
}

// open lists what is left.
func (w *drainWatch) open(st api.DrainState) string {
	var b strings.Builder
	for _, s := range st.Slots {
		fmt.Fprintf(&b, "\n  %s: %s", s.Slot, drainText(s))
	}
	return b.String()
}

// outcome finds who holds what was moved. A slot that nobody holds or has refused yet
// is given a moment.
func (w *drainWatch) outcome(ctx context.Context, st api.DrainState) drained {
	out := drained{Peer: st.Peer, Moved: []drainSlot{}, Stopped: []drainSlot{}, Stays: []drainSlot{}}
	for _, s := range st.Slots {
		out.Stays = append(out.Stays, drainSlot{Slot: s.Slot, Peer: st.Peer, Why: s.Stays})
	}
	limited, cancel := context.WithTimeout(ctx, placeWait)
	defer cancel()
	for {
		moved, stopped, open := w.place(limited, st.Peer)
		if moved != nil || stopped != nil {
			out.Moved, out.Stopped = moved, stopped
		}
		if !open {
			return out
		}
		select {
		case <-time.After(pollEvery):
		case <-limited.Done():
			return out
		}
	}
}

func (w *drainWatch) place(ctx context.Context, from string) (moved, stopped []drainSlot, open bool) {
	if len(w.seen) == 0 {
		return nil, nil, false
	}
	all, err := w.cli.client().Slots(ctx, "")
	if err != nil {
		return nil, nil, true
	}
	moved, stopped = []drainSlot{}, []drainSlot{}
	now := map[string]api.Slot{}
	for _, s := range all.Slots {
		if !s.Surplus {
			now[s.Slot] = s
		}
	}
	for _, name := range w.seen {
		s, wanted := now[name]
		switch {
		case !wanted:
			stopped = append(stopped, drainSlot{Slot: name, Why: "its job does not want it any more"})
		case s.Peer != "" && s.Peer != from:
			moved = append(moved, drainSlot{Slot: name, Peer: s.Peer})
		default:
			open = open || s.Detail == ""
			stopped = append(stopped, drainSlot{Slot: name, Why: cmp.Or(oneLine(s.Detail), "no peer has taken it yet")})
		}
	}
	return moved, stopped, open
}

func (c *cli) printDrained(d drained) {
	if c.quiet {
		fmt.Fprintln(c.out, d.Peer)
		return
	}
	fmt.Fprintf(c.out, "%s is drained: %d moved, %d stopped, %d left there\n", d.Peer, len(d.Moved), len(d.Stopped), len(d.Stays))
	for _, s := range d.Moved {
		fmt.Fprintf(c.out, "  %-24s moved to %s\n", s.Slot, s.Peer)
	}
	for _, s := range d.Stopped {
		fmt.Fprintf(c.out, "  %-24s stopped, runs nowhere now: %s\n", s.Slot, s.Why)
	}
	for _, s := range d.Stays {
		fmt.Fprintf(c.out, "  %-24s still runs there: %s; --deadline stops it in the end\n", s.Slot, s.Why)
	}
}
