package daemon

import (
	"testing"
	"time"

	"shoal/node"
	"shoal/wire"
)

// What the core says once of this peer's key is kept; what it says of others' is not.
func TestTwin_IsKept(t *testing.T) {
	self, other := wire.PeerID{1}, wire.PeerID{2}
	muted := 0
	d := &Daemon{cfg: Config{Core: node.Config{Self: self}, Mute: func() { muted++ }}}
	at := time.Unix(1_000, 0)
	for _, e := range []node.Event{{Kind: "copied", Peer: other}, {Kind: "stepped-back", Peer: other}, {Kind: "ready", Peer: self}} {
		d.noteTwin(at, e)
	}
	if got := d.Twin(); got != (Twin{}) {
		t.Errorf("%+v of another's key", got)
	}
	if muted != 0 {
		t.Error("muted for another's key")
	}
	d.noteTwin(at, node.Event{Kind: "copied", Peer: self})
	d.noteTwin(at.Add(time.Second), node.Event{Kind: "stepped-back", Peer: self})
	if got, want := d.Twin(), (Twin{Copied: at, SteppedBack: at.Add(time.Second)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if muted != 1 {
		t.Errorf("muted %d times", muted)
	}
}
