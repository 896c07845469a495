package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// What a restore or a backup that is killed leaves behind may hold keys. It has names
// that nothing else has, and the next of its kind removes it. Who still works on such a
// thing holds a lock, which the kernel lets go of when a process ends, however it does.

const (
	stagePrefix = ".shoal-restore-"      // and digits: a state directory that is being built
	stageMoving = stagePrefix + "moving" // one that is built and moves to its place, part by part
	unfinished  = ".unfinished"          // end of the name of an archive that is being written
	maxStale    = 100                    // tries for a name that nobody takes away
)

// restoredParts is all that a restored state directory is made of, in the order in
// which it moves: with the certificate, the last, it is a member's.
var restoredParts = []string{"store", "root.key", "peer.key", "certificate"}

// checkFree returns an error unless nothing is in a directory, or there is none. What
// a killed restore left is nothing, and so is what of it has moved already.
func (d stateDir) checkFree() error {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.cannot(err)
	}
	moved := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stageMoving })
	for _, e := range entries {
		n := e.Name()
		if n != "lost+found" && !strings.HasPrefix(n, stagePrefix) && !(moved && slices.Contains(restoredParts, n)) {
			return fmt.Errorf("state directory %s is not empty and holds no member: name an empty one with --state", d)
		}
	}
	return nil
}

// A staging is where a state directory is built before it takes its place: in it, if
// it is there (it may be a mount point, which nothing can take the place of), else
// beside it.
type staging struct {
	dir    stateDir // the place
	beside stateDir // where tmp is; dir itself, or what dir is in
	tmp    stateDir
	lock   *os.File // on beside
}

// stage begins to build a state directory, and removes what others that were killed
// have left.
func (d stateDir) stage() (s *staging, err error) {
	s = &staging{dir: d, beside: d}
	if _, err := os.Stat(string(d)); err != nil {
		s.beside = stateDir(filepath.Dir(string(d)))
		if err := os.MkdirAll(string(s.beside), 0o700); err != nil {
			return nil, d.cannot(err)
		}
	}
	if s.lock, err = os.Open(string(s.beside)); err != nil {
		return nil, d.cannot(err)
	}
	switch err := lockFile(s.lock); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("another restore is at work in %s: wait until it has ended", s.beside), s.lock.Close())
	case err == nil: // else this file system has no locks, and what others left stays
		err = s.beside.sweep()
		if err != nil {
			return nil, errors.Join(d.cannot(err), s.lock.Close())
		}
	}
	tmp, err := os.MkdirTemp(string(s.beside), stagePrefix+"*") // with mode 0700
	if err != nil {
		return nil, errors.Join(d.cannot(err), s.lock.Close())
	}
	s.tmp = stateDir(tmp)
	return s, nil
}

// sweep removes what killed restores have left in a directory, which is no member's.
func (d stateDir) sweep() error {
	stale, err := filepath.Glob(filepath.Join(globLiteral(string(d)), stagePrefix+"*"))
	for _, path := range stale {
		if filepath.Base(path) == stageMoving {
			err = errors.Join(err, d.unplace()) // before the sign that it is to be done
		}
		if err == nil {
			err = os.RemoveAll(path)
		}
	}
	return err
}

// unplace takes away what of a restored state directory has moved to its place.
func (d stateDir) unplace() (err error) {
	for _, part := range restoredParts {
		err = errors.Join(err, os.RemoveAll(d.path(part)))
	}
	return err
}

// place has what was built take its place, as a whole or not at all: where it is
// killed in between, the next restore takes away what has moved.
func (s *staging) place() error {
	if s.beside != s.dir {
		if err := os.Rename(string(s.tmp), string(s.dir)); err != nil {
			return err
		}
		return s.beside.sync()
	}
	moving := stateDir(s.dir.path(stageMoving))
	if err := os.Rename(string(s.tmp), string(moving)); err != nil {
		return err
	}
	s.tmp = moving
	if err := s.move(); err != nil {
		return errors.Join(err, s.dir.unplace())
	}
	return nil
}

func (s *staging) move() error {
	for _, part := range restoredParts {
		// What has moved is on the disk before the certificate says that it is there.
		if err := s.dir.sync(); err != nil {
			return err
		}
		if err := os.Rename(s.tmp.path(part), s.dir.path(part)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.dir.sync()
}

// close removes what is still beside the place.
func (s *staging) close() {
	_ = os.RemoveAll(string(s.tmp))
	_ = s.lock.Close()
}

// createUnfinished creates the file that is to be renamed to path once it is whole, and
// removes those of the same path that were left by others.
func createUnfinished(path string) (*os.File, error) {
	pattern := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"-*"+unfinished)
	for range maxStale {
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(pattern)) // with mode 0600
		if err != nil {
			return nil, err
		}
		_ = lockFile(f) // without locks nothing is removed
		mine, err := f.Stat()
		if there, statErr := os.Lstat(f.Name()); err == nil && statErr == nil && os.SameFile(mine, there) {
			removeUnfinished(path, f.Name())
			return f, nil
		}
		_ = f.Close() // somebody took it for left before it was locked
	}
	return nil, fmt.Errorf("its name beside it was taken away %d times", maxStale)
}

// removeUnfinished removes unfinished files of a path that nobody writes any more.
func removeUnfinished(path, mine string) {
	names, _ := filepath.Glob(filepath.Join(globLiteral(filepath.Dir(path)), "."+globLiteral(filepath.Base(path))+"-*"+unfinished))
	for _, name := range names {
		if filepath.Clean(name) == filepath.Clean(mine) {
			continue
		}
		f, err := openFile(name)
		if err != nil {
			continue
		}
		if lockFile(f) == nil {
			_ = os.Remove(name)
		}
		_ = f.Close()
	}
}

// globLiteral has a name mean itself in a pattern.
func globLiteral(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// lockFile takes the lock of an open file or directory without waiting;
// syscall.EWOULDBLOCK says that another has it. Closing gives it back.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
