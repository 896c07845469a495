package inproc

import (
	"testing"

	"shoal/p2p"
	"shoal/p2p/p2ptest"
	"shoal/wire"
)

func TestConformance(t *testing.T) {
	p2ptest.Run(t, func(_ *testing.T, n int) []p2ptest.Host {
		network := New()
		var hosts []p2ptest.Host
		for i := range n {
			hosts = append(hosts, network.Start(wire.PeerID{byte(i + 1)}))
		}
		return hosts
	})
}

func TestNet_CutAndHeal(t *testing.T) {
	network := New()
	a, b := network.Start(wire.PeerID{1}), network.Start(wire.PeerID{2})
	network.Cut(a.ID(), b.ID(), true)
	if a.Send(b.ID(), []byte("x")) {
		t.Error("a frame crossed the cut")
	}
	network.Cut(b.ID(), a.ID(), false)
	if !a.Send(b.ID(), []byte("x")) {
		t.Error("refused after the heal")
	}
	want := []p2p.Event{p2p.Connected{Peer: a.ID()}, p2p.Disconnected{Peer: a.ID()}, p2p.Connected{Peer: a.ID()}}
	for i, w := range want {
		if got := <-b.Events(); got != w {
			t.Errorf("event %d: %+v, want %+v", i, got, w)
		}
	}
}
