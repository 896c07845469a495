package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"shoal/node"
	"shoal/runtime"
)

type call struct {
	request node.Request
	answer  chan<- node.Reply // room for one
}

type view struct {
	look func(*node.Core)
	done chan<- error // room for one
}

// Do hands a request to the core and returns its reply; it sets the ID. Its errors
// are the end of ctx and ErrStopped; what was asked may then have been done or not.
func (d *Daemon) Do(ctx context.Context, r node.Request) (node.Reply, error) {
	r.ID = d.nextID.Add(1)
	answer := make(chan node.Reply, 1)
	select {
	case d.calls <- call{r, answer}:
	case <-ctx.Done():
		return node.Reply{}, ctx.Err()
	case <-d.stopped:
		return node.Reply{}, ErrStopped
	}
	select {
	case reply := <-answer:
		return reply, nil
	case <-ctx.Done():
		return node.Reply{}, ctx.Err()
	case <-d.stopped:
		select { // the answer may be what it stopped after
		case reply := <-answer:
			return reply, nil
		default:
			return node.Reply{}, ErrStopped
		}
	}
}

// View runs look where the core may be read, between two steps; what it shows is
// durable, unless the disk is full. look must be quick, and keep nothing of the core. It returns ctx's error
// or ErrStopped if look has not run, or is not known to have.
func (d *Daemon) View(ctx context.Context, look func(*node.Core)) error {
	done := make(chan error, 1)
	select {
	case d.views <- view{look, done}:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stopped:
		return ErrStopped
	}
	// The loop has it and will not wait for anything: to return earlier would let
	// look run while its caller has gone on.
	select {
	case err := <-done:
		return err
	case <-d.stopped:
		return ErrStopped
	}
}

func (v view) run(c *node.Core, log *slog.Logger) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this is a bug in shoal: %v", r)
			log.Error("panic in a view", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	v.look(c)
	return nil
}

// Events gives emit the events after number since that are still kept, oldest
// first, and with follow those to come until ctx ends or the daemon stops. Numbers
// begin at 1 in each run; a gap means that this many were too old to be kept. It
// returns emit's error, which ends it, or ctx's.
func (d *Daemon) Events(ctx context.Context, since uint64, follow bool, emit func(uint64, time.Time, node.Event) error) error {
	for {
		batch, more := d.ring.after(since)
		for _, k := range batch {
			if err := emit(k.number, k.at, k.event); err != nil {
				return err
			}
			since = k.number
		}
		if len(batch) > 0 {
			continue
		}
		if !follow || more == nil {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Logs opens a container's output, as lines of runtime.LogLine.
func (d *Daemon) Logs(ctx context.Context, container string, o runtime.LogOptions) (io.ReadCloser, error) {
	return d.cfg.Driver.Logs(ctx, container, o)
}

// Stats count what went through this daemon since it started.
type Stats struct {
	Received uint64 // messages decoded
	Invalid  uint64 // messages that no version of shoal sends
	Unknown  uint64 // messages of a later version
	Refused  uint64 // inputs that the core refused
	Sent     uint64 // frames and publications handed over
	Unsent   uint64 // that the network did not take
	Recorded bool   // a recording is being written
}

type counters struct {
	received, invalid, unknown, refused, sent, unsent atomic.Uint64
}

// Stats returns the counts.
func (d *Daemon) Stats() Stats {
	c := &d.stats
	return Stats{
		Received: c.received.Load(), Invalid: c.invalid.Load(), Unknown: c.unknown.Load(), Refused: c.refused.Load(),
		Sent: c.sent.Load(), Unsent: c.unsent.Load(), Recorded: d.rec.on(),
	}
}
