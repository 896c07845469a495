package daemon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A peer is a daemon with the parts that outlive it.
type peer struct {
	*Daemon
	name   string
	key    wire.Key
	disk   *disk
	engine *engine
	port   *port
	names  names
	tape   *bytes.Buffer
	crash  string
	stop   context.CancelFunc
	ended  chan error
	starts int
}

type swarm struct {
	t      *testing.T
	fabric *fabric
	peers  []*peer
}

func newSwarm(t *testing.T, n int) *swarm {
	s := &swarm{t: t, fabric: &fabric{ports: map[wire.PeerID]*port{}}}
	for i := range n {
		seed := bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize)
		s.peers = append(s.peers, &peer{
			name: fmt.Sprintf("n%d", i+1), key: wire.Key(ed25519.NewKeyFromSeed(seed)), disk: newDisk(), engine: newEngine(),
		})
	}
	return s
}

func (s *swarm) startAll() {
	for i, p := range s.peers {
		s.start(p, i == 0)
	}
	s.until("all are ready", 20*time.Second, func() bool {
		return !slices.ContainsFunc(s.peers, func(p *peer) bool {
			st := s.status(p)
			return st.State != "ready" || st.ReadyPeers != len(s.peers)
		})
	})
}

func (s *swarm) start(p *peer, founder bool) {
	s.t.Helper()
	p.starts++
	p.port = s.fabric.join(p.key.Peer())
	p.disk.said = p.port.said
	p.tape = new(bytes.Buffer)
	d, err := New(Config{
		Core: node.Config{
			Self: p.key.Peer(), Swarm: wire.HashOf([]byte("swarm")), Key: p.key, Verify: wire.VerifyEd25519,
			Seed: uint64(p.key.Peer()[0]), Nonce: uint64(p.starts), Name: p.name, Founder: founder, Version: "test",
		},
		Store: p.disk, Transport: p.port, Heard: p.port.heard, Driver: p.engine, Reach: &p.names,
		Facts: func(context.Context) runtime.Facts {
			return runtime.Facts{Capacity: job.Resources{CPUMilli: 2000, MemBytes: 4 << 30, DiskBytes: 100 << 30}, OS: "linux", Arch: "amd64", Driver: "docker"}
		},
		Disk:   func() (int64, int64, error) { return 50 << 30, 100 << 30, nil },
		Crash:  func(text string) { p.crash = text },
		Record: p.tape,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.Daemon, p.stop, p.ended = d, stop, make(chan error, 1)
	ended := p.ended
	go func() { ended <- d.Run(ctx) }()
}

// kill takes a peer off the net at once and then ends it; its containers run on,
// as after a crash of the daemon, unless the machine is said to be gone.
func (s *swarm) kill(p *peer) {
	s.t.Helper()
	s.fabric.leave(p.key.Peer())
	p.stop()
	if err := s.end(p); err != nil {
		s.t.Errorf("%s: Run returned %v", p.name, err)
	}
}

// end returns what Run returned.
func (s *swarm) end(p *peer) error {
	s.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		p.stop()
		s.t.Fatalf("%s did not end", p.name)
		return nil
	}
}

func (s *swarm) stopAll() {
	for _, p := range s.peers {
		p.stop()
	}
	for _, p := range s.peers {
		if err := s.end(p); err != nil {
			s.t.Errorf("%s: Run returned %v", p.name, err)
		}
	}
}

// running counts the containers that run on all engines.
func (s *swarm) running() (n int) {
	for _, p := range s.peers {
		n += p.engine.running()
	}
	return n
}

func (s *swarm) status(p *peer) (v node.StatusView) {
	s.t.Helper()
	if err := p.View(s.t.Context(), func(c *node.Core) { v = c.Status() }); err != nil {
		s.t.Fatalf("%s: View: %v", p.name, err)
	}
	return v
}

// ps is what `ps` compares on all peers: who holds what, and how it is.
func (s *swarm) ps(p *peer) string {
	s.t.Helper()
	var b strings.Builder
	if err := p.View(s.t.Context(), func(c *node.Core) {
		for _, v := range c.Slots("") {
			if v.Surplus {
				continue
			}
			fmt.Fprintf(&b, "%s %s %s %d\n", v.Slot, v.Phase, v.PeerName, v.Token)
		}
	}); err != nil {
		s.t.Fatalf("%s: View: %v", p.name, err)
	}
	return b.String()
}

// until polls in the bubble's own time, which costs none of ours.
func (s *swarm) until(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Errorf("not within %v: %s", limit, what)
			for _, p := range s.peers {
				p.tell(s.t)
			}
			s.t.FailNow()
		}
	}
}

func (s *swarm) deploy(p *peer, count int) node.Reply {
	s.t.Helper()
	spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: count, Image: "img"}}}
	spec.Defaults()
	rep, err := p.Do(s.t.Context(), node.Request{Deploy: &node.Deploy{Spec: spec}})
	if err != nil || rep.Err != "" {
		s.t.Fatalf("deploy: %+v, %v", rep, err)
	}
	return rep
}

func (s *swarm) untilServing(count int, on ...*peer) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d serving everywhere", count), 60*time.Second, func() bool {
		for _, p := range on {
			if strings.Count(s.ps(p), " serving ") != count || s.ps(p) != s.ps(on[0]) {
				return false
			}
		}
		return true
	})
}

// untilWithout waits until nobody shows a slot on a peer that is gone.
func (s *swarm) untilWithout(gone *peer, on ...*peer) {
	s.t.Helper()
	s.until("nothing is shown on "+gone.name, 60*time.Second, func() bool {
		return !slices.ContainsFunc(on, func(p *peer) bool { return strings.Contains(s.ps(p), " "+gone.name+" ") })
	})
}

// tell logs what a peer has to say, stopped or not, and ends it.
func (p *peer) tell(t *testing.T) {
	t.Logf("%s: %+v", p.name, p.Stats())
	_ = p.View(t.Context(), func(c *node.Core) {
		t.Logf("%s: %+v", p.name, c.Status())
		for _, v := range c.Slots("") {
			t.Logf("%s: %+v", p.name, v)
		}
	})
	_ = p.Events(t.Context(), 0, false, func(_ uint64, _ time.Time, e node.Event) error {
		t.Logf("%s: %v %s %s", p.name, e.At, e.Kind, e.Text)
		return nil
	})
	p.stop()
}
