//go:build linux

package badger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/wire"
)

// mounted is a file system of its own, which ends with the test. It skips the test,
// with the reason, where none can be mounted.
func mounted(t *testing.T, kind string, mib int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if kind == "tmpfs" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
			t.Skipf("a tmpfs cannot be mounted here: %v", err)
		}
	} else {
		image := filepath.Join(t.TempDir(), "image")
		if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, int64(mib)<<20)); err != nil {
			t.Fatal(err)
		}
		for _, command := range [][]string{{"mkfs." + kind, "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
			if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
				t.Skipf("%s in a file cannot be mounted here: %s: %v: %s", kind, command[0], err, out)
			}
		}
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestStore_FullDiskIsAnErrorNotTheEnd fills small file systems. Badger would end the
// process there; the store says no before, goes on when there is room, and afterwards
// nothing is missing.
func TestStore_FullDiskIsAnErrorNotTheEnd(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		mib        int
		opts       Options
	}{
		{"small on tmpfs", "tmpfs", 48, Options{Small: true}},
		{"small on ext4", "ext4", 48, Options{Small: true}},
		{"default on tmpfs", "tmpfs", 400, Options{}},
		{"default on ext4", "ext4", 400, Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mount := mounted(t, c.kind, c.mib)
			dir, other := filepath.Join(mount, "state"), filepath.Join(mount, "other")
			s := open(t, dir, c.opts)
			var want []uint64
			write := func() error {
				seq := uint64(len(want) + 1)
				err := s.Apply([]*wire.Record{record(seq, 60<<10)}, nil, nil, true)
				if err == nil {
					want = append(want, seq)
				}
				return err
			}
			hasBallast(t, s, !c.opts.Small)
			fillUntil(t, other, dir, c.opts.least()+2<<20)
			err := write()
			for ; err == nil; err = write() {
			}
			var full *FullError
			if len(want) < 10 || !errors.As(err, &full) || !full.Full() || !strings.Contains(err.Error(), "the disk is full: ") {
				t.Fatalf("after %d records: %v", len(want), err)
			}
			drop := []wire.Number{record(1, 8).Num}
			eventually(t, "a record is dropped", func() bool { // while Badger merges it has both the old tables and the new
				err := s.Apply(nil, drop, nil, true)
				if err != nil && !errors.As(err, &full) {
					t.Fatalf("dropping a record: %v", err)
				}
				return err == nil
			})
			eventually(t, "Room says that nothing is left", func() bool {
				fillUntil(t, other, dir, c.opts.least())
				free, _, err := s.Room()
				if err != nil {
					t.Fatal(err)
				}
				return free == 0
			})
			if err := os.Truncate(other, 0); err != nil {
				t.Fatal(err)
			}
			hasBallast(t, s, false)
			if err := errors.Join(write(), s.Collect()); err != nil {
				t.Fatalf("with room again: %v", err)
			}
			hasBallast(t, s, !c.opts.Small)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			fillUntil(t, other, dir, 0)
			if _, err := Open(dir, c.opts); err == nil || !strings.Contains(err.Error(), "the disk is full: ") && !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("opening on a full disk: %v", err)
			}
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
			holds(t, open(t, dir, c.opts), want[1:], nil)
		})
	}
}

// eventually asks until what is named holds, for what Badger does in the background.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func hasBallast(t *testing.T, s *Store, want bool) {
	t.Helper()
	if _, err := os.Stat(s.ballast()); (err == nil) != want {
		t.Errorf("ballast: %v, want it there: %v", err, want)
	}
}

// fillUntil grows a file, as somebody else does, until so much of the disk is left, or
// nothing can be had.
func fillUntil(t *testing.T, path, dir string, left int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for step := int64(1 << 30); step >= 4096; {
		info, err := f.Stat()
		free, _, ferr := Free(dir)
		if err = errors.Join(err, ferr); err != nil {
			t.Fatal(err)
		}
		if step > free-left || syscall.Fallocate(int(f.Fd()), 0, info.Size(), step) != nil {
			step /= 2
		}
	}
}

// TestStore_SuddenlyFull takes all room at random instants, faster than the store can
// look: Badger's mapped files then end the process. Whether they do or the store says
// that it is full, nothing promised is lost, and with room again it goes on.
func TestStore_SuddenlyFull(t *testing.T) {
	times := max(6, timesFrom("SHOAL_TEST_KILLS", 6)/20)
	mount := mounted(t, "tmpfs", 64)
	dir, other := filepath.Join(mount, "state"), filepath.Join(mount, "other")
	rng := rand.New(rand.NewPCG(5, 6))
	promised := uint64(0)
	died := 0
	for i := range times {
		cmd, lines := child(t, "write", dir, "small", promised)
		time.AfterFunc(time.Duration(rng.IntN(80))*time.Millisecond, func() { fillUntil(t, other, mount, 0) })
		free := time.AfterFunc(300*time.Millisecond, func() { _ = os.Remove(other) })
		end := time.AfterFunc(450*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			switch word, rest, _ := strings.Cut(lines.Text(), " "); {
			case word == "promised":
				if _, err := fmt.Sscan(rest, &promised); err != nil {
					t.Fatal(err)
				}
			case word == "error" && !strings.Contains(rest, "the disk is full"):
				t.Fatalf("start %d: %s", i, rest)
			}
		}
		err := cmd.Wait()
		if wasKilled(err, syscall.SIGBUS) || err != nil && !wasKilled(err, syscall.SIGKILL) {
			died++
		}
		end.Stop()
		if free.Stop() {
			_ = os.Remove(other)
		}
	}
	if _, err := lastWritten(open(t, dir, Options{Small: true}), promised); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d times without room: the process died of it %d times; %d promised, none lost", times, died, promised)
}

// TestStore_LostPageEndsTheProcessNotTheStore cuts files under a writing process, which
// dies of the page that is gone. The next start says what is missing, or misses nothing.
func TestStore_LostPageEndsTheProcessNotTheStore(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	died := 0
	for i, kind := range []string{"*.mem", "*.mem", "*.sst", "DISCARD", "*.vlog"} {
		dir := t.TempDir()
		before := killedRun(t, dir, "small", 0, false, 60*time.Millisecond)
		if before.err != nil {
			t.Fatal(before.err)
		}
		cmd, lines := child(t, "write", dir, "small", before.promised)
		wait, promised := rng.IntN(20), before.promised
		for n := 0; lines.Scan(); {
			if _, err := fmt.Sscanf(lines.Text(), "promised %d", &promised); err == nil {
				n++
			}
			if n == wait {
				paths, _ := filepath.Glob(filepath.Join(dir, "db", kind))
				for _, path := range paths {
					_ = os.Truncate(path, 0)
				}
			}
			if n == wait+40 {
				_ = cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); !wasKilled(err, syscall.SIGKILL) {
			died++
		}
		s := open(t, dir, Options{Small: true})
		if _, _, damage := s.Load(); damage != nil {
			t.Logf("%d, %s: %v", i, kind, damage)
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := lastWritten(open(t, dir, Options{Small: true}), promised); err != nil {
			t.Errorf("%d, %s: %v", i, kind, err)
		}
	}
	if died == 0 {
		t.Error("no process died: are the files mapped still?")
	}
}
