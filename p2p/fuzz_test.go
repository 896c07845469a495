package p2p

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"shoal/internal/fuzztest"
	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

func FuzzReadFrame(f *testing.F) {
	var b bytes.Buffer
	writeFrame(&b, []byte("frame"))
	writeFrame(&b, nil)
	f.Add(b.Bytes())
	f.Add([]byte{0, 64, 0, 0, 1})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() {
			r := bytes.NewReader(b)
			for {
				if _, err := readFrame(r, MaxFrame); err != nil {
					return
				}
			}
		})
	})
}

// idle is a host that listens nowhere.
func idle(f *testing.F) (*Host, testSwarm) {
	s := newSwarm(f)
	cfg := s.config(f, newKey(f))
	if err := cfg.check(); err != nil {
		f.Fatal(err)
	}
	return newHost(context.Background(), cfg), s
}

// FuzzHello reads what a stranger shows first.
func FuzzHello(f *testing.F) {
	h, s := idle(f)
	other := s.config(f, newKey(f)).Certificate
	p := toPeerID(other.Peer)
	whole := hello{
		Certificate: other.Encode(), Session: 1, Notice: []byte("notice"),
		Peers: []joinPeer{{Peer: other.Peer[:]}},
	}
	for _, a := range binaryAddrs(f, "/ip4/192.0.2.1/udp/7462/quic-v1", "/ip6/2001:db8::1/tcp/7462") {
		whole.Addrs = append(whole.Addrs, a)
		whole.Peers[0].Addrs = append(whole.Peers[0].Addrs, a)
	}
	f.Add(codec.Marshal(whole))
	f.Add(codec.Marshal(hello{Certificate: newSwarm(f).config(f, newKey(f)).Certificate.Encode(), Session: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { h.checkHello(p, b) })
		g, err := h.checkHello(p, b)
		if err == nil && g.id != other.Peer {
			t.Errorf("%s is let in as %s", other.Peer.Short(), g.id.Short())
		}
		if err != nil && faultOf(err) == 0 {
			t.Errorf("an error of no fault: %v", err)
		}
	})
}

// FuzzJoin reads what a stranger asks, and what a member answers.
func FuzzJoin(f *testing.F) {
	h, s := idle(f)
	id := idOf(newKey(f))
	ticket, err := s.root.Invite(admit.Member, time.Now().Add(time.Hour), 0, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(codec.Marshal(joinRequest{Invitation: ticket.Invitation.Encode(), Proof: bytes.Repeat([]byte{1}, 64)}))
	f.Add(codec.Marshal(joinRequest{}))
	f.Add(codec.Marshal(joinReply{Refusal: 3}))
	f.Add(codec.Marshal(joinReply{Certificate: h.cfg.Certificate.Encode(), Peers: []joinPeer{{Peer: h.self[:]}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { h.answerJoin(toPeerID(id), b) })
		if _, err := h.answerJoin(toPeerID(id), b); err == nil {
			t.Error("admitted")
		}
		fuzztest.Bounded(t, len(b), func() { readJoinReply(b, id, ticket, h.self) })
		if j, err := readJoinReply(b, id, ticket, h.self); err == nil && j.Certificate.Peer != id {
			t.Errorf("another's certificate is taken")
		}
	})
}

// FuzzFiles reads what this host remembers on disk.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{"version":1,"peers":[{"id":"12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5","met":"2026-11-21T09:30:00Z","addrs":["/ip4/192.0.2.1/tcp/7462"]}]}`))
	f.Add([]byte(`{"version":1,"tickets":{"00":{"notAfter":"2026-11-21T09:30:00Z","peers":[]},"01":null}}`))
	file := filepath.Join(f.TempDir(), "file.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		book := newBook()
		if book.load(file) == nil && len(book.all()) > maxRemember {
			t.Errorf("%d peers are remembered", len(book.all()))
		}
		u := newUseCount(file, slog.New(slog.DiscardHandler))
		if u.damaged == nil {
			_ = u.count(JoinRequest{MaxUses: 1, Peer: wire.PeerID{1}}, time.Now())
		}
	})
}

// FuzzAddrs reads addresses as peers send and as people type them.
func FuzzAddrs(f *testing.F) {
	for _, a := range binaryAddrs(f, "/ip4/192.0.2.1/udp/7462/quic-v1", "/dns4/example.org/tcp/7462") {
		f.Add(a, "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5")
	}
	f.Fuzz(func(_ *testing.T, b []byte, text string) {
		for _, a := range parseAddrs([][]byte{b, b}) {
			_ = a.String()
		}
		_, _ = parseBootstrap([]string{text})
	})
}

func binaryAddrs(f *testing.F, texts ...string) (out [][]byte) {
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, a.Bytes())
	}
	return out
}

// FuzzProbe reads what a member asks and answers about who can be dialled, and whom it
// knows.
func FuzzProbe(f *testing.F) {
	f.Add(codec.Marshal(question{[]string{"/tcp/7462", "/udp/7462/quic-v1"}}))
	f.Add(codec.Marshal(answer{}))
	f.Add(codec.Marshal([]joinPeer{{Peer: bytes.Repeat([]byte{1}, 32), Addrs: binaryAddrs(f, "/ip4/192.0.2.1/tcp/7462")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q question
		fuzztest.Bounded(t, len(b), func() {
			q = question{}
			_ = codec.Unmarshal(b, maxProbe, &q)
		})
		fuzztest.Bounded(t, len(b), func() { _ = codec.Unmarshal(b, maxProbe, new(answer)) })
		fuzztest.Bounded(t, len(b), func() { _ = codec.Unmarshal(b, maxPeers, new([]joinPeer)) })
		for _, suffix := range q.Suffixes {
			if a, err := addrAt(net.IPv4(192, 0, 2, 1), suffix); err == nil && len(a) != 2 && len(a) != 3 {
				t.Errorf("%q is dialled at %s", suffix, a)
			}
		}
	})
}
