package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"shoal/api"
)

func (c *cli) scaleCommand() *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:               "scale JOB/TASK=N...",
		Short:             "Change how many copies of a task are wanted",
		Args:              wants(1, -1, "JOB/TASK=N, such as shop/web=3"),
		ValidArgsFunction: c.complete(true, taskNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			var asks []api.ScaleRequest
			for _, arg := range args {
				name, text, ok := strings.Cut(arg, "=")
				n, err := strconv.Atoi(text)
				if !ok || err != nil || n < 0 {
					return usagef("%q: want JOB/TASK=N, such as shop/web=3", arg)
				}
				asks = append(asks, api.ScaleRequest{Target: name, Count: n})
			}
			wait.begin()
			for _, ask := range asks {
				if err := changed(cmd.Context(), c, wait, c.client().Scale, ask); err != nil {
					return err
				}
			}
			return nil
		},
	}
	wait.register(cmd)
	return cmd
}

func (c *cli) restartCommand() *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:               "restart JOB|JOB/TASK",
		Short:             "Replace the containers of a job or task, by the rules of an update",
		Args:              wants(1, 1, "one job or task"),
		ValidArgsFunction: c.complete(false, taskNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changed(cmd.Context(), c, wait, c.client().Restart, api.TargetRequest{Target: args[0]})
		},
	}
	wait.register(cmd)
	return cmd
}

func (c *cli) rollbackCommand() *cobra.Command {
	var wait waitFlags
	var to uint64
	cmd := &cobra.Command{
		Use:               "rollback JOB",
		Short:             "Make an earlier revision the wanted one",
		Args:              wants(1, 1, "one job"),
		ValidArgsFunction: c.complete(false, jobNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changed(cmd.Context(), c, wait, c.client().Rollback, api.RollbackRequest{Job: args[0], Revision: to})
		},
	}
	wait.register(cmd)
	cmd.Flags().Uint64Var(&to, "to", 0, "the revision (default: the one before)")
	return cmd
}

func (c *cli) stopCommand() *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:               "stop JOB|JOB/TASK",
		Short:             "Scale a job or task to zero and keep it",
		Args:              wants(1, 1, "one job or task"),
		ValidArgsFunction: c.complete(false, taskNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changed(cmd.Context(), c, wait, c.client().Stop, api.TargetRequest{Target: args[0]})
		},
	}
	wait.register(cmd)
	return cmd
}

func (c *cli) rmCommand() *cobra.Command {
	var volumes bool
	cmd := &cobra.Command{
		Use:               "rm JOB...",
		Short:             "Remove a job; its named volumes stay unless --volumes",
		Args:              wants(1, -1, "a job"),
		ValidArgsFunction: c.complete(true, jobNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				change, err := patient(cmd.Context(), c, waitFlags{}, c.client().Remove, api.RemoveRequest{Job: name, Volumes: volumes})
				if err != nil {
					return err
				}
				err = c.answer(change, func() {
					if c.quiet {
						fmt.Fprintln(c.out, change.Job)
						return
					}
					fmt.Fprintln(c.out, strings.Replace(changeText(change), "accepted:", "removed:", 1))
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&volumes, "volumes", false, "delete its named volumes, their data with them")
	return cmd
}
