// Package p2ptest holds what every network of shoal must do: the one over libp2p
// and the one inside a process pass the same tests.
package p2ptest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/wire"
)

// patience bounds each wait; a test that passes waits for none of it.
const patience = 30 * time.Second

// A Host is what the tests call.
type Host interface {
	ID() wire.PeerID
	Send(to wire.PeerID, frame []byte) bool
	Join(topic string) error
	Publish(topic string, b []byte) error
	Events() <-chan p2p.Event
	Handle(proto string, fn func(from wire.PeerID, c net.Conn))
	Open(ctx context.Context, to wire.PeerID, proto string) (net.Conn, error)
	Peers() []p2p.PeerInfo
	Stats() p2p.Stats
	Close() error
}

// Run tests a network. start begins n peers of one swarm that will find one another.
func Run(t *testing.T, start func(t *testing.T, n int) []Host) {
	t.Run("presence", func(t *testing.T) { presence(t, start(t, 2)) })
	t.Run("frames in order", func(t *testing.T) { frames(t, start(t, 2)) })
	t.Run("refusals", func(t *testing.T) { refusals(t, start(t, 2)) })
	t.Run("gossip", func(t *testing.T) { gossip(t, start(t, 3)) })
	t.Run("connections", func(t *testing.T) { connections(t, start(t, 2)) })
}

func next[E p2p.Event](t *testing.T, h Host) E {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-h.Events():
			if want, ok := e.(E); ok {
				return want
			}
		case <-timeout:
			var zero E
			t.Fatalf("no %T within %v", zero, patience)
		}
	}
}

func presence(t *testing.T, hosts []Host) {
	a, b := hosts[0], hosts[1]
	if e := next[p2p.Connected](t, a); e.Peer != b.ID() {
		t.Errorf("connected: %s, want %s", e.Peer, b.ID())
	}
	if e := next[p2p.Connected](t, b); e.Peer != a.ID() {
		t.Errorf("connected: %s, want %s", e.Peer, a.ID())
	}
	if infos := a.Peers(); len(infos) != 1 || infos[0].ID != b.ID() || infos[0].Path != p2p.Direct {
		t.Errorf("peers: %+v", infos)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if e := next[p2p.Disconnected](t, a); e.Peer != b.ID() {
		t.Errorf("disconnected: %s, want %s", e.Peer, b.ID())
	}
	if infos := a.Peers(); len(infos) != 0 {
		t.Errorf("peers: %+v", infos)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func frames(t *testing.T, hosts []Host) {
	a, b := hosts[0], hosts[1]
	next[p2p.Connected](t, a)
	const n = 2000
	for i := range n {
		if !a.Send(b.ID(), binary.BigEndian.AppendUint32(nil, uint32(i))) {
			t.Fatalf("frame %d refused", i)
		}
	}
	for i := range n {
		m := next[p2p.Message](t, b)
		if m.From != a.ID() || m.Topic != "" || binary.BigEndian.Uint32(m.Bytes) != uint32(i) {
			t.Fatalf("frame %d: %+v", i, m)
		}
	}
}

func refusals(t *testing.T, hosts []Host) {
	a, b := hosts[0], hosts[1]
	next[p2p.Connected](t, a)
	if a.Send(b.ID(), make([]byte, p2p.MaxFrame+1)) {
		t.Error("a frame beyond MaxFrame was taken")
	}
	if a.Send(a.ID(), []byte("x")) {
		t.Error("a frame to itself was taken")
	}
	if a.Stats().FramesRefused != 2 {
		t.Errorf("%d refusals counted, want 2", a.Stats().FramesRefused)
	}
	if a.Publish("jobs", make([]byte, p2p.MaxGossip+1)) == nil {
		t.Error("a publication beyond MaxGossip was taken")
	}
}

func gossip(t *testing.T, hosts []Host) {
	for _, h := range hosts {
		if err := h.Join("jobs"); err != nil {
			t.Fatal(err)
		}
	}
	author, others := hosts[0], hosts[1:]
	// What is published before the others are known to listen may be lost.
	for deadline := time.Now().Add(patience); others[0].Stats().Heard == 0 || others[1].Stats().Heard == 0; time.Sleep(20 * time.Millisecond) {
		if err := author.Publish("jobs", []byte("anybody?")); err != nil || time.Now().After(deadline) {
			t.Fatal("nobody hears: ", err)
		}
	}
	if err := author.Publish("jobs", make([]byte, p2p.MaxGossip)); err != nil {
		t.Fatal(err)
	}
	for _, h := range others {
		for {
			m := next[p2p.Message](t, h)
			if m.From != author.ID() || m.Topic != "jobs" {
				t.Fatalf("message of %s on %q", m.From, m.Topic)
			}
			if len(m.Bytes) == p2p.MaxGossip {
				break
			}
		}
	}
	if author.Stats().Heard != 0 {
		t.Error("the author hears itself")
	}
}

func connections(t *testing.T, hosts []Host) {
	a, b := hosts[0], hosts[1]
	next[p2p.Connected](t, b)
	a.Handle("upper/1", func(from wire.PeerID, c net.Conn) {
		defer c.Close()
		var word [5]byte
		if _, err := io.ReadFull(c, word[:]); err == nil && from == b.ID() {
			c.Write(bytes.ToUpper(word[:]))
		}
	})
	c, err := b.Open(context.Background(), a.ID(), "upper/1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("shoal")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "SHOAL" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := b.Open(context.Background(), a.ID(), "none/1"); err == nil {
		t.Error("a protocol nobody handles was opened")
	}
}
