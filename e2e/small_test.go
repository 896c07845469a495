package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// A small peer and one of profile lan stand behind NATs of their own: they cannot meet,
// and both say why and what to do, the small one in its log as well, once.
func TestNAT_SmallSaysThatItIsHidden(t *testing.T) {
	strict := lab.NAT{Peers: 1, Strict: true}
	s := swarm{labtest.Start(t, lab.Config{Peers: 4, Binary: labtest.Binary(t), NoEngines: true, NATs: []lab.NAT{strict, strict}}), t}
	must(t, s.Peers[0].StartDaemon(t.Context(), "--new"))
	ticket := strings.TrimSpace(s.shoal(s.Peers[0], "ticket"))
	lan, small := s.Peers[2], s.Peers[3]
	must(t, s.Peers[1].StartDaemon(t.Context(), ticket))
	must(t, lan.StartDaemon(t.Context(), ticket))
	must(t, small.StartDaemon(t.Context(), ticket, "--profile", "small"))
	finds := func(p *lab.Peer, check, saw string) {
		t.Helper()
		s.within(30*time.Second, func(context.Context) error {
			out, _ := p.Shoal(t.Context(), "doctor")
			for line := range strings.Lines(out.Stdout) {
				if strings.HasPrefix(line, "warn  "+check) && strings.Contains(line, saw) {
					t.Logf("%s: %s", p.Name, line)
					return nil
				}
			}
			return fmt.Errorf("%s: no warning of %s with %q:\n%s", p.Name, check, saw, out.Stdout)
		})
	}
	finds(small, "reach", "behind a NAT, seen as 10.99.")
	finds(lan, "neighbours", "no connection to "+small.Name+": profile small uses no relays")
	if n := strings.Count(small.Log("shoal"), "this peer is behind a NAT"); n != 1 {
		t.Errorf("its log says so %d times", n)
	}
}
