package main

import (
	"fmt"
	"io"
	"strings"

	"shoal/sim"
)

// named writes the peers in a text as the user's plan calls them; a scenario has
// numbers alone.
func (t *toRun) named(text string) string {
	if t.p == nil {
		return text
	}
	return sim.NamePeers(text, t.p.Peers)
}

// peer is how the scenario writes a peer that the user has named; an error says that
// there can be none such.
func (t *toRun) peer(text string) (string, error) {
	ref := text
	if t.p != nil {
		var err error
		if ref, err = t.p.Peer(text); err != nil {
			return text, err
		}
	}
	err := t.s.CheckPeer(ref, t.o)
	if err == nil {
		return ref, nil
	}
	if t.p != nil && !strings.Contains(ref, "(") {
		err = fmt.Errorf("there is no such peer; %s", t.p.Near(text))
	}
	return text, err
}

// speakOf lets what is printed name peers as the plan does, until the function it
// returns is called. JSON keeps the numbers, as --print and --trace do.
func (c *cli) speakOf(t *toRun) (end func()) {
	if t.p == nil || c.json() {
		return func() {}
	}
	out, named := c.out, c.named
	c.out, c.named = &naming{out, t}, t.named
	return func() { c.out, c.named = out, named }
}

// naming is a writer that names peers; each call is whole lines.
type naming struct {
	io.Writer
	t *toRun
}

// Write implements io.Writer.
func (n *naming) Write(b []byte) (int, error) {
	if _, err := io.WriteString(n.Writer, n.t.named(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}
