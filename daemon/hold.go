package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/node"
)

// retryFull is how often a store without room is asked again.
const retryFull = time.Second

// fullError is what a store says that has written nothing for want of room, and may
// be asked again. Every other error of a store is for good.
type fullError interface {
	error
	Full() bool
}

// keep makes durable what follows from a turn. While the disk is full the daemon holds
// still, as if it were paused: it says and begins nothing, so it has promised nothing,
// and goes on where it stopped once there is room. Containers, ports and names are
// left as they are meanwhile, which an end of the daemon would not leave.
func (d *Daemon) keep(ctx context.Context, out []node.Ready) error {
	for held := time.Duration(0); ; held += retryFull {
		err := d.commit(out)
		var full fullError
		if !errors.As(err, &full) || !full.Full() {
			d.held.Store(nil)
			if err == nil && held > 0 {
				d.announce("there is room on the disk again: this peer goes on after %s", held)
			}
			return err
		}
		why := sentence(err)
		d.held.Store(&why)
		if held == 0 {
			d.announce("this peer holds still until there is room again: %v", err)
		}
		if !d.hold(ctx, err) {
			return err
		}
	}
}

// Held is why this daemon holds still; empty: it does not.
func (d *Daemon) Held() string {
	if why := d.held.Load(); why != nil {
		return *why
	}
	return ""
}

// announce tells people what no step of the core has brought about.
func (d *Daemon) announce(format string, args ...any) {
	text := sentence(fmt.Errorf(format, args...))
	d.log.Warn(text)
	d.ring.add(time.Now(), node.Event{At: d.now(), Kind: "held", Peer: d.cfg.Core.Self, Text: text})
}

// hold waits a moment; false if ctx ended. Who looks is shown the core, who asks for
// something is told why not.
func (d *Daemon) hold(ctx context.Context, why error) bool {
	again := time.NewTimer(retryFull)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
			return true
		case v := <-d.views:
			v.done <- v.run(d.core, d.log)
		case c := <-d.calls:
			c.answer <- node.Reply{ID: c.request.ID, Code: node.CodeNotReady, Err: "this peer holds still: " + sentence(why)}
		}
	}
}

// unlessFull is what a failed turn ends the loop with: nil if it was told to end while
// it held still.
func (d *Daemon) unlessFull(ctx context.Context, err error) error {
	var full fullError
	if ctx.Err() != nil && errors.As(err, &full) {
		return nil
	}
	return err
}
