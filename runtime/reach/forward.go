package reach

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"shoal/job"
	"shoal/wire"
)

// Proto is the protocol under which Serve answers other peers.
const Proto = "reach/1"

// A request opens a forwarded connection on the peer that holds a slot.
type request struct {
	Job   job.ID `json:"job"`
	Task  string `json:"task"`
	Index int    `json:"index"`
	Port  uint16 `json:"port"`
}

const maxRequest = 1024

var errNoSlot = errors.New("no slot serves")

// forward gives an accepted connection to a slot that answers: one here before
// one elsewhere, a serving one before one that only runs. If nobody does it waits,
// since a service that moves is back in seconds.
func (r *Reach) forward(c net.Conn, t target) {
	deadline := time.Now().Add(waitForSlot)
	for {
		changed, ends := r.endpoints(t.key)
		for _, e := range ends {
			up, err := r.dial(t, e)
			if err != nil {
				r.cfg.Log.Debug("forward", "slot", e.Slot, "err", err)
				continue
			}
			r.carry(t.key, e, c, up)
			return
		}
		if !r.pause(deadline, changed) {
			c.Close()
			return
		}
	}
}

// carry splices a connection to an endpoint elsewhere and keeps book of it, so that
// it can be ended when that endpoint is gone: a peer that lost its power says no
// more, and whoever waits for it on an open connection would wait for minutes.
func (r *Reach) carry(k key, e Endpoint, c, up net.Conn) {
	if e.Peer != r.cfg.Self {
		f := &carried{key: k, slot: e.Slot, peer: e.Peer, end: func() { c.Close(); up.Close() }}
		r.mu.Lock()
		r.carried[f] = struct{}{}
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.carried, f)
			r.mu.Unlock()
		}()
	}
	r.splice(c, up)
}

// A carried connection goes to a slot on another peer.
type carried struct {
	key  key
	slot job.SlotID
	peer wire.PeerID
	lost time.Time // since when that endpoint is not listed; zero: it is
	end  func()
}

// endLost ends the connections to endpoints that have not been listed for
// lostAfter: their holder is gone, or the slot has moved.
func (r *Reach) endLost(now time.Time) {
	r.mu.Lock()
	var over []*carried
	for f := range r.carried {
		s := r.services[f.key]
		listed := s != nil && slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Slot == f.slot && e.Peer == f.peer })
		switch {
		case listed:
			f.lost = time.Time{}
		case f.lost.IsZero():
			f.lost = now
		case now.Sub(f.lost) >= lostAfter:
			over = append(over, f)
		}
	}
	r.mu.Unlock()
	for _, f := range over {
		f.end()
	}
}

// pause waits for services to change, half a second at most, and reports whether
// there is time for another try.
func (r *Reach) pause(deadline time.Time, changed <-chan struct{}) bool {
	left := time.Until(deadline)
	if left <= 0 {
		return false
	}
	timer := time.NewTimer(min(left, 500*time.Millisecond))
	defer timer.Stop()
	select {
	case <-r.ctx.Done():
		return false
	case <-changed:
	case <-timer.C:
	}
	return true
}

// endpoints returns a service's slots in the order in which they are to be tried:
// serving first, then here before elsewhere, otherwise by chance.
func (r *Reach) endpoints(k key) (<-chan struct{}, []Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ends []Endpoint
	if s := r.services[k]; s != nil {
		ends = slices.Clone(s.Endpoints)
	}
	rand.Shuffle(len(ends), func(i, j int) { ends[i], ends[j] = ends[j], ends[i] })
	cost := func(e Endpoint) int {
		n := 0
		if !e.Serving {
			n += 2
		}
		if e.Peer != r.cfg.Self {
			n++
		}
		return n
	}
	slices.SortStableFunc(ends, func(a, b Endpoint) int { return cmp.Compare(cost(a), cost(b)) })
	return r.changed, ends[:min(len(ends), 4)]
}

func (r *Reach) dial(t target, e Endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(r.ctx, dialAfter)
	defer cancel()
	if e.Peer == r.cfg.Self {
		return dialLocal(ctx, e.Address, t.port)
	}
	c, err := r.cfg.Open(ctx, e.Peer)
	if err != nil {
		return nil, err
	}
	if err := ask(c, request{Job: t.job, Task: t.task, Index: e.Slot.Index, Port: t.port}); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s at %s: %w", e.Slot, e.Peer.Short(), err)
	}
	return c, nil
}

func dialLocal(ctx context.Context, address string, port uint16) (net.Conn, error) {
	if net.ParseIP(address) == nil {
		return nil, fmt.Errorf("no address of the container is known")
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
}

// ask sends a request and waits for the other side's word: empty is yes.
func ask(c net.Conn, q request) error {
	_ = c.SetDeadline(time.Now().Add(dialAfter + time.Second))
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if err := writeBlock(c, b); err != nil {
		return err
	}
	no, err := readBlock(c)
	if err != nil {
		return err
	}
	if len(no) > 0 {
		return fmt.Errorf("refused: %s", no)
	}
	return c.SetDeadline(time.Time{})
}

// Serve answers a member's forwarded connection: it goes to the named slot, if
// that slot is held here and its task has that port.
func (r *Reach) Serve(_ wire.PeerID, c net.Conn) {
	if r.conns.Add(1) > MaxConns {
		r.conns.Add(-1)
		c.Close()
		return
	}
	defer r.conns.Add(-1)
	_ = c.SetDeadline(time.Now().Add(dialAfter))
	up, err := r.answer(c)
	if err != nil {
		_ = writeBlock(c, []byte(err.Error())[:min(len(err.Error()), maxRequest)])
		c.Close()
		return
	}
	if err := writeBlock(c, nil); err != nil {
		up.Close()
		c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	r.splice(c, up)
}

func (r *Reach) answer(c net.Conn) (net.Conn, error) {
	b, err := readBlock(c)
	if err != nil {
		return nil, err
	}
	var q request
	if err := json.Unmarshal(b, &q); err != nil {
		return nil, fmt.Errorf("malformed request")
	}
	k := key{q.Job, q.Task}
	if !slices.Contains(r.portsOf(k), q.Port) {
		return nil, fmt.Errorf("%s/%s has no port %d", q.Job, q.Task, q.Port)
	}
	_, ends := r.endpointsHere(k)
	for _, e := range ends {
		if e.Slot.Index == q.Index {
			ctx, cancel := context.WithTimeout(r.ctx, dialAfter)
			defer cancel()
			return dialLocal(ctx, e.Address, q.Port)
		}
	}
	return nil, fmt.Errorf("%w: %s/%s.%d is not here", errNoSlot, q.Job, q.Task, q.Index)
}

func (r *Reach) endpointsHere(k key) (<-chan struct{}, []Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ends []Endpoint
	if s := r.services[k]; s != nil {
		for _, e := range s.Endpoints {
			if e.Peer == r.cfg.Self {
				ends = append(ends, e)
			}
		}
	}
	return r.changed, ends
}

// A block is a length of two bytes and as many bytes.
func writeBlock(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

func readBlock(rd io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(rd, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint16(n[:])
	if size > maxRequest {
		return nil, fmt.Errorf("a block of %d bytes, at most %d are allowed", size, maxRequest)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(rd, b)
	return b, err
}
