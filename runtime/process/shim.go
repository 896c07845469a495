package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// What a shim says on its pipe, before it closes it; anything else is an error
// that a repeat may mend.
const (
	sayRunning = "running"
	sayNever   = "never: " // and the reason
)

// A shim is the parent of one run of one container.
type shim struct {
	spec   spec
	dir    string // DIR/tasks/NAME
	state  string // DIR/state/NAME.json
	status status
	lock   *os.File
	logs   *logFile
	kin    *family
	health chan runtime.HealthState
	spawns chan spawnRequest
}

// ShimMain is the whole life of a shim: cmd/node calls it for ShimCommand with
// the arguments after it and exits with what it returns. It must come before
// anything else the program does.
//
// The goroutine stays on one thread: "no new privileges" is a thread's, passed to
// what it starts, and a command is told to die with the thread that started it.
func ShimMain(args []string) int {
	goruntime.LockOSThread()
	say := os.NewFile(3, "say")
	syscall.CloseOnExec(3)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)

	s, err := newShim(args)
	if err != nil {
		fmt.Fprint(say, err)
		return 1
	}
	ended, err := s.begin()
	if err != nil {
		if errors.Is(err, runtime.ErrPermanent) {
			fmt.Fprint(say, sayNever)
		}
		fmt.Fprint(say, err)
		return 1
	}
	fmt.Fprint(say, sayRunning)
	say.Close()
	s.serve(signals, ended)
	return 0
}

// newShim reads what to run and takes the lock, which the kernel lets go when
// this process ends, however that comes.
func newShim(args []string) (*shim, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%s is started by the daemon only: want DIR STATE RUN", ShimCommand)
	}
	run, err := strconv.ParseUint(args[2], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", args[2], err)
	}
	s := &shim{
		dir: args[0], state: args[1], status: status{Run: uint32(run)}, kin: newFamily(),
		health: make(chan runtime.HealthState), spawns: make(chan spawnRequest),
	}
	if err := readJSON(filepath.Join(s.dir, "spec.json"), &s.spec); err != nil {
		return nil, err
	}
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(s.lock.Fd(), syscall.F_SETLK, &lock); err != nil {
		return nil, fmt.Errorf("another shim runs it: %w", err)
	}
	s.logs, err = openLog(filepath.Join(s.dir, "out.log"), logBytes)
	return s, err
}

// begin starts the command. Whatever it starts in turn becomes the shim's child
// when its own parent ends, so that nothing of a container outlives it.
func (s *shim) begin() (<-chan syscall.WaitStatus, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("set no new privileges: %w", err)
	}
	out, errOut, err := s.logs.pipes()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	defer errOut.Close()
	if err := s.startable(); err != nil {
		return nil, err
	}
	s.status.Started = time.Now().UTC().Format(time.RFC3339Nano)
	if checkCommand(s.spec.Health) != nil {
		s.status.Health = runtime.HealthStarting
	}
	// The state file comes first: a command that ends at once must not be shown as
	// never started.
	if err := writeJSON(s.state, s.status); err != nil {
		return nil, err
	}
	_, ended, err := s.spawn(s.spec.Args, out, errOut, syscall.SIGKILL)
	if err != nil {
		os.Remove(s.state)
		return nil, err
	}
	return ended, nil
}

// serve passes on signals, health and checks until the command has ended, then
// ends the rest and writes down how.
func (s *shim) serve(signals <-chan os.Signal, ended <-chan syscall.WaitStatus) {
	over := make(chan struct{})
	if s.status.Health != runtime.HealthNone { // there is a check
		go s.checkHealth(over)
	}
	for running := true; running; {
		select {
		case sig := <-signals:
			if sig == syscall.SIGQUIT {
				s.kin.killMain()
			} else {
				s.kin.signalMain(s.stopSignal())
			}
		case s.status.Health = <-s.health:
			s.save()
		case r := <-s.spawns:
			pid, done, err := s.spawn(r.args, nil, nil, 0)
			r.answer <- spawned{pid, done, err}
		case ws := <-ended:
			s.status.Code = exitCode(ws)
			running = false
		}
	}
	close(over)
	s.kin.killAll()
	s.logs.finish()
	s.status.Exited = true
	s.status.Health = runtime.HealthNone
	s.save()
}

// save writes the state, again and again on a full disk: without it the exit
// code would be lost.
func (s *shim) save() {
	for range 50 {
		err := writeJSON(s.state, s.status)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		fmt.Fprintln(os.Stderr, "write state:", err)
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // a disk does not tell when it has room again
	}
}

func (s *shim) stopSignal() syscall.Signal {
	if sig := signalByName(s.spec.StopSignal); s.spec.StopSignal != "" && sig != 0 {
		return sig
	}
	return syscall.SIGTERM
}

// startable reports a working directory that is not there, which the kernel would
// blame on the command.
func (s *shim) startable() error {
	if info, err := os.Stat(s.spec.Dir); err != nil || !info.IsDir() {
		return permanent("working directory %s is not there", s.spec.Dir)
	}
	return nil
}

// spawn starts a process in a session of its own, in the shim's family. It must be
// called by ShimMain's goroutine. Output without a file goes nowhere.
func (s *shim) spawn(args []string, out, errOut *os.File, onDeath syscall.Signal) (int, <-chan syscall.WaitStatus, error) {
	one := s.spec
	one.Args = args
	path, err := program(one)
	if err != nil {
		return 0, nil, permanent("%w", err)
	}
	owner, err := credential(s.spec.User)
	if err != nil {
		return 0, nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	if out == nil {
		out, errOut = null, null
	}
	pid, ended, err := s.kin.start(path, args, &syscall.ProcAttr{
		Dir: s.spec.Dir, Env: s.spec.Env, Files: []uintptr{null.Fd(), out.Fd(), errOut.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: onDeath, Credential: owner},
	})
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.ENOTDIR):
		return 0, nil, permanent("command %s: %w", path, err)
	case err != nil:
		return 0, nil, fmt.Errorf("command %s: %w", path, err)
	}
	return pid, ended, nil
}

// exitCode is the shell's: 128 and the signal for one that was killed.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// A family is the processes below a shim: it reaps them all and tells each end
// to whoever waits for it.
type family struct {
	mu      sync.Mutex // held while starting, so that no end is told before it is known whose
	waiting map[int]chan<- syscall.WaitStatus
	main    int  // the first one started
	gone    bool // main has been reaped: its number may be another's by now
	empty   chan struct{}
}

func newFamily() *family {
	return &family{waiting: map[int]chan<- syscall.WaitStatus{}, empty: make(chan struct{})}
}

func (f *family) start(path string, args []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pid, err := syscall.ForkExec(path, args, attr)
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	f.waiting[pid] = ended
	if f.main == 0 {
		f.main = pid
		go f.reap()
	}
	return pid, ended, nil
}

// reap runs until there is nobody left; there is, as long as main lives.
func (f *family) reap() {
	defer close(f.empty)
	for {
		// Look without reaping, so that a number cannot be another's before we know
		// of it.
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil); errors.Is(err, syscall.EINTR) {
			continue
		} else if err != nil {
			return
		}
		f.mu.Lock()
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if err == nil && pid > 0 {
			f.gone = f.gone || pid == f.main
			if ended := f.waiting[pid]; ended != nil {
				ended <- ws
				delete(f.waiting, pid)
			}
		}
		f.mu.Unlock()
	}
}

func (f *family) signalMain(sig syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		syscall.Kill(f.main, sig)
	}
}

// killMain kills the command and what shares its process group.
func (f *family) killMain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.gone {
		syscall.Kill(-f.main, syscall.SIGKILL)
	}
}

// killAll kills child after child; each one's own children become ours and are
// next. It gives up on what cannot die (waits for a disk, say) after a while.
func (f *family) killAll() {
	for range 500 {
		for _, pid := range children(os.Getpid()) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		select {
		case <-f.empty:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
