package p2p

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

// locked is a buffer that a logger may write to while a test reads.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *locked) has(words ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(l.b.String(), w) {
			return false
		}
	}
	return true
}

func (l *locked) count(word string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), word)
}

// ofNextVersion makes a host speak the next versions of the first protocols, and not ours.
func ofNextVersion(h *Host) {
	for _, proto := range []string{helloProto, joinProto} {
		h.host.RemoveStreamHandler(protocol.ID(proto))
		h.host.SetStreamHandler(protocol.ID(strings.TrimSuffix(proto, "1")+"2"), func(s network.Stream) { s.Reset() })
	}
}

// A peer of another protocol version is no member, neither by a ticket nor by its
// certificate; both times this one says so, and goes on.
func TestVersion_OtherIsRefusedAndNamed(t *testing.T) {
	s := newSwarm(t)
	other := s.peer(t)
	ofNextVersion(other)
	ticket, err := s.root.Invite(admit.Member, time.Now().Add(time.Hour), 0, other.TicketPeers())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Join(context.Background(), newKey(t), ticket)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), other.self.Short()) || !strings.Contains(err.Error(), helloProto) {
		t.Errorf("Join: %v", err)
	}

	var said locked
	cfg := s.config(t, newKey(t))
	cfg.Bootstrap = other.Addrs()[:1]
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	h := start(t, cfg)
	eventually(t, "it is named in the log", func() bool { return said.has("level=WARN", "another version", helloProto) })
	honest := s.peer(t, h)
	eventually(t, "others are served", connectedTo(h, honest))
	if p := h.Peers(); len(p) != 1 || p[0].ID != honest.self {
		t.Errorf("members %v", p)
	}
}

// Who would be a member that no other lets in is refused before it is admitted: by
// itself where the member says what it speaks, and by the member where it does.
func TestVersion_NobodyOfAnotherHelloIsAdmitted(t *testing.T) {
	s := newSwarm(t)
	var said locked
	cfg := s.config(t, newKey(t))
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	asked := 0
	cfg.OnJoin = func(JoinRequest) error { asked++; return nil }
	member := start(t, cfg)
	ticket := ticketOf(t, member, admit.Member, time.Now().Add(time.Hour), 0)

	key := newKey(t)
	_, err := member.answerJoin(toPeerID(idOf(key)), codec.Marshal(joinRequest{
		Invitation: ticket.Invitation.Encode(), Proof: ticket.Prove(idOf(key), member.self), Hellos: []string{"/shoal/hello/2"},
	}))
	if !errors.Is(err, ErrVersion) || refusals[refusalOf(err)] != ErrVersion { //nolint:errorlint // the very one that is told
		t.Errorf("the member takes it: %v", err)
	}

	member.host.RemoveStreamHandler(helloProto)
	member.host.SetStreamHandler("/shoal/hello/2", func(s network.Stream) { s.Reset() })
	_, err = Join(context.Background(), newKey(t), ticket)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "/shoal/hello/2, this one "+helloProto) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the joiner takes it: %v", err)
	}
	if asked != 0 {
		t.Errorf("the ticket was used %d times", asked)
	}
}

// Both remember who speaks another version, though it is no member here; and forget it
// once it is let in.
func TestVersion_OtherIsRememberedUntilLetIn(t *testing.T) {
	s := newSwarm(t)
	key := newKey(t)
	old := start(t, s.config(t, key))
	h := s.peer(t, old)
	eventually(t, "they meet", func() bool { return connectedTo(h, old)() && connectedTo(old, h)() })
	addr := old.Bound()[0]
	old.Close()
	cfg := s.config(t, key)
	cfg.Listen = []string{addr}
	newer := start(t, cfg)
	ofNextVersion(newer)
	h.Redial(newer.self)
	eventually(t, "it is remembered with what it speaks", func() bool { return h.OtherVersions()[newer.self] == "/shoal/hello/2" })
	if lasts := h.others.list(time.Now().Add(otherLasts + time.Second)); len(lasts) != 0 {
		t.Errorf("for ever: %v", lasts)
	}
	newer.host.SetStreamHandler(helloProto, newer.hearHello)
	h.Redial(newer.self)
	eventually(t, "it is let in", connectedTo(h, newer))
	if others := h.OtherVersions(); len(others) != 0 {
		t.Errorf("still of another version: %v", others)
	}
}

func TestOthers_AreBounded(t *testing.T) {
	o := others{seen: map[wire.PeerID]other{}}
	now := time.Now()
	for i := range maxOthers + 9 {
		o.note(wire.PeerID{byte(i + 1)}, "", now)
	}
	if n := len(o.list(now)); n != maxOthers {
		t.Errorf("%d remembered, want %d", n, maxOthers)
	}
	o.note(wire.PeerID{200}, "/shoal/hello/2", now.Add(otherLasts+1))
	if n := len(o.seen); n != 1 {
		t.Errorf("%d remembered when all others are old, want 1", n)
	}
}

func TestReminder_OncePerMinute(t *testing.T) {
	var r reminder
	now := time.Now()
	for _, tc := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {time.Minute + 1, false}} {
		if got := r.due(now.Add(tc.after)); got != tc.want {
			t.Errorf("after %v: %v, want %v", tc.after, got, tc.want)
		}
	}
}

// A muted host lets go of all and takes nobody, so that the other machine with its key
// is looked for.
func TestMute_NobodyIsConnected(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "they meet", connectedTo(b, a))
	a.Mute()
	eventually(t, "they part", func() bool { return a.Conns().Open == 0 && b.Conns().Open == 0 })
	b.AddAddrs(a.ID(), a.Addrs())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.connect(ctx, a.ID()); err == nil {
		t.Error("it is let in again")
	}
	if err := a.connect(ctx, b.ID()); err == nil {
		t.Error("it goes out again")
	}
}
