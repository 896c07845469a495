// Package enginetest gives tests a container engine of their own: the machine's
// dockerd, started on private directories and a private socket, with live-restore
// as shoal asks for, and gone with all it ran when the test ends. It needs root
// and the distribution's engine; without them the test is skipped and says why.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"
)

// startDeadline is how long an engine may take to answer first; 2 s is usual.
const startDeadline = 60 * time.Second

// stopDeadline is how long SIGSTOP may take to reach all threads; 1 ms is usual.
const stopDeadline = 10 * time.Second

// An Engine is a private dockerd.
type Engine struct {
	Socket string // path of its socket

	dir string
	t   testing.TB

	mu   sync.Mutex
	cmd  *exec.Cmd
	dead chan struct{} // closed when cmd has ended
	log  bytes.Buffer  // of the engine; guarded by its own goroutine until dead
}

// Available returns why no engine can be started here, or "".
func Available() string {
	if os.Geteuid() != 0 {
		return "no container engine: not root"
	}
	for _, name := range []string{"dockerd", "containerd", "runc"} {
		if _, err := exec.LookPath(name); err != nil {
			return "no container engine: " + name + " is not installed (apt-get install docker.io)"
		}
	}
	return ""
}

// Start starts an engine and waits until it answers. The test is skipped if the
// machine has none, and fails if it does not come up.
func Start(t testing.TB) *Engine {
	t.Helper()
	if why := Available(); why != "" {
		t.Skip(why)
	}
	// Not t.TempDir: a socket's path may have at most 107 bytes.
	dir, err := os.MkdirTemp("", "shoal-engine-")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Socket: filepath.Join(dir, "docker.sock"), dir: dir, t: t}
	t.Cleanup(e.destroy)
	e.Restart()
	return e
}

// Host returns the engine's address, "unix:///…".
func (e *Engine) Host() string { return "unix://" + e.Socket }

// Client returns a client of the engine, closed when the test ends.
func (e *Engine) Client() *client.Client {
	e.t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(e.Host()), client.WithAPIVersionNegotiation())
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// Pause freezes the engine, as a hung one; containers go on. Resume ends it. When it
// returns the engine answers nobody: a signal is only sent when kill returns, and on a
// busy machine a thread of the engine may well answer before it sees it.
func (e *Engine) Pause() {
	e.t.Helper()
	e.signal(syscall.SIGSTOP)
	for late := time.Now().Add(stopDeadline); ; time.Sleep(time.Millisecond) {
		stopped, err := allStopped(e.cmd.Process.Pid)
		switch {
		case err != nil:
			e.t.Fatalf("is dockerd stopped? %v", err)
		case stopped:
			return
		case time.Now().After(late):
			e.t.Fatalf("dockerd still runs %v after SIGSTOP", stopDeadline)
		}
	}
}

// allStopped reports whether every thread of a process is stopped, by the state that
// follows the name in parentheses in /proc/PID/task/TID/stat (proc(5)).
func allStopped(pid int) (bool, error) {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		return false, fmt.Errorf("process %d has no threads: %w", pid, errors.Join(err, os.ErrNotExist))
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread ended
		}
		if err != nil {
			return false, err
		}
		state := text[bytes.LastIndexByte(text, ')')+1:]
		if !bytes.HasPrefix(state, []byte(" T")) {
			return false, nil
		}
	}
	return true, nil
}

// Resume ends a Pause.
func (e *Engine) Resume() { e.signal(syscall.SIGCONT) }

// Kill ends the engine without a word; containers go on. Restart brings it back.
func (e *Engine) Kill() {
	e.signal(syscall.SIGKILL)
	<-e.dead
}

// Restart starts the engine on its old directories and waits until it answers.
// It must not be running.
func (e *Engine) Restart() {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	// What one that was killed left: its containerd died with it, but as a zombie
	// that nobody reaps it would look alive to the next.
	for _, stale := range []string{"docker.pid", "exec/containerd/containerd.pid", "exec/containerd/containerd.sock"} {
		os.Remove(filepath.Join(e.dir, stale))
	}
	e.cmd = exec.Command("dockerd",
		"--host="+e.Host(),
		"--data-root="+filepath.Join(e.dir, "data"),
		"--exec-root="+filepath.Join(e.dir, "exec"),
		"--pidfile="+filepath.Join(e.dir, "docker.pid"),
		"--config-file="+filepath.Join(e.dir, "none.json"),
		// Several engines share this network namespace: none may own its packet filter.
		"--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false",
		"--live-restore", "--log-level=warn")
	os.WriteFile(filepath.Join(e.dir, "none.json"), []byte("{}"), 0o600)
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	// An interrupt of the test is ours to handle; its death ends the engine.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started, dead := make(chan error), make(chan struct{})
	e.dead = dead
	go func(cmd *exec.Cmd) {
		defer close(dead)
		runtime.LockOSThread() // the parent whose death counts is the thread; it stays as long as the engine
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}(e.cmd)
	if err := <-started; err != nil {
		e.t.Fatalf("start dockerd: %v", err)
	}
	if err := e.await(); err != nil {
		e.t.Fatalf("dockerd in %s: %v", e.dir, err)
	}
}

// await polls until the engine answers.
func (e *Engine) await() error {
	c, err := client.NewClientWithOpts(client.WithHost(e.Host()), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	for {
		if _, err = c.Ping(ctx); err == nil {
			return nil
		}
		select {
		case <-e.dead:
			return fmt.Errorf("it ended: %s", tail(e.log.String()))
		case <-ctx.Done():
			return fmt.Errorf("no answer in %v: %w", startDeadline, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (e *Engine) signal(s syscall.Signal) {
	e.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		e.t.Errorf("signal %v to dockerd: %v", s, err)
	}
}

// destroy ends containers, engine and its containerd, then frees the directory.
// With live-restore an engine that just ends would leave its containers running.
func (e *Engine) destroy() {
	if e.cmd == nil || e.cmd.Process == nil {
		os.RemoveAll(e.dir)
		return
	}
	e.Resume()
	e.empty()
	e.signal(syscall.SIGTERM)
	select {
	case <-e.dead:
	case <-time.After(20 * time.Second):
		e.Kill()
	}
	e.sweep()
	e.unmount()
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Logf("left behind: %v", err)
	}
}

// empty removes every container and network of the engine, as far as it answers.
func (e *Engine) empty() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.NewClientWithOpts(client.WithHost(e.Host()), client.WithAPIVersionNegotiation())
	if err != nil {
		return
	}
	defer c.Close()
	list, _ := c.ContainerList(ctx, container.ListOptions{All: true})
	for _, x := range list {
		c.ContainerRemove(ctx, x.ID, container.RemoveOptions{Force: true})
	}
	nets, _ := c.NetworkList(ctx, network.ListOptions{})
	for _, n := range nets {
		if n.Driver == "bridge" {
			c.NetworkRemove(ctx, n.ID)
		}
	}
}

// sweep kills what still runs on the engine's directory and what that started: a
// container's shim outlives its engine.
func (e *Engine) sweep() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		args, _ := os.ReadFile(path)
		if !bytes.Contains(args, []byte(e.dir+"/")) {
			continue
		}
		dir := filepath.Dir(path)
		started, _ := filepath.Glob(dir + "/task/*/children")
		for _, list := range started {
			b, _ := os.ReadFile(list)
			for _, child := range strings.Fields(string(b)) {
				kill(child)
			}
		}
		kill(filepath.Base(dir))
	}
}

func kill(pid string) {
	if n, err := strconv.Atoi(pid); err == nil && n > 1 && n != os.Getpid() {
		syscall.Kill(n, syscall.SIGKILL)
	}
}

// unmount frees what the engine mounted below its directory, deepest first.
func (e *Engine) unmount() {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	var paths []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], e.dir+"/") {
			paths = append(paths, f[1])
		}
	}
	slices.Sort(paths)
	for _, p := range slices.Backward(paths) {
		unix.Unmount(p, unix.MNT_DETACH)
	}
}

// tail returns the last lines of a log.
func tail(s string) string { return s[max(0, len(s)-1000):] }
