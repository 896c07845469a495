package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"shoal/job"
)

// errSaid ends the program with a code; what there was to say has been said.
var errSaid = errors.New("")

func (c *cli) simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run the same core in a simulated world",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usagef("unknown command %q for %q; %s", args[0], cmd.CommandPath(), nearCommand(cmd, args[0]))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.simRunCommand(), c.simReplayCommand(), c.simSoakCommand(), c.simPackCommand())
	return cmd
}

// nearCommand proposes what someone may have meant.
func nearCommand(cmd *cobra.Command, typed string) string {
	var known []string
	for _, sub := range cmd.Commands() {
		known = append(known, sub.Name())
	}
	if near := job.Near(typed, known); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "known are " + strings.Join(known, ", ")
}

var errInterrupted = errors.New("interrupted")

// interrupted makes a check for whether the user wants the program to end. A second
// signal ends it at once.
func interrupted(ctx context.Context) func() bool {
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
	return func() bool { return ctx.Err() != nil }
}

// untilInterrupted is a reader that ends with errInterrupted.
type untilInterrupted struct {
	io.Reader
	stop func() bool
}

// Read implements io.Reader.
func (u untilInterrupted) Read(b []byte) (int, error) {
	if u.stop() {
		return 0, errInterrupted
	}
	return u.Reader.Read(b)
}
