package daemon

import (
	"sync"
	"time"

	"shoal/node"
)

// A Twin is what this start knows of another machine that uses its key. The zero Twin:
// of none.
type Twin struct {
	Copied      time.Time // an earlier start was heard of: that one is to step back
	SteppedBack time.Time // a later one was heard: this one stepped back
}

// twins keeps the latest word of the core on its key; events are forgotten.
type twins struct {
	mu sync.Mutex
	t  Twin
}

// Twin returns what is known of another machine with this one's key.
func (d *Daemon) Twin() Twin {
	d.twins.mu.Lock()
	defer d.twins.mu.Unlock()
	return d.twins.t
}

// noteTwin keeps what an event tells of this peer's own key.
func (d *Daemon) noteTwin(at time.Time, e node.Event) {
	if e.Peer != d.cfg.Core.Self {
		return
	}
	d.twins.mu.Lock()
	defer d.twins.mu.Unlock()
	switch e.Kind {
	case "copied":
		d.twins.t.Copied = at
	case "stepped-back":
		d.twins.t.SteppedBack = at
		if d.cfg.Mute != nil {
			d.cfg.Mute()
		}
	}
}
