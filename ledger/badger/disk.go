package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// BallastBytes is the room kept back for a full disk. Badger maps its files into
// memory: where the disk has no page left for one, the process dies.
const BallastBytes = 16 << 20

// least is the free room below which nothing is written or opened: what Badger may
// take for a table and a log before we ask again; what it merges comes on top, see need.
// With less than that and BallastBytes free the ballast is given back.
func (o Options) least() int64 {
	if o.Small {
		return 6 << 20
	}
	return 32 << 20
}

func (o Options) hasBallast() bool { return !o.Small && !o.NoBallast }

// makeDir makes the state directory and sees that files can be made in it.
func makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(dir, ".probe"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("state directory %s cannot be written: %w: mend that or use another --state", dir, cause(err))
	}
	return nil
}

// cause is the system's own word on a failed file operation, without the path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// An InUseError says that another process has the state directory open.
type InUseError struct{ Dir, Holder string }

// Error names the process.
func (e *InUseError) Error() string {
	return fmt.Sprintf("state directory %s is in use by %s: stop it or use another --state", e.Dir, e.Holder)
}

// acquire takes the directory's lock for as long as the file it returns is open.
func acquire(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory %s cannot be written: %w: mend that or use another --state", dir, cause(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock state directory %s: %w", dir, err)
		}
		return nil, &InUseError{dir, holderIn(f.Name())}
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := errors.Join(f.Truncate(0), writeAt(f, pid)); err != nil && !errors.Is(err, syscall.ENOSPC) {
		_ = f.Close()
		return nil, fmt.Errorf("lock state directory %s: %w", dir, cause(err))
	}
	return f, nil
}

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// Free returns how much of the file system that holds dir is free for us, and how
// big it is, in bytes.
func Free(dir string) (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil //nolint:unconvert // the field's type differs between systems
}

// Room returns how much of the file system is free beyond what the store needs to go
// on writing, and how big it is, in bytes. A ballast that is not there now counts as
// taken, so that giving it back looks like no gain.
func (s *Store) Room() (free, total int64, err error) {
	if free, total, err = Free(s.dir); err != nil {
		return 0, 0, err
	}
	need := s.need()
	if _, err := os.Stat(s.ballast()); err != nil && s.opts.hasBallast() {
		need += BallastBytes
	}
	return max(0, free-need), total, nil
}

// need is the least room with which anything is put: Badger merges tables into new
// ones, and has both until it is done.
func (s *Store) need() int64 { return s.opts.least() + min(s.tables.Load(), maxMerged) }

// maxMerged is about what Badger merges at one time, in bytes.
const maxMerged = 32 << 20

// A FullError says that nothing was written, since too little of the disk is free. It
// may be tried again.
type FullError struct{ FreeBytes, NeedBytes int64 }

// Error tells how much is free and how much would do.
func (e *FullError) Error() string {
	return fmt.Sprintf("the disk is full: %d MiB are free, at least %d are needed", e.FreeBytes>>20, e.NeedBytes>>20)
}

// Full is true: other failures of a store are for good.
func (e *FullError) Full() bool { return true }

// makeRoom gives the ballast back on a nearly full disk, and refuses to go on when
// less than need is free: Badger would not return an error but die.
func (s *Store) makeRoom(need int64) error {
	free, _, err := Free(s.dir)
	if err != nil || free >= need+BallastBytes {
		return nil //nolint:nilerr // not to know is no reason to stop
	}
	if err := s.ReleaseBallast(); err != nil {
		s.log.Warn("the ballast stays", "err", err)
	}
	if free, _, err = Free(s.dir); err == nil && free < need {
		return &FullError{free, need}
	}
	return nil
}

func (s *Store) ballast() string { return filepath.Join(s.dir, "ballast") }

// ReleaseBallast gives the room kept back to the file system; Collect and the next
// start take it again if there is enough. Without ballast it does nothing.
func (s *Store) ReleaseBallast() error {
	if err := os.Remove(s.ballast()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release ballast: %w", err)
	}
	return nil
}

// fitBallast makes the ballast where there is room for it.
func (s *Store) fitBallast() {
	free, _, err := Free(s.dir)
	if err != nil || !s.opts.hasBallast() || free < 16*BallastBytes {
		return
	}
	if info, err := os.Stat(s.ballast()); err == nil && info.Size() == BallastBytes {
		return
	}
	if err := fill(s.ballast(), BallastBytes); err != nil {
		s.log.Warn("there is no ballast", "err", err)
	}
}

// fill writes zeros, since a file of holes would keep no room.
func fill(path string, size int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		if _, err = f.Write(zeros); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}

// logger hands Badger's words on; what it calls information is our detail.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.log.Error("badger: " + text(f, a)) }
func (l logger) Warningf(f string, a ...any) { l.log.Warn("badger: " + text(f, a)) }
func (l logger) Infof(f string, a ...any)    { l.log.Debug("badger: " + text(f, a)) }
func (l logger) Debugf(string, ...any)       {}

func text(f string, a []any) string { return strings.TrimSpace(fmt.Sprintf(f, a...)) }

// Least is the free room below which a store that is opened writes nothing, in bytes.
func (o Options) Least() int64 { return o.least() }

// Need is the free room below which this store writes nothing for the time being, in
// bytes.
func (s *Store) Need() int64 { return s.need() }

// Damage is what was found when the store was opened, and not refilled since; empty:
// nothing.
func (s *Store) Damage() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damage == nil {
		return ""
	}
	return s.damage.Error()
}

// Holder tells who has a state directory open, such as "process 123"; empty: nobody,
// or there is none.
func Holder(dir string) string {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return ""
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		return ""
	}
	return holderIn(f.Name())
}

// holderIn names the process that has written its number into a lock file.
func holderIn(name string) string {
	b, _ := os.ReadFile(name)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		return "process " + strconv.Itoa(pid)
	}
	return "another process"
}
