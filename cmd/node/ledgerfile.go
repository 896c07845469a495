package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/ledger"
	"shoal/ledger/archive"
	"shoal/node"
	"shoal/p2p/admit"
	"shoal/wire"
)

func (c *cli) ledgerExportCommand() *cobra.Command {
	var force bool
	var state string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write all that this peer holds to a file, for shoal ledger import",
		Long: `Write all that this peer holds to a file, or with - to standard output: each record with its number and
signature, and a sum at the end. It holds no key. For a file that brings a swarm back see shoal backup.`,
		Args: wants(1, 1, "one file, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withLedger(cmd.Context(), state, func(cl *client.Client) error {
				a := archived{File: args[0], Content: archive.Export}
				return c.export(cmd.Context(), cl, &a, force, func(api.LedgerRecord) bool { return true }, nil)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	cmd.Flags().StringVar(&state, "state", "", stateFlag)
	return cmd
}

// export writes an archive and says what is in it: on stderr, where the archive
// itself goes to standard output.
func (c *cli) export(ctx context.Context, cl *client.Client, a *archived, force bool, keep func(api.LedgerRecord) bool, keys *archive.Keys) error {
	t, err := c.create(a.File, force)
	if err != nil {
		return err
	}
	if err := t.finish(c.writeArchive(ctx, cl, t.out, a, keep, keys)); err != nil {
		return err
	}
	said := fmt.Sprintf("%s: %s of swarm %s, as %s holds it: %s", a.File, a.Content, a.Swarm, a.Peer, kindsText(a))
	if t.tmp == nil {
		c.progress("%s", said)
		return nil
	}
	return c.answer(a, func() {
		if c.quiet {
			said = a.File
		}
		fmt.Fprintln(c.out, said)
	})
}

// kindsText counts an archive's records in words.
func kindsText(a *archived) string {
	var parts []string
	for _, kind := range sortedKeys(a.Kinds) {
		parts = append(parts, count(a.Kinds[kind], kind))
	}
	if a.Removed > 0 {
		parts = append(parts, count(a.Removed, "removed job"))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func (c *cli) ledgerImportCommand() *cobra.Command {
	var partial bool
	var state string
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring records from a file into the ledger, as if a peer had sent them",
		Long: `Bring the records of an export or backup into the ledger, or with - those of standard input.

They come in by the rules by which peers merge: what is newer stays, what was removed stays removed, and
a record that is not signed by its issuer for this swarm is refused, whoever has had the file in hand.
What was taken is on this peer's disk when the command ends, and reaches the others within seconds.`,
		Args: wants(1, 1, "one file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if state == "" {
				return c.importFile(cmd.Context(), c.client(), args[0], partial)
			}
			dir, err := stateAt(state)
			if err != nil {
				return err
			}
			r, err := c.openRest(dir, true)
			if err != nil {
				return err
			}
			return errors.Join(c.importFile(cmd.Context(), r.serve(cmd.Context()), args[0], partial), r.close())
		},
	}
	cmd.Flags().BoolVar(&partial, "partial", false, "take what can be read of a damaged or cut file")
	cmd.Flags().StringVar(&state, "state", "", "bring them into the ledger of a stopped peer, in this state directory")
	return cmd
}

func (c *cli) importFile(ctx context.Context, cl *client.Client, name string, partial bool) error {
	f, name, err := openInput(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := readWhole(name, f, partial); err != nil {
		return err
	}
	a, err := openArchive(name, f)
	if err != nil {
		return err
	}
	return c.told(a, c.bringIn(ctx, cl, a, partial))
}

// bringIn brings the records of an archive into a ledger. What it has counted is in
// a.sum, even if it returns an error.
func (c *cli) bringIn(ctx context.Context, cl *client.Client, a *archiveReader, partial bool) error {
	held, err := cl.Ledger(ctx)
	if err != nil {
		return err
	}
	if s := a.Header().Swarm; s.Hex() != held.Swarm {
		return fmt.Errorf("%s is of swarm %s, and this peer is of swarm %s: nothing was taken", a.name, admit.SwarmID(s).Short(), short(held.Swarm))
	}
	a.sum.Outcomes = map[string]int{}
	b := &batch{cl: cl, a: a, pace: c.newPace(0, "records brought in"), heads: map[string]string{}}
	err = a.each(func(encoded []byte, r *wire.Record) error { return b.add(ctx, encoded, r) })
	if errors.Is(err, archive.ErrCut) || errors.Is(err, archive.ErrDamaged) {
		a.sum.Damage = err.Error()
		if partial {
			err = nil
		}
	}
	err = errors.Join(b.send(ctx), err)
	if err != nil && b.pace.done == 0 {
		a.sum.Outcomes = nil // there is nothing to tell
		return err
	}
	a.sum.Jobs = a.latest()
	for i := range a.sum.Jobs {
		j := &a.sum.Jobs[i]
		j.Outcome = b.heads[headName(j.Job, j.Life, j.Revision)]
	}
	return errors.Join(err, nowOf(ctx, cl, a.sum.Jobs))
}

// nowOf fills in what holds of jobs of which the archive knows something else.
func nowOf(ctx context.Context, cl *client.Client, jobs []archivedJob) error {
	if len(jobs) == 0 {
		return nil
	}
	all, err := cl.Jobs(ctx, true)
	if err != nil {
		return err
	}
	for i := range jobs {
		at := slices.IndexFunc(all, func(j api.Job) bool { return j.Job == jobs[i].Job })
		switch {
		case at < 0:
			jobs[i].Now = "no such job is known here any more"
		case all[at].State == "removed" && !jobs[i].Deleted:
			jobs[i].Now = "it was removed here"
		case all[at].Life != jobs[i].Life || all[at].Revision != jobs[i].Revision:
			jobs[i].Now = fmt.Sprintf("life %d, revision %d holds here", all[at].Life, all[at].Revision)
		}
	}
	return nil
}

func headName(job string, life, revision uint64) string {
	return fmt.Sprintf("%s %d %d", job, life, revision)
}

// A batch gathers records until they fill a request.
type batch struct {
	cl    *client.Client
	a     *archiveReader
	pace  *pace
	recs  [][]byte
	names []string // of heads among recs; else empty
	size  int
	heads map[string]string // what became of each head, by headName
}

// maxBatchBytes keeps a request below what the daemon takes, as JSON writes bytes.
const maxBatchBytes = 1 << 20

func (b *batch) add(ctx context.Context, encoded []byte, r *wire.Record) error {
	if len(b.recs) == node.MaxImport || b.size+len(encoded) > maxBatchBytes {
		if err := b.send(ctx); err != nil {
			return err
		}
	}
	name := ""
	if r != nil {
		if h, ok := r.Value.(*ledger.Head); ok {
			name = headName(h.Job.String(), h.Life, h.Revision)
		}
	}
	b.recs, b.names, b.size = append(b.recs, encoded), append(b.names, name), b.size+len(encoded)
	return nil
}

func (b *batch) send(ctx context.Context) error {
	if len(b.recs) == 0 {
		return nil
	}
	got, err := b.cl.LedgerImport(ctx, api.ImportRequest{Records: b.recs})
	if err == nil && len(got.Outcomes) != len(b.recs) {
		err = fmt.Errorf("the daemon answers %d of %d records", len(got.Outcomes), len(b.recs))
	}
	switch {
	case err != nil && b.pace.done == 0:
		return err
	case err != nil:
		return fmt.Errorf("after %s: %w", count(b.pace.done, "record"), err)
	}
	for i, o := range got.Outcomes {
		b.a.sum.Outcomes[o]++
		if b.names[i] != "" {
			b.heads[b.names[i]] = o
		}
	}
	b.pace.step(len(b.recs))
	b.recs, b.names, b.size = nil, nil, 0
	return nil
}

// refusals say why records were refused; those of the second list are no fault.
var refusals = []struct {
	outcome, why string
	fault        bool
}{
	{"forged", "not signed by their issuer for this swarm", true},
	{"malformed", "they do not decode, or contradict themselves", true},
	{"dropped", "this peer has had them, and what they say is over", false},
	{"removed", "their job's life was removed", false},
}

// told says what became of an archive, and makes an error of what is wrong with it.
func (c *cli) told(a *archiveReader, err error) error {
	s := &a.sum
	if s.Outcomes == nil {
		return err
	}
	faults := 0
	for _, r := range refusals {
		n := s.Outcomes[r.outcome]
		if n > 0 {
			c.progress("refused %s: %s", count(n, "record"), r.why)
		}
		if r.fault {
			faults += n
		}
	}
	if s.Passed > 0 {
		c.progress("passed over %s of a later shoal", count(s.Passed, "item"))
	}
	err = errors.Join(c.answer(s, func() { c.printBroughtIn(s) }), err)
	switch {
	case err != nil:
		return err
	case s.Damage != "":
		return fmt.Errorf("%s: what could be read was taken", s.Damage)
	case faults > 0:
		return fmt.Errorf("%s of %d were refused as forged or malformed", count(faults, "record"), s.Records)
	}
	return nil
}

func (c *cli) printBroughtIn(s *archived) {
	if c.quiet {
		return
	}
	o := s.Outcomes
	history := ""
	if n := o["kept as history"]; n > 0 {
		history = fmt.Sprintf(", %d kept as history", n)
	}
	fmt.Fprintf(c.out, "%s: %s of swarm %s: %d new, %d known, %d older%s\n", s.File, s.Content, s.Swarm, o["new"], o["known"], o["older"], history)
	var rows [][]string
	for _, j := range s.Jobs {
		became := map[string]string{
			"new": "taken", "known": "known", "forged": "refused: forged", "malformed": "refused: malformed",
			"removed": "refused: removed", "dropped": "refused: over", "older": "older",
		}[j.Outcome]
		if became == "" {
			became = "not taken"
		}
		what := fmt.Sprintf("life %d, revision %d", j.Life, j.Revision)
		if j.Deleted {
			what += ", removed"
		}
		rows = append(rows, []string{j.Job, what, became, j.Now})
	}
	if len(rows) > 0 {
		c.table("", []string{"JOB", "IN THE FILE", "RESULT", "NOW"}, rows)
	}
}
