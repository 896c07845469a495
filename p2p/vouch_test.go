package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"shoal/p2p/admit"
	"shoal/p2p/internal/codec"
	"shoal/wire"
)

// letIn returns a config whose certificate another peer signed.
func (s testSwarm) letIn(t testing.TB, by Config, key ed25519.PrivateKey) Config {
	t.Helper()
	cfg := s.config(t, key)
	cert, err := admit.Signer{Key: by.Key, Certificate: &by.Certificate}.Issue(idOf(key), admit.Member, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificate = cert
	return cfg
}

// Who has the key of a removed peer can let in nobody any more, by certificate or by
// ticket, directly or through a peer it makes up; those it let in before stay, and let
// others in.
func TestVouch_RemovedPeerLetsInNobodyNew(t *testing.T) {
	s := newSwarm(t)
	removed := s.config(t, newKey(t))
	old := s.letIn(t, removed, newKey(t))   // let in by it, long ago
	child := s.letIn(t, old, newKey(t))     // and one by that one, which nobody knows yet
	thief := s.letIn(t, removed, newKey(t)) // let in by it today
	second := s.letIn(t, thief, newKey(t))  // and one by the thief
	sibling := s.letIn(t, old, thief.Key)   // the same key, let in by a good one
	unharmed := s.config(t, newKey(t))      // by the root
	known := map[wire.PeerID]bool{idOf(old.Key): true}
	a := s.peer(t)
	isRevoked := func(p wire.PeerID) bool { return p == idOf(removed.Key) }
	a.SetKnown(func(p wire.PeerID) bool { return known[p] })
	a.SetRevoked(isRevoked, nil)

	for _, tc := range []struct {
		name string
		cfg  Config
		in   bool
	}{
		{"itself", removed, false}, {"let in before", old, true}, {"by one of these", child, true},
		{"let in after", thief, false}, {"by one of these", second, false}, {"let in by a good one", sibling, true}, {"by the root", unharmed, true},
	} {
		_, err := a.checkHello(toPeerID(idOf(tc.cfg.Key)), codec.Marshal(hello{Certificate: tc.cfg.Certificate.Encode()}))
		if (err == nil) != tc.in {
			t.Errorf("%s: %v", tc.name, err)
		}
	}

	for _, tc := range []struct {
		name string
		by   Config
		want error
	}{{"its ticket", removed, errTicketRevoked}, {"the thief's", thief, errTicketRevoked}, {"of one let in before", old, nil}} {
		ticket, err := admit.Signer{Key: tc.by.Key, Certificate: &tc.by.Certificate}.Invite(admit.Member, time.Now().Add(time.Hour), 0, a.TicketPeers())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Join(context.Background(), newKey(t), ticket); !errors.Is(err, tc.want) || tc.want != nil && !strings.Contains(err.Error(), "new one") {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// Recheck ends what a removed peer let in and nobody has a card of.
func TestVouch_RecheckCutsOff(t *testing.T) {
	s := newSwarm(t)
	removed := s.config(t, newKey(t))
	a := s.peer(t)
	var in []*Host
	for range 2 {
		cfg := s.letIn(t, removed, newKey(t))
		cfg.Bootstrap = a.Addrs()[:1]
		in = append(in, start(t, cfg))
	}
	eventually(t, "both are in", connectedTo(a, in...))
	a.SetKnown(func(p wire.PeerID) bool { return p == in[0].self })
	a.SetRevoked(func(p wire.PeerID) bool { return p == idOf(removed.Key) }, nil)
	eventually(t, "the unknown one is cut off", func() bool { return !a.gate.isAdmitted(toPeerID(in[1].self)) })
	if !a.gate.isAdmitted(toPeerID(in[0].self)) {
		t.Error("the known one is cut off, too")
	}
}
