package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shoal/runtime"
)

// List returns every container of this swarm and peer, sorted by name.
func (d *Driver) List(context.Context) ([]runtime.Observed, error) {
	all, err := d.specs()
	if err != nil {
		return nil, err
	}
	out := make([]runtime.Observed, 0, len(all))
	for name, s := range all {
		out = append(out, d.look(name, s))
	}
	slices.SortFunc(out, func(a, b runtime.Observed) int { return strings.Compare(a.Container, b.Container) })
	return out, nil
}

// lookEvery is how often Watch looks for shims that were killed, which change no
// file.
const lookEvery = 2 * time.Second

// Watch signals that something may have changed: at once, after each change of a
// file, and within two seconds when a shim was killed. Signals that nobody has
// taken yet become one. The channel is closed when ctx ends.
func (d *Driver) Watch(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	files, err := d.watchFiles()
	if err != nil {
		d.log.Warn("changes are seen by looking only", "err", err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var buf [4096]byte
		for files != nil {
			if _, err := files.Read(buf[:]); err != nil {
				return
			}
			signal()
		}
	}()
	go func() {
		defer close(changed)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var before []runtime.Observed
		for signal(); ctx.Err() == nil; {
			if now, err := d.List(ctx); err != nil || !slices.Equal(now, before) {
				before = now
				signal()
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		if files != nil {
			files.Close() // ends the reader, before the channel is closed
		}
		<-read
	}()
	return changed
}

// watchFiles asks the kernel for changes of the two directories in which every
// create, remove and change of state shows.
func (d *Driver) watchFiles() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	for _, dir := range []string{"tasks", "state"} {
		const mask = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE
		if _, err := unix.InotifyAddWatch(fd, filepath.Join(d.opts.Dir, dir), mask); err != nil {
			f.Close()
			return nil, fmt.Errorf("watch %s: %w", dir, err)
		}
	}
	return f, nil
}
