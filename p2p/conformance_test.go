package p2p_test

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"shoal/p2p"
	"shoal/p2p/admit"
	"shoal/p2p/p2ptest"
	"shoal/wire"
)

func TestConformance(t *testing.T) {
	p2ptest.Run(t, func(t *testing.T, n int) []p2ptest.Host {
		_, root, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		var hosts []p2ptest.Host
		var bootstrap []string
		for range n {
			public, key, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := admit.Signer{Key: root}.Issue(wire.PeerID(public), admit.Member, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			h, err := p2p.New(context.Background(), p2p.Config{
				Key: key, Swarm: admit.SwarmIDOf(root), Certificate: cert, Bootstrap: bootstrap,
				Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { h.Close() })
			bootstrap = append(bootstrap, h.Addrs()[0])
			hosts = append(hosts, h)
		}
		return hosts
	})
}
