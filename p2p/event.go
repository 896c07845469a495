package p2p

import (
	"sync"

	"shoal/wire"
)

// An Event is what the network has to tell: Message, Connected, Disconnected,
// Unreachable or Refused.
type Event interface{ event() }

// A Message is a frame sent to this peer, or a payload published on a topic this
// peer has joined. The bytes are the receiver's to keep.
type Message struct {
	From  wire.PeerID // who sent or, on a topic, published it
	Topic string      // "" for a frame
	Bytes []byte
}

// Connected says that a member and this peer have shown one another their
// certificates; frames sent now go out.
type Connected struct{ Peer wire.PeerID }

// Disconnected says that the last connection is gone. Frames sent shortly before
// may or may not have arrived.
type Disconnected struct{ Peer wire.PeerID }

// Unreachable says that frames for Peer were given up, since no address of it
// answered or it took none of them; Err says which.
type Unreachable struct {
	Peer wire.PeerID
	Err  error
}

func (Message) event()      {}
func (Connected) event()    {}
func (Disconnected) event() {}
func (Unreachable) event()  {}

// A presence is what is still to be told of one peer. Several changes become one
// Disconnected and one Connected at most, so the backlog is bounded by the peers.
type presence struct {
	down bool // a Disconnected is due
	up   bool // then a Connected
	err  error

	refused [wire.NumFaults]uint32 // so many Refused
}

// eventQueue is the one way to the reader of Events. Frames wait for it, and with
// them the peer that sends: backpressure. Gossip is dropped and counted when it is
// full. Presence is never lost and never waits.
type eventQueue struct {
	out  chan Event
	done <-chan struct{}

	mu      sync.Mutex
	pending map[wire.PeerID]presence
	order   []wire.PeerID
	wake    chan struct{} // 1 slot
}

const eventQueueLen = 4096

func newEventQueue(done <-chan struct{}) *eventQueue {
	return &eventQueue{
		out: make(chan Event, eventQueueLen), done: done,
		pending: map[wire.PeerID]presence{}, wake: make(chan struct{}, 1),
	}
}

// put waits for room; false once the host is closed.
func (q *eventQueue) put(e Event) bool {
	select {
	case q.out <- e:
		return true
	case <-q.done:
		return false
	}
}

// offer reports whether there was room.
func (q *eventQueue) offer(e Event) bool {
	select {
	case q.out <- e:
		return true
	default:
		return false
	}
}

// note records a change of presence: up, down, or (err) unreachable.
func (q *eventQueue) note(p wire.PeerID, up bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.pend(p)
	switch {
	case err != nil:
		s.err = err
	case up:
		s.up = true
	case s.up && !s.down:
		s.up = false // gone before it was told
	default:
		s.down, s.up = true, false
	}
	q.told(p, s)
}

// refuse records that something of p was dropped.
func (q *eventQueue) refuse(p wire.PeerID, f wire.Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.pend(p)
	s.refused[f]++
	q.told(p, s)
}

// pend returns what is still to be told of p, and told puts it back.
func (q *eventQueue) pend(p wire.PeerID) presence {
	s, known := q.pending[p]
	if !known {
		q.order = append(q.order, p)
	}
	return s
}

func (q *eventQueue) told(p wire.PeerID, s presence) {
	q.pending[p] = s
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run tells the pending presences until the host is closed.
func (q *eventQueue) run() {
	for {
		select {
		case <-q.wake:
		case <-q.done:
			return
		}
		for p, s, ok := q.next(); ok; p, s, ok = q.next() {
			if s.down && !q.put(Disconnected{p}) || s.err != nil && !q.put(Unreachable{p, s.err}) || s.up && !q.put(Connected{p}) {
				return
			}
			for f, n := range s.refused {
				if n > 0 && !q.put(Refused{p, wire.Fault(f), n}) {
					return
				}
			}
		}
	}
}

func (q *eventQueue) next() (wire.PeerID, presence, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return wire.PeerID{}, presence{}, false
	}
	p := q.order[0]
	q.order = q.order[1:]
	s := q.pending[p]
	delete(q.pending, p)
	return p, s, true
}
