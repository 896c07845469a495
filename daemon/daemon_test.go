package daemon

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

func TestDaemon_DeployRunsAndADeathIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		rep := s.deploy(s.peers[1], 4)
		if len(rep.Stores) != 3 || !rep.Changed {
			t.Errorf("reply %+v, want three stores", rep)
		}
		s.untilServing(4, s.peers...)
		if n := s.running(); n != 4 {
			t.Errorf("%d containers run, want 4", n)
		}
		if len(s.peers[0].port.addrs) != 2 {
			t.Errorf("addresses of %d peers were told, want 2", len(s.peers[0].port.addrs))
		}
		s.until("reach knows all endpoints", 5*time.Second, func() bool {
			count, local := s.peers[0].names.endpoints()
			return count == 4 && local
		})
		dead := s.peers[0]
		s.kill(dead)
		rest := s.peers[1:]
		s.untilWithout(dead, rest...)
		s.untilServing(4, rest...)
		if n := rest[0].engine.running() + rest[1].engine.running(); n != 4 {
			t.Errorf("%d containers run on the living, want 4", n)
		}
		s.start(dead, false)
		s.untilServing(4, s.peers...)
		s.until("the surplus ends", 30*time.Second, func() bool { return s.running() == 4 })
		s.stopAll()
	})
}

func TestDaemon_AHungEngineIsWaitedForAndItsSlotsGoElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		s.deploy(s.peers[0], 3)
		s.untilServing(3, s.peers...)
		p := s.peers[2]
		p.engine.hang(true)
		s.until("the engine is said to be silent", time.Minute, func() bool {
			return strings.Contains(s.status(p).Engine, "does not answer")
		})
		s.untilWithout(p, s.peers...)
		s.untilServing(3, s.peers...)
		p.engine.hang(false)
		s.until("it answers again and the surplus ends", time.Minute, func() bool {
			return !strings.Contains(s.status(p).Engine, "does not answer") && s.running() == 3
		})
		s.stopAll()
	})
}

func TestDaemon_WhatCannotWorkHereIsTriedElsewhereAndToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: 1, Image: "missing"}}}
		spec.Defaults()
		if rep, err := s.peers[0].Do(t.Context(), node.Request{Deploy: &node.Deploy{Spec: spec}}); err != nil || rep.Err != "" {
			t.Fatalf("deploy: %+v, %v", rep, err)
		}
		s.until("the reason is shown", time.Minute, func() bool {
			var slots []node.SlotView
			_ = s.peers[0].View(t.Context(), func(c *node.Core) { slots = c.Slots("") })
			return len(slots) == 1 && strings.Contains(slots[0].Detail, "image missing: cannot work on this peer")
		})
		s.stopAll()
	})
}

func TestDaemon_MoreRequestsThanItTakesAreToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		p := s.peers[0]
		// Requests nobody answers: the core has never heard of them.
		if err := p.View(t.Context(), func(*node.Core) {
			for i := range uint64(maxWaiting) {
				p.waiting[1<<40+i] = make(chan node.Reply, 1)
			}
		}); err != nil {
			t.Fatal(err)
		}
		rep, err := p.Do(t.Context(), node.Request{Label: &node.Label{}})
		if err != nil || rep.Code != node.CodeNotReady || !strings.Contains(rep.Err, "try again") {
			t.Errorf("reply %+v, %v", rep, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.Do(ctx, node.Request{Label: &node.Label{}}); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Do with an ended context: %v", err)
		}
		s.stopAll()
	})
}

func TestDaemon_RestartAdopts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		s.deploy(s.peers[0], 2)
		s.untilServing(2, s.peers...)
		before := s.ps(s.peers[0])
		s.kill(s.peers[0])
		if n := s.peers[0].engine.running(); n != 2 {
			t.Fatalf("%d containers run after the daemon stopped, want 2", n)
		}
		s.start(s.peers[0], false)
		s.untilServing(2, s.peers...)
		if after := s.ps(s.peers[0]); after != before {
			t.Errorf("after the restart\n%swant\n%s", after, before)
		}
		if n := s.peers[0].engine.starts; n != 2 {
			t.Errorf("containers were started %d times, want 2: they run on", n)
		}
		s.stopAll()
	})
}

func TestDaemon_StoreFailureEndsItBeforeAnythingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 2)
		s.startAll()
		p := s.peers[0]
		broken := errors.New("the disk is gone")
		p.disk.failNow(broken)
		spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: 1, Image: "img"}}}
		spec.Defaults()
		rep, err := p.Do(t.Context(), node.Request{Deploy: &node.Deploy{Spec: spec}})
		if !errors.Is(err, ErrStopped) {
			t.Fatalf("a submission was answered that is on no disk: %+v, %v", rep, err)
		}
		if err := s.end(p); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "this peer stops, since it cannot keep") {
			t.Errorf("Run returned %v", err)
		}
		if sent := p.port.said(); sent != p.disk.sentAt {
			t.Errorf("%d messages went out after the failure", sent-p.disk.sentAt)
		}
		if err := p.View(t.Context(), func(*node.Core) {}); !errors.Is(err, ErrStopped) {
			t.Errorf("View after the end: %v", err)
		}
		p.ended <- nil
		s.stopAll()
	})
}

func TestDaemon_RecordingReplaysToTheSameSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		s.deploy(s.peers[2], 3)
		s.untilServing(3, s.peers...)
		s.kill(s.peers[0])
		s.untilWithout(s.peers[0], s.peers[1:]...)
		s.start(s.peers[0], false) // its second recording begins with a disk
		s.untilServing(3, s.peers...)
		s.stopAll()
		synctest.Wait()
		for _, p := range s.peers {
			tape := p.tape.Bytes()
			steps, diff, err := node.Replay(node.Frames(bytes.NewReader(tape)))
			if err != nil || diff != nil || steps < 30 {
				t.Errorf("%s: %d steps, difference %+v, error %v", p.name, steps, diff, err)
			}
			cut, diff, err := node.Replay(node.Frames(bytes.NewReader(tape[:len(tape)-5])))
			if !errors.Is(err, node.ErrCut) || diff != nil || cut != steps-1 {
				t.Errorf("%s, broken off: %d steps of %d, difference %+v, error %v", p.name, cut, steps, diff, err)
			}
		}
	})
}

func TestDaemon_DamagedStoreIsMendedOnceReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		s.deploy(s.peers[0], 3)
		s.untilServing(3, s.peers...)
		p := s.peers[2]
		s.kill(p)
		p.disk = newDisk()
		p.disk.damage = errors.New("the store was shortened")
		s.start(p, false)
		s.untilServing(3, s.peers...)
		s.until("mended", 30*time.Second, func() bool { p.disk.mu.Lock(); defer p.disk.mu.Unlock(); return p.disk.mended })
		s.stopAll()
	})
}

func TestDaemon_LeaveHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		s.deploy(s.peers[0], 3)
		s.untilServing(3, s.peers...)
		p := s.peers[1]
		if rep, err := p.Do(t.Context(), node.Request{Leave: &node.Leave{}}); err != nil || rep.Err != "" {
			t.Fatalf("leave: %+v, %v", rep, err)
		}
		var halted *Halted
		if err := s.end(p); !errors.As(err, &halted) || halted.Reason != node.HaltLeft {
			t.Fatalf("Run returned %v, want that it left", err)
		}
		s.fabric.leave(p.key.Peer())
		s.untilServing(3, s.peers[0], s.peers[2])
		p.ended <- nil
		s.stopAll()
	})
}

func TestDaemon_ExpelledIsRevokedForTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		gone := s.peers[2].key.Peer()
		if rep, err := s.peers[0].Do(t.Context(), node.Request{Expel: &node.Expel{Peer: gone}}); err != nil || rep.Err != "" {
			t.Fatalf("expel: %+v, %v", rep, err)
		}
		s.until("revoked everywhere", 10*time.Second, func() bool { return s.peers[0].IsRevoked(gone) && s.peers[1].IsRevoked(gone) })
		if s.peers[0].IsRevoked(s.peers[1].key.Peer()) {
			t.Error("a member counts as revoked")
		}
		push, err := wire.Decode(s.peers[1].NoticeOf(gone))
		if p, ok := push.(*wire.Push); err != nil || !ok || len(p.Records) != 2 || p.Records[1].Kind != wire.KindMember {
			t.Errorf("what proves it: %+v, %v", push, err)
		}
		if s.peers[0].NoticeOf(s.peers[1].key.Peer()) != nil {
			t.Error("a member is told that it was removed")
		}
		var halted *Halted
		if err := s.end(s.peers[2]); !errors.As(err, &halted) || halted.Reason != node.HaltExpelled {
			t.Errorf("Run of the removed peer returned %v", err)
		}
		s.peers[2].ended <- nil
		s.stopAll()
	})
}

func TestDaemon_WhatPeersSendIsCountedNeverFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 2)
		s.startAll()
		p, from := s.peers[0], s.peers[1].key.Peer()
		later := []byte{0x82, 0x18, 0xfa, 0xa0} // kind 250, of a later version
		before := p.Stats()
		for _, h := range []Heard{
			{Kind: HeardMessage, Peer: from, Bytes: []byte("rubbish")},
			{Kind: HeardMessage, Peer: from},
			{Kind: HeardMessage, Peer: from, Bytes: make([]byte, wire.MaxFrame+1)},
			{Kind: HeardMessage, Peer: from, Bytes: later},
			{Kind: HeardMessage, Peer: from, Topic: "0/nothing", Bytes: later},
			{Kind: 99, Peer: from},
			{},
		} {
			p.port.heard <- h
		}
		s.until("counted", 5*time.Second, func() bool {
			now := p.Stats()
			return now.Invalid == before.Invalid+3 && now.Unknown == before.Unknown+2
		})
		if st := s.status(p); st.State != "ready" {
			t.Errorf("it is %s", st.State)
		}
		s.stopAll()
	})
}

func TestDaemon_EventsCanBeFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		p := s.peers[0]
		ctx, cancel := context.WithCancel(t.Context())
		var numbers []uint64
		var kinds []string
		followed := make(chan error)
		go func() {
			followed <- p.Events(ctx, 0, true, func(n uint64, at time.Time, e node.Event) error {
				if at.IsZero() || e.Text == "" {
					t.Errorf("event without time or text: %+v", e)
				}
				numbers, kinds = append(numbers, n), append(kinds, e.Kind)
				if e.Kind == "accepted" {
					cancel()
				}
				return nil
			})
		}()
		s.deploy(p, 1)
		if err := <-followed; !errors.Is(err, context.Canceled) {
			t.Errorf("Events returned %v", err)
		}
		for i, n := range numbers {
			if n != uint64(i+1) {
				t.Errorf("numbers %v", numbers)
			}
		}
		stop := errors.New("enough")
		if err := p.Events(t.Context(), numbers[len(numbers)-1]-1, false, func(uint64, time.Time, node.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("Events returned %v, want what emit did", err)
		}
		s.stopAll()
		if err := p.Events(t.Context(), 1<<60, true, nil); err != nil {
			t.Errorf("Events after the end: %v", err)
		}
	})
}

func TestDaemon_LogsAreTheDrivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		r, err := s.peers[0].Logs(t.Context(), "box", runtime.LogOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(r); !strings.Contains(string(b), " box\n") {
			t.Errorf("logs %q", b)
		}
		s.stopAll()
	})
}

func TestDaemon_APanicEndsItWithAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		p := s.peers[0]
		if err := p.View(t.Context(), func(*node.Core) { panic("in a view") }); err == nil || !strings.Contains(err.Error(), "in a view") {
			t.Errorf("View returned %v", err)
		}
		p.input(node.Input{Received: &node.Received{From: wire.PeerID{9}, Msg: (*wire.Beat)(nil)}})
		var crash *Crash
		if err := s.end(p); !errors.As(err, &crash) || !strings.Contains(crash.Stack, "daemon") {
			t.Errorf("Run returned %v", err)
		}
		if !strings.Contains(p.crash, crash.Text) || !strings.Contains(p.crash, "*wire.Beat") {
			t.Errorf("report %q", p.crash)
		}
	})
}

func TestRing_ForgetsTheOldest(t *testing.T) {
	r := newRing()
	for i := range ringLen + 5 {
		r.add(time.Unix(int64(i), 0), node.Event{Kind: "x"})
	}
	var got []kept
	for since := uint64(0); ; since = got[len(got)-1].number {
		batch, _ := r.after(since)
		if len(batch) == 0 {
			break
		}
		got = append(got, batch...)
	}
	if len(got) != ringLen || got[0].number != 6 || got[ringLen-1].number != ringLen+5 || got[0].at.Unix() != 5 {
		t.Errorf("%d events, from %d", len(got), got[0].number)
	}
}
