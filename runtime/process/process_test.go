package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
	"shoal/wire"
)

// The tests' binary is its own shim, as the daemon's is, and in one test a daemon
// that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ShimCommand {
		os.Exit(ShimMain(os.Args[2:]))
	}
	if len(os.Args) > 2 && os.Args[1] == "doomed-daemon" {
		doomedDaemon(os.Args[2])
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	runtimetest.Run(t, runtimetest.Harness{
		New: func(t *testing.T, swarm string, peer wire.PeerID) runtimetest.Driver {
			return open(t, dir, swarm, peer)
		},
		Image: "process", Missing: "redis:7", Volume: "$SHOAL_VOLUME_DATA",
	})
}

func open(t *testing.T, dir, swarm string, peer wire.PeerID) *Driver {
	t.Helper()
	d, err := New(Options{Dir: dir, Swarm: swarm, Peer: peer})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var testRef = runtime.Ref{Swarm: "k7m2", Peer: wire.PeerID{1}, Slot: job.SlotID{Job: "default/shop", Task: "web"}, Life: 1, Token: 1}

// fixture is one container of a driver on a directory of its own.
type fixture struct {
	*Driver
	t    *testing.T
	name string
	run  uint32
}

func newFixture(t *testing.T, dir string) *fixture {
	f := &fixture{Driver: open(t, dir, testRef.Swarm, testRef.Peer), t: t, name: runtime.Name(testRef)}
	t.Cleanup(func() {
		if err := f.Do(context.Background(), f.action(runtime.OpRemove, nil)); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) action(op runtime.Op, task *job.Task) runtime.Action {
	return runtime.Action{Op: op, Container: f.name, Ref: testRef, Run: f.run, Task: task}
}

func (f *fixture) do(op runtime.Op, task *job.Task) {
	f.t.Helper()
	if op == runtime.OpStart {
		f.run++
	}
	if err := f.Do(f.t.Context(), f.action(op, task)); err != nil {
		f.t.Fatal(err)
	}
}

func script(s string) *job.Task {
	return &job.Task{Name: "web", Command: []string{"/bin/sh", "-c", s}}
}

// see returns the one container.
func (f *fixture) see() runtime.Observed {
	f.t.Helper()
	list, err := f.List(f.t.Context())
	if err != nil || len(list) != 1 {
		f.t.Fatalf("list: %v, %v", list, err)
	}
	return list[0]
}

func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	if !untilTrue(f.t.Context(), 10*time.Second, ok) {
		f.t.Fatalf("not %s: %+v", what, f.see())
	}
}

func (f *fixture) output() string {
	f.t.Helper()
	r, err := f.Logs(f.t.Context(), f.name, runtime.LogOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		l, err := runtime.ParseLogLine(line)
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, l.Text)
	}
	return strings.Join(out, "\n")
}

// pidIn waits for a process ID that the container prints.
func (f *fixture) pidIn() int {
	f.t.Helper()
	pid := 0
	f.until("printing a process ID", func() bool {
		pid, _ = strconv.Atoi(strings.TrimSpace(f.output()))
		return pid != 0
	})
	return pid
}

func isGone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// doomedDaemon starts a container and waits to be killed.
func doomedDaemon(dir string) {
	d, err := New(Options{Dir: dir, Swarm: testRef.Swarm, Peer: testRef.Peer})
	if err == nil {
		a := runtime.Action{Op: runtime.OpCreate, Container: runtime.Name(testRef), Ref: testRef, Run: 1}
		a.Task = script("echo $$; while :; do sleep 0.05; done")
		err = d.Do(context.Background(), a)
		if a.Op = runtime.OpStart; err == nil {
			err = d.Do(context.Background(), a)
		}
	}
	fmt.Println("started", err)
	select {}
}

// kill -9 of a daemon leaves its containers running; the next one has them, as
// they were.
func TestDaemonKilled(t *testing.T) {
	dir := t.TempDir()
	daemon := exec.Command("/proc/self/exe", "doomed-daemon", dir)
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 100)
	n, err := out.Read(said)
	if got := string(said[:n]); err != nil || got != "started <nil>\n" {
		t.Fatalf("the daemon says %q, %v", got, err)
	}
	f := newFixture(t, dir)
	f.run = 1
	before, pid := f.see(), f.pidIn()
	daemon.Process.Kill()
	daemon.Wait()
	if after := f.see(); after != before || after.State != runtime.StateRunning || isGone(pid) {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	f.do(runtime.OpStop, nil)
	if !isGone(pid) {
		t.Fatal("it runs after its stop")
	}
}

// A shim that is killed takes its command with it; what the command had started is
// swept, the exit is seen, and the next run works.
func TestShimKilled(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.do(runtime.OpCreate, script("setsid sleep 1000 & echo $!; wait"))
	f.do(runtime.OpStart, nil)
	orphan := f.pidIn()
	changed := f.Watch(t.Context())
	syscall.Kill(f.shim(f.name), syscall.SIGKILL)
	for f.see().State == runtime.StateRunning {
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatal("no signal")
		}
	}
	if o := f.see(); o.State != runtime.StateExited || o.ExitCode != 137 {
		t.Fatalf("after the kill: %+v", o)
	}
	f.do(runtime.OpStart, nil)
	f.until("swept", func() bool { return isGone(orphan) })
	if o := f.see(); o.State != runtime.StateRunning {
		t.Fatalf("after the next start: %+v", o)
	}
}

// Nothing a container started outlives it, not even in sessions of its own.
func TestNothingOutlives(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.do(runtime.OpCreate, script("(setsid sh -c 'sleep 1000 & sleep 1000' &) ; setsid sleep 1001 & echo $!; exit 4"))
	f.do(runtime.OpStart, nil)
	f.until("exited", func() bool { return f.see().State == runtime.StateExited })
	if pid := f.pidIn(); !isGone(pid) || f.see().ExitCode != 4 {
		t.Fatalf("process %d is there still, %+v", pid, f.see())
	}
	mark := containerEnv + "=" + f.name
	for _, pid := range processes() {
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), mark) && !isGone(pid) {
			if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(args), "sleep") {
				t.Errorf("process %d is there still: %q", pid, args)
			}
		}
	}
}

func TestStopSignal(t *testing.T) {
	f := newFixture(t, t.TempDir())
	task := script("trap 'exit 9' USR1; trap '' TERM; echo $$; while :; do sleep 0.05; done")
	task.StopSignal = "SIGUSR1"
	f.do(runtime.OpCreate, task)
	f.do(runtime.OpStart, nil)
	f.pidIn()
	a := f.action(runtime.OpStop, nil)
	a.Grace = 10 * time.Second
	if err := f.Do(t.Context(), a); err != nil || f.see().ExitCode != 9 {
		t.Fatalf("%v, %+v", err, f.see())
	}
}

// A check that hangs is killed and counts as a failure.
func TestHealth_CheckThatHangs(t *testing.T) {
	f := newFixture(t, t.TempDir())
	task := script("while :; do sleep 0.05; done")
	task.Health = &job.Health{Test: []string{"CMD", "sleep", "1000"}, Interval: 20 * time.Millisecond, Timeout: 50 * time.Millisecond, Retries: 2}
	f.do(runtime.OpCreate, task)
	f.do(runtime.OpStart, nil)
	f.until("unhealthy", func() bool { return f.see().Health == runtime.Unhealthy })
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	// The way to the working directory must be open to that user.
	dir, err := os.MkdirTemp("", "shoal-process-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, dir)
	task := script("id -u; id -g; touch mine && echo written")
	task.User = "65534:65533"
	f.do(runtime.OpCreate, task)
	f.do(runtime.OpStart, nil)
	f.until("exited", func() bool { return f.see().State == runtime.StateExited })
	if got := f.output(); got != "65534\n65533\nwritten" {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	f := newFixture(t, t.TempDir())
	for _, c := range []struct {
		change func(*job.Task)
		want   string
	}{
		{func(t *job.Task) { t.Image = "redis:7" }, "no container engine on this peer: image redis:7 needs one"},
		{func(t *job.Task) { t.Command = nil }, "needs a command"},
		{func(t *job.Task) { t.ReadOnly = true }, "read_only"},
		{func(t *job.Task) { t.Mounts = []job.Mount{{Type: "bind", Source: "/srv", Target: "/data"}} }, "bind mount at /data"},
		{func(t *job.Task) { t.StopSignal = "SIGNONSENSE" }, "SIGNONSENSE"},
		{func(t *job.Task) { t.User = "nobody-of-that-name" }, "nobody-of-that-name"},
	} {
		task := script("true")
		c.change(task)
		err := f.Do(t.Context(), f.action(runtime.OpCreate, task))
		if !errors.Is(err, runtime.ErrPermanent) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
	for _, bad := range []string{"", "..", "a/b", ".hidden"} {
		if err := f.Do(t.Context(), runtime.Action{Op: runtime.OpRemove, Container: bad}); !errors.Is(err, runtime.ErrPermanent) {
			t.Errorf("container %q: %v", bad, err)
		}
	}
	if list, err := f.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("something was made: %v, %v", list, err)
	}
}

// What a power cut may leave is shown, so that it can be removed, and stops nobody.
func TestDamagedFiles(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.do(runtime.OpCreate, script("true"))
	if err := os.WriteFile(filepath.Join(f.taskPath(f.name), "spec.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := f.see(); o.Container != f.name || o.Ref.Token != 0 {
		t.Fatalf("shown as %+v", o)
	}
	f.do(runtime.OpRemove, nil)
	f.do(runtime.OpCreate, script("true"))
	f.do(runtime.OpStart, nil)
}

// A follower gets every line over rotations, and old files go.
func TestLogRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	l, err := openLog(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 300
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		ended := func() bool {
			select {
			case <-written:
				return true
			default:
				return false
			}
		}
		w.CloseWithError((&logReader{path: path, w: w}).run(t.Context(), true, ended))
	}()
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(r)
		read <- string(b)
	}()
	for i := range lines {
		l.write(runtime.Stdout, []byte("line "+strconv.Itoa(i)))
		if i%20 == 0 {
			time.Sleep(60 * time.Millisecond) // the reader looks every 50 ms; two files are its slack
		}
	}
	close(written)
	got := <-read
	for i := range lines {
		if !strings.Contains(got, " line "+strconv.Itoa(i)+"\n") {
			t.Fatalf("line %d is missing", i)
		}
	}
	if strings.Count(got, "\n") != lines {
		t.Errorf("%d lines, want %d", strings.Count(got, "\n"), lines)
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != logFiles {
		t.Errorf("files %v", files)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 1100 {
			t.Errorf("%s: %v, %v", file, info.Size(), err)
		}
	}
}
