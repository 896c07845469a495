package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// errSaid ends the program with a code; what there was to say has been said.
var errSaid = errors.New("")

func (c *cli) simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run the same core in a simulated world",
	}
	cmd.AddCommand(c.simRunCommand(), c.simReplayCommand(), c.simSoakCommand())
	return cmd
}
