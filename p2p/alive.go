package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	aliveProto   = "/shoal/alive/1"
	aliveTimeout = 3 * time.Second

	// Whoever is reached through a relay, and the relay, get relayPatience (metered:
	// aliveTimeout) or this many round trips, if that is more. An answer takes four.
	patienceTrips = 8
)

// A silent death shows to libp2p after 30 s and more, on QUIC and TCP alike. Who
// cannot wait that long asks: one empty frame there, one back.

// hearAlive answers one question.
func (h *Host) hearAlive(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(aliveTimeout))
	if _, err := readFrame(s, 0); err == nil {
		_ = writeFrame(s, nil)
	}
}

// isAlive asks whoever is at the other end of c and returns the round trip. A peer of
// an earlier version does not know the question; that it says so is an answer too.
func (h *Host) isAlive(c network.Conn) (time.Duration, bool) {
	ctx, cancel := h.within(aliveTimeout)
	defer cancel()
	s, err := c.NewStream(ctx)
	if err != nil {
		return 0, false
	}
	defer s.Reset()
	s.SetDeadline(time.Now().Add(aliveTimeout))
	begun := time.Now()
	if err := negotiate(s, aliveProto); err != nil {
		return time.Since(begun), !isTimeout(err) && !c.IsClosed()
	}
	begun = time.Now()
	if writeFrame(s, nil) != nil {
		return 0, false
	}
	_, err = readFrame(s, 0)
	return time.Since(begun), err == nil
}

// hangUpIfDead closes those connections to p that do not answer, and reports whether
// one did. It returns within aliveTimeout.
func (h *Host) hangUpIfDead(p peer.ID) bool {
	_, err, _ := h.asking.Do(string(p), func() (any, error) {
		conns := h.host.Network().ConnsToPeer(p)
		answers := make(chan bool, len(conns))
		for _, c := range conns {
			go func() { // ends within aliveTimeout, and before the host is closed
				rtt, alive := h.isAliveSoon(c)
				if alive {
					h.paths.measured(c, rtt)
				} else if h.ctx.Err() == nil {
					c.CloseWithError(network.ConnGarbageCollected)
				}
				answers <- alive
			}()
		}
		err := errSilent
		for range conns {
			if <-answers {
				err = nil
			}
		}
		return nil, err
	})
	return err == nil
}

// isAliveSoon is isAlive with less patience where a relay is in between: who hears
// nothing through it is to try another before the peer behind it is held dead. As long
// as packets come the other end is slow, not gone.
func (h *Host) isAliveSoon(c network.Conn) (time.Duration, bool) {
	type answer struct {
		rtt   time.Duration
		alive bool
	}
	before, got := packetsOf(c), make(chan answer, 1)
	go func() { // ends within aliveTimeout
		rtt, alive := h.isAlive(c)
		got <- answer{rtt, alive}
	}()
	patience := time.NewTimer(h.patience(c))
	defer patience.Stop()
	select {
	case a := <-got:
		return a.rtt, a.alive
	case <-patience.C:
	}
	if packetsOf(c) == before {
		return 0, false
	}
	a := <-got
	return a.rtt, a.alive
}

// patience is how long the other end of c may take to answer.
func (h *Host) patience(c network.Conn) time.Duration {
	if !isRelayed(c.RemoteMultiaddr()) && !h.relaysInUse()[c.RemotePeer()] {
		return aliveTimeout
	}
	return min(max(h.limits.relayPatience, patienceTrips*h.roundTrip(c)), aliveTimeout)
}
