package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/client"
)

// A Peer is one machine of the lab. Files in Dir survive a power cut, those in
// Dir/run do not.
type Peer struct {
	Name      string // a, b, c… z, a2…
	Addr      string // 10.99.LAB.N; behind the first NAT 192.168.0.N, which others cannot reach
	Namespace string // slLAB-NAME
	Dir       string
	State     string // the daemon's state directory
	Socket    string // the daemon's local API
	Engine    string // the engine's socket, a path

	lab      *Lab
	index    int
	nat      int // index of its router; -1: none
	powered  bool
	cableOut bool
	daemon   *process
	engine   *process
}

func nameOf(index int) string {
	name := string(rune('a' + index%26))
	if index >= 26 {
		name += "2"
	}
	return name
}

func newPeer(l *Lab, index int) *Peer {
	name := nameOf(index)
	dir := filepath.Join(l.Dir, name)
	nat, addr := l.cfg.natOf(index), fmt.Sprintf("10.99.%d.%d", l.Number, index+1)
	if nat >= 0 {
		addr = addrBehind(nat, index)
	}
	return &Peer{
		Name:      name,
		Addr:      addr,
		nat:       nat,
		Namespace: fmt.Sprintf("sl%d-%s", l.Number, name),
		Dir:       dir,
		State:     filepath.Join(dir, "state"),
		Socket:    filepath.Join(dir, "run", "shoal.sock"),
		Engine:    filepath.Join(dir, "run", "docker.sock"),
		lab:       l,
		index:     index,
	}
}

func (p *Peer) cgroup() string { return fmt.Sprintf("/shoal-lab-%d/%s", p.lab.Number, p.Name) }

// PowerCut ends everything on the peer at once, daemon, engine and containers, and
// takes away what does not outlive a power cut: namespace, mounts, /run.
func (p *Peer) PowerCut(ctx context.Context) error {
	err := teardown(ctx, "peer", p.Namespace, p.cgroup(), p.Dir)
	p.reap()
	p.powered = false
	return err
}

// PowerOn gives the peer its network again; engine and daemon are started apart.
func (p *Peer) PowerOn(ctx context.Context) error {
	if p.powered {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(p.Dir, "run"), 0o750); err != nil {
		return err
	}
	p.powered = true
	return p.makeNamespace(ctx)
}

// reap forgets the processes. A teardown has killed them, unless it was out of time: on a
// machine at its limits they would hold it there, and whoever waits for them.
func (p *Peer) reap() {
	for _, proc := range []*process{p.daemon, p.engine} {
		if proc != nil {
			_ = proc.cmd.Process.Kill()
			<-proc.ended
		}
	}
	p.daemon, p.engine = nil, nil
}

// inside makes a command run in the peer's network. Only the network is its own:
// ip netns exec would also hide the cgroup mounts, which the engine needs.
func (p *Peer) inside(name string, args []string) []string {
	return append([]string{"--net=/run/netns/" + p.Namespace, "--", name}, args...)
}

// Run runs a command in the peer's network, such as ping, and returns what it
// printed.
func (p *Peer) Run(ctx context.Context, name string, args ...string) (string, error) {
	return run(ctx, "nsenter", p.inside(name, args)...)
}

// Binary is the path of shoal on this peer.
func (p *Peer) Binary() string { return p.lab.cfg.Binary }

// A Result is what a run of the command line gave.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Shoal runs the command line on this peer, against its own daemon. A non-zero
// exit is no error: it is in the result.
func (p *Peer) Shoal(ctx context.Context, args ...string) (Result, error) {
	if err := p.canRun(); err != nil {
		return Result{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "nsenter", p.inside(p.lab.cfg.Binary, args)...)
	cmd.Env = p.env()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	result := Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("peer %s: shoal %s: %w: %s", p.Name, strings.Join(args, " "), err, result.Stderr)
	}
	return result, err
}

func (p *Peer) canRun() error {
	switch {
	case p.lab.cfg.Binary == "":
		return errors.New("lab without a binary: set Config.Binary")
	case !p.powered:
		return fmt.Errorf("peer %s has no power: call PowerOn", p.Name)
	}
	return nil
}

func (p *Peer) env() []string {
	return append(os.Environ(), "SHOAL_SOCKET="+p.Socket, "SHOAL_STATE="+p.State, "DOCKER_HOST=unix://"+p.Engine)
}

// StartDaemon starts shoal up with further arguments, such as a ticket, and waits
// until the daemon answers its command line.
func (p *Peer) StartDaemon(ctx context.Context, args ...string) error {
	if err := p.canRun(); err != nil {
		return err
	}
	all := []string{"up", "--name", p.Name, "--state", p.State, "--socket", p.Socket}
	if !p.lab.cfg.NoEngines {
		all = append(all, "--docker-host", "unix://"+p.Engine)
	}
	proc, err := p.spawn("shoal", p.lab.cfg.Binary, append(all, args...))
	if err != nil {
		return err
	}
	p.daemon = proc
	return p.awaitStart(ctx, proc, func(ctx context.Context) error {
		result, err := p.Shoal(ctx, "status")
		if err == nil && result.Code != 0 {
			err = fmt.Errorf("shoal status exited with %d: %s", result.Code, result.Stderr)
		}
		return err
	})
}

// DaemonPID is the process of the daemon that was started last, or 0.
func (p *Peer) DaemonPID() int {
	if p.daemon == nil {
		return 0
	}
	return p.daemon.cmd.Process.Pid
}

// KillDaemon ends the daemon with SIGKILL; engine and containers stay.
func (p *Peer) KillDaemon() error { return p.SignalDaemon(syscall.SIGKILL) }

// SignalDaemon sends a signal to the daemon: SIGTERM is down, SIGSTOP a pause,
// SIGCONT its end. After SIGKILL and SIGTERM it waits for the end.
func (p *Peer) SignalDaemon(sig syscall.Signal) error { return p.daemon.signal("daemon", sig) }

// StartEngine starts dockerd and waits until it answers.
func (p *Peer) StartEngine(ctx context.Context) error {
	exec := filepath.Join(p.Dir, "run", "exec")
	pidfile := filepath.Join(p.Dir, "run", "docker.pid")
	// Left by an engine that was killed, they may name another process by now.
	_ = os.Remove(pidfile)
	// An engine of this machine may have a configuration; ours must not read it.
	config := filepath.Join(p.Dir, "engine.json")
	if err := os.WriteFile(config, []byte("{}\n"), 0o600); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(exec, "containerd", "containerd.pid"))
	args := []string{
		"--host", "unix://" + p.Engine, "--data-root", filepath.Join(p.Dir, "engine"), "--exec-root", exec,
		"--pidfile", pidfile, "--bip", fmt.Sprintf("172.26.%d.1/24", p.index), "--config-file", config,
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", p.cgroup(),
	}
	if !p.lab.cfg.NoLiveRestore {
		args = append(args, "--live-restore")
	}
	proc, err := p.spawn("engine", "dockerd", args)
	if err != nil {
		return err
	}
	p.engine = proc
	docker, err := p.Docker()
	if err != nil {
		return err
	}
	defer docker.Close()
	return p.awaitStart(ctx, proc, func(ctx context.Context) error {
		_, err := docker.Ping(ctx)
		return err
	})
}

// KillEngine ends dockerd and its containerd with SIGKILL. Unless NoLiveRestore,
// the containers run on.
func (p *Peer) KillEngine() error {
	// containerd first: alone, it would be started anew by dockerd; stopped, dockerd
	// does not notice.
	var containerd int
	if text, err := os.ReadFile(filepath.Join(p.Dir, "run", "exec", "containerd", "containerd.pid")); err == nil {
		_, _ = fmt.Sscan(string(text), &containerd)
	}
	err := p.engine.signal("engine", syscall.SIGKILL)
	if containerd > 1 {
		err = errors.Join(err, ignoreGone(syscall.Kill(containerd, syscall.SIGKILL)))
	}
	return err
}

// SignalEngine sends a signal to dockerd alone; SIGSTOP makes it hang.
func (p *Peer) SignalEngine(sig syscall.Signal) error { return p.engine.signal("engine", sig) }

// Docker returns a client of the peer's engine, which the caller closes.
func (p *Peer) Docker() (*client.Client, error) {
	return client.NewClientWithOpts(client.WithHost("unix://"+p.Engine), client.WithAPIVersionNegotiation())
}

// Log returns the end of what "shoal" or "engine" has printed, at most 4 KiB.
func (p *Peer) Log(name string) string {
	text, err := os.ReadFile(filepath.Join(p.Dir, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4096):])
}

// spawn starts a program in the peer's network, with its output in NAME.log, in a
// session of its own, so that an interrupt reaches the lab alone.
func (p *Peer) spawn(name, program string, args []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(p.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command("nsenter", p.inside(program, args)...) //nolint:noctx // its life is the lab's, not a call's
	cmd.Env = p.env()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("peer %s: start %s: %w", p.Name, program, err)
	}
	proc := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(proc.ended)
	}()
	return proc, nil
}

// awaitStart polls ready until it succeeds, the program ends or Timeout is over.
func (p *Peer) awaitStart(ctx context.Context, proc *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	name := "engine"
	if proc == p.daemon {
		name = "shoal"
	}
	var ended error
	err := Poll(ctx, func() error {
		select {
		case <-proc.ended:
			ended = fmt.Errorf("%s ended: %s", name, proc.cmd.ProcessState)
			return nil
		default:
			return ready(ctx)
		}
	})
	if err = errors.Join(err, ended); err != nil {
		return fmt.Errorf("start %s of peer %s: %w\n%s", name, p.Name, err, p.Log(name))
	}
	return nil
}

// process is a program we started; ended closes when it has.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (proc *process) signal(what string, sig syscall.Signal) error {
	if proc == nil {
		return fmt.Errorf("%s: not started", what)
	}
	if err := ignoreGone(proc.cmd.Process.Signal(sig)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if sig != syscall.SIGKILL && sig != syscall.SIGTERM {
		return nil
	}
	select {
	case <-proc.ended:
		return nil
	case <-time.After(Timeout):
		return fmt.Errorf("%s: still running %s after %s", what, Timeout, sig)
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
