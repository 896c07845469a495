package p2p

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"shoal/p2p/admit"
)

// A testSwarm has a root key and makes members on loopback.
type testSwarm struct {
	root admit.Signer
	id   admit.SwarmID
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSwarm(t testing.TB) testSwarm {
	key := newKey(t)
	return testSwarm{root: admit.Signer{Key: key}, id: admit.SwarmIDOf(key)}
}

func (s testSwarm) config(t testing.TB, key ed25519.PrivateKey) Config {
	t.Helper()
	cert, err := s.root.Issue(idOf(key), admit.Member, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Key: key, Swarm: s.id, Certificate: cert,
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
	}
}

func start(t testing.TB, cfg Config) *Host {
	t.Helper()
	h, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func (s testSwarm) peer(t testing.TB, bootstrap ...*Host) *Host {
	t.Helper()
	cfg := s.config(t, newKey(t))
	for _, b := range bootstrap {
		cfg.Bootstrap = append(cfg.Bootstrap, b.Addrs()[0])
	}
	return start(t, cfg)
}

// eventually polls until ok or the test's patience ends.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func connectedTo(h *Host, others ...*Host) func() bool {
	return func() bool {
		for _, o := range others {
			if !h.gate.isAdmitted(toPeerID(o.self)) {
				return false
			}
		}
		return true
	}
}

// next returns the next event of type E within 30 s, passing over others.
func next[E Event](t testing.TB, h *Host) E {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case e := <-h.Events():
			if want, ok := e.(E); ok {
				return want
			}
		case <-timeout:
			var zero E
			t.Fatalf("no %T within 30 s", zero)
		}
	}
}

func TestHost_FramesArriveInOrder(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "b reaches a", connectedTo(b, a))
	const frames = 2000
	for i := range frames {
		if !b.Send(a.ID(), binary.BigEndian.AppendUint32(make([]byte, 300), uint32(i))) {
			t.Fatalf("frame %d refused", i)
		}
	}
	for i := range frames {
		m := next[Message](t, a)
		if got := binary.BigEndian.Uint32(m.Bytes[300:]); got != uint32(i) || m.From != b.ID() || m.Topic != "" {
			t.Fatalf("message %d: got frame %d from %s on %q", i, got, m.From.Short(), m.Topic)
		}
	}
}

func TestHost_SendNeverBlocksAndRefusesWhenFull(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a) // nobody reads a's events, so its stream fills
	eventually(t, "b reaches a", connectedTo(b, a))
	frame := make([]byte, 64<<10)
	begun := time.Now()
	refused := false
	for range 40_000 {
		if refused = !b.Send(a.ID(), frame); refused {
			break
		}
	}
	if !refused {
		t.Fatal("2.5 GB queued for a peer that does not read")
	}
	if spent := time.Since(begun); spent > writeTimeout {
		t.Errorf("Send took %v in all", spent)
	}
	if b.Send(a.ID(), make([]byte, MaxFrame+1)) {
		t.Error("a frame beyond MaxFrame was taken")
	}
	if b.Stats().FramesRefused == 0 {
		t.Error("refusals are not counted")
	}
}

func TestHost_Presence(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	if got := next[Connected](t, a); got.Peer != b.ID() {
		t.Fatalf("connected %s, want %s", got.Peer, b.ID())
	}
	if got := next[Connected](t, b); got.Peer != a.ID() {
		t.Fatalf("connected %s, want %s", got.Peer, a.ID())
	}
	infos := a.Peers()
	if len(infos) != 1 || infos[0].ID != b.ID() || infos[0].RTT <= 0 || infos[0].Path != Direct || infos[0].Rights != admit.Member {
		t.Errorf("peers: %+v", infos)
	}
	b.Close()
	if got := next[Disconnected](t, a); got.Peer != b.ID() {
		t.Fatalf("disconnected %s, want %s", got.Peer, b.ID())
	}
	eventually(t, "a frame to the dead is told lost or refused", func() bool {
		return !a.Send(b.ID(), []byte("x"))
	})
	if got := next[Unreachable](t, a); got.Peer != b.ID() || got.Err == nil {
		t.Fatalf("unreachable: %+v", got)
	}
}

func TestHost_ReconnectsFromRememberedPeers(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	cfg := s.config(t, newKey(t))
	cfg.RememberFile = filepath.Join(t.TempDir(), "peers.json")
	cfg.Bootstrap = a.Addrs()[:1]
	b := start(t, cfg)
	eventually(t, "b reaches a", connectedTo(b, a))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Bootstrap = nil
	b = start(t, cfg)
	eventually(t, "b finds a without ticket or bootstrap", connectedTo(b, a))
}

func TestHost_RemoteRestartsWithItsKey(t *testing.T) {
	s := newSwarm(t)
	cfg := s.config(t, newKey(t))
	a := start(t, cfg)
	b := s.peer(t, a)
	eventually(t, "b reaches a", connectedTo(b, a))
	cfg.Listen = nil
	for _, addr := range a.host.Addrs() { // the same ports again
		cfg.Listen = append(cfg.Listen, addr.String())
	}
	a.Close()
	next[Disconnected](t, b)
	a = start(t, cfg)
	eventually(t, "b finds a again", connectedTo(b, a))
	next[Connected](t, b)
	if !b.Send(a.ID(), []byte("again")) {
		t.Fatal("refused after the reconnection")
	}
	if m := next[Message](t, a); string(m.Bytes) != "again" {
		t.Fatalf("got %q", m.Bytes)
	}
}

// Off loopback libp2p counts per address and per /24, and defaults break a swarm of
// ten; see perAddress and Host.start.
func TestHost_TwentyBehindOneAddress(t *testing.T) {
	ip := ownIP(t)
	s := newSwarm(t)
	var hosts []*Host
	for i := range 21 {
		cfg := s.config(t, newKey(t))
		cfg.Listen = []string{"/ip4/" + ip + "/udp/0/quic-v1", "/ip4/" + ip + "/tcp/0"}
		if i > 0 {
			cfg.Bootstrap = hosts[0].Addrs()[i%2 : i%2+1] // QUIC and TCP in turn
		}
		hosts = append(hosts, start(t, cfg))
		if err := hosts[i].Join("jobs"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all twenty are in", connectedTo(hosts[0], hosts[1:]...))
	eventually(t, "gossip has found all twenty", func() bool {
		return len(hosts[0].topics.ps.ListPeers(hosts[0].topics.prefix+"jobs")) == 20
	})
}

// ownIP returns an IPv4 address of this machine that is not loopback.
func ownIP(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

func TestHost_GossipReachesEveryone(t *testing.T) {
	for _, n := range []int{3, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newSwarm(t)
			hosts := []*Host{s.peer(t)}
			for range n - 1 {
				hosts = append(hosts, s.peer(t, hosts[0]))
			}
			for _, h := range hosts {
				if err := h.Join("jobs"); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "all reach the first", connectedTo(hosts[0], hosts[1:]...))
			// Two that join at the same moment do not learn of each other from the first,
			// which knew neither then: the addresses in their cards tell, as here.
			for i, h := range hosts {
				for k := 1; k <= min(n-1, 4); k++ {
					other := hosts[(i+k)%n]
					h.AddAddrs(other.ID(), other.Addrs())
					h.Redial(other.ID())
				}
			}
			eventually(t, "the swarm is no star", func() bool {
				return !slices.ContainsFunc(hosts, func(h *Host) bool { return h.Stats().Peers < min(n-1, 4) })
			})
			// From the far end, so that others must pass it on. A mesh takes a heartbeat
			// or two to form, and what is published before may miss somebody.
			author := hosts[n-1]
			eventually(t, "a publication reaches all", func() bool {
				if err := author.Publish("jobs", []byte{255}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
				return !slices.ContainsFunc(hosts[:n-1], func(h *Host) bool { return h.Stats().Heard == 0 })
			})
			const messages = 50
			for i := range messages {
				if err := author.Publish("jobs", []byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			for i, h := range hosts[:n-1] {
				seen := map[byte]bool{}
				for len(seen) < messages {
					m := next[Message](t, h)
					if m.From != author.ID() || m.Topic != "jobs" {
						t.Fatalf("host %d: message of %s on %q", i, m.From.Short(), m.Topic)
					}
					if m.Bytes[0] != 255 {
						seen[m.Bytes[0]] = true
					}
				}
			}
		})
	}
}

func TestNew_BusyPortIsOneSentence(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	for _, addr := range a.host.Addrs() {
		cfg := s.config(t, newKey(t))
		cfg.Listen = []string{addr.String()}
		_, err := New(context.Background(), cfg)
		if err == nil {
			t.Fatalf("%s was given twice", addr)
		}
		t.Log(err)
	}
}

func TestJoin(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	ticket := ticketOf(t, a, admit.Member, time.Time{}, 1)
	parsed, err := admit.ParseTicket(ticket.String())
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	for range 2 { // a lost reply: the same peer asks again, at no cost
		joined, err := Join(context.Background(), key, parsed)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{Key: key, Swarm: parsed.Swarm, Certificate: joined.Certificate, Listen: s.config(t, key).Listen}
		for _, m := range joined.Members {
			for _, addr := range m.Addrs {
				cfg.Bootstrap = append(cfg.Bootstrap, addr+"/p2p/"+m.Peer.String())
			}
		}
		b := start(t, cfg)
		eventually(t, "the joined reaches a", connectedTo(b, a))
		b.Close()
	}
	if _, err := Join(context.Background(), newKey(t), parsed); !errors.Is(err, admit.ErrUsedUp) {
		t.Errorf("second peer with a ticket for one: %v", err)
	}
}

func ticketOf(t testing.TB, h *Host, rights admit.Rights, notAfter time.Time, uses int) admit.Ticket {
	t.Helper()
	cert := h.cfg.Certificate
	ticket, err := admit.Signer{Key: h.cfg.Key, Certificate: &cert}.Invite(rights, notAfter, uses, h.TicketPeers())
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}
