package daemon

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"shoal/clock"
	"shoal/node"
	"shoal/wire"
)

// loop is the one goroutine that touches the core.
func (d *Daemon) loop(ctx context.Context) error {
	timer := time.NewTimer(0) // the first tick starts the core
	defer timer.Stop()
	for {
		in, looks, ok := d.gather(ctx, timer)
		if !ok {
			return nil
		}
		if len(in) > 0 {
			wake, err := d.turn(ctx, in)
			if err != nil {
				return d.unlessFull(ctx, err)
			}
			d.tell()
			timer.Reset(d.untilNext(wake))
		}
		for _, v := range looks {
			v.done <- v.run(d.core, d.log)
		}
	}
}

// gather waits for one input or view and takes what else is there, up to a bound.
func (d *Daemon) gather(ctx context.Context, timer *time.Timer) (in []node.Input, looks []view, ok bool) {
	select {
	case <-ctx.Done():
		return nil, nil, false
	case i := <-d.inputs:
		in = append(in, i)
	case c := <-d.calls:
		in = d.admit(in, c)
	case v := <-d.views:
		looks = append(looks, v)
	case <-timer.C:
		in = append(in, node.Input{})
	}
	for len(in)+len(looks) < maxBatch {
		select {
		case i := <-d.inputs:
			in = append(in, i)
		case c := <-d.calls:
			in = d.admit(in, c)
		case v := <-d.views:
			looks = append(looks, v)
		default:
			return in, looks, true
		}
	}
	return in, looks, true
}

// admit notes who waits for the answer to a request.
func (d *Daemon) admit(in []node.Input, c call) []node.Input {
	if len(d.waiting) >= maxWaiting {
		c.answer <- node.Reply{ID: c.request.ID, Code: node.CodeNotReady, Err: fmt.Sprintf("%d requests are under way on this peer: try again", maxWaiting)}
		return in
	}
	d.waiting[c.request.ID] = c.answer
	return append(in, node.Input{Request: &c.request})
}

// turn steps the core through inputs, makes all that follows from them durable at
// once, and then lets it happen.
func (d *Daemon) turn(ctx context.Context, in []node.Input) (wake clock.Instant, err error) {
	var out []node.Ready
	var halt node.Halt
	for i := range in {
		in[i].Now, in[i].Wall = d.now(), time.Now().Unix()
		rd, err := d.step(in[i])
		if err != nil {
			return 0, err
		}
		out = append(out, rd)
		wake = rd.WakeAt
		if halt = rd.Halt; halt != "" {
			break
		}
	}
	d.rec.flush()
	if err := d.keep(ctx, out); err != nil {
		return 0, fmt.Errorf("this peer stops, since it cannot keep what it would promise: %w", err)
	}
	for i := range out {
		d.perform(ctx, &out[i])
	}
	if halt != "" {
		return 0, &Halted{halt}
	}
	return wake, nil
}

// A Crash is a bug of ours, met inside a step: the core's state can no longer be
// trusted, and a fresh start from disk can.
type Crash struct {
	Text  string // what panicked
	Stack string
}

func (c *Crash) Error() string { return "this is a bug in shoal: " + c.Text }

func (d *Daemon) step(in node.Input) (rd node.Ready, err error) {
	defer func() {
		if r := recover(); r != nil {
			c := &Crash{Text: fmt.Sprint(r), Stack: string(debug.Stack())}
			d.rec.step(in, &node.Ready{})
			d.rec.flush()
			d.log.Error("panic in a step", "panic", c.Text, "stack", c.Stack)
			if d.cfg.Crash != nil {
				d.cfg.Crash(fmt.Sprintf("%s\n\nversion %s, at %v, on %s\n\n%s", c.Text, d.cfg.Core.Version, in.Now, kindOf(in), c.Stack))
			}
			rd, err = node.Ready{}, c
		}
	}()
	rd, refused := d.core.Step(in)
	if refused != nil {
		d.stats.refused.Add(1)
		d.log.Debug("input refused", "input", kindOf(in), "err", refused)
	}
	d.rec.step(in, &rd)
	return rd, nil
}

// kindOf names an input for the log.
func kindOf(in node.Input) string {
	switch {
	case in.Received != nil:
		return fmt.Sprintf("%T from %s", in.Received.Msg, in.Received.From.Short())
	case in.Linked != nil:
		return "link"
	case in.Snapshot != nil:
		return "snapshot"
	case in.Done != nil:
		return "result"
	case in.Facts != nil:
		return "facts"
	case in.Request != nil:
		return "request"
	case in.Disk != nil:
		return "disk"
	case in.Addrs != nil:
		return "addresses"
	case in.Images != nil:
		return "images"
	case in.Refused != nil:
		return fmt.Sprintf("%s from %s", in.Refused.Fault.String(), in.Refused.Peer.Short())
	}
	return "tick"
}

// commit writes the records of a batch, of each only the last word.
func (d *Daemon) commit(out []node.Ready) error {
	puts, drops := map[wire.Number]*wire.Record{}, map[wire.Number]bool{}
	locals := map[string][]byte{}
	var order []wire.Number
	sync := false
	for i := range out {
		sync = sync || out[i].MustSync()
		for _, w := range out[i].Records {
			switch {
			case w.Put != nil:
				if puts[w.Put.Num] == nil {
					order = append(order, w.Put.Num)
				}
				puts[w.Put.Num] = w.Put
				delete(drops, w.Put.Num)
			case w.Drop != nil:
				drops[*w.Drop] = true
				delete(puts, *w.Drop)
			case w.Local != nil:
				locals[w.Local.Key] = w.Local.Value
			}
		}
	}
	if len(puts)+len(drops)+len(locals) == 0 && !sync {
		return nil
	}
	var put []*wire.Record
	for _, n := range order {
		if r := puts[n]; r != nil {
			put = append(put, r)
			delete(puts, n) // put, dropped and put again it is twice in order
		}
	}
	var drop []wire.Number
	for n := range drops {
		drop = append(drop, n)
	}
	return d.cfg.Store.Apply(put, drop, locals, sync)
}

// perform lets happen what follows from one step, in the order of its fields.
func (d *Daemon) perform(ctx context.Context, rd *node.Ready) {
	d.send(rd.Messages)
	for _, r := range rd.Replies {
		if answer := d.waiting[r.ID]; answer != nil {
			answer <- r // has room for one
			delete(d.waiting, r.ID)
		}
	}
	for _, a := range rd.Actions {
		d.spawn(func() { d.act(ctx, a) })
	}
	for _, v := range rd.Volumes {
		d.spawn(func() { d.removeVolume(ctx, v) })
	}
	for _, p := range rd.Redial {
		d.cfg.Transport.Redial(p)
	}
	for _, s := range rd.Shun {
		d.cfg.Transport.Shun(s.Peer, s.For)
	}
	if len(rd.Events) > 0 {
		now := time.Now()
		for _, e := range rd.Events {
			d.log.Info(e.Text, "event", e.Kind)
			d.ring.add(now, e)
			d.noteTwin(now, e)
		}
	}
}

// untilNext is how long the loop may sleep. A core that wants to be woken at once
// still leaves others a millisecond.
func (d *Daemon) untilNext(wake clock.Instant) time.Duration {
	wait := maxTick
	if wake != 0 {
		wait = min(wait, wake.Sub(d.now()))
	}
	if d.seen.stale {
		wait = min(wait, time.Until(d.seen.toldAt.Add(servicesEvery)))
	}
	return max(wait, minTick)
}
