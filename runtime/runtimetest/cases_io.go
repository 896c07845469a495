package runtimetest

import (
	"bufio"
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// awaitLine follows the container's output to the line want.
func (f *fixture) awaitLine(ref runtime.Ref, want string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, patience)
	defer cancel()
	r, err := f.d.Logs(ctx, runtime.Name(ref), runtime.LogOptions{Follow: true})
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	for s.Scan() {
		if l, err := runtime.ParseLogLine(s.Text()); err == nil && l.Text == want {
			return
		}
	}
	f.t.Fatalf("no line %q: %v", want, s.Err())
}

func testLogs(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("echo one; echo two >&2; echo; printf three"))
	f.untilState(f.ref(0), runtime.StateExited)
	lines := f.logs(f.ref(0), runtime.LogOptions{})
	streams := map[byte][]string{}
	for _, l := range lines {
		streams[l.Stream] = append(streams[l.Stream], l.Text)
		if at, err := time.Parse(time.RFC3339Nano, l.Time); err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("time %q of line %q: %v", l.Time, l.Text, err)
		}
	}
	if got := strings.Join(streams[runtime.Stdout], "|"); got != "one||three" {
		t.Errorf("stdout: %q", got)
	}
	if got := strings.Join(streams[runtime.Stderr], "|"); got != "two" {
		t.Errorf("stderr: %q", got)
	}
	if last := f.logs(f.ref(0), runtime.LogOptions{Tail: 2}); len(last) != 2 {
		t.Errorf("tail of 2: %v", last)
	}
	if young := f.logs(f.ref(0), runtime.LogOptions{Since: time.Nanosecond}); len(young) != 0 {
		t.Errorf("younger than 1 ns: %v", young)
	}
	f.run(f.ref(1), f.task("head -c 40000 /dev/zero | tr '\\0' x; echo; echo end"))
	f.untilState(f.ref(1), runtime.StateExited)
	long := f.logs(f.ref(1), runtime.LogOptions{})
	total := 0
	for _, l := range long[:len(long)-1] {
		total += len(l.Text)
		if len(l.Text) > runtime.MaxLogLine {
			t.Errorf("a line of %d bytes", len(l.Text))
		}
	}
	if total != 40000 || long[len(long)-1].Text != "end" {
		t.Errorf("long line: %d bytes in %d lines", total, len(long))
	}
	if _, err := f.d.Logs(f.ctx, runtime.Name(f.ref(2)), runtime.LogOptions{}); err == nil {
		t.Error("logs of no container")
	}
}

func testLogsFollow(t *testing.T, f *fixture) {
	f.run(f.ref(0), f.task("trap 'echo bye; exit 0' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"))
	r, err := f.d.Logs(f.ctx, runtime.Name(f.ref(0)), runtime.LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var last string
	next := 1
	for s := bufio.NewScanner(r); s.Scan(); {
		l, err := runtime.ParseLogLine(s.Text())
		if err != nil {
			t.Fatal(err)
		}
		if last = l.Text; last == "bye" {
			continue
		}
		if l.Text != strconv.Itoa(next) {
			t.Fatalf("line %q, want %d", l.Text, next)
		}
		if next++; next == 10 {
			f.do(runtime.OpStop, f.ref(0), nil) // the stream ends with the container
		}
	}
	if last != "bye" {
		t.Fatalf("the stream ended with %q", last)
	}
	// Closing ends a stream of a running container.
	f.run(f.ref(1), f.task(forever))
	r2, err := f.d.Logs(f.ctx, runtime.Name(f.ref(1)), runtime.LogOptions{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { r2.Close() })
	if _, err := r2.Read(make([]byte, 1)); err == nil {
		t.Error("read something of a silent container")
	}
}

func testWatch(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	changed := f.d.Watch(ctx)
	// Signals may come early and merge; what counts is that after each change one
	// comes that shows it.
	await := func(what string, ok func(*runtime.Observed) bool) {
		t.Helper()
		late := time.After(patience)
		for {
			select {
			case <-changed:
				if ok(f.see(f.d, f.ref(0))) {
					return
				}
			case <-late:
				t.Fatalf("no signal for %s", what)
			}
		}
	}
	await("the beginning", func(o *runtime.Observed) bool { return o == nil })
	f.do(runtime.OpCreate, f.ref(0), f.task("exit 0"))
	await("create", func(o *runtime.Observed) bool { return o != nil })
	f.do(runtime.OpStart, f.ref(0), nil)
	await("exit", func(o *runtime.Observed) bool { return o.State == runtime.StateExited })
	f.do(runtime.OpRemove, f.ref(0), nil)
	await("remove", func(o *runtime.Observed) bool { return o == nil })
	cancel()
	for late := time.After(patience); ; {
		select {
		case _, open := <-changed:
			if !open {
				return
			}
		case <-late:
			t.Fatal("the channel stays open")
		}
	}
}

func testMissingImage(t *testing.T, f *fixture) {
	for _, pull := range []string{"missing", "never"} {
		task := f.task(forever)
		task.Image, task.Pull = f.Missing, pull
		begun := time.Now()
		err := f.d.Do(f.ctx, f.action(runtime.OpCreate, f.ref(0), task))
		took := time.Since(begun)
		f.wantPermanent(err)
		if s := err.Error(); !strings.Contains(s, f.Missing) || strings.Count(s, "\n") > 0 || len(s) > 400 {
			t.Errorf("pull %s: not one clear sentence: %q", pull, s)
		}
		if took > 22*time.Second {
			t.Errorf("pull %s: took %v to say no", pull, took)
		}
		t.Logf("pull %s, after %v: %v", pull, took.Round(time.Millisecond), err)
	}
}

func testSilent(t *testing.T, f *fixture) {
	if f.Hang == nil {
		t.Skip("this driver has no engine that could hang")
	}
	f.run(f.ref(0), f.task(forever))
	before := f.untilState(f.ref(0), runtime.StateRunning)
	f.Hang()
	resumed := false
	defer func() {
		if !resumed {
			f.Resume()
		}
	}()
	create, stop := f.action(runtime.OpCreate, f.ref(1), f.task(forever)), f.action(runtime.OpStop, f.ref(0), nil)
	var wg sync.WaitGroup
	for what, ask := range map[string]func() error{
		"list":   func() error { _, err := f.d.List(f.ctx); return err },
		"ping":   func() error { return f.d.Ping(f.ctx) },
		"create": func() error { return f.d.Do(f.ctx, create) },
		"stop":   func() error { return f.d.Do(f.ctx, stop) },
		"logs": func() error {
			_, err := f.d.Logs(f.ctx, runtime.Name(f.ref(0)), runtime.LogOptions{})
			return err
		},
	} {
		wg.Go(func() {
			begun := time.Now()
			err := ask()
			if !errors.Is(err, runtime.ErrSilent) || errors.Is(err, runtime.ErrPermanent) {
				t.Errorf("%s of a hung engine: %v", what, err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("%s took %v", what, took)
			}
		})
	}
	wg.Wait()
	f.Resume()
	resumed = true
	if err := f.d.Ping(f.ctx); err != nil {
		t.Fatalf("after the engine is back: %v", err)
	}
	if after := f.see(f.d, f.ref(0)); after == nil || after.ID != before.ID || after.Starts != before.Starts {
		t.Fatalf("before %+v, after %+v", before, after)
	}
}

func testNetwork(t *testing.T, f *fixture) {
	if !f.Isolates {
		t.Skip("plain processes share the host's network")
	}
	info, err := f.d.EnsureNetwork(f.ctx, f.job)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.d.EnsureNetwork(f.ctx, f.job); err != nil || again != info {
		t.Fatalf("twice: %+v, %+v, %v", info, again, err)
	}
	f.run(f.ref(0), f.task("mkdir -p /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"))
	o := f.until(f.ref(0), "with address", func(o *runtime.Observed) bool { return o.Address != "" })
	task := f.task("for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://" + o.Address + ":8080/ && exit 0; sleep 0.2; done; exit 1")
	if code, got := f.output(f.ref(1), task); got != "hello" || code != 0 {
		t.Fatalf("got %q, exit code %d from %s", got, code, o.Address)
	}
	if err := f.d.RemoveNetwork(f.ctx, f.job); err == nil {
		t.Error("a network in use was removed")
	}
	f.do(runtime.OpRemove, f.ref(0), nil)
	f.do(runtime.OpRemove, f.ref(1), nil)
	for range 2 {
		if err := f.d.RemoveNetwork(f.ctx, f.job); err != nil {
			t.Fatal(err)
		}
	}
}

func testMemory(t *testing.T, f *fixture) {
	if !f.Isolates {
		t.Skip("limits of plain processes are not enforced")
	}
	task := f.task("cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max")
	task.Limits = job.Resources{MemBytes: 32 << 20, CPUMilli: 1_000_000} // more processors than there are: no limit
	if _, got := f.output(f.ref(0), task); got != strconv.Itoa(32<<20) {
		t.Fatalf("limit is %q", got)
	}
	greedy := f.task("")
	greedy.Command = []string{"tail", "-c", "100m", "/dev/zero"}
	greedy.Limits = job.Resources{MemBytes: 16 << 20}
	f.run(f.ref(1), greedy)
	if o := f.untilState(f.ref(1), runtime.StateExited); o.ExitCode != 137 {
		t.Fatalf("100 MB under a limit of 16: %+v", o)
	}
}

func testPrivileges(t *testing.T, f *fixture) {
	_, got := f.output(f.ref(0), f.task("grep NoNewPrivs /proc/self/status"))
	if strings.Join(strings.Fields(got), " ") != "NoNewPrivs: 1" {
		t.Fatalf("got %q", got)
	}
}
