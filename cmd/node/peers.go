package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/ledger/badger"
)

func (c *cli) peersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "List the members of the swarm",
		Long: `List the members of the swarm, as this peer knows them; -o wide shows more of each.

HEARD AGO is the age of what is known: since the last message of that peer came here. PATH is how it is reached, with the
latest round trip. DOUBTED BY are those of its observers whose votes that it is gone are held here; of two thirds it is dead.`,
		Args: wants(0, 0, "no argument, or: rm PEER, label PEER KEY=VALUE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			peers, err := c.client().Peers(cmd.Context())
			if err != nil {
				return err
			}
			for _, p := range peers {
				if p.Self && p.State == "stepped back" {
					if err := c.tellUnready(cmd.Context()); err != nil {
						return err
					}
				}
			}
			return c.answer(peers, func() { c.printPeers(peers) })
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:               "rm PEER",
		Short:             "Remove a peer from the swarm for good; its slots are sold elsewhere",
		Args:              wants(1, 1, "one peer"),
		ValidArgsFunction: c.complete(false, peerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.client().Expel(cmd.Context(), api.ExpelRequest{Peer: args[0]}); err != nil {
				return err
			}
			return c.done("%s is removed from the swarm", args[0])
		},
	}, c.labelCommand())
	return cmd
}

// done says that something was done.
func (c *cli) done(format string, args ...any) error {
	return c.answer(map[string]bool{"done": true}, func() {
		if !c.quiet {
			fmt.Fprintf(c.out, format+"\n", args...)
		}
	})
}

func (c *cli) printPeers(peers []api.Peer) {
	head := []string{"PEER", "STATE", "HEARD AGO", "PATH", "DOUBTED BY", "SLOTS", "CLAIMED", "OF", "LABELS"}
	if c.wide() {
		head = append(head, "DATACENTER", "PROFILE", "DRIVER", "PLATFORM", "VERSION")
	}
	head = append(head, "ID")
	called := map[string]int{}
	for _, p := range peers {
		called[p.Name]++
	}
	var rows [][]string
	for _, p := range peers {
		if c.quiet {
			fmt.Fprintln(c.out, p.Name)
			continue
		}
		row := c.peerRow(p)
		switch { // commands take it by that
		case called[p.Name] > 1 || c.wide():
			row = append(row, shortID(p.ID))
		default:
			row = append(row, "")
		}
		rows = append(rows, row)
	}
	if !c.quiet {
		c.table("", head, rows)
	}
}

func (c *cli) peerRow(p api.Peer) []string {
	name, heard := p.Name, age(p.SpokeAgo)
	if p.Self {
		name, heard = name+" (this)", ""
	}
	labels := maps.Clone(p.Labels)
	if !c.wide() {
		p.Claimed.DiskBytes, p.Capacity.DiskBytes = 0, 0
		for _, own := range machineLabels {
			delete(labels, own)
		}
	}
	row := []string{
		name, peerState(p), heard, linkText(p.Link), doubtText(p), fmt.Sprint(p.Slots), resources(p.Claimed), resources(p.Capacity), labelText(labels),
	}
	if c.wide() {
		row = append(row, p.Datacenter, p.Profile, p.Driver, p.Platform, p.Version)
	}
	return row
}

// shortID is the end of a peer ID, enough to tell it from others.
func shortID(id string) string { return id[max(0, len(id)-8):] }

// machineLabels are those that every peer has.
var machineLabels = []string{"arch", "cores", "kernel", "link", "mbits", "os"}

func peerState(p api.Peer) string {
	state := p.State
	state += givesWay(p)
	if p.OtherVersion {
		state += ", other version"
	}
	switch {
	case p.RefusedFor > 0:
		state += ", refused for " + age(p.RefusedFor)
	case p.Ignored:
		state += ", pushes ignored"
	}
	return state
}

// givesWay is what follows a peer's state where its work is to move elsewhere.
func givesWay(p api.Peer) string {
	switch {
	case p.Leaving:
		return ", leaving"
	case p.Draining:
		return ", draining"
	case p.TakesNothing != "" && p.State == "ready":
		return ", takes nothing (" + oneLine(p.TakesNothing) + ")"
	}
	return ""
}

// doubtText says which of a peer's observers vote it gone, as "2 of 8: attic, den";
// nobody is empty.
func doubtText(p api.Peer) string {
	const most = 2
	if len(p.Doubters) == 0 {
		return ""
	}
	who := strings.Join(p.Doubters[:min(most, len(p.Doubters))], ", ")
	if len(p.Doubters) > most {
		who += ", …"
	}
	return fmt.Sprintf("%d of %d: %s", len(p.Doubters), p.Observers, who)
}

// linkText is a link in a cell of a table, such as "direct 0.4ms" or "relayed by attic
// 31ms"; none is empty.
func linkText(l *api.Link) string {
	if l == nil {
		return ""
	}
	text := l.Path
	if l.Relay != "" {
		text += " by " + l.Relay
	}
	if l.RTTMsec <= 0 {
		return text
	}
	if l.RTTMsec < 10 {
		return fmt.Sprintf("%s %.1fms", text, l.RTTMsec)
	}
	return fmt.Sprintf("%s %.0fms", text, l.RTTMsec)
}

func labelText(labels map[string]string) string {
	var out []string
	for _, k := range sortedKeys(labels) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}

func (c *cli) labelCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "label PEER KEY=VALUE...",
		Short:             "Set labels of a peer; KEY= removes one",
		Args:              wants(2, -1, "a peer and KEY=VALUE"),
		ValidArgsFunction: c.complete(false, peerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := parseLabels(args[1:])
			if err != nil {
				return err
			}
			if err := c.client().Label(cmd.Context(), api.LabelRequest{Peer: args[0], Set: set}); err != nil {
				return err
			}
			return c.done("%s: %s", args[0], labelText(set))
		},
	}
}

func parseLabels(texts []string) (map[string]string, error) {
	set := map[string]string{}
	for _, t := range texts {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" {
			return nil, usagef("label %q: want KEY=VALUE", t)
		}
		set[k] = v
	}
	return set, nil
}

func (c *cli) ticketCommand() *cobra.Command {
	var r api.TicketRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "ticket",
		Short: "Make a ticket with which another machine joins",
		Args:  wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Uses < 0 || r.Uses > api.MaxUses {
				return usagef("--uses %d: want 1 to %d, or 0 for any number", r.Uses, api.MaxUses)
			}
			r.TTL = api.Age(ttl)
			t, err := c.client().Ticket(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.answer(t, func() {
				fmt.Fprintln(c.out, t.Ticket)
				uses := "any number of machines"
				if t.Uses > 0 {
					uses = count(t.Uses, "machine")
				}
				c.progress("run `shoal up TICKET` on the machine that is to join; good for %s until %s, rights: %s",
					uses, t.Expires.Local().Format(time.DateTime), t.Rights)
			})
		},
	}
	cmd.Flags().BoolVar(&r.Run, "run", false, "for a peer that only runs slots: it may deploy, admit and revoke nothing")
	cmd.Flags().IntVar(&r.Uses, "uses", 0, "how many machines it admits, as long as this peer is up to count them (0: any number)")
	durationFlag(cmd.Flags(), &ttl, "ttl", 24*time.Hour, bounds{time.Second, forEver, "a second to 366 days, such as 1h"}, "how long it is good")
	return cmd
}

func (c *cli) downCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop this daemon; containers, claims and membership stay",
		Long: `Stop this daemon and leave containers, claims and membership as they are; SIGTERM does the same.
To the others it is as if this peer had died: its slots are sold after the usual delay, and the surplus
ends when the daemon is back. With --for they wait that long first.`,
		Args: wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := c.client().Status(cmd.Context()) // for its directory
			if err != nil {
				return err
			}
			if err := c.client().Down(cmd.Context(), api.DownRequest{For: api.Age(wait)}); err != nil {
				return err
			}
			if err := c.awaitGone(cmd.Context(), 30*time.Second); err != nil {
				return err
			}
			awaitFree(cmd.Context(), stateDir(st.StateDir).path("store"))
			return c.done("the daemon is down; its containers run on")
		},
	}
	durationFlag(cmd.Flags(), &wait, "for", 0, bounds{0, api.LongestPause, "up to 24h, such as 10m"},
		"ask the others to wait this long before they take this peer for dead")
	return cmd
}

// awaitFree waits, for a few seconds at most, until no process has a store open: a daemon
// answers no more a moment before it has closed it, and who starts it again at once would
// find it in use.
func awaitFree(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for badger.Holder(dir) != "" {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// awaitGone waits until nobody listens at the socket.
func (c *cli) awaitGone(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		_, err := c.client().Status(limited)
		var gone *client.UnreachableError
		switch {
		case errors.As(err, &gone) && gone.Absent():
			return nil
		case ctx.Err() != nil:
			return &coded{exitInterrupted, errors.New("stopped watching; the daemon goes on ending")}
		case limited.Err() != nil:
			return &coded{exitTimeout, fmt.Errorf("the daemon still runs %s after it was told to end; `shoal doctor` says how it is", limit)}
		}
		select {
		case <-time.After(pollEvery):
		case <-limited.Done():
		}
	}
}
