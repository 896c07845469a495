package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"shoal/runtime"
)

const (
	logBytes = 10 << 20 // of one file
	logFiles = 3        // kept: out.log, out.log.1, out.log.2
)

// A logFile takes the output of a container line by line and keeps the last of it.
type logFile struct {
	path    string
	max     int64
	readers sync.WaitGroup

	mu   sync.Mutex
	f    *os.File // nil if it cannot be opened: output is then dropped, never blocked
	size int64
}

func openLog(path string, maxBytes int64) (*logFile, error) {
	l := &logFile{path: path, max: maxBytes}
	return l, l.open()
}

func (l *logFile) open() (err error) {
	if l.f, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := l.f.Stat()
	if err == nil {
		l.size = info.Size()
	}
	return err
}

// pipes returns the write ends for stdout and stderr; what comes out of them is
// kept until they are closed by all who have them.
func (l *logFile) pipes() (out, errOut *os.File, err error) {
	if out, err = l.pipe(runtime.Stdout); err != nil {
		return nil, nil, err
	}
	if errOut, err = l.pipe(runtime.Stderr); err != nil {
		out.Close()
		return nil, nil, err
	}
	return out, errOut, nil
}

func (l *logFile) pipe(stream byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	l.readers.Go(func() {
		defer r.Close()
		for b := bufio.NewReaderSize(r, runtime.MaxLogLine); ; {
			line, err := b.ReadSlice('\n') // at most MaxLogLine of a longer one
			if len(line) > 0 {
				l.write(stream, bytes.TrimSuffix(line, []byte("\n")))
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	})
	return w, nil
}

func (l *logFile) write(stream byte, text []byte) {
	line := runtime.LogLine{Stream: stream, Time: time.Now().UTC().Format(stampFormat), Text: string(text)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size >= l.max || l.f == nil {
		l.rotate()
	}
	if l.f != nil {
		n, _ := fmt.Fprintln(l.f, line) // on a full disk the line is lost, the task is not
		l.size += int64(n)
	}
}

// stampFormat is RFC 3339 with all nine digits, so that times sort as text.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00"

// rotate moves each file one place on; the last is overwritten.
func (l *logFile) rotate() {
	if l.f != nil {
		l.f.Close()
	}
	for i := logFiles - 1; i > 0; i-- {
		_ = os.Rename(numbered(l.path, i-1), numbered(l.path, i)) // not there yet, or the log goes on in one file
	}
	l.f, l.size = nil, 0
	if err := l.open(); err != nil {
		fmt.Fprintln(os.Stderr, "open log:", err)
	}
}

// numbered returns the path of the i-th oldest file: out.log, out.log.1, …
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// finish waits for the rest of the output, but not for ever: what could not be
// killed may hold a pipe open.
func (l *logFile) finish() {
	done := make(chan struct{})
	go func() { l.readers.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
}

// Logs returns the container's output as lines of runtime.LogLine. With Follow it
// ends when the container does; Close ends it at once, as does the end of ctx.
// A follower so slow that three files fill meanwhile misses what is overwritten.
func (d *Driver) Logs(ctx context.Context, name string, opts runtime.LogOptions) (io.ReadCloser, error) {
	s, err := d.spec(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (s.Ref.Swarm != d.opts.Swarm || s.Ref.Peer != d.opts.Peer) {
		return nil, fmt.Errorf("logs of %s: there is no such container", name)
	} else if err != nil {
		return nil, fmt.Errorf("logs of %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	go func() {
		defer cancel()
		l := &logReader{path: d.taskPath(name) + "/out.log", w: w, tail: opts.Tail}
		if opts.Since > 0 {
			l.since = time.Now().UTC().Add(-opts.Since).Format(stampFormat)
		}
		ended := func() bool { return d.look(name, s).State != runtime.StateRunning }
		w.CloseWithError(l.run(ctx, opts.Follow, ended))
	}()
	return &closer{PipeReader: r, cancel: cancel}, nil
}

type closer struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (c *closer) Close() error {
	c.cancel()
	return c.PipeReader.Close()
}

// A logReader reads the files of a log from the oldest on.
type logReader struct {
	path  string
	w     io.Writer
	since string // lines with an earlier time are left out
	tail  int    // of what is kept by now, only so many lines; 0: all

	held [][]byte // the last lines, while tail is being counted
}

func (l *logReader) run(ctx context.Context, follow bool, ended func() bool) error {
	for i := logFiles - 1; i > 0; i-- {
		if f, err := os.Open(numbered(l.path, i)); err == nil {
			_, err = l.copy(bufio.NewReader(f), nil)
			f.Close()
			if err != nil {
				return err
			}
		}
	}
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) && !follow {
		return l.release()
	}
	for follow && err != nil { // not started yet
		if err := sleep(ctx); err != nil {
			return err
		}
		f, err = os.Open(l.path)
	}
	if err != nil {
		return err
	}
	defer func() { f.Close() }()
	part, err := l.copy(bufio.NewReader(f), nil)
	if err := errors.Join(err, l.release()); err != nil || !follow {
		return err
	}
	for {
		over := ended() // before the read: all was written by then
		if part, err = l.copy(bufio.NewReader(f), part); err != nil {
			return err
		}
		next, err := l.rotated(f)
		switch {
		case next != nil:
			// What came between our read and the rotation.
			if _, err := l.copy(bufio.NewReader(f), part); err != nil {
				next.Close()
				return err
			}
			f.Close()
			f, part = next, nil
			continue
		case err != nil || over:
			return err
		}
		if err := sleep(ctx); err != nil {
			return err
		}
	}
}

// rotated returns the new file if f is no longer the latest.
func (l *logReader) rotated(f *os.File) (*os.File, error) {
	now, err := os.Stat(l.path)
	if err != nil {
		return nil, nil //nolint:nilerr // in the midst of a rotation, or removed
	}
	mine, err := f.Stat()
	if err != nil || os.SameFile(now, mine) {
		return nil, err
	}
	return os.Open(l.path)
}

// copy passes on whole lines up to the end of the file and returns the beginning
// of one that is not whole yet. part is such a beginning.
func (l *logReader) copy(r *bufio.Reader, part []byte) ([]byte, error) {
	for {
		line, err := r.ReadBytes('\n')
		line = append(part, line...)
		if err == io.EOF {
			return line, nil
		} else if err != nil {
			return nil, err
		}
		part = nil
		if err := l.pass(line); err != nil {
			return nil, err
		}
	}
}

func (l *logReader) pass(line []byte) error {
	if l.since != "" {
		if p, err := runtime.ParseLogLine(string(line)); err != nil || p.Time < l.since {
			return nil //nolint:nilerr // what has no time is no line of ours
		}
	}
	if l.tail <= 0 {
		_, err := l.w.Write(line)
		return err
	}
	if l.held = append(l.held, line); len(l.held) > l.tail {
		l.held = l.held[1:]
	}
	return nil
}

// release passes on the tail; from here on every line counts.
func (l *logReader) release() error {
	l.tail = 0
	for _, line := range l.held {
		if _, err := l.w.Write(line); err != nil {
			return err
		}
	}
	l.held = nil
	return nil
}

func sleep(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
