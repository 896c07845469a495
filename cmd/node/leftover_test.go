package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// built stages a state directory as a restore builds it.
func built(t *testing.T, dir stateDir) *staging {
	t.Helper()
	if err := dir.checkFree(); err != nil {
		t.Fatal(err)
	}
	s, err := dir.stage()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range restoredParts {
		if part == "root.key" {
			continue // which not every machine has
		}
		if err := s.tmp.write(part, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// killed is what the kernel does for a process that ends.
func (s *staging) killed() { _ = s.lock.Close() }

func namesIn(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

const whole = "certificate peer.key store"

// A restore that is killed at any moment hinders no later one, and leaves nothing once
// that one is done.
func TestStage_KilledAtAnyMoment(t *testing.T) {
	for moved := -2; moved < len(restoredParts); moved++ {
		dir := stateDir(t.TempDir())
		if err := os.Mkdir(dir.path("lost+found"), 0o700); err != nil {
			t.Fatal(err)
		}
		s := built(t, dir)
		if moved >= -1 {
			moving := stateDir(dir.path(stageMoving))
			if err := os.Rename(string(s.tmp), string(moving)); err != nil {
				t.Fatal(err)
			}
			for i := range moved {
				_ = os.Rename(moving.path(restoredParts[i]), dir.path(restoredParts[i])) // there is no root.key
			}
		}
		s.killed()
		again := built(t, dir)
		if err := again.place(); err != nil {
			t.Errorf("killed after %d moves: %v", moved, err)
		}
		again.close()
		if got := namesIn(t, string(dir)); got != "certificate lost+found peer.key store" {
			t.Errorf("killed after %d moves: %s are there", moved, got)
		}
		if dir.checkFree() == nil {
			t.Error("a restored directory counts as free")
		}
	}
}

func TestStage_BesideADirectoryThatIsNotThere(t *testing.T) {
	home := t.TempDir()
	dir := stateDir(filepath.Join(home, "deep", "state"))
	built(t, dir).killed()
	s := built(t, dir)
	if _, err := dir.stage(); err == nil || !strings.Contains(err.Error(), "another restore is at work") {
		t.Errorf("a second at once: %v", err)
	}
	if err := s.place(); err != nil {
		t.Fatal(err)
	}
	s.close()
	if got := namesIn(t, filepath.Dir(string(dir))); got != "state" {
		t.Errorf("beside it: %s", got)
	}
	if got := namesIn(t, string(dir)); got != whole {
		t.Errorf("in it: %s", got)
	}
}

func TestCheckFree_LeavesOthersThingsAlone(t *testing.T) {
	for _, name := range []string{"peer.key", "store", "notes.txt", ".restore-1"} {
		dir := stateDir(t.TempDir())
		if err := dir.write(name, nil); err != nil {
			t.Fatal(err)
		}
		if dir.checkFree() == nil {
			t.Errorf("a directory with %s counts as free", name)
		}
	}
}

func TestCreate_RemovesWhatAKilledOneLeft(t *testing.T) {
	c := &cli{}
	path := filepath.Join(t.TempDir(), "a[b]*.shoal")
	left, err := c.create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	_ = left.tmp.Close() // killed
	other := filepath.Join(filepath.Dir(path), ".other-1"+unfinished)
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	running, err := c.create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.create(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left.tmp.Name()); err == nil {
		t.Error("what a killed one left is still there")
	}
	for _, n := range []string{running.tmp.Name(), last.tmp.Name(), other} {
		if _, err := os.Stat(n); err != nil {
			t.Errorf("%v, while it is in use, or another's", err)
		}
	}
	for _, target := range []*target{running, last} {
		if err := target.finish(nil); err != nil {
			t.Error(err)
		}
	}
	if got := namesIn(t, filepath.Dir(path)); got != ".other-1"+unfinished+" a[b]*.shoal" {
		t.Errorf("left: %s", got)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"/var/lib/shoal": "/var/lib/shoal", "my state": "'my state'", "it's": `'it'\''s'`, "": "''"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
