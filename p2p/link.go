package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/wire"
)

const (
	messageProto = "/shoal/message/1"

	maxLinks       = 4096     // peers with something to send to, at once
	maxQueueFrames = 4096     // of one peer
	maxQueueBytes  = 32 << 20 // of one peer
	linkIdle       = 2 * time.Minute
	moveTimeout    = time.Second // for the last frames on a stream that is left
)

// A link carries this peer's frames to one other, in order, over one stream that it
// opens when needed. Each of a pair has its own, so neither waits for the other.
// What fails is dropped and told, never sent twice: the protocols above repeat
// themselves, and an old bid is worse than none.
type link struct {
	h  *Host
	to wire.PeerID

	mu    sync.Mutex
	queue [][]byte
	bytes int
	ended bool
	wake  chan struct{} // 1 slot

	stream network.Stream // of run alone
	out    *bufio.Writer
}

// Send hands a frame to a member and never waits. false means that it will not go
// out: too long, the queue is full, or the last dial failed a moment ago; true that
// it goes out in order, or an Unreachable or Disconnected follows. The caller leaves
// frame alone afterwards.
func (h *Host) Send(to wire.PeerID, frame []byte) bool {
	l := h.linkTo(to)
	if len(frame) > MaxFrame || l == nil || !l.push(frame) {
		h.stats.framesRefused.Add(1)
		return false
	}
	return true
}

// linkTo returns the link to p, nil if there may be none now.
func (h *Host) linkTo(p wire.PeerID) *link {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.links[p]; l != nil {
		return l
	}
	if p == h.self || len(h.links) >= maxLinks || h.backoffs.closed(p) {
		return nil
	}
	l := &link{h: h, to: p, wake: make(chan struct{}, 1)}
	if !h.spawn(l.run) {
		return nil
	}
	h.links[p] = l
	return l
}

func (l *link) push(frame []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.queue) >= maxQueueFrames || l.bytes+len(frame) > maxQueueBytes && l.bytes > 0 {
		return false
	}
	l.queue = append(l.queue, frame)
	l.bytes += len(frame)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *link) take() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := l.queue
	l.queue, l.bytes = nil, 0
	return batch
}

// end closes the link to new frames, unless force is not set and some are waiting.
// It returns what was not sent.
func (l *link) end(force bool) (left [][]byte, ended bool) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !force && len(l.queue) > 0 {
		return nil, false
	}
	l.ended = true
	left, l.queue = l.queue, nil
	if l.h.links[l.to] == l {
		delete(l.h.links, l.to)
	}
	return left, true
}

// run writes what is queued until the link is idle or fails.
func (l *link) run() {
	idle := time.NewTimer(linkIdle)
	defer idle.Stop()
	for {
		select {
		case <-l.wake:
		case <-idle.C:
			if _, ended := l.end(false); ended {
				l.closeStream()
				return
			}
		case <-l.h.ctx.Done():
			l.end(true)
			l.closeStream()
			return
		}
		if batch := l.take(); len(batch) > 0 {
			if err := l.write(batch); err != nil {
				l.fail(len(batch), err)
				return
			}
		}
		idle.Reset(linkIdle)
	}
}

func (l *link) write(batch [][]byte) error {
	if err := l.open(); err != nil {
		return err
	}
	for _, frame := range batch {
		// One deadline a frame: bufio may write at any of them.
		l.stream.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := writeFrame(l.out, frame); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	l.h.stats.framesSent.Add(uint64(len(batch)))
	return nil
}

func (l *link) open() error {
	if l.stream != nil {
		if !l.stale() {
			return nil
		}
		l.leave()
	}
	if err := l.h.connect(l.h.ctx, l.to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.h.ctx, dialTimeout)
	defer cancel()
	s, err := l.h.members.NewStream(network.WithNoDial(ctx, "connected"), toPeerID(l.to), messageProto)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	l.stream, l.out = s, bufio.NewWriterSize(s, 64<<10)
	return nil
}

// stale reports whether the stream's connection has ended, or is a relayed one though
// there is a direct one by now.
func (l *link) stale() bool {
	c := l.stream.Conn()
	if c.IsClosed() {
		return true
	}
	return isRelayed(c.RemoteMultiaddr()) && l.h.directConn(c.RemotePeer()) != nil
}

// leave ends the stream in good order: what it carried is read before anything goes
// out on the next one, if the peer reads at all.
func (l *link) leave() {
	if l.stream.CloseWrite() == nil && l.stream.SetReadDeadline(time.Now().Add(moveTimeout)) == nil {
		_, _ = l.stream.Read(make([]byte, 1)) // it resets a stream that it has read to the end
	}
	l.stream.Reset()
	l.stream, l.out = nil, nil
}

// fail gives up all that is queued, tells so, and keeps the next attempt waiting if
// there is no connection.
func (l *link) fail(unsent int, err error) {
	if l.stream != nil {
		l.stream.Reset()
	}
	if !l.h.gate.isAdmitted(toPeerID(l.to)) {
		l.h.backoffs.failed(l.to)
	}
	left, _ := l.end(true)
	l.h.stats.framesLost.Add(uint64(unsent + len(left)))
	if l.h.ctx.Err() == nil {
		l.h.events.note(l.to, false, err)
		if l.h.gate.isAdmitted(toPeerID(l.to)) {
			l.h.events.note(l.to, true, nil) // by another connection; the next frames go out there
		}
	}
}

func (l *link) closeStream() {
	if l.stream != nil {
		l.stream.Close()
	}
}

// hearMessages reads another's link. A reader of Events that falls behind holds up
// this stream and thereby its sender.
func (h *Host) hearMessages(s network.Stream) {
	defer s.Reset()
	from, err := fromPeerID(s.Conn().RemotePeer())
	if err != nil {
		return
	}
	r := bufio.NewReaderSize(s, 64<<10)
	for {
		b, err := readFrame(r, MaxFrame)
		if err != nil {
			h.refuse(s.Conn().RemotePeer(), err)
			return
		}
		h.stats.framesReceived.Add(1)
		if !h.events.put(Message{From: from, Bytes: b}) {
			return
		}
	}
}

var (
	errNoHandler = errors.New("peer does not speak it")
	errSilent    = errors.New("peer does not answer")
)

// isTimeout reports whether err says that time was up.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}
