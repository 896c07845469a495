package daemon

import (
	"sync"
	"time"

	"shoal/node"
)

// ringLen is how many events are kept; older ones are forgotten.
const ringLen = 10_000

type kept struct {
	number uint64
	at     time.Time
	event  node.Event
}

// A ring keeps the latest events. Writers never wait for readers.
type ring struct {
	mu     sync.Mutex
	events []kept // at number modulo ringLen, once full
	last   uint64
	more   chan struct{} // closed with the next event, or with the ring
	closed bool
}

func newRing() *ring { return &ring{more: make(chan struct{})} }

func (r *ring) add(at time.Time, e node.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.last++
	k := kept{r.last, at, e}
	if len(r.events) < ringLen {
		r.events = append(r.events, k)
	} else {
		r.events[(r.last-1)%ringLen] = k
	}
	close(r.more)
	r.more = make(chan struct{})
}

// after returns the events after number since, some hundreds at a time, and a
// channel that is closed when there are more; nil: there never will be.
func (r *ring) after(since uint64) ([]kept, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.last - min(r.last, uint64(len(r.events))) + 1
	var out []kept
	for n := max(first, since+1); n <= r.last && len(out) < 512; n++ {
		out = append(out, r.events[(n-1)%ringLen])
	}
	if r.closed {
		return out, nil
	}
	return out, r.more
}

// close ends every follower once it has read what is there.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		close(r.more)
	}
}
