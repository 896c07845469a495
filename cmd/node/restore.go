package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shoal/api/client"
	"shoal/ledger/archive"
	"shoal/p2p/admit"
	"shoal/wire"
)

func (c *cli) restoreCommand() *cobra.Command {
	var partial bool
	var state, root string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring back from a backup what this swarm has lost",
		Long: `Bring back from a backup what this swarm has lost.

Where a daemon answers, the backup is merged into its ledger: what is newer than the backup stays, what was
removed since stays removed, so it can be done at any time. The same holds for a stopped peer, named by --state.

On a machine that is no member, with an empty state directory and no daemon, it makes this machine a peer of
the swarm again, with a key of its own, on the word of the root key (in the backup, or given by --root-key) or
of the key of the peer that made the backup; then shoal up starts it, and it sells the jobs anew.`,
		Args: wants(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.restore(cmd.Context(), args[0], state, root, partial)
		},
	}
	cmd.Flags().BoolVar(&partial, "partial", false, "take what can be read of a damaged or cut file")
	cmd.Flags().StringVar(&state, "state", "",
		"the state directory of a stopped peer, or an empty one (default: the daemon is asked; where none answers, as shoal up)")
	cmd.Flags().StringVar(&root, "root-key", "", "`FILE` with the swarm's root key, where the backup holds no key")
	return cmd
}

func (c *cli) restore(ctx context.Context, name, state, rootFile string, partial bool) error {
	answers, err := c.answers(ctx, state)
	if err != nil {
		return err
	}
	if answers {
		if rootFile != "" {
			return usagef("--root-key is for a machine that is no member, and a daemon answers here")
		}
		return c.importFile(ctx, c.client(), name, partial)
	}
	dir, err := stateAt(state)
	if err != nil {
		return err
	}
	id, err := dir.load()
	switch {
	case err != nil:
		return err
	case id.noMember() != nil:
		return id.noMember()
	case id != nil && id.member:
		r, err := c.openRest(dir, true)
		if err != nil {
			return err
		}
		c.progress("no daemon is asked: into the stopped peer of state directory %s", dir)
		err = errors.Join(c.importFile(ctx, r.serve(ctx), name, partial), r.close())
		if err == nil && r.damage != nil {
			c.progress("the peer's store is still damaged: `%s` waits for another member to refill it, `%s` goes on with what it holds now",
				upLine(state, ""), upLine(state, " --accept-loss"))
		}
		return err
	}
	return c.restoreFresh(ctx, name, dir, rootFile, upLine(state, ""), partial)
}

// upLine is the command that starts the peer of the state directory that a flag named.
func upLine(state, flags string) string {
	if state != "" {
		flags += " --state " + shellWord(state)
	}
	return "shoal up" + flags
}

// shellWord is a word as a shell is to be given it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@%+=,-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// answers reports whether a daemon is to be asked: not where a state directory is
// named. One that is not ours to ask is an error.
func (c *cli) answers(ctx context.Context, state string) (bool, error) {
	if state != "" {
		return false, nil
	}
	_, err := c.client().Ledger(ctx)
	var none *client.UnreachableError
	switch {
	case !errors.As(err, &none):
		return true, nil
	case errors.Is(none.Err, os.ErrNotExist), errors.Is(none.Err, syscall.ECONNREFUSED):
		return false, nil
	}
	return false, err
}

// restoreFresh makes of an empty state directory that of a peer that was ready
// before. All is built beside it and takes its place at once. Up is the command that
// starts the peer then.
func (c *cli) restoreFresh(ctx context.Context, name string, dir stateDir, rootFile, up string, partial bool) error {
	if err := dir.checkFree(); err != nil {
		return err
	}
	f, name, err := openInput(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := readWhole(name, f, partial)
	if err != nil {
		return err
	}
	w, err := c.warrantOf(a, rootFile)
	if err != nil {
		return err
	}
	s, err := dir.stage()
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.build(ctx, s.tmp, w, a, f, partial); err != nil {
		return err
	}
	if err := s.place(); err != nil {
		return dir.cannot(err)
	}
	err = c.told(a, nil)
	c.progress("this machine is peer %s of swarm %s: `%s` starts it; `shoal peers rm` removes those that are gone for good",
		a.sum.NewPeer, a.sum.Swarm, up)
	return err
}

// readWhole reads all of an archive but takes nothing; it is to be read again.
func readWhole(name string, f *os.File, partial bool) (*archiveReader, error) {
	a, err := openArchive(name, f)
	if err != nil {
		return nil, err
	}
	err = a.each(func([]byte, *wire.Record) error { return nil })
	if err != nil && (!partial || !errors.Is(err, archive.ErrCut) && !errors.Is(err, archive.ErrDamaged)) {
		return nil, fmt.Errorf("%w; nothing was taken (--partial takes what can be read)", err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return a, err
}

// A warrant admits this machine: a key that may, and its certificate unless it is
// the root's.
type warrant struct {
	signer admit.Signer
	root   ed25519.PrivateKey // nil: not known
	rights admit.Rights
}

// warrantOf finds a key that may admit this machine to the swarm of an archive.
func (c *cli) warrantOf(a *archiveReader, rootFile string) (w warrant, err error) {
	swarm := admit.SwarmID(a.Header().Swarm)
	switch {
	case rootFile != "":
		if w.root, err = stateDir(filepath.Dir(rootFile)).readKey(filepath.Base(rootFile)); err != nil {
			if errors.As(err, new(*fs.PathError)) {
				err = badArchive(rootFile, err)
			}
			return w, err
		}
	case a.keys != nil && len(a.keys.Root) == ed25519.SeedSize:
		w.root = ed25519.NewKeyFromSeed(a.keys.Root)
	case a.keys != nil && len(a.keys.Peer) == ed25519.SeedSize:
		cert, err := admit.DecodeCertificate(a.keys.Certificate)
		if err == nil {
			err = cert.Verify(swarm, time.Now())
		}
		if err != nil {
			return w, fmt.Errorf("the key in %s admits nobody: %w", a.name, err)
		}
		return warrant{signer: admit.Signer{Key: ed25519.NewKeyFromSeed(a.keys.Peer), Certificate: &cert}, rights: cert.Rights}, nil
	default:
		return w, fmt.Errorf("%s holds no key, so it cannot make this machine a member of swarm %s: give its root key with --root-key, "+
			"or join with a ticket (`shoal ticket` on a member) and restore then", a.name, swarm.Short())
	}
	if admit.SwarmIDOf(w.root) != swarm {
		return w, fmt.Errorf("that root key is not of swarm %s, of which %s is", swarm.Short(), a.name)
	}
	w.signer, w.rights = admit.Signer{Key: w.root}, admit.All
	return w, nil
}

// build makes a state directory with a new peer's identity and the archive's ledger.
// a has been read to its end, and f is at its beginning again.
func (c *cli) build(ctx context.Context, dir stateDir, w warrant, a *archiveReader, f *os.File, partial bool) error {
	id, err := dir.ensureKey(nil)
	if err != nil {
		return err
	}
	if id.cert, err = w.signer.Issue(id.peer(), w.rights, zeroTime); err != nil {
		return err
	}
	if w.root != nil {
		if err := dir.writeKey("root.key", w.root); err != nil {
			return err
		}
	}
	if err := dir.join(id); err != nil {
		return err
	}
	r, err := c.openRest(dir, true)
	if err != nil {
		return err
	}
	again, err := openArchive(a.name, f)
	if err == nil {
		err = c.bringIn(ctx, r.serve(ctx), again, partial)
		a.sum = again.sum
	}
	if err == nil {
		err = r.begin()
	}
	a.sum.NewPeer = id.peer().Short()
	return errors.Join(err, r.close())
}
