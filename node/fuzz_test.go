package node

import (
	"bytes"
	"testing"
	"time"

	"shoal/clock"
	"shoal/internal/fuzztest"
	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// heard runs a small swarm through a deployment and a death, and returns what its
// peers said to one another, and what the first of them then held.
func heard(tb testing.TB) (said [][]byte, stored Stored) {
	w := newWorld(tb, 3)
	kinds := map[wire.MessageKind]int{}
	w.tap = func(m wire.Message, b []byte) {
		if kinds[m.Kind()]++; kinds[m.Kind()] <= 4 {
			said = append(said, b)
		}
	}
	w.run(12 * time.Second)
	w.step(w.peers[0], Input{Request: &Request{ID: 1, Deploy: &Deploy{Spec: testSpec("shop", job.Task{Name: "web", Count: 3})}}})
	w.run(8 * time.Second)
	stored = Stored{Records: w.peers[0].core.Ledger().Records(), Locals: map[string][]byte{}}
	w.crash(w.peers[2])
	w.run(25 * time.Second)
	if len(said) < 20 || len(stored.Records) < 5 {
		tb.Fatalf("%d messages, %d records", len(said), len(stored.Records))
	}
	return said, stored
}

// FuzzStep hands a ready peer two messages of a member that signs whatever it likes:
// no panic, nothing it does takes long, and it can go on.
func FuzzStep(f *testing.F) {
	said, stored := heard(f)
	for i, b := range said {
		f.Add(b, said[(i+7)%len(said)], uint8(i))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, topic uint8) {
		core, err := New(Config{
			Self: wire.PeerID{1, 0x5a}, Swarm: wire.HashOf([]byte("w")), Key: testKey(wire.PeerID{1, 0x5a}), Seed: 1, Nonce: 1,
			Verify: func(wire.PeerID, []byte, []byte) bool { return true }, Name: "n1", Founder: true,
		}, stored)
		if err != nil {
			t.Fatal(err)
		}
		now := clock.Instant(0)
		step := func(in Input) {
			now += clock.Instant(100 * time.Millisecond)
			in.Now = now
			rd, _ := core.Step(in)
			for _, e := range rd.Messages {
				if b, err := wire.Encode(e.Msg); err != nil || len(b) > wire.MaxFrame {
					t.Fatalf("%T cannot be sent: %d bytes, %v", e.Msg, len(b), err)
				}
			}
			_ = rd.Sum()
		}
		step(Input{Facts: &runtime.Facts{Capacity: job.Resources{CPUMilli: 4000, MemBytes: 8 << 30, DiskBytes: 100 << 30}, OS: "linux", Arch: "amd64", Driver: "docker"}})
		step(Input{Snapshot: &runtime.Snapshot{}})
		for range 25 {
			step(Input{})
		}
		for _, b := range [][]byte{first, second} {
			msg, err := wire.Decode(b)
			if err != nil {
				step(Input{Refused: &Refused{Peer: wire.PeerID{2, 0x5a}, Fault: wire.FaultOf(err), Count: 1}})
				continue
			}
			step(Input{Received: &Received{From: wire.PeerID{2, 0x5a}, Topic: wire.Topic(topic % 4), Msg: msg}})
			for range 3 {
				step(Input{})
			}
		}
		core.Status()
		core.Peers()
		core.Slots("")
		core.Jobs(true)
		core.Services()
	})
}

// FuzzReplay shows that no file makes Replay panic, hang or take what memory there is.
func FuzzReplay(f *testing.F) {
	var whole bytes.Buffer
	start, err := EncodeStart(Config{Self: wire.PeerID{1}, Swarm: wire.Hash{1}, Seed: 1, Nonce: 1, Name: "a", Founder: true}, Stored{Locals: map[string][]byte{}})
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range start {
		_ = WriteFrame(&whole, b)
	}
	for _, in := range recordedInputs() {
		b, err := EncodeStep(in, wire.Hash{})
		if err != nil {
			f.Fatal(err)
		}
		_ = WriteFrame(&whole, b)
	}
	f.Add(whole.Bytes())
	f.Add([]byte("rubbish"))
	f.Add([]byte{0, 0, 0, 1, 0xa0})
	f.Add([]byte{0, 0x4f, 0xff, 0xff, 0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() {
			next := Frames(bytes.NewReader(b))
			for {
				if _, err := nextFrame(next); err != nil {
					return
				}
			}
		})
		_, _, _ = Replay(Frames(bytes.NewReader(b)))
	})
}

// FuzzLocals starts a core with anything in its own state on disk.
func FuzzLocals(f *testing.F) {
	f.Add(localInc, wire.MustMarshal(3))
	f.Add(localLabels, wire.MustMarshal(map[string]string{"disk": "ssd"}))
	f.Add(localMark+"x", wire.MustMarshal(&wire.Number{Issuer: wire.PeerID{1}, Inc: 1, Seq: 7}))
	f.Add(localRemoved+"default/shop", wire.MustMarshal(2))
	f.Add(localDeleted+"default/shop", wire.MustMarshal(&deletedAt{Life: 1, Ran: 5}))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		cfg := Config{Self: wire.PeerID{1}, Swarm: wire.Hash{1}, Key: testKey(wire.PeerID{1}), Verify: testVerify, Name: "a", Seed: 1, Nonce: 1}
		c, err := New(cfg, Stored{Locals: map[string][]byte{key: value}})
		if err != nil {
			return
		}
		for now := range 3 {
			if _, err := c.Step(Input{Now: clock.Instant(now+1) * clock.Instant(time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
