package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"shoal/p2p/admit"
	"shoal/runtime/process"
)

// The test binary is the program, too: for scripts by its name, and for what the
// program starts by running itself again.
func TestMain(m *testing.M) {
	if os.Getenv(envDetached) != "" || len(os.Args) > 1 && os.Args[1] == process.ShimCommand {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"shoal": main})
}

// Each script in testdata is a user at a terminal. PORT, PORT2 and PORT3 are free ports.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"PORT", "PORT2", "PORT3"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				e.Setenv(name, strconv.Itoa(port))
			}
			run := filepath.Join(e.WorkDir, "run")
			e.Setenv("XDG_RUNTIME_DIR", run)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("SHOAL_SOCKET", filepath.Join(run, "s"))
			e.Setenv("SHOAL_STATE", filepath.Join(e.WorkDir, "state"))
			e.Setenv("DOCKER_HOST", "")
			e.Defer(func() { endAll(t, e.WorkDir) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":    wantCode,
			"within":  within,
			"ticket":  expiredTicket,
			"hold":    hold,
			"hang":    hang,
			"capture": capture,
		},
	})
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// code N COMMAND...: the command must exit with N. Output is kept for stdout and
// stderr, as exec does.
func wantCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// within DURATION PATTERN COMMAND...: repeated, the command must print PATTERN.
func within(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	for end := time.Now().Add(limit); ; {
		err := ts.Exec(args[2], args[3:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("not within %s: %q in the output of %v", limit, args[1], args[2:])
		}
		<-time.After(100 * time.Millisecond)
	}
}

// ticket NAME: sets NAME to a ticket that has expired.
func expiredTicket(ts *testscript.TestScript, _ bool, args []string) {
	dir := stateDir(ts.MkAbs("elsewhere"))
	ts.Check(dir.make())
	id, err := dir.ensureKey(nil)
	ts.Check(err)
	t, err := admit.Signer{Key: id.key}.Invite(admit.Member, time.Now().Add(-time.Hour), 1, []admit.PeerAddrs{
		{Peer: id.peer(), Addrs: []string{"/ip4/127.0.0.1/tcp/1"}},
	})
	ts.Check(err)
	ts.Setenv(args[0], t.String())
}

// capture NAME: sets NAME to what the last command printed.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// hold PORT: another program takes it until the script ends.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// hang SOCKET: something listens there that never answers.
func hang(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// endAll kills what a script has left running: daemons if it failed, and tasks, which
// outlive their daemon as they should. It returns once none of them is left: what is
// killed may just have started another, and writes to the script's directory until it is
// gone.
func endAll(t *testing.T, dir string) {
	told := map[int]bool{}
	for end := time.Now().Add(10 * time.Second); ; {
		left := runningIn(t, dir)
		if len(left) == 0 {
			return
		}
		for pid, line := range left {
			if !told[pid] {
				t.Logf("%q still runs as process %d", line, pid)
			}
			told[pid] = true
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(end) {
			t.Errorf("%d processes of the script cannot be ended", len(left))
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// runningIn finds the processes of a script with their command lines: whoever works in
// dir, or was started with a word of it.
func runningIn(t *testing.T, dir string) map[int]string {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	ofScript := regexp.MustCompile(regexp.QuoteMeta(dir) + `(\W|$)`) // not of one whose name goes on
	found := map[int]string{}
	for _, proc := range procs {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		if pid == os.Getpid() {
			continue
		}
		cwd, _ := os.Readlink(filepath.Join(proc, "cwd"))
		about, _ := os.ReadFile(filepath.Join(proc, "environ"))
		line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
		if ofScript.MatchString(cwd + "\x00" + string(about) + "\x00" + string(line)) {
			found[pid] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return found
}
