package api

import (
	"context"
	"strings"
	"testing"

	"shoal/internal/doctor"
	"shoal/node"
	"shoal/wire"
)

func TestPickFrom_NamesEndsOfIDsAndWhoIsGone(t *testing.T) {
	view := func(id byte, name, state string) node.PeerView {
		return node.PeerView{ID: wire.PeerID{id, 0x5a, id}, Name: name, State: state, Self: id == 1}
	}
	peers := []node.PeerView{
		view(1, "a", "ready"), view(2, "x3", "dead"), view(3, "x3", "suspect"), view(4, "old", "left"), view(5, "old", "removed"),
		view(6, "b", "ready"), view(7, "b", "removed"), view(8, "gone", "removed"), view(9, "away", "left"), view(10, "a", "left"),
	}
	short := func(i int) string { return peers[i-1].ID.Short() }
	for _, tt := range []struct {
		name, text string
		orLeft     bool
		want       int // 0: none
		err        string
	}{
		{"nobody is oneself", "", false, 1, ""},
		{"a name", "b", false, 6, ""},
		{"a member goes before one that left", "a", true, 1, ""},
		{"a whole ID", peers[1].ID.String(), false, 2, ""},
		{"the beginning of an ID", peers[2].ID.String()[:14], false, 3, ""},
		{"the end of an ID", short(3), false, 3, ""},
		{"a part of that", short(3)[3:], false, 3, ""},
		{"too little of it", short(3)[5:], false, 0, `no peer "` + short(3)[5:] + `" here; there is a, x3, b`},
		{"two of a name", "x3", false, 0, `2 peers are called "x3": name one by the end of its ID, ` + short(2) + " (x3, dead) or " + short(3) + " (x3, suspect)"},
		{"one that left is removed by name", "old", true, 4, ""},
		{"and by the end of its ID", short(9), true, 9, ""},
		{"but does nothing else", "away", false, 0, "peer away has left the swarm; a ticket takes it in again"},
		{"removed, by name", "gone", false, 0, "peer gone was removed from the swarm already"},
		{"removed, removed again", "gone", true, 0, "peer gone was removed from the swarm already"},
		{"removed, by ID", peers[6].ID.String(), false, 0, "was removed from the swarm already"},
		{"nobody", "attic", true, 0, `no peer "attic" here`},
	} {
		got, err := pickFrom(peers, tt.text, tt.orLeft)
		switch {
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.err)
		case tt.err == "" && (err != nil || got != peers[tt.want-1].ID):
			t.Errorf("%s: %v, %v, want the %d. peer", tt.name, got, err, tt.want)
		}
	}
}

func TestCauseOf_IsOneLine(t *testing.T) {
	err := failf(502, "failed to dial 12D3: all dials failed\n  * [/ip4/127.0.0.1/tcp/1] refused\n  * [/ip4/127.0.0.1/tcp/2] refused")
	if got := causeOf(err); got != "failed to dial 12D3: all dials failed" {
		t.Error(got)
	}
}

// A disk that is nearly full is no fact that cannot be read: doctor has a finding of its
// own for it.
func TestDoctor_AFullDiskIsNoUnknownFact(t *testing.T) {
	a := newAlone(t)
	a.step(t, node.Input{Disk: &node.Disk{FreeBytes: 1 << 20, TotalBytes: 1 << 40}})
	h := New(Config{Backend: a, Vitals: func(context.Context) (doctor.Peer, doctor.Machine) {
		return doctor.Peer{}, doctor.Machine{Disk: doctor.Disk{Dir: "/var", FreeBytes: 1 << 20, TotalBytes: 1 << 40, NeedBytes: 1 << 30}}
	}}).Handler()
	code, text := ask(t, h, "GET", "/v1/doctor", "")
	if code != 200 || strings.Contains(text, `"facts"`) || !strings.Contains(text, "the store writes nothing below") {
		t.Errorf("%d %s", code, text)
	}
	if _, text := ask(t, h, "GET", "/v1/status", ""); !strings.Contains(text, node.DiskNearlyFull) {
		t.Errorf("status does not say why it takes no work: %s", text)
	}
}
