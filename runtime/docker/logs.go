package docker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"shoal/runtime"
)

// Logs returns the container's output as lines of runtime.LogLine, both streams
// in the order the engine gives them. With Follow it ends when the container
// does; Close ends it at once, as does the end of ctx. The output is read as the
// caller takes it, so a slow reader costs no memory.
func (d *Driver) Logs(ctx context.Context, name string, opts runtime.LogOptions) (io.ReadCloser, error) {
	found, err := d.own(ctx, name)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, fmt.Errorf("logs of %s: there is no such container", name)
	}
	ask := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: opts.Follow, Tail: "all"}
	if opts.Tail > 0 {
		ask.Tail = strconv.Itoa(opts.Tail)
	}
	if opts.Since > 0 {
		ask.Since = time.Now().Add(-opts.Since).Format(time.RFC3339Nano) // a duration would be cut to seconds
	}
	// The deadline covers the answer, not the stream that follows it.
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(d.opts.CallDeadline, cancel)
	stream, err := d.api.ContainerLogs(ctx, found.ID, ask)
	if !late.Stop() {
		if err == nil {
			stream.Close()
		}
		return nil, d.silent("logs of "+name, d.opts.CallDeadline)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("logs of %s: %w", name, d.kind(err))
	}
	r, w := io.Pipe()
	go func() {
		defer cancel()
		defer stream.Close()
		w.CloseWithError(demux(w, stream))
	}()
	return &logReader{PipeReader: r, cancel: cancel}, nil
}

// A logReader ends the engine's stream with its own end.
type logReader struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (r *logReader) Close() error {
	r.cancel()
	return r.PipeReader.Close()
}

// demux turns the engine's frames into lines. A frame is eight bytes of header
// (stream, three zeros, length) and "TIME text"; a line longer than the engine's
// buffer comes as several frames, of which only the last ends with a newline.
func demux(w io.Writer, r io.Reader) error {
	var pending [3]runtime.LogLine // by stream: 1 stdout, 2 stderr
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return err
		}
		stream, size := header[0], binary.BigEndian.Uint32(header[4:])
		if stream != 1 && stream != 2 || size > 1<<20 {
			return fmt.Errorf("engine sent a log frame of stream %d with %d bytes", stream, size)
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(r, frame); err != nil {
			return err
		}
		if err := take(&pending[stream], w, stream, frame); err != nil {
			return err
		}
	}
	for i := range pending {
		if pending[i].Text == "" {
			continue
		}
		if _, err := fmt.Fprintln(w, pending[i]); err != nil {
			return err
		}
	}
	return nil
}

// take adds a frame to the line begun on its stream and writes the lines that
// are now complete or too long to wait for.
func take(line *runtime.LogLine, w io.Writer, stream byte, frame []byte) error {
	stamp, text, ok := strings.Cut(string(frame), " ")
	if !ok || strings.Contains(stamp, "\n") {
		return fmt.Errorf("engine sent a log line without a time: %.40q", frame)
	}
	for text != "" {
		if line.Text == "" {
			*line = runtime.LogLine{Stream: " oe"[stream], Time: stamp}
		}
		part, rest, ended := strings.Cut(text, "\n")
		line.Text += part
		text = rest
		for ended || len(line.Text) > runtime.MaxLogLine {
			cut := min(len(line.Text), runtime.MaxLogLine)
			more := line.Text[cut:]
			line.Text = line.Text[:cut]
			if _, err := fmt.Fprintln(w, *line); err != nil {
				return err
			}
			if line.Text = more; more == "" {
				break
			}
		}
	}
	return nil
}
