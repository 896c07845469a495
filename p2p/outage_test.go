package p2p

import (
	"testing"
	"time"

	"shoal/wire"
)

// The relay between two hidden peers loses its power. They move to the other one by
// themselves, nobody redialling; frames meanwhile go out each 100 ms, as beats do each
// second. On an idle machine that takes 2.4 to 3.8 s, and a peer is held dead after 7.
func TestRelay_AnotherTakesOver(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	r1, plot1 := y.host(false)
	r2, plot2 := y.host(false, r1)
	a, plotA := y.host(true, r1, r2)
	b, plotB := y.host(true, r1, r2)
	y.sever(plotA, plotB)
	for _, h := range []*Host{a, b} {
		eventually(t, "a hidden peer has two relays", isHidden(h, 2))
	}
	eventually(t, "b reaches a", func() bool {
		b.AddAddrs(a.ID(), a.Addrs())
		b.Redial(a.ID())
		return connectedTo(b, a)() && connectedTo(a, b)()
	})
	a.AddAddrs(b.ID(), b.Addrs())
	toA, toB := heartbeats(t, b, a), heartbeats(t, a, b)
	<-toA
	<-toB
	lost, left := plot1, r2
	if relayTo(b, a) == r2.ID() {
		lost, left = plot2, r1
	}
	began := time.Now()
	lost.dead.Store(true)
	for _, way := range []struct {
		name  string
		heard <-chan time.Time
	}{{"a hears b", toA}, {"b hears a", toB}} {
		at := firstAfter(t, way.heard, began.Add(100*time.Millisecond))
		t.Logf("%s after %s", way.name, at.Sub(began).Round(10*time.Millisecond))
	}
	if relayTo(b, a) != left.ID() && relayTo(a, b) != left.ID() {
		t.Error("neither is reached through the relay that is left")
	}
}

// relayTo is who carries h's best connection to p.
func relayTo(h, p *Host) wire.PeerID {
	for _, i := range h.Peers() {
		if i.ID == p.ID() {
			return i.Relay
		}
	}
	return wire.PeerID{}
}

// heartbeats sends a frame each 100 ms and tells when one came.
func heartbeats(t *testing.T, from, to *Host) <-chan time.Time {
	t.Helper()
	heard := make(chan time.Time, 1024)
	go func() {
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		for {
			from.Send(to.ID(), []byte("beat"))
			select {
			case <-beat.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case e := <-to.Events():
				if m, ok := e.(Message); !ok || m.Topic != "" {
					continue
				}
				select {
				case heard <- time.Now():
				default:
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
	return heard
}

// firstAfter is the first of these moments after at.
func firstAfter(t *testing.T, heard <-chan time.Time, at time.Time) time.Time {
	t.Helper()
	for timeout := time.After(30 * time.Second); ; {
		select {
		case m := <-heard:
			if m.After(at) {
				return m
			}
		case <-timeout:
			t.Fatal("nothing heard within 30 s")
		}
	}
}
