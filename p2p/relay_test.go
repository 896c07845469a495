package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
	"shoal/wire"
)

// pathTo returns how h reaches p, "" if it does not.
func pathTo(h *Host, p wire.PeerID) Path {
	for _, i := range h.Peers() {
		if i.ID == p {
			return i.Path
		}
	}
	return ""
}

func isHidden(h *Host, relays int) func() bool {
	return func() bool {
		hidden, at := h.Hidden()
		return hidden && len(at) >= relays
	}
}

// introduce does what the ledger does: from's card reaches to, and whoever has lost a
// peer redials it each second.
func introduce(t *testing.T, from, to *Host) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			to.AddAddrs(from.ID(), from.Addrs())
			to.Redial(from.ID())
			select {
			case <-time.After(time.Second):
			case <-done:
				return
			}
		}
	}()
}

func TestRelay_HiddenPeersTakePartFullyAndOutliveTheirRelay(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	r1, plot1 := y.host(false)
	r2, plot2 := y.host(false, r1)
	began := time.Now()
	a, plotA := y.host(true, r1, r2)
	b, plotB := y.host(true, r1, r2)
	y.sever(plotA, plotB)
	for _, h := range []*Host{a, b} {
		eventually(t, "a hidden peer finds that out and two relays", isHidden(h, 2))
		if err := h.Join("jobs"); err != nil {
			t.Fatal(err)
		}
	}
	y.since(began, 15*time.Second, "two relays")
	if hidden, at := r1.Hidden(); hidden || len(at) > 0 {
		t.Errorf("a peer that anybody can dial holds reservations at %v", at)
	}
	introduce(t, a, b)
	eventually(t, "b reaches a", connectedTo(b, a))
	eventually(t, "a knows it", connectedTo(a, b))
	if pathTo(a, b.ID()) != Relayed || pathTo(b, a.ID()) != Relayed {
		t.Fatalf("paths %q and %q, want relayed", pathTo(a, b.ID()), pathTo(b, a.ID()))
	}
	takesPartFully(t, a, b)

	i := slices.IndexFunc(b.Peers(), func(p PeerInfo) bool { return p.ID == a.ID() })
	info := b.Peers()[i]
	lost, left := plot1, r2
	if info.Relay == r2.ID() {
		lost, left = plot2, r1
	}
	if info.RTT <= 0 || info.Relay != r1.ID() && info.Relay != r2.ID() {
		t.Errorf("round trip and relay are not told: %+v", info)
	}
	began = time.Now()
	lost.dead.Store(true)
	eventually(t, "b reaches a through the relay that is left", func() bool {
		i := slices.IndexFunc(b.Peers(), func(p PeerInfo) bool { return p.ID == a.ID() && p.Relay == left.ID() })
		return i >= 0 && a.gate.isAdmitted(toPeerID(b.self))
	})
	y.since(began, 12*time.Second, "another relay")
	takesPartFully(t, a, b)
}

// takesPartFully moves frames, a stream of more bytes than libp2p's own bound on
// relayed connections, and gossip between two.
func takesPartFully(t *testing.T, a, b *Host) {
	t.Helper()
	for _, c := range a.host.Network().ConnsToPeer(toPeerID(b.self)) {
		if c.Stat().Limited {
			t.Error("the connection is marked as limited: gossip and streams will avoid it")
		}
	}
	for range 2 {
		// A frame may be lost with a connection; who sends it says it again.
		eventually(t, "a frame arrives", func() bool {
			a.Send(b.ID(), []byte("hello"))
			select {
			case e := <-b.Events():
				m, ok := e.(Message)
				return ok && m.Topic == "" && string(m.Bytes) == "hello"
			case <-time.After(200 * time.Millisecond):
				return false
			}
		})
		a, b = b, a
	}
	a.Handle("echo/1", func(_ wire.PeerID, c net.Conn) {
		defer c.Close()
		io.Copy(c, c)
	})
	c, err := b.Open(context.Background(), a.ID(), "echo/1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := bytes.Repeat([]byte("shoal"), 200_000)
	go func() {
		c.Write(want)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("echo of %d bytes: %d bytes, %v", len(want), len(got), err)
	}
	eventually(t, "both are neighbours in gossip", func() bool {
		has := func(h, o *Host) bool {
			return slices.Contains(h.topics.ps.ListPeers(h.topics.prefix+"jobs"), toPeerID(o.self))
		}
		return has(a, b) && has(b, a)
	})
}

func TestRelay_AHoleIsMadeAndFramesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	r, _ := y.host(false)
	a, _ := y.host(true, r)
	b, _ := y.host(true, r)
	for _, h := range []*Host{a, b} {
		eventually(t, "it has a relay", isHidden(h, 1))
		if err := h.Join("jobs"); err != nil {
			t.Fatal(err)
		}
	}
	introduce(t, a, b)
	eventually(t, "both know it", func() bool { return connectedTo(b, a)() && connectedTo(a, b)() })
	const frames = 500
	go func() {
		for i := range frames {
			for !b.Send(a.ID(), binary.BigEndian.AppendUint32(nil, uint32(i))) {
				if t.Context().Err() != nil {
					return // the test has failed, and b is closed
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(10 * time.Millisecond) // the hole is made meanwhile
		}
	}()
	for i := range frames {
		if m := next[Message](t, a); binary.BigEndian.Uint32(m.Bytes) != uint32(i) {
			t.Fatalf("frame %d came in place of %d", binary.BigEndian.Uint32(m.Bytes), i)
		}
	}
	// Firewalls that translate nothing open for two who dial by chance at once, too: that
	// is a hole nobody planned, and counts as direct. TestNAT_AHoleIsMade tells them apart.
	eventually(t, "they do without a relay", func() bool {
		without := func(p Path) bool { return p == Direct || p == Punched }
		return without(pathTo(a, b.ID())) && without(pathTo(b, a.ID()))
	})
	eventually(t, "the relay is left", func() bool { // two who dialled at once keep both connections
		conns := a.host.Network().ConnsToPeer(toPeerID(b.self))
		return len(conns) > 0 && !slices.ContainsFunc(conns, func(c network.Conn) bool { return isRelayed(c.RemoteMultiaddr()) })
	})
	if !a.gate.isAdmitted(toPeerID(b.self)) {
		t.Error("admission went with the relay")
	}
	takesPartFully(t, a, b)
}

func TestRelay_ServesMembersAlone(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	r, _ := y.host(false)
	a, _ := y.host(true, r)
	eventually(t, "a has a relay", isHidden(a, 1))

	stranger, _ := outsiderAt(t, y, r)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := client.Reserve(ctx, stranger, peer.AddrInfo{ID: toPeerID(r.self)}); err == nil {
		t.Error("a stranger got a reservation")
	}

	_, connect := outsiderAt(t, y, r)
	if err := connect(ctx, a); err == nil {
		t.Error("a stranger was carried to a member")
	}
	gone, _ := y.host(false, r)
	eventually(t, "the member is in", connectedTo(gone, r))
	r.SetRevoked(func(p wire.PeerID) bool { return p == gone.ID() }, nil)
	acl := relayACL{r}
	if acl.AllowReserve(toPeerID(gone.self), nil) || acl.AllowConnect(toPeerID(gone.self), nil, toPeerID(a.self)) {
		t.Error("a removed member is served")
	}
}

func TestRelay_OwnersAndProfilesMayForbidIt(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no-relay": func(c *Config) { c.NoRelay = true },
		"metered":  func(c *Config) { c.Profile = ProfileMetered },
		"small":    func(c *Config) { c.Profile = ProfileSmall },
		"flat":     func(c *Config) { c.Flat = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSwarm(t)
			cfg := s.config(t, newKey(t))
			cfg.DHT = true
			change(&cfg)
			h := start(t, cfg)
			if h.relaying.service != nil {
				t.Error("it is a relay")
			}
			if name == "small" && h.dht != nil && h.dht.Mode() != dht.ModeClient {
				t.Error("a small peer answers for the DHT")
			}
			if traverses := h.punching != nil; traverses != (name == "no-relay" || name == "metered") {
				t.Errorf("it looks for relays itself: %v", traverses)
			}
		})
	}
}

// between is the two ends of a connection, for asking the gate.
type between struct{ local, remote ma.Multiaddr }

func (b between) LocalMultiaddr() ma.Multiaddr  { return b.local }
func (b between) RemoteMultiaddr() ma.Multiaddr { return b.remote }

func TestGate_TakesWhatMembersRelayAlone(t *testing.T) {
	g := newGate(8, nil)
	relay := toPeerID(idOf(newKey(t)))
	own := ma.StringCast("/ip4/192.0.2.1/tcp/7462")
	relayed := ma.StringCast("/ip4/192.0.2.2/tcp/7462/p2p/" + relay.String() + "/p2p-circuit")
	if !g.InterceptAccept(between{own, ma.StringCast("/ip4/192.0.2.2/tcp/7462")}) {
		t.Error("a direct connection is refused before it could show anything")
	}
	if g.InterceptAccept(between{own, relayed}) {
		t.Error("what a stranger claims to relay is taken")
	}
	id, err := fromPeerID(relay)
	if err != nil {
		t.Fatal(err)
	}
	g.admit(relay, admission{id: id}, admit.Certificate{})
	if !g.InterceptAccept(between{own, relayed}) {
		t.Error("what a member relays is refused")
	}
}
