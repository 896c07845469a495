package p2p

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"shoal/p2p/admit"
)

// Each test here leaves a peer one way to find its swarm again, and no other: a
// ticket, the file of remembered peers, what members tell of one another, the DHT.
// The fifth way is TestMDNS_MembersMeetAndStrangersHear. Unless a test says so hosts
// have neither mDNS, DHT, file nor bootstrap.

func TestFind_ByTheTicketAlone(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	first := s.peer(t)
	second := s.peer(t, first)
	eventually(t, "both are in", connectedTo(first, second))
	ticket := ticketOf(t, first, admit.Member, time.Time{}, 0)
	first.Close() // for ever: the ticket names the second, too
	key := newKey(t)
	joined, err := Join(context.Background(), key, ticket)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Key: key, Swarm: s.id, Certificate: joined.Certificate, Listen: s.config(t, key).Listen}
	for _, p := range ticket.Peers {
		for _, a := range p.Addrs {
			cfg.Bootstrap = append(cfg.Bootstrap, a+"/p2p/"+p.Peer.String())
		}
	}
	eventually(t, "the third finds the second", connectedTo(start(t, cfg), second))
}

func TestFind_ByRememberedPeersAlone(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	first := s.peer(t)
	second := s.peer(t, first)
	cfg := s.config(t, newKey(t))
	cfg.RememberFile = filepath.Join(t.TempDir(), "peers.json")
	cfg.Bootstrap = first.Addrs()[:1]
	third := start(t, cfg)
	eventually(t, "the third meets both", connectedTo(third, first, second))
	third.Close()
	first.Close()
	cfg.Bootstrap = nil
	eventually(t, "it finds the second from its file", connectedTo(start(t, cfg), second))
}

func TestFind_ByWhatMembersTellAlone(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	first := s.peer(t)
	second := s.peer(t, first)
	eventually(t, "the second is in", connectedTo(first, second))
	third := s.peer(t, first)
	eventually(t, "the third is in", connectedTo(first, third))
	first.Close()
	eventually(t, "those two have met", connectedTo(second, third))
}

func TestFind_ByTheDHTAlone(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	var hosts []*Host
	for i := range 4 {
		cfg := s.config(t, newKey(t))
		cfg.DHT = true
		if i > 0 {
			cfg.Bootstrap = hosts[i-1].Addrs()[:1] // a chain
		}
		hosts = append(hosts, start(t, cfg))
		if i > 0 {
			eventually(t, "the chain holds", connectedTo(hosts[i], hosts[i-1]))
		}
	}
	from, to := hosts[0], hosts[3]
	// What it has heard of the last but by the DHT goes.
	eventually(t, "found", func() bool {
		from.book.remove(to.self)
		from.host.Peerstore().ClearAddrs(toPeerID(to.self))
		from.Disconnect(to.self)
		info, ok := from.findByDHT(context.Background(), toPeerID(to.self))
		return ok && len(info.Addrs) > 0
	})
	from.book.remove(to.self)
	from.Redial(to.self)
	eventually(t, "and reached", connectedTo(from, to))
}

// A house gets other addresses from its router: whoever moved tells those it still
// finds, and they tell the others.
func TestFind_MovedPeersAreFound(t *testing.T) {
	t.Parallel()
	s := newSwarm(t)
	stays := s.peer(t)
	move := func(cfg Config, to int) Config {
		ip := fmt.Sprintf("127.0.0.%d", to)
		cfg.Listen = []string{"/ip4/" + ip + "/udp/0/quic-v1", "/ip4/" + ip + "/tcp/0"}
		return cfg
	}
	var cfgs []Config
	var hosts []*Host
	for i := range 2 {
		cfg := s.config(t, newKey(t))
		cfg.RememberFile = filepath.Join(t.TempDir(), "peers.json")
		cfg.Bootstrap = stays.Addrs()[:1]
		cfgs = append(cfgs, cfg)
		hosts = append(hosts, start(t, move(cfg, 2+i)))
	}
	eventually(t, "all have met", func() bool {
		return connectedTo(hosts[0], stays, hosts[1])() && connectedTo(hosts[1], stays, hosts[0])()
	})
	old := hosts[0].Addrs()
	for i, h := range hosts { // both at once: neither knows where the other is now
		h.Close()
		cfgs[i].Bootstrap = nil
	}
	for i := range hosts {
		hosts[i] = start(t, move(cfgs[i], 12+i))
	}
	eventually(t, "all meet again", func() bool {
		return connectedTo(hosts[0], stays, hosts[1])() && connectedTo(hosts[1], stays, hosts[0])()
	})
	if now := hosts[0].Addrs(); slices.ContainsFunc(now, func(a string) bool { return slices.Contains(old, a) }) {
		t.Errorf("it has not moved: %v, before %v", now, old)
	}
}
