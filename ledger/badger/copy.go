package badger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"shoal/wire"
)

// A Copy is a store to look at: that of a stopped peer, as it would be opened, with
// the directory itself left as it is, its damage included.
type Copy struct {
	*Store
	lock     *os.File // of the directory looked at
	dir, tmp string
}

// OpenCopy copies the state directory dir below the system's temporary directory and
// opens the copy. No daemon can open dir until Close. It is an error if there is no
// store, if another process uses it, or if a newer shoal wrote it.
func OpenCopy(dir string, opts Options) (*Copy, error) {
	if _, err := os.Stat(filepath.Join(dir, dbDir)); err != nil {
		return nil, fmt.Errorf("state directory %s holds no store: %w", dir, cause(err))
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	c := &Copy{lock: lock, dir: dir}
	if err := c.open(dir, opts); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Copy) open(dir string, opts Options) (err error) {
	if c.tmp, err = os.MkdirTemp("", "shoal-look-"); err != nil {
		return fmt.Errorf("copy the store: %w", err)
	}
	for _, name := range []string{"schema", "head", dbDir} {
		if err := copyTree(filepath.Join(dir, name), filepath.Join(c.tmp, name)); err != nil {
			return fmt.Errorf("copy the store of state directory %s: %w", dir, err)
		}
	}
	opts.NoBallast = true
	c.Store, err = Open(c.tmp, opts)
	return err
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
