package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"shoal/api"
)

// startWithin bounds how long a detached daemon may take until it answers.
const startWithin = 2 * time.Minute

// upDetached starts this program again in a session of its own, with its output in
// a file, and waits until the daemon answers.
func (c *cli) upDetached(ctx context.Context, o *upOptions) error {
	if err := c.nobodyAt(ctx); err != nil {
		return err
	}
	id, err := o.state.load()
	if err != nil {
		return err
	}
	if err := c.checkLocal(o, id != nil && id.member); err != nil {
		return err
	}
	if err := o.state.make(); err != nil {
		return err
	}
	o.state.turnLog()
	log, err := os.OpenFile(o.state.path("log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return o.state.cannot(err)
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	child, ended, err := startAgain(log)
	if err != nil {
		return err
	}
	tail := &tail{file: log, from: begin}
	if err := c.awaitDaemon(ctx, tail, ended); err != nil {
		return err
	}
	c.progress("the daemon runs as process %d; it logs to %s", child, o.state.path("log"))
	if isReady, err := c.awaitReady(ctx, tail, ended); !isReady {
		return err
	}
	t, err := c.client().Ticket(ctx, api.TicketRequest{})
	if err != nil {
		c.progress("no ticket from this peer: %v", err)
		return nil
	}
	return c.answer(t, func() { fmt.Fprintln(c.out, "shoal up", t.Ticket) })
}

// startAgain runs this very program with the same arguments but --detach.
func startAgain(log *os.File) (pid int, ended chan error, err error) {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool {
		return a == "--detach" || a == "-d" || a == "--detach=true"
	})
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	cmd := exec.Command(self, args...) //nolint:noctx // it outlives us
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), envDetached+"=1")
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start the daemon: %w", err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return cmd.Process.Pid, ended, nil
}

// envDetached tells a daemon that what it prints is kept: no ticket goes there, and
// no events, which it keeps itself.
const envDetached = "SHOAL_DETACHED"

const maxLog = 4 << 20

// turnLog sets a long log aside, in the place of the one before.
func (d stateDir) turnLog() {
	if info, err := os.Stat(d.path("log")); err == nil && info.Size() > maxLog {
		_ = os.Rename(d.path("log"), d.path("log.1"))
	}
}

func (c *cli) awaitDaemon(ctx context.Context, t *tail, ended chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		t.copyTo(c.err, c.quiet)
		if _, err := c.client().Status(ctx); err == nil {
			t.copyTo(c.err, c.quiet)
			return nil
		}
		select {
		case err := <-ended:
			return c.hasEnded(t, err)
		case <-ctx.Done():
			return &coded{exitTimeout, fmt.Errorf("the daemon does not answer after %s; it goes on trying, see %s", startWithin, t.file.Name())}
		case <-time.After(pollEvery):
		}
	}
}

// hasEnded is the error of a daemon that has ended by itself, with its exit code.
func (c *cli) hasEnded(t *tail, err error) error {
	t.copyTo(c.err, false)
	code := exitError
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		code = exit.ExitCode()
	}
	return &coded{code, errors.New("the daemon has ended; its last words are above")}
}

// readyWithin bounds how long a detached start waits for its peer to be ready.
const readyWithin = 30 * time.Second

// awaitReady waits until the daemon's peer is ready, who alone can admit others. The
// daemon itself says, by way of its log, what it waits for. False without an error:
// it has been long enough, and the daemon goes on.
func (c *cli) awaitReady(ctx context.Context, t *tail, ended chan error) (bool, error) {
	limit := time.NewTimer(readyWithin)
	defer limit.Stop()
	st := api.Status{State: "starting"}
	for {
		t.copyTo(c.err, c.quiet)
		if now, err := c.client().Status(ctx); err == nil {
			st = now
		}
		if st.State == "ready" {
			return true, nil
		}
		select {
		case err := <-ended:
			return false, c.hasEnded(t, err)
		case <-ctx.Done():
			return false, ctx.Err()
		case <-limit.C:
			c.progress("still %s after %s: %s; it goes on trying, `shoal status` shows how it is", st.State, readyWithin, st.Why)
			return false, nil
		case <-time.After(pollEvery):
		}
	}
}

// A tail is what was added to a file.
type tail struct {
	file *os.File
	from int64
}

func (t *tail) copyTo(w io.Writer, quiet bool) {
	b := make([]byte, 64<<10)
	n, _ := t.file.ReadAt(b, t.from)
	if quiet || n == 0 {
		return
	}
	t.from += int64(n)
	fmt.Fprint(w, strings.ToValidUTF8(string(b[:n]), "?"))
}
