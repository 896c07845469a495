package node

import (
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Each strike doubles the time for which a peer is asked last, up to a bound.
func TestShunFor(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 0, 1: time.Minute, 2: 2 * time.Minute, 4: 8 * time.Minute, 6: shunAtMost, 1000: shunAtMost} {
		if got := shunFor(n); got != want {
			t.Errorf("%d strikes: asked last for %v, want %v", n, got, want)
		}
	}
}

// A strike is told from bad luck: a failure counts once the task runs elsewhere, a claim
// that never began at once, unless it did not at another peer either.
func TestStrikes_BlameThePeerAndNotTheTask(t *testing.T) {
	w := newWorld(t, 3)
	w.run(3 * time.Second)
	c, a, b := w.peers[0].core, w.peers[1].id, w.peers[2].id
	claim := func(p wire.PeerID, slot int, phase ledger.Phase, exit int) *ledger.Claim {
		return &ledger.Claim{Slot: job.SlotID{Job: "default/x", Task: "web", Index: slot}, Life: 1, Token: 1, Peer: p, Phase: phase, Exit: exit, Run: 1}
	}
	blame := func() uint32 { c.trust.at = 0; return c.blamed()[a] }
	c.out = &Ready{}

	c.sawClaim(claim(a, 0, ledger.Failed, 1))
	if n := len(c.trust.strikes); n != 0 {
		t.Errorf("a program that ended with an error is a strike against %d peers", n)
	}
	c.sawClaim(claim(a, 0, ledger.Failed, 137))
	if n := blame(); n != 0 {
		t.Errorf("a task that has run nowhere: %d blamed", n)
	}
	c.strike(claim(a, 1, ledger.Accepted, 0), true)
	if n := blame(); n != 1 {
		t.Errorf("it never began, and nobody else failed: %d blamed, want 1", n)
	}
	c.strike(claim(b, 2, ledger.Accepted, 0), true)
	if n := blame(); n != 0 {
		t.Errorf("it began nowhere: %d blamed, want none", n)
	}
	c.sawClaim(claim(b, 2, ledger.Running, 0))
	if n := blame(); n != 0 || len(c.trust.strikes[b]) != 0 {
		t.Errorf("it began at last at the other: %d blamed, %d strikes there", n, len(c.trust.strikes[b]))
	}
	for i := range 3 * maxStrikes {
		cl := claim(a, 0, ledger.Accepted, 0)
		cl.Spec = wire.Hash{byte(i + 1)}
		c.strike(cl, true)
		c.strike(cl, true)
	}
	if n := blame(); n != maxStrikes {
		t.Errorf("of many strikes %d count, want %d", n, maxStrikes)
	}
	if got := c.shunned(); len(got) != 1 || got[0] != a {
		t.Errorf("asked last: %v", got)
	}
	c.now = c.now.Add(shunAtMost)
	if c.trust.at = 0; len(c.shunned()) != 0 || blame() != maxStrikes {
		t.Errorf("after %v it is asked last still, or has %d blamed left", shunAtMost, blame())
	}
	c.now = c.now.Add(strikeKept)
	if n := blame(); n != 0 || len(c.trust.strikes) != 0 {
		t.Errorf("%d blamed and %d peers' strikes are kept for ever", n, len(c.trust.strikes))
	}
}
