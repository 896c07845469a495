package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/ledger/archive"
	"shoal/p2p/admit"
	"shoal/wire"
)

func (c *cli) backupCommand() *cobra.Command {
	var force, withKeys, partial bool
	var state string
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write to a file what brings this swarm back: its jobs, members and removals",
		Long: `Write to a file what brings this swarm back when all peers are lost, or all but one: jobs with their
revisions and specs, members with their certificates, where volumes are, what was removed. What peers only
say of their own work, claims and verdicts, is not in it, nor is any data of containers.

Any ready peer's backup is of the whole swarm; one that is not ready is refused. Without --with-keys it holds no secret but what Compose files
themselves hold; to bring back a swarm that is wholly lost, the root key is needed as well: root.key in the
state directory of the first machine, kept apart, or --with-keys on that machine, which puts it into the file.
Then the file is worth as much as the swarm: whoever has it can act as its owner.`,
		Args: wants(1, 1, "one file, or - for standard output"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a := archived{File: args[0], Content: archive.Backup}
			return c.withWhole(cmd.Context(), state, partial, func(cl *client.Client) error {
				return c.backup(cmd.Context(), cl, &a, state, force, withKeys)
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it exists")
	cmd.Flags().BoolVar(&withKeys, "with-keys", false, "put this machine's private keys into it, the root key where this is the first machine")
	cmd.Flags().BoolVar(&partial, "partial", false, "take what there is of a peer that is not ready, or of a damaged store")
	cmd.Flags().StringVar(&state, "state", "", stateFlag)
	return cmd
}

// withWhole is withLedger for a ledger that is known to miss nothing: that of a ready
// peer or, at rest, of one that was ready, its store undamaged. A backup of another
// would replace a good one by less. With partial any ledger will do.
func (c *cli) withWhole(ctx context.Context, state string, partial bool, f func(*client.Client) error) error {
	switch {
	case partial:
		return c.withLedger(ctx, state, f)
	case state == "":
		st, err := c.client().Status(ctx)
		if err != nil {
			return err
		}
		if st.State != "ready" {
			return incomplete(fmt.Sprintf("%s is %s, not ready (%s)", st.Peer.Name, st.State, cmp.Or(st.Why, "see `shoal status`")))
		}
		return f(c.client())
	}
	return c.withRest(ctx, state, func(r *rest, cl *client.Client) error {
		switch {
		case r.damage != nil:
			return incomplete("this store is damaged")
		case !r.core.WasReady():
			return incomplete("this peer has never been ready")
		}
		return f(cl)
	})
}

// incomplete refuses a backup of a ledger that may lack what the swarm has.
func incomplete(why string) error {
	return fmt.Errorf("%s, so its backup may lack what the swarm has: ask a ready peer, or take what there is with --partial", why)
}

func (c *cli) backup(ctx context.Context, cl *client.Client, a *archived, state string, force, withKeys bool) error {
	var keys *archive.Keys
	if withKeys {
		if a.File == "-" && isTerminal(c.out) {
			return usagef("--with-keys: keys are not shown on a terminal: name a file")
		}
		var err error
		if keys, err = c.keysOf(ctx, cl, state); err != nil {
			return err
		}
	}
	if err := c.export(ctx, cl, a, force, inBackup, keys); err != nil {
		return err
	}
	switch {
	case keys == nil:
		c.progress("no key is in it: to bring back a swarm that is wholly lost, keep root.key of its first machine as well, apart from this")
	case len(keys.Root) == 0:
		c.progress("the key of this machine is in it, the root key is not: that is on the swarm's first machine")
	default:
		c.progress("the root key is in it: whoever has this file can act as the swarm's owner")
	}
	return nil
}

// inBackup reports whether a record belongs into a backup: claims and verdicts are
// what peers say of their work at the moment, and are made anew by those that live.
func inBackup(r api.LedgerRecord) bool {
	return r.Kind != wire.KindClaim.String() && r.Kind != wire.KindVerdict.String()
}

// keysOf reads the keys of the machine that a backup is of. They do not go through
// the daemon: who may read them may read the files.
func (c *cli) keysOf(ctx context.Context, cl *client.Client, state string) (*archive.Keys, error) {
	dir, err := stateAt(state)
	if err == nil && state == "" {
		var st api.Status
		if st, err = cl.Status(ctx); err == nil {
			dir = stateDir(st.StateDir)
		}
	}
	if err != nil {
		return nil, err
	}
	id, err := dir.load()
	switch {
	case err != nil:
		return nil, err
	case id == nil || !id.member:
		return nil, fmt.Errorf("state directory %s has no keys of a member", dir)
	}
	k := &archive.Keys{Peer: id.key.Seed(), Certificate: id.cert.Encode()}
	root, err := dir.readKey("root.key")
	switch {
	case err == nil && admit.SwarmIDOf(root) == id.cert.Swarm:
		k.Root = root.Seed()
	case err == nil:
		return nil, fmt.Errorf("%s is of another swarm", dir.path("root.key"))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, dir.cannot(err)
	}
	return k, nil
}
