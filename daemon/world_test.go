package daemon

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// fabric is a network of a few peers: frames arrive in order and late, gossip
// reaches all, and a closed peer hears and says nothing.
type fabric struct {
	mu    sync.Mutex
	ports map[wire.PeerID]*port
}

type port struct {
	fabric *fabric
	id     wire.PeerID
	heard  chan Heard
	sent   int
	seen   []string // topics and kinds sent
	addrs  map[wire.PeerID][]string
}

func (f *fabric) join(id wire.PeerID) *port {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &port{fabric: f, id: id, heard: make(chan Heard, 4096), addrs: map[wire.PeerID][]string{}}
	for _, q := range f.ports {
		p.heard <- Heard{Kind: HeardUp, Peer: q.id}
		q.heard <- Heard{Kind: HeardUp, Peer: id}
	}
	f.ports[id] = p
	return p
}

func (f *fabric) leave(id wire.PeerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ports, id)
	for _, q := range f.ports {
		q.heard <- Heard{Kind: HeardDown, Peer: id}
	}
}

func (p *port) Send(to wire.PeerID, frame []byte) bool {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	q := p.fabric.ports[to]
	if q == nil || p.fabric.ports[p.id] != p {
		return false
	}
	p.sent++
	q.heard <- Heard{Kind: HeardMessage, Peer: p.id, Bytes: slices.Clone(frame)}
	return true
}

func (p *port) Publish(topic string, b []byte) error {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	if p.fabric.ports[p.id] != p {
		return errors.New("cut off")
	}
	p.sent++
	for _, q := range p.fabric.ports {
		if q != p {
			q.heard <- Heard{Kind: HeardMessage, Peer: p.id, Topic: topic, Bytes: slices.Clone(b)}
		}
	}
	return nil
}

func (p *port) Join(string) error                    { return nil }
func (p *port) Redial(wire.PeerID)                   {}
func (p *port) Recheck()                             {}
func (p *port) Addrs() []string                      { return []string{"/ip4/192.0.2.1/tcp/7462"} }
func (p *port) AddAddrs(id wire.PeerID, as []string) { p.addrs[id] = as }

func (p *port) said() int {
	p.fabric.mu.Lock()
	defer p.fabric.mu.Unlock()
	return p.sent
}

// disk is a store in memory that outlives its daemons, and can fail.
type disk struct {
	mu      sync.Mutex
	records map[wire.Number]*wire.Record
	locals  map[string][]byte
	damage  error
	fail    error
	mended  bool
	synced  int
	said    func() int // messages sent so far
	sentAt  int        // when it failed
}

func newDisk() *disk {
	return &disk{records: map[wire.Number]*wire.Record{}, locals: map[string][]byte{}}
}

func (d *disk) Load() ([]*wire.Record, map[string][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	records := slices.SortedFunc(maps.Values(d.records), func(a, b *wire.Record) int { return a.Num.Compare(b.Num) })
	for i, r := range records { // decoded afresh, as from a real disk
		records[i] = new(wire.Record)
		if err := wire.Unmarshal(wire.MustMarshal(r), records[i]); err != nil {
			panic(err)
		}
	}
	return records, maps.Clone(d.locals), d.damage
}

func (d *disk) Apply(puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		d.sentAt = d.said()
		return d.fail
	}
	for _, r := range puts {
		d.records[r.Num] = r
	}
	for _, n := range drops {
		delete(d.records, n)
	}
	for k, v := range locals {
		if d.locals[k] = v; v == nil {
			delete(d.locals, k)
		}
	}
	if sync {
		d.synced++
	}
	return nil
}

func (d *disk) Mend() error    { d.mu.Lock(); defer d.mu.Unlock(); d.mended = true; return nil }
func (d *disk) Collect() error { return nil }

func (d *disk) failNow(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// engine is a container engine in memory that outlives its daemons.
type engine struct {
	mu      sync.Mutex
	boxes   map[string]*runtime.Observed
	starts  int
	lists   int
	listing int
	hung    bool // List answers only when its time is up
	changed chan struct{}
}

func newEngine() *engine {
	return &engine{boxes: map[string]*runtime.Observed{}, changed: make(chan struct{}, 1)}
}

func (e *engine) Do(ctx context.Context, a runtime.Action) error {
	if !pause(ctx, 20*time.Millisecond) {
		return ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.boxes[a.Container]
	switch a.Op {
	case runtime.OpCreate:
		if strings.HasPrefix(a.Task.Image, "missing") {
			return fmt.Errorf("image %s: %w", a.Task.Image, runtime.ErrPermanent)
		}
		if c == nil {
			e.boxes[a.Container] = &runtime.Observed{Container: a.Container, ID: a.Container, Ref: a.Ref, State: runtime.StateCreated}
		}
	case runtime.OpStart:
		if c == nil {
			return errors.New("no such container")
		}
		e.starts++
		c.State, c.Address, c.Starts = runtime.StateRunning, "10.0.0.1", fmt.Sprint(e.starts)
	case runtime.OpStop:
		if c != nil && c.State == runtime.StateRunning {
			c.State, c.Address, c.ExitCode = runtime.StateExited, "", 143
		}
	case runtime.OpRemove:
		delete(e.boxes, a.Container)
	}
	return nil
}

func (e *engine) List(ctx context.Context) ([]runtime.Observed, error) {
	e.mu.Lock()
	e.listing++
	if e.listing > 1 {
		panic("two Lists at once")
	}
	e.lists++
	var out []runtime.Observed
	for _, c := range e.boxes {
		out = append(out, *c)
	}
	wait := 5 * time.Millisecond
	if e.hung {
		wait = time.Hour
	}
	e.mu.Unlock()
	pause(ctx, wait)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listing--
	return out, ctx.Err()
}

func (e *engine) Watch(context.Context) <-chan struct{} { return e.changed }

func (e *engine) Logs(_ context.Context, container string, _ runtime.LogOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("o 2026-11-21T09:30:00Z " + container + "\n")), nil
}

func (e *engine) RemoveVolume(context.Context, job.ID, string, int) error { return nil }

func (e *engine) hang(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hung = on
}

func (e *engine) running() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.boxes {
		if c.State == runtime.StateRunning {
			n++
		}
	}
	return n
}

// names is a reach that remembers what it was told last.
type names struct {
	mu       sync.Mutex
	services []node.Service
}

func (n *names) Update(s []node.Service) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.services = s
}

// endpoints is how many slots answer, and whether the services' names resolve here.
func (n *names) endpoints() (count int, local bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.services {
		count, local = count+len(s.Endpoints), local || s.Local
	}
	return count, local
}

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
