package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
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
func (p *port) Shun(wire.PeerID, time.Duration)      {}
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
