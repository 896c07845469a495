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
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), other.self.Short()) || !strings.Contains(err.Error(), joinProto) {
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
