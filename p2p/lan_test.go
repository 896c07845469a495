package p2p

import (
	"context"
	"slices"
	"testing"
	"time"

	"shoal/wire"
)

func TestMDNS_MembersMeetAndStrangersHear(t *testing.T) {
	ip := ownIP(t)
	s := newSwarm(t)
	var hosts []*Host
	for range 2 {
		cfg := s.config(t, newKey(t))
		cfg.Listen = []string{"/ip4/" + ip + "/udp/0/quic-v1", "/ip4/" + ip + "/tcp/0"}
		cfg.MDNS = true
		hosts = append(hosts, start(t, cfg))
	}
	var heard []Heard
	for range 5 {
		var err error
		if heard, err = Listen(context.Background(), 2*time.Second); err != nil {
			t.Skip("no multicast here: ", err)
		}
		if i := slices.IndexFunc(heard, func(h Heard) bool { return h.Swarm == s.id.Short() }); i >= 0 && len(heard[i].Peers) == 2 {
			eventually(t, "members meet without bootstrap", connectedTo(hosts[0], hosts[1]))
			return
		}
	}
	t.Skipf("multicast leads nowhere here: heard %+v", heard)
}

func TestParseAnnouncement(t *testing.T) {
	peer := idOf(newKey(t))
	good := []string{"swarm=0123456789ab", "peer=" + peer.String(), "addr=/ip4/192.0.2.1/tcp/7462", "later=x"}
	for _, c := range []struct {
		name  string
		texts []string
		want  bool
		addrs int
	}{
		{"good", good, true, 1},
		{"no address", good[:2], true, 0},
		{"no peer", good[:1], false, 0},
		{"swarm is no hex", []string{"swarm=0123456789\x1b[", good[1]}, false, 0},
		{"swarm too long", []string{"swarm=0123456789abc", good[1]}, false, 0},
		{"address nonsense", []string{good[0], good[1], "addr=/ip4/0.0.0.0/tcp/1", "addr=x"}, true, 0},
		{"empty", nil, false, 0},
	} {
		swarm, p, ok := parseAnnouncement(c.texts)
		if ok != c.want || ok && (swarm != "0123456789ab" || p.Peer != peer || len(p.Addrs) != c.addrs) {
			t.Errorf("%s: %q %+v %v", c.name, swarm, p, ok)
		}
	}
}

func TestBook_IsBoundedAndKeepsTheLatest(t *testing.T) {
	b := newBook()
	id := func(i int) wire.PeerID { return wire.PeerID{byte(i), byte(i >> 8), 1} }
	for i := range maxBook + 10 {
		b.add(id(i), parseAddrs([][]byte{addr(t, "/ip4/192.0.2.1/tcp/7462")}), i == 5)
	}
	if n := len(b.all()); n != maxBook {
		t.Errorf("%d peers kept, want %d", n, maxBook)
	}
	if b.all()[0] != id(5) {
		t.Error("the only one ever met is not first")
	}
	for i := range 2 * maxAddrs {
		b.add(id(5), parseAddrs([][]byte{addr(t, "/ip4/192.0.2."+string(rune('1'+i%9))+"/tcp/1")}), false)
	}
	if n := len(b.addrs(id(5))); n != maxAddrs {
		t.Errorf("%d addresses kept, want %d", n, maxAddrs)
	}
	file := t.TempDir() + "/peers.json"
	if err := b.save(file); err != nil {
		t.Fatal(err)
	}
	again := newBook()
	if err := again.load(file); err != nil {
		t.Fatal(err)
	}
	if n := len(again.all()); n != maxRemember || again.all()[0] != id(5) {
		t.Errorf("%d peers read, the latest met first: %v", n, again.all()[0] == id(5))
	}
}

func TestBook_ADamagedFileIsSaidAndNamed(t *testing.T) {
	file := t.TempDir() + "/peers.json"
	if err := newBook().load(file); err != nil {
		t.Errorf("no file: %v", err)
	}
	if err := replaceFile(file, map[string]any{"peers": 7}); err != nil {
		t.Fatal(err)
	}
	if err := newBook().load(file); err == nil {
		t.Error("nonsense was read")
	}
}

func addr(t *testing.T, s string) []byte {
	t.Helper()
	c := Config{Listen: []string{s}}
	as, err := c.listenAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return as[0].Bytes()
}

func TestSearch_SlowsDownUntilSomethingHappens(t *testing.T) {
	for _, c := range []struct {
		members int
		longest time.Duration
		most    int
	}{
		{0, searchAlone, 65}, {1, searchRarely, 12}, {7, searchRarely, 12}, {8, searchRarely, 4}, {19, searchRarely, 4},
	} {
		wait, asked := searchFirst, 0
		for past := time.Duration(0); past < time.Hour; past += wait {
			asked++
			next := nextSearch(wait, c.members, 8)
			if next < wait || next > c.longest {
				t.Fatalf("with %d members: %v after %v, want no less and at most %v", c.members, next, wait, c.longest)
			}
			wait = next
		}
		if wait != c.longest || asked > c.most {
			t.Errorf("with %d members: asked %d times in an hour, and waits %v; want at most %d, and %v", c.members, asked, wait, c.most, c.longest)
		}
	}
	// Who was alone for long and is not any more slows down from there.
	if got := nextSearch(searchAlone, 3, 8); got != 2*searchAlone {
		t.Errorf("after being alone: %v", got)
	}
}

func TestSearch_BeginsAnewWhenFewAreLeft(t *testing.T) {
	s := newSwarm(t)
	a, b := start(t, s.config(t, newKey(t))), start(t, s.config(t, newKey(t)))
	a.AddAddrs(b.self, b.Addrs())
	a.Redial(b.self)
	eventually(t, "they meet", connectedTo(a, b))
	select {
	case <-a.search.anew:
		t.Error("searched anew while all was well")
	default:
	}
	b.Close()
	select {
	case <-a.search.anew:
	case <-t.Context().Done():
		t.Error("the last other peer has gone, and nobody is searched for")
	}
}
