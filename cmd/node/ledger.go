package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
)

// stateFlag lets a command look at a stopped peer's ledger.
const stateFlag = "look at the ledger of a stopped peer, in this state directory, instead of asking the daemon: at a copy of it in $TMPDIR"

func (c *cli) ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Look at, compare, check and copy the ledger: the records that say who runs what",
		Long: `Look at, compare, check and copy the ledger: the records that say who runs what.

Every peer holds all of it. Nothing here changes it but import, which brings records in by the
rules by which peers merge: what is newer stays. To keep a swarm safe see shoal backup.

With --state, what only looks leaves the directory as it is, its damage included: it reads a copy, which is
made in $TMPDIR (/tmp without it) and deleted in the end. That needs as much room there, and 32 MiB more.`,
		Args: wants(1, -1, "ls, get, diff, verify, export or import"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return usagef("%s: no command %q; see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())
		},
	}
	cmd.AddCommand(c.ledgerLsCommand(), c.ledgerGetCommand(), c.ledgerDiffCommand(), c.ledgerVerifyCommand(),
		c.ledgerExportCommand(), c.ledgerImportCommand())
	return cmd
}

func (c *cli) ledgerLsCommand() *cobra.Command {
	var o client.RecordOptions
	var state string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List records: what each is about, who brought it in, whether it counts",
		Long: `List records: what each is about, who brought it in, whether it counts.

STATE is live (it counts), ended (over, or an earlier revision that is kept), lost (a claim that
was declared lost), deleted (it says that something is gone) or unknown kind (of a later shoal; it
is kept and passed on). AGE is as far as this peer can tell: of a claim since it saw its phase, of
a card since it heard the peer, of a removed job in running time.`,
		Args: wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Limit < 0 {
				return usagef("--limit %d: want a number of records, 0 for all", o.Limit)
			}
			return c.withLedger(cmd.Context(), state, func(cl *client.Client) error { return c.listRecords(cmd.Context(), cl, o) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Kind, "kind", "", "only these kinds, with commas between: "+strings.Join(api.RecordKinds(), ", ")+", kind-N")
	flags.StringVar(&o.Issuer, "issuer", "", "only what this peer brought in: its name, ID or the end of its ID")
	flags.StringVar(&o.Job, "job", "", "only what is about this job")
	flags.IntVar(&o.Limit, "limit", 0, "at most so many records (0: all)")
	flags.StringVar(&state, "state", "", stateFlag)
	c.completeFlag(cmd, "kind", func(context.Context, *client.Client) []string { return api.RecordKinds() })
	c.completeFlag(cmd, "issuer", peerNames)
	c.completeFlag(cmd, "job", jobNames)
	return cmd
}

// completeFlag lists names for a flag.
func (c *cli) completeFlag(cmd *cobra.Command, flag string, list func(context.Context, *client.Client) []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, c.complete(true, list)) // the flag is there
}

func (c *cli) listRecords(ctx context.Context, cl *client.Client, o client.RecordOptions) error {
	doc := struct {
		Records []api.LedgerRecord `json:"records"`
	}{[]api.LedgerRecord{}}
	err := cl.LedgerRecords(ctx, o, func(r api.LedgerRecord) error {
		doc.Records = append(doc.Records, r)
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(doc, func() {
		var rows [][]string
		for _, r := range doc.Records {
			if c.quiet {
				fmt.Fprintln(c.out, r.Number)
				continue
			}
			rows = append(rows, recordRow(r))
		}
		if !c.quiet {
			c.table("", []string{"NUMBER", "KIND", "KEY", "ISSUER", "STATE", "AGE", "SIZE", "DETAIL"}, rows)
		}
	})
}

func recordRow(r api.LedgerRecord) []string {
	_, key, _ := strings.Cut(r.Key, "/")
	return []string{r.Number, r.Kind, key, r.IssuerName, r.State, knownAge(r.Age), fmt.Sprint(r.Size), r.Detail}
}

// knownAge leaves out what is not known.
func knownAge(a api.Age) string {
	if a == api.Never {
		return ""
	}
	return age(a)
}

func (c *cli) ledgerGetCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "get KEY|NUMBER",
		Short: "Show one record in full, its signature checked",
		Long: `Show one record in full, its signature checked.

A key is the kind and what shoal ledger ls shows under KEY, such as head/shop or card/kitchen; of several
records with one key the one that counts is shown, and the numbers of the others.`,
		Args:              wants(1, 1, "one key or number, as `shoal ledger ls` lists them"),
		ValidArgsFunction: c.complete(false, recordKeys),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLedger(cmd.Context(), state, func(cl *client.Client) error {
				e, err := cl.LedgerRecord(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				e.Raw = nil
				return c.answer(e, func() { c.printEntry(e) })
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", stateFlag)
	return cmd
}

// maxCompleted bounds the keys that a shell is given to choose from.
const maxCompleted = 2000

func recordKeys(ctx context.Context, cl *client.Client) (keys []string) {
	_ = cl.LedgerRecords(ctx, client.RecordOptions{Limit: maxCompleted}, func(r api.LedgerRecord) error {
		keys = append(keys, r.Key)
		return nil
	})
	slices.Sort(keys)
	return slices.Compact(keys) // several records may compete for one key
}

func (c *cli) printEntry(e api.LedgerEntry) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(c.out, "%-10s %s\n", name, oneLine(text))
		}
	}
	line("number", fmt.Sprintf("%s (start %d with nonce %s, record %d)", e.Number, e.Place.Incarnation, e.Place.Nonce, e.Place.Sequence))
	line("kind", e.Kind)
	line("key", e.Key)
	line("issuer", fmt.Sprintf("%s  %s", e.IssuerName, e.Issuer))
	line("state", strings.TrimSuffix(e.State+": "+e.Detail, ": "))
	line("age", knownAge(e.Age))
	line("size", fmt.Sprintf("%d bytes", e.Size))
	line("hash", e.Hash)
	line("rank", e.Rank)
	line("signature", e.Signature)
	line("same key", strings.Join(e.Others, " "))
	var body bytes.Buffer
	if len(e.Body) > 0 && json.Indent(&body, e.Body, "  ", "  ") == nil {
		fmt.Fprintf(c.out, "body\n  %s\n", body.String())
	} else {
		line("body", cmp.Or(e.Diagnostic, string(e.Body)))
	}
}

func (c *cli) ledgerDiffCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff PEER",
		Short: "Show what this peer and another hold that differs",
		Long: `Show what this peer and another hold that differs: by issuer, then each record.

Each side is seen at its own moment, so what is on its way shows as a difference: run it again.
Exit codes as of diff: 0 the same, 1 it differs, 2 or more it could not be told.`,
		Args:              wants(1, 1, "one peer"),
		ValidArgsFunction: c.complete(false, otherPeerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := c.diffLedger(cmd.Context(), args[0])
			if err != nil && !errors.Is(err, errDiffers) && codeOf(err) == exitError {
				err = &coded{exitTrouble, err}
			}
			return err
		},
	}
	return cmd
}

// exitTrouble is what diff says when it could not compare.
const exitTrouble = 2

// errDiffers ends a command that has said all there is to say.
var errDiffers = &coded{exitError, errors.New("")}

func (c *cli) diffLedger(ctx context.Context, peer string) error {
	doc := struct {
		api.DiffDone
		Issuers []api.IssuerDiff `json:"issuers"`
		Only    []api.LedgerDiff `json:"only"`
	}{Issuers: []api.IssuerDiff{}, Only: []api.LedgerDiff{}}
	err := c.client().LedgerDiff(ctx, peer, func(d api.LedgerDiff) error {
		switch {
		case d.Error != "":
			return errors.New(d.Error)
		case d.Issuer != nil:
			doc.Issuers = append(doc.Issuers, *d.Issuer)
		case d.Record != nil:
			doc.Only = append(doc.Only, d)
		case d.Done != nil:
			doc.DiffDone = *d.Done
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case doc.Peer == "":
		return errors.New("the comparison broke off: run it again")
	}
	err = c.answer(doc, func() { c.printDiff(doc.DiffDone, doc.Issuers, doc.Only) })
	if err == nil && !doc.Equal {
		err = errDiffers
	}
	return err
}

func (c *cli) printDiff(done api.DiffDone, issuers []api.IssuerDiff, only []api.LedgerDiff) {
	switch {
	case c.quiet:
		for _, d := range only {
			fmt.Fprintln(c.out, d.Record.Number)
		}
		return
	case done.Equal:
		fmt.Fprintf(c.out, "%s and %s hold the same %s\n", done.Peer, done.Other, count(done.Records, "record"))
		return
	}
	var rows [][]string
	for _, i := range issuers {
		rows = append(rows, []string{i.Name, fmt.Sprint(i.Both), fmt.Sprint(i.Here), fmt.Sprint(i.There)})
	}
	c.table("", []string{"ISSUER", "BOTH", "ONLY " + done.Peer, "ONLY " + done.Other}, rows)
	fmt.Fprintln(c.out)
	rows = nil
	for _, d := range only {
		other := done.Peer
		if d.Only == done.Peer {
			other = done.Other
		}
		rows = append(rows, append([]string{d.Only, d.Why + " by " + other}, recordRow(*d.Record)[:5]...))
	}
	c.table("", []string{"ONLY AT", "WHY", "NUMBER", "KIND", "KEY", "ISSUER", "STATE"}, rows)
}

func (c *cli) ledgerVerifyCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check every record, the sums, and all that is on the disk",
		Long: `Check every signature and body, the sums that exchanges rest on, and all that is on the disk: each entry,
their sum, and the chain of batches whose end is kept apart. It changes nothing and works beside all else.
Beside a running daemon the latest batches are checked as its store has them in memory, not as its log file on
the disk has them: that is read when the daemon starts, or by --state when it is stopped.
The exit code is 1 if anything is wrong.`,
		Args: wants(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withLedger(cmd.Context(), state, func(cl *client.Client) error { return c.verifyLedger(cmd.Context(), cl) })
		},
	}
	cmd.Flags().StringVar(&state, "state", "", stateFlag)
	return cmd
}

func (c *cli) verifyLedger(ctx context.Context, cl *client.Client) error {
	doc := struct {
		Whole  bool              `json:"whole"`
		Checks []api.LedgerCheck `json:"checks"`
	}{true, []api.LedgerCheck{}}
	wrong := 0
	err := cl.LedgerVerify(ctx, func(l api.LedgerCheck) error {
		if l.Progress != "" {
			c.progress("%s", l.Progress)
			return nil
		}
		doc.Checks = append(doc.Checks, l)
		if l.Wrong > 0 {
			wrong++
		}
		return nil
	})
	if err != nil {
		return err
	}
	doc.Whole = wrong == 0
	err = c.answer(doc, func() {
		var rows [][]string
		for _, l := range doc.Checks {
			rows = append(rows, []string{l.Check, fmt.Sprint(l.Checked), fmt.Sprint(l.Wrong), cmp.Or(l.Detail, "good")})
		}
		if !c.quiet {
			c.table("", []string{"CHECK", "CHECKED", "WRONG", "DETAIL"}, rows)
		}
	})
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d of %d checks found something wrong", wrong, len(doc.Checks))
	}
	return err
}
