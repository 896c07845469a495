// Package lab makes a small data centre on one machine, for end-to-end tests and
// for the demo: a bridge, and on it peers that each have a network namespace, an
// address, a Docker engine and a directory of their own. Power and cables can be
// cut, and the network split.
//
//	bridge sl7 10.99.7.254 ──┬── sl7-a: eth0 10.99.7.1, dockerd, shoal
//	                         ├── sl7-b: eth0 10.99.7.2, dockerd, shoal
//	                         └── sl7-c: eth0 10.99.7.3, dockerd, shoal
//
// Nothing is left behind: Close removes all of it, a watcher process does so if
// ours ends without Close, and the next Start clears what both have missed. The
// peers have no way out of the bridge, so nothing a test does depends on the world.
//
// It needs root, dockerd, ip, iptables, nsenter and bash; see Available.
package lab

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// registry holds a directory for each lab of this machine, named by its number.
const registry = "/run/shoal-lab"

// MaxPeers is the greatest number of peers of one lab.
const MaxPeers = 2 * 26

const maxLabs = 64

// Timeout bounds each single step of the lab: a command, an engine's start.
const Timeout = 30 * time.Second

//go:embed teardown.sh
var teardownScript string

// A Config says what to build. Its zero value is one peer with an engine.
type Config struct {
	// Peers is how many there are, named a, b, c… z, a2…; 0 means 1, at most MaxPeers.
	Peers int
	// Binary is the path of shoal. It may be empty if no daemon is started.
	Binary string
	// Images are imported into each engine.
	Images []Image
	// NoEngines leaves the peers without engine, for the process runtime.
	NoEngines bool
	// NoLiveRestore lets containers die with their engine. Otherwise they go on
	// without it and the next engine takes them up, as we ask of users.
	NoLiveRestore bool
	// NATs are routers on the bridge; behind the first stand the first of the last
	// peers, and so on. The peers before them are on the bridge itself.
	NATs []NAT
	// Detached leaves the lab standing when this process ends; Remove ends it.
	Detached bool
}

// A Lab is a running data centre. Its methods may be called by one goroutine at a
// time.
type Lab struct {
	Number int    // 1…maxLabs; the third number of the addresses
	Dir    string // a directory per peer, and the images
	Peers  []*Peer

	cfg     Config
	watcher io.WriteCloser // a line here tells the watcher that all is done
}

// Available reports why no lab can be made on this machine, or nil.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("not root: network namespaces and private engines need it")
	}
	for _, need := range [][2]string{
		{"dockerd", "docker.io"}, {"ip", "iproute2"}, {"iptables", "iptables"}, {"nsenter", "util-linux"}, {"bash", "bash"},
	} {
		if _, err := exec.LookPath(need[0]); err != nil {
			return fmt.Errorf("no %s: install the package %s", need[0], need[1])
		}
	}
	return nil
}

// Start builds a lab and starts the engines, all at once. On error nothing is left.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	cfg.Peers = max(cfg.Peers, 1)
	if cfg.Peers > MaxPeers {
		return nil, fmt.Errorf("lab of %d peers: at most %d", cfg.Peers, MaxPeers)
	}
	if n := cfg.hidden(); n > cfg.Peers || len(cfg.NATs) > maxNATs {
		return nil, fmt.Errorf("lab of %d peers with %d behind %d NATs: at most all, and %d NATs", cfg.Peers, n, len(cfg.NATs), maxNATs)
	}
	if err := Available(); err != nil {
		return nil, err
	}
	if err := Sweep(ctx); err != nil {
		return nil, fmt.Errorf("clear the labs of dead processes: %w", err)
	}
	l, err := register(cfg)
	if err != nil {
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context) error {
	if !l.cfg.Detached {
		if err := l.watch(); err != nil {
			return err
		}
	}
	if err := l.makeBridge(ctx); err != nil {
		return err
	}
	for i := range l.cfg.NATs {
		if err := l.makeRouter(ctx, i); err != nil {
			return err
		}
	}
	for i := range l.cfg.Peers {
		p := newPeer(l, i)
		l.Peers = append(l.Peers, p)
		if err := p.PowerOn(ctx); err != nil {
			return err
		}
	}
	if l.cfg.NoEngines {
		return nil
	}
	return l.each(func(p *Peer) error {
		if err := p.StartEngine(ctx); err != nil {
			return err
		}
		return p.importImages(ctx, l.cfg.Images)
	})
}

// each calls f for all peers at once and joins the errors, which name the peer.
func (l *Lab) each(f func(*Peer) error) error {
	errs := make([]error, len(l.Peers))
	done := make(chan int)
	for i, p := range l.Peers {
		go func() {
			errs[i] = f(p)
			done <- i
		}()
	}
	for range l.Peers {
		<-done
	}
	return errors.Join(errs...)
}

// register takes the first free number. Making the directory is what decides
// between two processes that want the same.
func register(cfg Config) (*Lab, error) {
	if err := os.MkdirAll(registry, 0o750); err != nil {
		return nil, fmt.Errorf("register a lab: %w", err)
	}
	for number := 1; number <= maxLabs; number++ {
		entry := filepath.Join(registry, strconv.Itoa(number))
		err := os.Mkdir(entry, 0o750)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("register a lab: %w", err)
		}
		return newLab(cfg, number, entry)
	}
	return nil, fmt.Errorf("all %d labs are taken: see %s", maxLabs, registry)
}

func newLab(cfg Config, number int, entry string) (*Lab, error) {
	// The path is kept short: a unix socket's has 107 bytes at most.
	dir, err := os.MkdirTemp("", "shoal-lab-")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(entry))
	}
	l := &Lab{Number: number, Dir: dir, cfg: cfg}
	owner := detached
	if !cfg.Detached {
		owner = processID(os.Getpid())
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(entry, "dir"), []byte(dir), 0o600),
		os.WriteFile(filepath.Join(entry, "owner"), []byte(owner), 0o600),
	)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir), os.RemoveAll(entry))
	}
	return l, nil
}

// processID names a process beyond the reuse of its number: number and start time.
// It is "" if there is no such process.
func processID(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command, in parentheses, may hold spaces; after it the start is field 20.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fmt.Sprintf("%d %s", pid, fields[19])
}

// Numbers lists the labs of this machine, whoever owns them.
func Numbers() ([]int, error) {
	entries, err := os.ReadDir(registry)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// Detached lists the labs that were left standing on purpose.
func Detached() ([]int, error) {
	numbers, err := Numbers()
	return slices.DeleteFunc(numbers, func(n int) bool { return ownerOf(n) != detached }), err
}

// detached stands for the owner of a lab that has none.
const detached = "detached"

// ownerOf returns the process that a lab belongs to, "" while it is being made.
func ownerOf(number int) string {
	owner, _ := os.ReadFile(filepath.Join(registry, strconv.Itoa(number), "owner"))
	return string(owner)
}

// Sweep removes the labs whose processes have ended without doing so.
func Sweep(ctx context.Context) error {
	numbers, err := Numbers()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		owner := ownerOf(n)
		if owner == "" || owner == detached {
			continue // being made at this moment, or meant to stay
		}
		var pid int
		if _, err := fmt.Sscan(owner, &pid); err == nil && processID(pid) == owner {
			continue
		}
		if err := Remove(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// Remove ends a lab by its number and removes all of it. It is no error if there
// is none.
func Remove(ctx context.Context, number int) error {
	return teardown(ctx, "lab", strconv.Itoa(number))
}

// Close ends the lab and removes all of it: processes, containers, mounts,
// namespaces, links, rules, files.
func (l *Lab) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*Timeout)
	defer cancel()
	err := Remove(ctx, l.Number)
	for _, p := range l.Peers {
		p.reap()
	}
	if l.watcher != nil && err == nil {
		_, _ = io.WriteString(l.watcher, "done\n") // it would find nothing to do anyway
		_ = l.watcher.Close()
	}
	return err
}

// watch starts a process that outlives ours and removes the lab if we end without
// Close: by a panic, a time limit or a kill.
func (l *Lab) watch() error {
	script := fmt.Sprintf("trap '' INT TERM HUP\nread -r line && exit 0\nset -- lab %d\n%s", l.Number, teardownScript)
	cmd := exec.Command("bash", "-c", script) //nolint:noctx // it must outlive every context
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the lab's watcher: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	l.watcher = pipe
	return nil
}

func teardown(ctx context.Context, args ...string) error {
	_, err := run(ctx, "bash", append([]string{"-c", teardownScript, "teardown.sh"}, args...)...)
	return err
}

// run runs a command to its end, with a deadline, and returns what it printed. The
// error holds what it printed on standard error.
func run(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	if err := cmd.Run(); err != nil {
		if name == "bash" {
			args = args[len(args)-2:]
		}
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Poll calls f every 20 ms until it returns nil, and gives its last error once ctx
// is done.
func Poll(ctx context.Context, f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
