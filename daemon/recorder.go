package daemon

import (
	"bufio"
	"io"
	"log/slog"
	"sync/atomic"

	"shoal/node"
)

// A recorder writes what goes into the core and a sum of what comes out. If that
// fails it gives up, and the daemon goes on without.
type recorder struct {
	out    *bufio.Writer
	log    *slog.Logger
	active atomic.Bool
}

func newRecorder(w io.Writer, log *slog.Logger, cfg node.Config, stored node.Stored) *recorder {
	r := &recorder{log: log}
	if w == nil {
		return r
	}
	r.out = bufio.NewWriterSize(w, 64<<10)
	r.active.Store(true)
	frames, err := node.EncodeStart(cfg, stored)
	for i := 0; err == nil && i < len(frames); i++ {
		err = node.WriteFrame(r.out, frames[i])
	}
	r.check(err)
	return r
}

func (r *recorder) on() bool { return r.active.Load() }

func (r *recorder) check(err error) {
	if err != nil {
		r.active.Store(false)
		r.log.Error("the recording ends here", "err", err)
	}
}

func (r *recorder) step(in node.Input, rd *node.Ready) {
	if !r.on() {
		return
	}
	b, err := node.EncodeStep(in, rd.Sum())
	if err == nil {
		err = node.WriteFrame(r.out, b)
	}
	r.check(err)
}

// flush leaves nothing in memory that a crash would take.
func (r *recorder) flush() {
	if r.on() {
		r.check(r.out.Flush())
	}
}

func (r *recorder) close() { r.flush() }
