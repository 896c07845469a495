package p2p

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"math/rand/v2"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/daemon"
	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/p2p/admit"
	"shoal/runtime"
	"shoal/wire"
)

// nothing is a disk and an engine that keep and run nothing.
type nothing struct{}

func (nothing) Load() ([]*wire.Record, map[string][]byte, error) { return nil, nil, nil }
func (nothing) Apply([]*wire.Record, []wire.Number, map[string][]byte, bool) error {
	return nil
}
func (nothing) Mend() error                                      { return nil }
func (nothing) Collect() error                                   { return nil }
func (nothing) Do(context.Context, runtime.Action) error         { return nil }
func (nothing) List(context.Context) ([]runtime.Observed, error) { return nil, nil }
func (nothing) Watch(context.Context) <-chan struct{}            { return nil }
func (nothing) Logs(context.Context, string, runtime.LogOptions) (io.ReadCloser, error) {
	return nil, io.EOF
}

// runDaemon runs a whole daemon on a host, until the test ends.
func runDaemon(t *testing.T, h *Host, key ed25519.PrivateKey) *daemon.Daemon {
	ctx, cancel := context.WithCancel(context.Background())
	heard := make(chan daemon.Heard)
	d, err := daemon.New(daemon.Config{
		Core: node.Config{
			Self: h.self, Swarm: wire.Hash(h.cfg.Swarm), Key: wire.Key(key), Verify: wire.VerifyEd25519, Seed: 1, Nonce: 1, Name: "target", Founder: true,
		},
		Store: nothing{}, Transport: h, Heard: heard, Driver: nothing{},
		Facts: func(context.Context) runtime.Facts { return runtime.Facts{OS: "linux", Arch: "amd64"} },
		Disk:  func() (free, total int64, err error) { return 1 << 40, 1 << 40, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = d.Run(ctx); close(ended) }()
	go func() {
		for {
			select {
			case e := <-h.Events():
				select {
				case heard <- asHeard(e):
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return d
}

func asHeard(e Event) daemon.Heard {
	switch e := e.(type) {
	case Message:
		return daemon.Heard{Kind: daemon.HeardMessage, Peer: e.From, Topic: e.Topic, Bytes: e.Bytes}
	case Connected:
		return daemon.Heard{Kind: daemon.HeardUp, Peer: e.Peer}
	case Disconnected:
		return daemon.Heard{Kind: daemon.HeardDown, Peer: e.Peer}
	case Refused:
		return daemon.Heard{Kind: daemon.HeardRefused, Peer: e.Peer, Fault: e.Fault, Count: e.Count}
	}
	return daemon.Heard{}
}

// A rogue is a member with a stream of its own to another, on which it writes
// whatever it likes.
type rogue struct {
	*Host
	key ed25519.PrivateKey
	at  *Host
	seq uint64
}

// write puts bytes on a fresh stream for messages, as they are.
func (r *rogue) write(b []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := r.host.NewStream(network.WithNoDial(ctx, "connected"), toPeerID(r.at.self), messageProto)
	if err != nil {
		return err
	}
	s.SetDeadline(time.Now().Add(5 * time.Second))
	defer s.Reset()
	if _, err := s.Write(b); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	_, _ = s.Read(make([]byte, 1)) // the other ends a stream that it has read to its end
	return nil
}

func (r *rogue) frame(b []byte) error {
	var out bytes.Buffer
	_ = writeFrame(&out, b)
	return r.write(out.Bytes())
}

// card is a record that sign makes good or bad.
func (r *rogue) card(sign func(*wire.Record)) []byte {
	r.seq++
	c := &wire.Record{
		Num:  wire.Number{Issuer: r.self, Inc: 1, Nonce: 1, Seq: r.seq},
		Kind: wire.KindCard, Body: wire.MustMarshal(&ledger.Card{Peer: r.self, Name: "rogue"}),
	}
	sign(c)
	return pushOf(c)
}

func pushOf(r *wire.Record) []byte {
	b, err := wire.Encode(&wire.Push{Records: []*wire.Record{r}})
	if err != nil {
		panic(err)
	}
	return b
}

// faultsOf returns what the daemon has counted of a peer, and how it treats it.
func faultsOf(t *testing.T, d *daemon.Daemon, p wire.PeerID) (faults wire.FaultCounts, refused bool) {
	t.Helper()
	err := d.View(context.Background(), func(c *node.Core) {
		faults = c.FaultsOf(p)
		refused = c.IsRefused(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return faults, refused
}

// A member that sends rubbish of every sort to a whole daemon over real connections:
// each sort is counted as what it is, none of it is kept, memory stays where it was,
// others are served all the while, and in the end the daemon hangs up.
func TestHostile_MemberIsCountedAndRefused(t *testing.T) {
	s := newSwarm(t)
	key := newKey(t)
	cfg := s.config(t, key)
	cfg.Judge = daemon.JudgeGossip
	target := start(t, cfg)
	d := runDaemon(t, target, key)
	honest := s.peer(t, target)
	rogueKey := newKey(t)
	rogueCfg := s.config(t, rogueKey)
	rogueCfg.Bootstrap = target.Addrs()[:1]
	r := &rogue{Host: start(t, rogueCfg), key: rogueKey, at: target}
	if err := r.Join("0/jobs"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are in", connectedTo(target, honest, r.Host))
	served := server(t, honest, target)
	served("before")
	memory := inUse()

	for _, c := range []struct { // records first: after three faults its pushes are not looked at
		what string
		want wire.Fault
		send func() error
	}{
		{"a forged record", wire.FaultForged, func() error { return r.frame(r.card(func(c *wire.Record) { c.Sig = make([]byte, 64) })) }},
		{"a record signed as another kind", wire.FaultDomain, func() error { return r.frame(r.card(r.sealAs(s.id, wire.KindMember))) }},
		{"a record of another swarm", wire.FaultForged, func() error { return r.frame(r.card(r.seal(admit.SwarmID{1}))) }},
		{"a good record all the same", wire.FaultIgnored, func() error { return r.frame(r.card(r.seal(s.id))) }},
		{"a frame of chance", wire.FaultUndecodable, func() error { return r.frame([]byte{0xff, 1, 2, 3, 4, 5}) }},
		{"a frame that ends early", wire.FaultTruncated, func() error { b := r.card(r.seal(s.id)); return r.frame(b[:len(b)-9]) }},
		{"a frame too long", wire.FaultOversized, func() error { return r.write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3}) }},
	} {
		before, _ := faultsOf(t, d, r.self)
		if err := c.send(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		eventually(t, c.what+" is counted", func() bool {
			now, _ := faultsOf(t, d, r.self)
			return now.Since(before)[c.want] == 1
		})
		served(c.what)
	}
	err := d.View(context.Background(), func(c *node.Core) {
		if c.Ledger().Card(r.self) != nil {
			t.Error("something of it is kept")
		}
	})
	if err != nil {
		t.Fatal(err)
	}

	nulls := append([]byte{0x82, 0x0b, 0xa1, 0x02, 0x9a, 0, 0x1f, 0xff, 0xff}, bytes.Repeat([]byte{0xf6}, 0x1fffff)...) // marks of nothing
	for range 64 {
		if r.frame(nulls) != nil {
			break // the daemon has hung up
		}
		_ = r.Publish("0/jobs", randomBytes(1000))
	}
	eventually(t, "it is refused", func() bool { _, refused := faultsOf(t, d, r.self); return refused })
	eventually(t, "it is cut off", func() bool { return !target.gate.isAdmitted(toPeerID(r.self)) })
	eventually(t, "it knows", func() bool { return !r.gate.isAdmitted(toPeerID(target.self)) }) // else it takes itself for connected
	if err := r.connect(context.Background(), target.self); err == nil {
		t.Error("it is let in again at once")
	}
	served("after")
	if grown := inUse() - memory; grown > 48<<20 {
		t.Errorf("%d MiB more are in use", grown>>20)
	}
	if p := target.Peers(); len(p) != 1 || p[0].ID != honest.self {
		t.Errorf("connected to %v", p)
	}
}

func (r *rogue) seal(swarm admit.SwarmID) func(*wire.Record) {
	return func(c *wire.Record) { c.Seal(wire.Hash(swarm), wire.Key(r.key)) }
}

func (r *rogue) sealAs(swarm admit.SwarmID, kind wire.RecordKind) func(*wire.Record) {
	return func(c *wire.Record) {
		as := *c
		as.Kind = kind
		as.Seal(wire.Hash(swarm), wire.Key(r.key))
		c.Sig = as.Sig
	}
}

// server returns a function that has an honest peer ask the target something and
// waits for the answer.
func server(t *testing.T, honest, target *Host) func(string) {
	id := uint64(0)
	return func(when string) {
		t.Helper()
		id++
		b, err := wire.Encode(&wire.Digest{ID: id, Hash: wire.Hash{1}})
		if err != nil || !honest.Send(target.self, b) {
			t.Fatalf("%s: not sent: %v", when, err)
		}
		for timeout := time.After(30 * time.Second); ; {
			select {
			case e := <-honest.Events():
				m, ok := e.(Message)
				if !ok {
					continue
				}
				msg, err := wire.Decode(m.Bytes)
				if v, is := msg.(*wire.Vector); err == nil && is && v.ID == id {
					return
				}
			case <-timeout:
				t.Fatalf("%s: no answer to an honest peer", when)
			}
		}
	}
}

func inUse() int64 {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

func randomBytes(n int) (b []byte) {
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, rand.Uint64())
	}
	return b
}

// Who passes on gossip that no version sends has not checked it, and is held to it;
// what a later version says crosses unread.
func TestTopics_JudgeRejectsAndPassesOn(t *testing.T) {
	s := newSwarm(t)
	cfg := s.config(t, newKey(t))
	cfg.Judge = daemon.JudgeGossip
	h := start(t, cfg)
	o := s.peer(t, h)
	for _, x := range []*Host{h, o} {
		if err := x.Join("0/jobs"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they are connected", connectedTo(h, o))
	eventually(t, "both hear the topic", func() bool { return len(o.topics.ps.ListPeers(o.topics.prefix+"0/jobs")) == 1 })
	later := []byte{0x82, 0x18, 0xc8, 0xa0} // kind 200
	for _, b := range [][]byte{[]byte("rubbish"), later} {
		if err := o.Publish("0/jobs", b); err != nil {
			t.Fatal(err)
		}
	}
	var heard [][]byte
	var refused Refused
	for len(heard) == 0 || refused.Count == 0 {
		select {
		case e := <-h.Events():
			switch e := e.(type) {
			case Message:
				heard = append(heard, e.Bytes)
			case Refused:
				refused = e
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("heard %q, refused %+v", heard, refused)
		}
	}
	if len(heard) != 1 || !bytes.Equal(heard[0], later) {
		t.Errorf("heard %q", heard)
	}
	if refused.Peer != o.self || !refused.Fault.IsBlamed() {
		t.Errorf("refused %+v", refused)
	}
}

func TestHost_ShunnedPeerComesBack(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "they are connected", connectedTo(a, b))
	begun := time.Now()
	a.Shun(b.self, 2*time.Second)
	eventually(t, "it is cut off", func() bool { return !a.gate.isAdmitted(toPeerID(b.self)) })
	if a.Send(b.self, []byte("x")) {
		next[Unreachable](t, a)
	}
	eventually(t, "it is back by itself", connectedTo(a, b))
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("it is back after %v", took)
	}
	eventually(t, "frames go out again", func() bool { return b.Send(a.self, []byte("again")) })
	if m := next[Message](t, a); string(m.Bytes) != "again" {
		t.Errorf("got %q", m.Bytes)
	}
}

func (nothing) RemoveVolume(context.Context, job.ID, string, int) error { return nil }
