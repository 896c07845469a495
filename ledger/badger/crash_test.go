package badger

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/wire"
)

// childEnv names what the test binary is to do instead of running tests, and its
// arguments: the stores that are killed belong to processes of their own.
const childEnv = "SHOAL_TEST_STORE"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	args := strings.Fields(os.Getenv(childEnv))
	switch {
	case len(args) == 4 && args[0] == "write":
		promised, err := strconv.ParseUint(args[3], 10, 64)
		if err == nil {
			err = writeForEver(args[1], Options{Small: args[2] == "small"}, promised)
		}
		fmt.Println("error", err)
		os.Exit(1)
	case len(args) == 3 && args[0] == "fill":
		fmt.Println("error", fillAndStay(args[1], Options{Small: args[2] == "small"}))
		os.Exit(1)
	case len(args) == 5 && args[0] == "harm":
		harmAll(args[1], args[2], args[3], args[4])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts the test binary as one of the processes of TestMain.
func child(t testing.TB, args ...any) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.TrimSpace(fmt.Sprintln(args...)))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// keptRecords is how many records the writer keeps, older ones it drops.
const keptRecords = 400

// writeForEver opens a store, which must hold what was promised and nothing half,
// and says so; then it writes batches, two of three synced, and says after each
// synced one what is promised. It returns only what went wrong.
func writeForEver(dir string, opts Options, promised uint64) error {
	s, err := Open(dir, opts)
	if err != nil {
		return err
	}
	seq, err := lastWritten(s, promised)
	if err != nil {
		return err
	}
	fmt.Println("opened", seq)
	for batch := seq; ; batch++ {
		var puts []*wire.Record
		var drops []wire.Number
		for range 1 + batch%7 {
			seq++
			puts = append(puts, record(seq, sizeOf(seq)))
			if seq > keptRecords {
				drops = append(drops, record(seq-keptRecords, 8).Num)
			}
		}
		sync := batch%3 != 0
		for {
			err := s.Apply(puts, drops, map[string][]byte{"seq": fmt.Append(nil, seq)}, sync)
			if err == nil {
				break
			}
			var full *FullError
			if !errors.As(err, &full) {
				return err
			}
			time.Sleep(5 * time.Millisecond) // as the daemon does, which waits longer
		}
		if sync {
			fmt.Println("promised", seq)
		}
		if batch%64 == 63 {
			if err := s.Collect(); err != nil {
				return err
			}
		}
	}
}

// sizeOf makes some records small enough to lie in the tree and others not.
func sizeOf(seq uint64) int { return 100 + int(seq*37%7000) }

// lastWritten returns how far the writer had got. The store must hold exactly what
// it held after some batch, the promised one or a later one.
func lastWritten(s *Store, promised uint64) (uint64, error) {
	records, locals, damage := s.Load()
	if damage != nil {
		return 0, fmt.Errorf("a kill counts as damage: %w", damage)
	}
	if len(locals) == 0 && len(records) == 0 && promised == 0 {
		return 0, nil
	}
	last, err := strconv.ParseUint(string(locals["seq"]), 10, 64)
	if err != nil || last < promised {
		return 0, fmt.Errorf("%d were promised, the store ends at %q", promised, locals["seq"])
	}
	if want := min(last, keptRecords); uint64(len(records)) != want {
		return 0, fmt.Errorf("%d records after %d were written, want %d", len(records), last, want)
	}
	for i, r := range records {
		seq := last - uint64(len(records)-1-i)
		if r.Num.Seq != seq || r.Hash() != record(seq, sizeOf(seq)).Hash() {
			return 0, fmt.Errorf("record %d is not as it was written: %v", seq, r.Num)
		}
	}
	return last, nil
}

// timesFrom is how often something random is tried: the number in an environment
// variable, or few.
func timesFrom(env string, few int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return few
}

// TestStore_KillLosesNoPromise kills a writing process at random instants, those of
// its start included; each start checks what the one before had promised. Every so
// often a new store is begun, with the other profile.
func TestStore_KillLosesNoPromise(t *testing.T) {
	kills := timesFrom("SHOAL_TEST_KILLS", 24)
	rng := rand.New(rand.NewPCG(1, 2))
	began := time.Now()
	var sum struct{ opened, promises int }
	for done := 0; done < kills; {
		dir, promised, profile := t.TempDir(), uint64(0), []string{"small", "big"}[done/12%2]
		for range min(kills-done, []int{12, 100}[min(1, kills/100)]) {
			if rng.IntN(10) == 0 { // another profile from here on
				profile = map[string]string{"small": "big", "big": "small"}[profile]
			}
			r := killedRun(t, dir, profile, promised, rng.IntN(4) == 0, time.Duration(rng.IntN(80))*time.Millisecond)
			if r.err != nil {
				t.Fatalf("start %d: %v", done, r.err)
			}
			done++
			promised = max(promised, r.promised)
			sum.opened += r.opened
			sum.promises += r.promises
		}
		s := open(t, dir, Options{Small: profile == "small"})
		if _, err := lastWritten(s, promised); err != nil {
			t.Fatalf("after %d kills: %v", done, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(dir)
	}
	t.Logf("%d kills in %s, %d of them while writing: %d promises, none lost; no failed start",
		kills, time.Since(began).Round(time.Second), sum.opened, sum.promises)
}

// A killedWriter is what a writer said before it was killed.
type killedWriter struct {
	opened, promises int
	promised         uint64 // the last one
	err              error  // it said that something is wrong, or ended otherwise
}

// killedRun starts a writer, which checks the promise of the one before, and kills
// it a while after its start or after it has opened the store.
func killedRun(t *testing.T, dir, profile string, promised uint64, early bool, after time.Duration) (r killedWriter) {
	t.Helper()
	cmd, lines := child(t, "write", dir, profile, promised)
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if !early {
		kill.Stop()
	}
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "opened":
			r.opened++
			if !early {
				kill.Reset(after)
			}
		case "promised":
			r.promises++
			if _, err := fmt.Sscan(rest, &r.promised); err != nil {
				r.err = errors.Join(r.err, err)
			}
		default:
			r.err = errors.Join(r.err, errors.New(rest))
		}
	}
	if err := cmd.Wait(); r.err == nil && !wasKilled(err, syscall.SIGKILL) {
		r.err = fmt.Errorf("the writer ended by itself: %w", err)
	}
	return r
}

// wasKilled reports whether a process ended by one of the signals.
func wasKilled(err error, by ...syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && slices.Contains(by, status.Signal())
}
