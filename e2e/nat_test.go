package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

const pageJob = `
name: hidden
services:
  page:
    image: process
    command: ["%s", "httpd", "-f", "-p", "127.0.0.1:18080", "-h", "%s"]
    ports: ["8080:18080"]
    x-shoal:
      constraints: ["place == hidden"]
`

// natSwarm starts a swarm of plain processes: open peers on the bridge, and one
// behind each NAT, labelled place=hidden the first of them. Those behind a NAT join
// by a ticket of the first, each within limit.
func natSwarm(t testing.TB, open int, nats ...lab.NAT) swarm {
	t.Helper()
	hidden := 0
	for _, n := range nats {
		hidden += n.Peers
	}
	cfg := lab.Config{Peers: open + hidden, Binary: labtest.Binary(t), NoEngines: true, NATs: nats}
	s := swarm{labtest.Start(t, cfg), t}
	must(t, s.Peers[0].StartDaemon(t.Context(), "--new"))
	ticket := strings.TrimSpace(s.shoal(s.Peers[0], "ticket"))
	for i, p := range s.Peers[1:] {
		args := []string{ticket}
		if i+1 == open {
			args = append(args, "--label", "place=hidden")
		}
		began := time.Now()
		must(t, p.StartDaemon(t.Context(), args...))
		s.within(30*time.Second, func(ctx context.Context) error { return isReady(ctx, s.Peers[0], p) })
		if i+1 >= open {
			t.Logf("%s, behind a NAT, is a ready member %s after shoal up", p.Name, since(began))
		}
	}
	return s
}

// isReady checks that p shows q as ready.
func isReady(ctx context.Context, p, q *lab.Peer) error {
	found, err := askObjects(ctx, p, "peers")
	if err != nil {
		return err
	}
	for _, o := range found {
		if o["name"] == q.Name && o["state"] == "ready" {
			return nil
		}
	}
	return fmt.Errorf("%s does not show %s as ready", p.Name, q.Name)
}

// link returns how p reaches q: path, and who relays.
func link(ctx context.Context, p, q *lab.Peer) (path, relay string, err error) {
	found, err := askObjects(ctx, p, "peers")
	if err != nil {
		return "", "", err
	}
	for _, o := range found {
		if l, ok := o["link"].(map[string]any); ok && o["name"] == q.Name {
			path, _ = l["path"].(string)
			relay, _ = l["relay"].(string)
			return path, relay, nil
		}
	}
	return "", "", fmt.Errorf("%s is not connected to %s", p.Name, q.Name)
}

func hasPath(ctx context.Context, p, q *lab.Peer, want string) error {
	path, _, err := link(ctx, p, q)
	if err == nil && path != want {
		err = fmt.Errorf("%s reaches %s %s, want %s", p.Name, q.Name, path, want)
	}
	return err
}

// deployPage deploys a slot that only the first hidden peer may hold.
func (s swarm) deployPage() {
	s.t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		s.t.Skip("no busybox to serve a page: install the package busybox")
	}
	dir := s.t.TempDir()
	must(s.t, os.WriteFile(filepath.Join(dir, "index.html"), []byte("from behind\n"), 0o644))
	file := filepath.Join(dir, "compose.yaml")
	must(s.t, os.WriteFile(file, fmt.Appendf(nil, pageJob, busybox, dir), 0o644))
	s.shoal(s.Peers[0], "deploy", file)
}

func page(ctx context.Context, peers ...*lab.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, p := range peers {
		text, err := p.Get(ctx, "http://127.0.0.1:8080/")
		if err != nil {
			return fmt.Errorf("at %s: %w", p.Name, err)
		}
		if text != "from behind\n" {
			return fmt.Errorf("at %s: %q", p.Name, text)
		}
	}
	return nil
}

// Two peers behind NATs through which no hole can be made join by ticket, one gets a
// slot and serves it to all, the other behind its own NAT included, and goes on when
// the relay between them loses its power.
func TestNAT_RelayOnlyPeersServeAndOutliveTheirRelay(t *testing.T) {
	strict := lab.NAT{Peers: 1, Strict: true}
	s := natSwarm(t, 3, strict, strict)
	d, e := s.Peers[3], s.Peers[4]
	took := s.within(30*time.Second, func(ctx context.Context) error { return hasPath(ctx, d, e, "relayed") })
	t.Logf("the hidden ones meet through a relay %s later", took)
	s.deployPage()
	took = s.within(30*time.Second, func(ctx context.Context) error { return page(ctx, s.Peers...) })
	t.Logf("the page answers at all five %s after its deployment", took)

	_, relay, err := link(t.Context(), e, d)
	must(t, err)
	i := slices.IndexFunc(s.Peers, func(p *lab.Peer) bool { return p.Name == relay })
	if i < 0 || i > 2 {
		t.Fatalf("the relay is %q, want one of a, b, c", relay)
	}
	must(t, s.Peers[i].PowerCut(t.Context()))
	left := without(s.Peers, s.Peers[i])
	took = s.within(30*time.Second, func(ctx context.Context) error {
		if _, now, err := link(ctx, e, d); err != nil || now == relay || now == "" {
			return fmt.Errorf("relay %q, %w", now, err)
		}
		return page(ctx, left...)
	})
	t.Logf("another relay carries the page %s after the power cut of %s", took, relay)
	s.within(15*time.Second, func(ctx context.Context) error {
		for _, p := range left {
			if err := isReady(ctx, p, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// The relay between hidden peers crashes. The other relay of theirs takes over before
// either side holds the other dead.
func TestNAT_ARelaysCrashIsNoDeathOfThoseBehindIt(t *testing.T) {
	s := natSwarm(t, 4, lab.NAT{Peers: 2, Strict: true}, lab.NAT{Peers: 1, Strict: true})
	p, q, w := s.Peers[4], s.Peers[5], s.Peers[6]
	for _, pair := range [][2]*lab.Peer{{p, w}, {q, w}, {w, p}} {
		s.within(30*time.Second, func(ctx context.Context) error { return hasPath(ctx, pair[0], pair[1], "relayed") })
	}
	_, relay, err := link(t.Context(), p, w)
	must(t, err)
	i := slices.IndexFunc(s.Peers, func(p *lab.Peer) bool { return p.Name == relay })
	if i < 0 || i > 3 {
		t.Fatalf("the relay is %q, want one of a, b, c, d", relay)
	}
	must(t, s.Peers[i].KillDaemon())
	for _, pair := range [][2]*lab.Peer{{p, w}, {q, w}, {w, p}} {
		took := s.within(30*time.Second, func(ctx context.Context) error {
			if _, now, err := link(ctx, pair[0], pair[1]); err != nil || now == relay || now == "" {
				return fmt.Errorf("relay %q, %w", now, err)
			}
			return nil
		})
		t.Logf("%s reaches %s through another relay %s after the crash of %s, counted from the last", pair[0].Name, pair[1].Name, took, relay)
	}
	s.within(30*time.Second, func(ctx context.Context) error { // all that is to be told has been told by then
		found, err := askObjects(ctx, p, "peers")
		if err == nil && !slices.ContainsFunc(found, func(o map[string]any) bool { return o["name"] == relay && o["state"] == "dead" }) {
			err = fmt.Errorf("%s does not hold %s dead", p.Name, relay)
		}
		return err
	})
	for _, at := range []*lab.Peer{p, q, w} {
		found, err := askObjects(t.Context(), at, "events", "--here")
		must(t, err)
		for _, e := range found {
			if e["kind"] == "died" && e["peer"] != relay {
				t.Errorf("at %s: %v", at.Name, e)
			}
		}
	}
}

// Where the NATs keep a flow's port, two peers behind them meet directly.
func TestNAT_AHoleIsMade(t *testing.T) {
	s := natSwarm(t, 1, lab.NAT{Peers: 1}, lab.NAT{Peers: 1})
	b, c := s.Peers[1], s.Peers[2]
	took := s.within(30*time.Second, func(ctx context.Context) error { return hasPath(ctx, b, c, "punched") })
	t.Logf("a hole %s after the second joined", took)
}

// Whose port is forwarded is dialled there and needs no relay.
func TestNAT_AForwardedPortIsFound(t *testing.T) {
	s := natSwarm(t, 1, lab.NAT{Peers: 1, Forward: true}, lab.NAT{Peers: 1, Strict: true})
	b, c := s.Peers[1], s.Peers[2]
	outside := fmt.Sprintf("/ip4/10.99.%d.201/udp/7462/quic-v1", s.Number)
	s.within(30*time.Second, func(ctx context.Context) error {
		found, err := askObjects(ctx, c, "peers")
		if err != nil {
			return err
		}
		for _, o := range found {
			text := fmt.Sprint(o["addrs"])
			if o["name"] == b.Name && strings.Contains(text, outside) && !strings.Contains(text, "p2p-circuit") {
				return nil
			}
		}
		return fmt.Errorf("%s does not show that %s is at %s", c.Name, b.Name, outside)
	})
	// They may have met through a hole before. Whoever comes now dials the port.
	must(t, c.SignalDaemon(syscall.SIGTERM))
	must(t, c.StartDaemon(t.Context()))
	s.within(15*time.Second, func(ctx context.Context) error { return hasPath(ctx, c, b, "direct") })
}

func TestNAT_TwentyBehindOneAddressJoin(t *testing.T) {
	s := natSwarm(t, 1, lab.NAT{Peers: 20, Strict: true})
	took := s.within(60*time.Second, func(ctx context.Context) error {
		for _, p := range s.Peers {
			if err := isReady(ctx, s.Peers[0], p); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("all twenty are ready %s after the last joined", took)
}
