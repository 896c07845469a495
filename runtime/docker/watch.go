package docker

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
)

// The bounds of the wait before the event stream is opened again.
const (
	minReconnect = 100 * time.Millisecond
	maxReconnect = 5 * time.Second
)

// Watch signals that something of ours may have changed on the engine: at once,
// after each change, and after each reconnection, since an engine does not replay
// what happened while nobody listened. Signals that nobody has taken yet become
// one. The channel is closed when ctx ends. A hung engine is not noticed here:
// ask with List.
func (d *Driver) Watch(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		wait := minReconnect
		for ctx.Err() == nil {
			begun := time.Now()
			err := d.follow(ctx, changed)
			if ctx.Err() != nil {
				return
			}
			d.log.Debug("event stream ended", "err", err)
			signal(changed) // the end itself is news: the engine may be gone
			if time.Since(begun) > maxReconnect {
				wait = minReconnect
			}
			if pause(ctx, wait/2+rand.N(wait/2)) != nil {
				return
			}
			wait = min(2*wait, maxReconnect)
		}
	}()
	return changed
}

// follow reads one event stream to its end.
func (d *Driver) follow(ctx context.Context, changed chan<- struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The engine answers a moment before it begins to listen; what it remembers of
	// the last seconds closes that gap.
	since := strconv.FormatInt(time.Now().Add(-2*time.Second).Unix(), 10)
	filter := d.ownFilter()
	filter.Add("type", string(events.ContainerEventType))
	if err := d.Ping(ctx); err != nil {
		return err
	}
	messages, errs := d.api.Events(ctx, events.ListOptions{Since: since, Filters: filter})
	select {
	case err := <-errs:
		return err
	default:
		signal(changed)
	}
	for {
		select {
		case m := <-messages:
			// Each health check is three exec events; its outcome is one of its own.
			if !strings.HasPrefix(string(m.Action), "exec_") {
				signal(changed)
			}
		case err := <-errs:
			return err
		}
	}
}

// signal says "changed" without ever blocking.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
