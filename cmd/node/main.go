// Command shoal is the one binary: the daemon (up), the command line that speaks to
// it, and the simulator (sim). It decides nothing; it parses, wires and prints.
//
// Exit codes are Docker's:
//
//	0    done
//	1    the daemon or the file says no; the sentence is on stderr
//	124  --timeout is over and what was waited for is not there
//	125  wrong usage, or no daemon answers
//	130  interrupted
//
// wait ends with the exit code of the batch that it waited for.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shoal/api/client"
	"shoal/runtime/process"
)

// version is set by the linker.
var version = "dev"

// The exit codes beside 0.
const (
	exitError   = 1
	exitTimeout = 124
	exitUsage   = 125

	exitInterrupted = 130 // as a shell says of what Ctrl-C has ended
)

func main() {
	// A shim must do nothing else first, and knows no flags.
	if len(os.Args) > 1 && os.Args[1] == process.ShimCommand {
		os.Exit(process.ShimMain(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	answer := &output{Writer: out}
	root := rootCommand(&cli{out: answer, err: errOut})
	root.SetArgs(args)
	root.SetOut(answer)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = answer.err
	}
	if err == nil {
		return 0
	}
	err = unlessInterrupted(ctx, err)
	if text := err.Error(); text != "" {
		fmt.Fprintf(errOut, "shoal: %s\n", text)
	}
	return codeOf(err)
}

// unlessInterrupted is what to say of an error that comes of a signal, if nobody has said
// anything better.
func unlessInterrupted(ctx context.Context, err error) error {
	var said *coded
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.As(err, &said) {
		return &coded{exitInterrupted, errInterrupted}
	}
	return err
}

// A coded error ends the program with its code. An empty text has been said already.
type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

func usagef(format string, args ...any) error {
	return &coded{exitUsage, fmt.Errorf(format, args...)}
}

func codeOf(err error) int {
	var c *coded
	var u *client.UnreachableError
	switch {
	case errors.As(err, &c):
		return c.code
	case errors.As(err, &u), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	}
	return exitError
}

// flagKinds says what a flag of each kind wants.
var flagKinds = map[string]string{
	"uint64": "a whole number from 0 on", "int": "a whole number", "duration": "a duration such as 30s or 5m",
}

func rootCommand(c *cli) *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "Run Compose projects across many machines with nobody in charge",
		Long: `shoal runs Compose projects across many machines with nobody in charge.

On every machine, the first without a ticket:   shoal up [TICKET]
Then, on any of them:                           shoal deploy compose.yaml

Exit codes: 0 done; 1 refused, with the reason on stderr; 124 --timeout is over;
125 wrong usage, or no daemon answers; 130 interrupted.`,
		SilenceUsage: true, SilenceErrors: true, Version: version,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var wrong *pflag.InvalidValueError
		var outside *boundsError
		if errors.As(err, &wrong) && errors.As(err, &outside) {
			return usagef("--%s %q: %w", wrong.GetFlag().Name, wrong.GetValue(), outside)
		}
		if errors.As(err, &wrong) {
			if want := flagKinds[wrong.GetFlag().Value.Type()]; want != "" {
				return usagef("--%s %q: want %s; see `%s --help`", wrong.GetFlag().Name, wrong.GetValue(), want, cmd.CommandPath())
			}
		}
		return usagef("%w; see `%s --help`", err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&c.socket, "socket", "", "the daemon's socket (default $SHOAL_SOCKET, else "+defaultSocket()+")")
	flags.StringVarP(&c.output, "output", "o", "text", "how answers are printed: text, wide (text with more columns) or json")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print names only, and no progress")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return c.check() }
	root.AddGroup(
		&cobra.Group{ID: groupPeer, Title: "This machine and its swarm:"},
		&cobra.Group{ID: groupJob, Title: "Jobs:"},
		&cobra.Group{ID: groupLook, Title: "Looking:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add(groupPeer, c.upCommand(), c.downCommand(), c.leaveCommand(), c.drainCommand(), c.undrainCommand(), c.ticketCommand(), c.peersCommand())
	add(groupPeer, c.statusCommand(), c.doctorCommand())
	add(groupPeer, c.backupCommand(), c.restoreCommand())
	add(groupJob, c.deployCommand(), c.runCommand(), c.planCommand(), c.scaleCommand(), c.restartCommand(), c.rollbackCommand(),
		c.stopCommand(), c.rmCommand(), c.waitCommand())
	add(groupLook, c.jobsCommand(), c.psCommand(), c.inspectCommand(), c.whyCommand(), c.logsCommand(), c.eventsCommand(), c.ledgerCommand())
	root.AddCommand(c.versionCommand())
	completeArguments(root)
	root.AddCommand(c.simCommand()) // its arguments are files
	return root
}

const (
	groupPeer = "peer"
	groupJob  = "job"
	groupLook = "look"
)
