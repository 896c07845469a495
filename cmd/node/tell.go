package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/term"

	"shoal/api"
	"shoal/node"
)

// tell says on the terminal how the peer comes up, and then each event; it keeps
// systemd informed.
func (p *peer) tell(ctx context.Context) {
	_, _ = sdnotify.SdNotify(false, sdnotify.SdNotifyReady)
	go p.watchdog(ctx)
	p.greet(ctx)
	if !p.detached {
		go p.tellEvents(ctx)
	}
	p.untilReady(ctx)
}

// greet says where this peer is, and what to paste on the next machine.
func (p *peer) greet(ctx context.Context) {
	p.cli.progress("peer %s of swarm %s, at %s, with its socket at %s",
		p.o.Name, p.id.cert.Swarm.Short(), strings.Join(p.host.Addrs()[:min(1, len(p.host.Addrs()))], ""), p.cli.socket)
	p.tellGoing(ctx)
	// A log is no place for a ticket; it is for who has just made a swarm, or watches.
	if p.detached || os.Getenv("NOTIFY_SOCKET") != "" || !p.o.state.has("founding") && !isTerminal(p.cli.out) {
		return
	}
	t, err := p.ticket(ctx, api.TicketRequest{})
	if err != nil {
		p.cli.progress("this peer admits nobody: %v", err)
		return
	}
	p.cli.progress("on the next machine, within 24 hours, run:")
	fmt.Fprintln(p.cli.out, "shoal up", t.Ticket)
}

// tellGoing says of a peer that was told to drain or leave before it was started that it
// goes on with that.
func (p *peer) tellGoing(ctx context.Context) {
	var v node.DrainView
	switch err := p.daemon.View(ctx, func(c *node.Core) { v = c.Draining() }); {
	case err != nil:
	case v.Leaving:
		p.cli.progress("this peer goes on leaving the swarm: it ends once it holds nothing; `shoal undrain` takes that back")
	case v.Draining:
		p.cli.progress("this peer is drained: it takes no work until `shoal undrain`")
	}
}

func isTerminal(w io.Writer) bool {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// untilReady says what a joining peer waits for, each time it changes, and that it
// is ready. From then on this swarm is founded.
func (p *peer) untilReady(ctx context.Context) {
	said, before := "", ""
	for {
		var st node.StatusView
		if err := p.daemon.View(ctx, func(c *node.Core) { st = c.Status() }); err != nil {
			return
		}
		switch {
		case st.State == "ready":
			p.cli.progress("ready: %s, %s", count(st.Peers, "peer"), count(st.Jobs, "job"))
			_ = os.Remove(p.o.state.path("founding"))
			return
		case st.Why != said && st.Why == before: // not what passes at once
			said = st.Why
			p.cli.progress("%s: %s", st.State, st.Why)
		}
		before = st.Why
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func (p *peer) tellEvents(ctx context.Context) {
	_ = p.daemon.Events(ctx, 0, true, func(_ uint64, at time.Time, e node.Event) error {
		if !p.cli.quiet {
			v := api.Event{Time: at, Kind: e.Kind, Slot: e.Slot, Text: e.Text, From: p.o.Name}
			if e.Job != "" {
				v.Job = e.Job.String()
			}
			fmt.Fprintln(p.cli.err, eventText(v))
		}
		return nil
	})
}

// watchdog tells systemd, twice as often as it wants, that the loop turns.
func (p *peer) watchdog(ctx context.Context) {
	every, err := sdnotify.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if p.daemon.View(ctx, func(*node.Core) {}) == nil {
				_, _ = sdnotify.SdNotify(false, sdnotify.SdNotifyWatchdog)
			}
		case <-ctx.Done():
			return
		}
	}
}
