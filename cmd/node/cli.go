package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
)

// cli is what every command shares.
type cli struct {
	out, err io.Writer
	socket   string
	output   string
	quiet    bool
	named    func(string) string // how cells of a table name a simulated peer; nil: as they stand
}

func (c *cli) check() error {
	if c.output != "text" && c.output != "json" && c.output != "wide" {
		return usagef("--output %q: want text, wide or json", c.output)
	}
	c.socket = cmp.Or(c.socket, os.Getenv("SHOAL_SOCKET"), defaultSocket())
	return nil
}

// defaultSocket is where the daemon of this user listens.
func defaultSocket() string {
	if os.Geteuid() == 0 {
		return "/run/shoal.sock"
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("shoal-%d", os.Geteuid()))
	}
	return filepath.Join(dir, "shoal.sock")
}

func (c *cli) client() *client.Client { return client.New(c.socket) }

// isMissing reports whether the daemon has nothing of the name that it was asked for.
func isMissing(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

func (c *cli) json() bool { return c.output == "json" }

// wide is text with columns that few want; most commands have none.
func (c *cli) wide() bool { return c.output == "wide" }

// answer prints v as JSON if that is wanted, else lets text print it.
func (c *cli) answer(v any, text func()) error {
	if !c.json() {
		text()
		return nil
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line prints v as one line of JSON if that is wanted, else the text.
func (c *cli) line(v any, text string) error {
	if c.json() {
		return json.NewEncoder(c.out).Encode(v)
	}
	_, err := fmt.Fprintln(c.out, text)
	return err
}

// progress says on stderr what is going on, unless quiet.
func (c *cli) progress(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// table prints rows under a head, in columns, each line after indent; a column
// without any entry is left out.
func (c *cli) table(indent string, head []string, rows [][]string) {
	used := make([]bool, len(head))
	for _, row := range rows {
		for i, cell := range row {
			used[i] = used[i] || cell != ""
		}
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for n, row := range append([][]string{head}, rows...) {
		var cells []string
		for i, cell := range row {
			text := oneLine(cell)
			if text == "" && n > 0 && head[i] != "" {
				text = "-"
			}
			if used[i] || len(rows) == 0 {
				cells = append(cells, text)
			}
		}
		fmt.Fprintln(w, indent+strings.Join(cells, "\t"))
	}
	_ = w.Flush()
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(c.out, strings.TrimRight(line, " \n"))
	}
}

// oneLine makes what a peer or an engine said fit a table: no line breaks, no
// control characters that a terminal would obey.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
}

// silent tells which peers did not answer.
func (c *cli) silent(f api.Freshness) {
	if len(f.Unanswered) > 0 {
		fmt.Fprintf(c.err, "no answer within 1s from %s: what slots wait for may be older or missing\n", strings.Join(f.Unanswered, ", "))
	}
}

// lasting prints how long a slot has been as it is; "-" where the answering daemon
// found it so when it started.
func lasting(a api.Age) string {
	if a == api.Never {
		return "-"
	}
	return age(a)
}

// sinceWhen is lasting within a sentence.
func sinceWhen(a api.Age) string {
	if a == api.Never {
		return ""
	}
	return ", for " + age(a)
}

// age prints a duration as people say it: 3s, 12m, 5h, 2d.
func age(a api.Age) string {
	d := time.Duration(a)
	switch {
	case a == api.Never:
		return "never"
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// took prints a short duration with its fraction.
func took(a api.Age) string {
	d := time.Duration(a)
	if d < time.Second {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// wants makes a check of the number of arguments that says what is wanted.
func wants(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if most >= 0 && slices.Contains(args, "") {
			return usagef("%s: an argument is empty, such as a variable that is not set; want %s", cmd.CommandPath(), what)
		}
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef("%s: want %s; see `%s --help`", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

// A completer lists names that begin as typed.
type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

const completeWait = 800 * time.Millisecond

// complete lists names of the running swarm. Where no daemon answers it lists none:
// a shell is no place for errors.
func (c *cli) complete(many bool, list func(context.Context, *client.Client) []string) completer {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many || c.check() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
		defer cancel()
		var out []string
		for _, name := range list(ctx, c.client()) {
			if strings.HasPrefix(name, typed) {
				out = append(out, name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeArguments gives commands without a completion of their own one: files where
// their usage says so, nothing where it does not. Flags of a few words list these.
func completeArguments(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		completeArguments(sub)
	}
	_, wanted, _ := strings.Cut(cmd.Use, " ")
	if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() && !strings.Contains(wanted, "FILE...") {
		cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if strings.Contains(wanted, "FILE") && len(args) == 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	for flag, words := range map[string][]string{
		"output": {"text", "wide", "json"}, "driver": {"auto", "docker", "process"}, "profile": {"lan", "metered", "small"},
		"log-level": {"debug", "info", "warn", "error"},
	} {
		if cmd.LocalFlags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if cmd.LocalFlags().Lookup("state") != nil {
		_ = cmd.MarkFlagDirname("state")
	}
}

func jobNames(ctx context.Context, cl *client.Client) []string {
	jobs, _ := cl.Jobs(ctx, false)
	var out []string
	for _, j := range jobs {
		out = append(out, j.Job)
	}
	return out
}

func taskNames(ctx context.Context, cl *client.Client) []string {
	jobs, _ := cl.Jobs(ctx, false)
	var out []string
	for _, j := range jobs {
		out = append(out, j.Job)
		for _, t := range j.Tasks {
			out = append(out, j.Job+"/"+t.Name)
		}
	}
	return out
}

func slotNames(ctx context.Context, cl *client.Client) []string {
	slots, _ := cl.Slots(ctx, "")
	out := jobNames(ctx, cl)
	for _, s := range slots.Slots {
		out = append(out, s.Slot)
	}
	return out
}

// otherPeerNames are those of all but the peer that is asked.
func otherPeerNames(ctx context.Context, cl *client.Client) []string {
	peers, _ := cl.Peers(ctx)
	var out []string
	for _, p := range peers {
		if !p.Self {
			out = append(out, p.Name)
		}
	}
	return out
}

func peerNames(ctx context.Context, cl *client.Client) []string {
	peers, _ := cl.Peers(ctx)
	var out []string
	for _, p := range peers {
		out = append(out, p.Name)
	}
	return out
}
