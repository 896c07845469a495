package p2p

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"shoal/p2p/admit"
	"shoal/wire"
)

var silent = slog.New(slog.DiscardHandler)

// A ticket for one machine stays one for one, whatever becomes of the daemon: it is
// killed, not closed, between the two counts.
func TestUses_SurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tickets.json")
	now := time.Unix(1_800_000_000, 0)
	one := JoinRequest{Ticket: admit.TicketID{1}, MaxUses: 1, NotAfter: now.Add(time.Hour), Peer: wire.PeerID{1}}
	other := one
	other.Peer = wire.PeerID{2}
	if err := newUseCount(file, silent).count(one, now); err != nil {
		t.Fatal(err)
	}
	again := newUseCount(file, silent)
	if err := again.count(one, now); err != nil {
		t.Errorf("the same peer asks again: %v", err)
	}
	if err := again.count(other, now); !errors.Is(err, admit.ErrUsedUp) {
		t.Errorf("another peer: %v, want %v", err, admit.ErrUsedUp)
	}
	another := other
	another.Ticket = admit.TicketID{2}
	if err := again.count(another, now.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := len(newUseCount(file, silent).tickets); n != 1 {
		t.Errorf("%d tickets are kept, want 1: the other expired long ago", n)
	}
}

func TestUses_NotKeptIsNotGranted(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	one := JoinRequest{Ticket: admit.TicketID{1}, MaxUses: 1, Peer: wire.PeerID{1}}
	nowhere := newUseCount(filepath.Join(t.TempDir(), "gone", "tickets.json"), silent)
	for range 2 {
		if err := nowhere.count(one, now); !errors.Is(err, errCannotAdmit) {
			t.Errorf("a use that cannot be written: %v", err)
		}
	}
	anyUses := one
	anyUses.MaxUses = 0
	if err := nowhere.count(anyUses, now); err != nil {
		t.Errorf("a ticket that is not counted: %v", err)
	}
	for name, text := range map[string]string{
		"cut": `{"version":1,"tickets":{"00`, "newer": `{"version":2}`, "odd": `{"version":1,"tickets":{"xyz":{"peers":[]}}}`,
	} {
		file := filepath.Join(t.TempDir(), "tickets.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newUseCount(file, silent).count(one, now); !errors.Is(err, errCannotAdmit) {
			t.Errorf("%s file: %v", name, err)
		}
	}
	full := newUseCount("", silent)
	for i := range maxUses {
		r := JoinRequest{Ticket: admit.TicketID{byte(i), byte(i >> 8)}, MaxUses: 1, Peer: wire.PeerID{1}}
		if err := full.count(r, now); err != nil {
			t.Fatal(err)
		}
	}
	one.Ticket = admit.TicketID{15: 1}
	if err := full.count(one, now); !errors.Is(err, errCannotAdmit) {
		t.Errorf("a use beyond the bound: %v", err)
	}
}

// A number of uses is counted at one place: by the member that made the ticket.
func TestJoin_OnlyTheIssuerCounts(t *testing.T) {
	s := newSwarm(t)
	a, b := s.peer(t), s.peer(t)
	for uses, want := range map[int]error{0: nil, 1: errNotIssuer} {
		ticket := ticketOf(t, a, admit.Run, time.Time{}, uses)
		ticket.Peers = b.TicketPeers()[:1]
		if _, err := Join(context.Background(), newKey(t), ticket); !errors.Is(err, want) {
			t.Errorf("ticket of a for %d uses, shown to b: %v, want %v", uses, err, want)
		}
	}
}
