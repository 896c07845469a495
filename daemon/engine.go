package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"shoal/node"
	"shoal/runtime"
)

// Deadlines and periods of what the engine is asked. A create may have to fetch an
// image over a thin line.
const (
	createLimit = 30 * time.Minute
	actionLimit = time.Minute
	stopMargin  = 30 * time.Second // beyond the grace
	listLimit   = 10 * time.Second
	listEvery   = 2 * time.Second
	listGap     = 50 * time.Millisecond // between two looks, however much happens
)

func limitOf(a runtime.Action) time.Duration {
	switch a.Op {
	case runtime.OpCreate:
		return createLimit
	case runtime.OpStop:
		return a.Grace + stopMargin
	default:
		return actionLimit
	}
}

// act performs one action and brings its one result back.
func (d *Daemon) act(ctx context.Context, a runtime.Action) {
	ctx, cancel := context.WithTimeout(ctx, limitOf(a))
	defer cancel()
	err := d.do(ctx, a)
	res := runtime.Result{ID: a.ID, Op: a.Op, Container: a.Container}
	if err != nil {
		res.Err, res.Permanent = sentence(err), errors.Is(err, runtime.ErrPermanent)
		d.log.Debug("action failed", "op", a.Op, "container", a.Container, "err", err)
	}
	if d.input(node.Input{Done: &res}) {
		d.look()
		if a.Op == runtime.OpCreate {
			signal(d.created)
		}
	}
}

// do keeps a driver's panic from ending the daemon: the action has failed.
func (d *Daemon) do(ctx context.Context, a runtime.Action) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("bug in the driver: %v", r)
			d.log.Error("panic in the driver", "op", a.Op, "panic", r)
		}
	}()
	return d.cfg.Driver.Do(ctx, a)
}

// sentence is an error's text fit for records, which are text of one line.
func sentence(err error) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), "?")
}

// look asks for a look at the engine soon.
func (d *Daemon) look() { signal(d.looked) }

// signal asks for something that is done soon anyway if it was asked for before.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watchEngine lists what runs when the engine says that something changed, after
// each action, and every two seconds; never twice at once.
func (d *Daemon) watchEngine(ctx context.Context) {
	changed := d.cfg.Driver.Watch(ctx)
	for {
		if !d.snapshot(ctx) || !pause(ctx, listGap) {
			return
		}
		again := time.NewTimer(listEvery - listGap)
		select {
		case _, open := <-changed:
			if !open {
				changed = nil
			}
		case <-d.looked:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (d *Daemon) snapshot(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, listLimit)
	defer cancel()
	sn := &runtime.Snapshot{Begun: d.now()}
	containers, err := d.cfg.Driver.List(limited)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		sn.Err = sentence(err)
	} else {
		sn.Containers = containers
	}
	return d.input(node.Input{Snapshot: sn})
}

// pause waits for d; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// volumeAttempts bounds how often the removal of a volume is tried; a container
// that goes at this moment may still hold it.
const volumeAttempts = 6

func (d *Daemon) removeVolume(ctx context.Context, v node.VolumeRef) {
	wait := time.Second
	for n := 1; ; n++ {
		limited, cancel := context.WithTimeout(ctx, actionLimit)
		err := d.cfg.Driver.RemoveVolume(limited, v.Job, v.Volume, v.Slot)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if n == volumeAttempts {
			d.log.Warn("a volume stays, although its job was removed with its volumes", "job", v.Job, "volume", v.Volume, "slot", v.Slot, "err", err)
			d.ring.add(time.Now(), node.Event{At: d.now(), Kind: "kept", Job: v.Job, Peer: d.cfg.Core.Self,
				Text: fmt.Sprintf("volume %s of %s, slot %d, could not be removed: %s", v.Volume, v.Job, v.Slot, sentence(err))})
			return
		}
		if !pause(ctx, wait/2+rand.N(wait/2)) {
			return
		}
		wait *= 2
	}
}
