package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"shoal/api"
	"shoal/internal/doctor"
	"shoal/ledger/badger"
)

const (
	// storeWait bounds how long doctor looks at the store of a stopped peer.
	storeWait = 20 * time.Second

	// storeMost is the greatest store that it copies to look at, in bytes on the disk.
	storeMost = 256 << 20
)

// storeAtRest looks at the store of a stopped peer; nil: there is none.
func storeAtRest(ctx context.Context, dir stateDir, holder string) *doctor.AtRest {
	at := &doctor.AtRest{Dir: shellWord(string(dir))}
	why, err := bounded(ctx, machineWait, func(context.Context) (string, error) { return whyUnseen(dir.path("store"), holder) })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		at.Unseen = err.Error()
	case why != "":
		at.Unseen = why
	default:
		verifyApart(ctx, at, dir)
	}
	return at
}

// whyUnseen is why the store in dir is not to be looked at; empty: it is.
func whyUnseen(dir, holder string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "db")); err != nil {
		return "", err
	}
	if holder != "" {
		return holder + " has it open", nil
	}
	if b := badger.CopyBytes(dir, badger.Options{}); b > storeMost {
		return fmt.Sprintf("a copy takes %d MiB, more than %d", b>>20, storeMost>>20), nil
	}
	if err := badger.RoomToCopy(dir, badger.Options{}); err != nil {
		return err.Error(), nil //nolint:nilerr // it is the reason, and told as any other
	}
	return "", nil
}

// verifyApart has `shoal ledger verify` look, in a process of its own: that can be ended
// when it takes too long, and damaged files can crash it. What it leaves is deleted.
func verifyApart(ctx context.Context, at *doctor.AtRest, dir stateDir) {
	self, err := os.Executable()
	if err != nil {
		at.Unseen = err.Error()
		return
	}
	tmp, err := os.MkdirTemp("", "shoal-look-")
	if err != nil {
		at.Unseen = fmt.Sprintf("no copy can be made in %s: set TMPDIR to another directory", os.TempDir())
		return
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, self, "ledger", "verify", "--state", string(dir), "-o", "json", "-q")
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &said, time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		at.Unseen = fmt.Sprintf("it took longer than %s", storeWait)
		return
	}
	take(at, out.Bytes(), strings.ReplaceAll(said.String(), tmp, os.TempDir()), err)
}

// take reads what `shoal ledger verify` said: its checks or, where it made none, why.
func take(at *doctor.AtRest, out []byte, said string, err error) {
	var doc struct {
		Checks []api.LedgerCheck `json:"checks"`
	}
	if json.Unmarshal(out, &doc) != nil || len(doc.Checks) == 0 {
		at.Refused = fmt.Sprintf("it cannot be read: what reads it crashes (%v)", err)
		for line := range strings.Lines(said) {
			if why, isError := strings.CutPrefix(line, "shoal: "); isError {
				at.Refused = strings.TrimSpace(why)
			}
		}
		return
	}
	var wrong []string
	for _, l := range doc.Checks {
		if l.Wrong > 0 {
			wrong = append(wrong, l.Detail)
		}
	}
	at.Damage, at.Records = strings.Join(wrong, "; "), doc.Checks[0].Checked // the first is of each record
}
