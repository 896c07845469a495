package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

// outsider is a bare libp2p host connected to h. It speaks what a test makes it.
func outsider(t *testing.T, h *Host) host.Host {
	t.Helper()
	opts, err := options(Config{Key: newKey(t)}, profiles[ProfileSmall], nil, ownAddrs)
	if err != nil {
		t.Fatal(err)
	}
	o, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	if err := o.Connect(context.Background(), peer.AddrInfo{ID: toPeerID(h.self), Addrs: h.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	return o
}

func isCutOff(o host.Host, h *Host) func() bool {
	return func() bool { return o.Network().Connectedness(toPeerID(h.self)) != network.Connected }
}

func TestGate_OutsiderGetsNothing(t *testing.T) {
	s := newSwarm(t)
	cfg := s.config(t, newKey(t))
	cfg.DHT = true
	h := start(t, cfg)
	if err := h.Join("jobs"); err != nil {
		t.Fatal(err)
	}
	var handled atomic.Bool
	h.Handle("api/1", func(_ wire.PeerID, c net.Conn) { handled.Store(true); c.Close() })
	o := outsider(t, h)
	protos := []protocol.ID{messageProto, streamProto, certProto, "/meshsub/1.2.0", "/floodsub/1.0.0", protocol.ID("/shoal/" + s.id.Short() + "/kad/1.0.0")}
	for _, proto := range protos {
		ctx, cancel := context.WithTimeout(context.Background(), 2*helloTimeout)
		defer cancel()
		st, err := o.NewStream(ctx, toPeerID(h.self), proto)
		if err != nil {
			t.Fatalf("%s: %v", proto, err)
		}
		st.SetDeadline(time.Now().Add(3 * helloTimeout))
		writeFrame(st, []byte("api/1"))
		go func() {
			// The stream is let wait for a hello; it ends with the connection.
			if b, err := io.ReadAll(st); err == nil || len(b) > 0 {
				t.Errorf("%s: %d bytes, %v", proto, len(b), err)
			}
		}()
	}
	eventually(t, "the outsider is cut off", isCutOff(o, h))
	eventually(t, "nothing is kept of it", func() bool {
		h.gate.mu.Lock()
		defer h.gate.mu.Unlock()
		return len(h.gate.strange) == 0 && len(h.gate.waiting) == 0 && len(h.gate.admitted) == 0
	})
	if handled.Load() {
		t.Error("its connection was handled")
	}
	select {
	case e := <-h.Events():
		t.Errorf("event %+v", e)
	default:
	}
}

func TestGate_BadHellosEndTheConnection(t *testing.T) {
	s, foreign := newSwarm(t), newSwarm(t)
	h := s.peer(t)
	issue := func(by testSwarm, to wire.PeerID, notAfter time.Time) []byte {
		c, err := by.root.Issue(to, admit.Member, notAfter)
		if err != nil {
			t.Fatal(err)
		}
		return c.Encode()
	}
	for _, c := range []struct {
		name  string
		hello func(self wire.PeerID) []byte
	}{
		{"another swarm's certificate", func(p wire.PeerID) []byte { return codec.Marshal(hello{Certificate: issue(foreign, p, time.Time{})}) }},
		{"another peer's certificate", func(wire.PeerID) []byte { return codec.Marshal(hello{Certificate: issue(s, h.self, time.Time{})}) }},
		{"expired", func(p wire.PeerID) []byte {
			return codec.Marshal(hello{Certificate: issue(s, p, time.Now().Add(-time.Hour))})
		}},
		{"none", func(wire.PeerID) []byte { return codec.Marshal(hello{}) }},
		{"not even CBOR", func(wire.PeerID) []byte { return []byte("hello") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := outsider(t, h)
			self, err := fromPeerID(o.ID())
			if err != nil {
				t.Fatal(err)
			}
			st, err := o.NewStream(context.Background(), toPeerID(h.self), helloProto)
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			writeFrame(st, c.hello(self))
			if b, err := io.ReadAll(st); err == nil || len(b) > 0 {
				t.Errorf("answered with %d bytes, %v", len(b), err)
			}
			eventually(t, "the connection ends", isCutOff(o, h))
			if time.Since(begun) > helloTimeout/2 {
				t.Error("ended by time, not by refusal")
			}
		})
	}
	if n := h.Stats().Peers; n != 0 {
		t.Errorf("%d admitted", n)
	}
}

func TestGate_TwoSwarmsNeverMix(t *testing.T) {
	s, foreign := newSwarm(t), newSwarm(t)
	a := s.peer(t)
	b := foreign.peer(t, a) // as if told of a by a mistake
	a.AddAddrs(b.ID(), b.Addrs())
	if a.Send(b.ID(), []byte("secret")) {
		if u := next[Unreachable](t, a); u.Peer != b.ID() {
			t.Errorf("unreachable: %+v", u)
		}
	}
	if _, err := b.Open(context.Background(), a.ID(), "api/1"); err == nil {
		t.Error("a stranger's stream was opened")
	}
	if a.Stats().Peers+b.Stats().Peers != 0 || a.Stats().FramesSent != 0 || b.Stats().FramesReceived != 0 {
		t.Errorf("they met: %+v %+v", a.Stats(), b.Stats())
	}
}

func TestGate_RevocationEndsAndRefusesConnections(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "b reaches a", connectedTo(a, b))
	a.SetRevoked(func(p wire.PeerID) bool { return p == b.ID() }, nil)
	eventually(t, "b is cut off", func() bool { return b.Stats().Peers == 0 })
	if err := b.connect(context.Background(), a.ID()); err == nil {
		t.Error("b is back")
	}
	if a.Send(b.ID(), []byte("x")) {
		next[Unreachable](t, a)
	}
	if a.Stats().Peers != 0 {
		t.Error("a counts b still")
	}
}

func TestGate_RemovedPeerIsTold(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "b reaches a", connectedTo(a, b))
	notice := func(p wire.PeerID) []byte { return []byte("removed: " + p.String()) }
	told := func(how string) {
		t.Helper()
		if m := next[Message](t, b); m.From != a.ID() || m.Topic != "" || !bytes.Equal(m.Bytes, notice(b.ID())) {
			t.Errorf("%s b heard %+v", how, m)
		}
	}
	a.SetRevoked(func(p wire.PeerID) bool { return p == b.ID() }, notice)
	told("when cut off")
	eventually(t, "b is cut off", func() bool { return b.Stats().Peers == 0 })
	b.AddAddrs(a.ID(), a.Addrs())
	for range 2 {
		if err := b.connect(context.Background(), a.ID()); err == nil {
			t.Error("b is back")
		}
		told("when it came again")
	}
	if a.Stats().Peers+b.Stats().Peers != 0 {
		t.Error("one counts the other")
	}
}

func TestGate_RemovedPeerFindsATicketNoGood(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	key := newKey(t)
	a.SetRevoked(func(p wire.PeerID) bool { return p == idOf(key) }, nil)
	ticket, err := s.root.Invite(admit.Member, time.Now().Add(time.Hour), 0, a.TicketPeers())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(context.Background(), key, ticket); !errors.Is(err, admit.ErrRevoked) {
		t.Errorf("Join: %v", err)
	}
}

func TestHost_TwentyConnectToOne(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	var others []*Host
	for range 20 {
		others = append(others, s.peer(t, a))
	}
	eventually(t, "all twenty are in", connectedTo(a, others...))
}

func TestHost_HandleAndOpen(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	a.Handle("echo/1", func(from wire.PeerID, c net.Conn) {
		defer c.Close()
		if from != b.ID() || c.RemoteAddr().String() != b.ID().String() {
			t.Errorf("from %s, %s", from, c.RemoteAddr())
		}
		io.Copy(c, c)
	})
	c, err := b.Open(context.Background(), a.ID(), "echo/1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := bytes.Repeat([]byte("shoal"), 100_000)
	go func() {
		c.Write(want)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("echo of %d bytes: %d bytes, %v", len(want), len(got), err)
	}
	if _, err := b.Open(context.Background(), a.ID(), "none/1"); !errors.Is(err, errNoHandler) {
		t.Errorf("unknown protocol: %v", err)
	}
	if _, err := b.Open(context.Background(), idOf(newKey(t)), "echo/1"); err == nil {
		t.Error("a peer nobody knows was reached")
	}
}

func TestHost_FindsAMemberByDHT(t *testing.T) {
	s := newSwarm(t)
	var hosts []*Host
	for i := range 3 {
		cfg := s.config(t, newKey(t))
		cfg.DHT = true
		if i > 0 {
			cfg.Bootstrap = hosts[0].Addrs()[:1]
		}
		hosts = append(hosts, start(t, cfg))
	}
	eventually(t, "both are known to the first", connectedTo(hosts[0], hosts[1:]...))
	eventually(t, "the DHT knows its peers", func() bool {
		return hosts[0].dht.RoutingTable().Size() == 2 && hosts[1].dht.RoutingTable().Size() > 0
	})
	eventually(t, "found", func() bool {
		info, ok := hosts[1].findByDHT(context.Background(), toPeerID(hosts[2].ID()))
		return ok && len(info.Addrs) > 0
	})
}

func TestJoin_Refusals(t *testing.T) {
	s, foreign := newSwarm(t), newSwarm(t)
	h, other := s.peer(t), foreign.peer(t)
	member := s.config(t, newKey(t)).Certificate
	ofGone := ticketOf(t, h, admit.Run, time.Time{}, 1)
	ofGone.Peers = []admit.PeerAddrs{{Peer: member.Peer, Addrs: []string{"/ip4/127.0.0.1/tcp/9"}}}
	misled := ticketOf(t, h, admit.Run, time.Time{}, 1)
	misled.Peers = other.TicketPeers()
	expired := ticketOf(t, h, admit.Run, time.Now().Add(-time.Hour), 1)
	for _, c := range []struct {
		name   string
		ticket admit.Ticket
		want   error
		says   string
	}{
		{"expired", expired, admit.ErrExpired, "expired on 20"},
		{"leads to another swarm", misled, admit.ErrForeign, "another swarm"},
		{"leads to nobody", ofGone, nil, "no peer of the ticket answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Join(context.Background(), newKey(t), c.ticket)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v saying %q", err, c.want, c.says)
			}
			t.Log(err)
		})
	}
	// What the joiner's own check would stop must not pass the member either.
	inv := expired.Invitation
	id := idOf(newKey(t))
	req := codec.Marshal(joinRequest{Invitation: inv.Encode(), Proof: expired.Prove(id, h.self)})
	if _, err := h.answerJoin(toPeerID(id), req); !errors.Is(err, admit.ErrExpired) {
		t.Errorf("expired at the member: %v", err)
	}
	good := ticketOf(t, h, admit.Run, time.Time{}, 1)
	stolen := codec.Marshal(joinRequest{Invitation: good.Invitation.Encode(), Proof: good.Prove(id, h.self)})
	if _, err := h.answerJoin(toPeerID(idOf(newKey(t))), stolen); !errors.Is(err, admit.ErrForged) {
		t.Errorf("another peer's proof: %v", err)
	}
}

func TestJoin_TheHookDecides(t *testing.T) {
	s := newSwarm(t)
	cfg := s.config(t, newKey(t))
	var asked atomic.Pointer[JoinRequest]
	cfg.OnJoin = func(r JoinRequest) error { asked.Store(&r); return admit.ErrUsedUp }
	h := start(t, cfg)
	ticket := ticketOf(t, h, admit.Run, time.Time{}, 7)
	key := newKey(t)
	if _, err := Join(context.Background(), key, ticket); !errors.Is(err, admit.ErrUsedUp) {
		t.Errorf("refused by the hook: %v", err)
	}
	r := asked.Load()
	if r == nil || r.Peer != idOf(key) || r.Ticket != ticket.ID() || r.MaxUses != 7 || r.Certificate.Rights != admit.Run {
		t.Errorf("the hook was asked for %+v", r)
	}
}
