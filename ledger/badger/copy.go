package badger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"shoal/wire"
)

// A Copy is a store to look at: that of a stopped peer, as it would be opened, with
// the directory itself left as it is, its damage included.
type Copy struct {
	*Store
	lock     *os.File // of the directory looked at
	dir, tmp string
}

// A NoRoomError says that a copy does not fit where temporary files go.
type NoRoomError struct {
	Dir                  string
	NeedBytes, FreeBytes int64
}

// Error tells how much is needed, how much is free, and what to do.
func (e *NoRoomError) Error() string {
	return fmt.Sprintf("a copy of %d MiB does not fit into %s (%d MiB free): set TMPDIR to a directory with room",
		(e.NeedBytes+1<<20-1)>>20, e.Dir, e.FreeBytes>>20)
}

// copied is what a look takes of a state directory.
func copied() []string { return []string{"schema", "head", dbDir} }

// OpenCopy copies the state directory dir below the system's temporary directory and
// opens the copy. No daemon can open dir until Close. It is an error if there is no
// store, if another process uses it, if a newer shoal wrote it, or if the copy does not
// fit (*NoRoomError). Errors name dir, not the copy.
func OpenCopy(dir string, opts Options) (*Copy, error) {
	if _, err := os.Stat(filepath.Join(dir, dbDir)); err != nil {
		return nil, fmt.Errorf("state directory %s holds no store: %w", dir, cause(err))
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	c := &Copy{lock: lock, dir: dir}
	if err := c.open(opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Copy) open(opts Options) (err error) {
	if err := RoomToCopy(c.dir, opts); err != nil {
		return err
	}
	if c.tmp, err = os.MkdirTemp("", "shoal-look-"); err != nil {
		return fmt.Errorf("state directory %s cannot be copied into %s to look at it: %w: set TMPDIR to another directory", c.dir, os.TempDir(), cause(err))
	}
	for _, name := range copied() {
		if err := copyTree(filepath.Join(c.dir, name), filepath.Join(c.tmp, name)); err != nil {
			return c.explained(fmt.Errorf("copy the store of state directory %s: %w", c.dir, err), opts)
		}
	}
	opts.NoBallast = true
	if c.Store, err = Open(c.tmp, opts); err != nil {
		return c.explained(err, opts)
	}
	return nil
}

// explained makes of an error about the copy one about the directory looked at. Where
// there was room at first, others may have taken it since.
func (c *Copy) explained(err error, opts Options) error {
	var full *FullError
	if errors.As(err, &full) || errors.Is(err, syscall.ENOSPC) {
		free, _, _ := Free(c.tmp) // 0 where it is not known
		return noRoom(c.dir, opts, free)
	}
	return &renamed{c.named(err.Error()), err}
}

// A renamed error is one with other words.
type renamed struct {
	text string
	error
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.error }

// RoomToCopy returns an error with a *NoRoomError if a copy of the state directory dir
// does not fit where temporary files go. Not to know is no error.
func RoomToCopy(dir string, opts Options) error {
	free, _, err := Free(os.TempDir())
	if err != nil || free >= CopyBytes(dir, opts) {
		return nil //nolint:nilerr // the copy itself will tell
	}
	return noRoom(dir, opts, free)
}

func noRoom(dir string, opts Options, free int64) error {
	return fmt.Errorf("state directory %s: %w", dir, &NoRoomError{os.TempDir(), CopyBytes(dir, opts), free})
}

// CopyBytes is the room that OpenCopy takes of the state directory dir: that of a copy,
// and what it takes to open it.
func CopyBytes(dir string, opts Options) int64 {
	sum := opts.least()
	for _, name := range copied() {
		_ = filepath.WalkDir(filepath.Join(dir, name), func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // what cannot be read the copy will tell
			}
			if info, err := d.Info(); err == nil {
				sum += onDisk(info)
			}
			return nil
		})
	}
	return sum
}

// onDisk is the room that a file takes, its holes left out.
func onDisk(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

// Load is Store.Load; what it says of damage names the directory looked at.
func (c *Copy) Load() (records []*wire.Record, locals map[string][]byte, damage error) {
	if records, locals, damage = c.Store.Load(); damage != nil {
		damage = errors.New(c.named(damage.Error()))
	}
	return records, locals, damage
}

// Check is Store.Check, with the name of the directory looked at.
func (c *Copy) Check() (Check, error) {
	found, err := c.Store.Check()
	found.Damage = c.named(found.Damage)
	return found, err
}

// named speaks of the directory looked at, of which nothing was set aside.
func (c *Copy) named(text string) string {
	text, _, _ = strings.Cut(text, "; it was set aside")
	return strings.ReplaceAll(text, c.tmp, c.dir)
}

// Close deletes the copy and lets go of the directory.
func (c *Copy) Close() error {
	var errs []error
	if c.Store != nil {
		errs = append(errs, c.Store.Close())
	}
	if c.tmp != "" {
		errs = append(errs, os.RemoveAll(c.tmp))
	}
	return errors.Join(append(errs, c.lock.Close())...)
}

// copyTree copies a file, or a directory with the files in it. What is not there is
// not copied.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil
	})
}

// copyFile copies a file. Holes stay holes: Badger's logs are mostly holes.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(&sparse{f: out}, in)
	return errors.Join(err, out.Truncate(info.Size()), out.Close())
}

// sparse writes everything but blocks of zeros, which it leaves out.
type sparse struct {
	f  *os.File
	at int64
}

func (s *sparse) Write(b []byte) (int, error) {
	defer func() { s.at += int64(len(b)) }()
	if isZero(b) {
		return len(b), nil
	}
	return s.f.WriteAt(b, s.at)
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
