package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// The state directory of a running peer is copied to another machine and started there:
// the older start steps back, and doctor says so at both, later than the event.
func TestCopiedIdentity_BothSidesSaySo(t *testing.T) {
	s := swarm{labtest.Start(t, lab.Config{Peers: 4, Binary: labtest.Binary(t), NoEngines: true}), t}
	must(t, s.Peers[0].StartDaemon(t.Context(), "--new"))
	ticket := strings.TrimSpace(s.shoal(s.Peers[0], "ticket"))
	for _, p := range s.Peers[1:3] {
		must(t, p.StartDaemon(t.Context(), ticket))
		s.within(20*time.Second, func(ctx context.Context) error { return isReady(ctx, s.Peers[0], p) })
	}
	older, newer := s.Peers[2], s.Peers[3]
	must(t, os.RemoveAll(filepath.Join(newer.Dir, "state")))
	must(t, os.CopyFS(filepath.Join(newer.Dir, "state"), os.DirFS(filepath.Join(older.Dir, "state"))))
	must(t, newer.StartDaemon(t.Context()))
	finds := func(p *lab.Peer, line string) {
		t.Helper()
		took := s.within(40*time.Second, func(context.Context) error {
			out, err := p.Shoal(t.Context(), "doctor")
			if err == nil && !strings.Contains(out.Stdout, line) {
				err = fmt.Errorf("%s does not find %q:\n%s", p.Name, line, out.Stdout)
			}
			return err
		})
		t.Logf("%s: %q after %s", p.Name, line, took)
	}
	finds(older, "fail  identity    this peer stepped back ")
	finds(newer, "warn  identity    another machine with a copy of this one's state directory ran as ")
	if out := s.shoal(older, "peers"); strings.Contains(out, "dead") || !strings.Contains(out, "stepped back") {
		t.Errorf("peers of the older:\n%s", out)
	}
	s.within(20*time.Second, func(ctx context.Context) error { return isReady(ctx, newer, s.Peers[0]) })
}
