package daemon

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/job"
	"shoal/node"
)

type noRoomError struct{}

func (noRoomError) Error() string { return "the disk is full" }
func (noRoomError) Full() bool    { return true }

// A peer with a full disk says nothing, refuses what it is asked for and leaves its
// containers running; its slots are sold. With room again it goes on by itself, and
// what it was given meanwhile was never promised.
func TestDaemon_AFullDiskIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 3)
		s.startAll()
		s.deploy(s.peers[0], 3)
		s.untilServing(3, s.peers...)
		p := s.peers[2]
		runs := p.engine.running()
		p.disk.failNow(noRoomError{})
		s.deploy(s.peers[1], 4)
		s.untilWithout(p, s.peers[0], s.peers[1])
		s.untilServing(4, s.peers[0], s.peers[1])
		said := p.port.said()
		time.Sleep(10 * time.Second)
		if now := p.port.said(); now != said {
			t.Errorf("%d messages were sent with a full disk", now-said)
		}
		if n := p.engine.running(); n != runs {
			t.Errorf("%d containers run, of %d that ran when the disk was full", n, runs)
		}
		rep, err := p.Do(t.Context(), node.Request{Deploy: &node.Deploy{Spec: shop(5)}})
		if err != nil || rep.Code != node.CodeNotReady || rep.Err != "this peer holds still: the disk is full" {
			t.Errorf("deploy on a full disk: %+v, %v", rep, err)
		}
		if st := s.status(p); st.State != "ready" {
			t.Errorf("status on a full disk: %+v", st)
		}
		p.disk.failNow(nil)
		s.until("the surplus has ended and all agree", time.Minute, func() bool {
			return s.running() == 4 && s.ps(p) == s.ps(s.peers[0])
		})
		told := held(t, p)
		if len(told) != 2 || !strings.HasPrefix(told[1], "there is room on the disk again") {
			t.Errorf("events tell %q", told)
		}
		s.stopAll()
	})
}

// A daemon that holds still can be told to end, and has then not failed.
func TestDaemon_EndsWhileTheDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, 1)
		s.startAll()
		p := s.peers[0]
		p.disk.failNow(noRoomError{})
		type answer struct {
			rep node.Reply
			err error
		}
		asked := make(chan answer)
		go func() {
			rep, err := p.Do(t.Context(), node.Request{Deploy: &node.Deploy{Spec: shop(1)}})
			asked <- answer{rep, err}
		}()
		s.until("it holds still", 10*time.Second, func() bool { return len(held(t, p)) == 1 })
		s.stopAll()
		// Another write may have met the full disk first: then the request is refused.
		if a := <-asked; !errors.Is(a.err, ErrStopped) && (a.err != nil || a.rep.Code != node.CodeNotReady) {
			t.Errorf("who asked was told %+v, %v", a.rep, a.err)
		}
	})
}

// held returns what a peer has told of holding still.
func held(t *testing.T, p *peer) (told []string) {
	t.Helper()
	err := p.Events(t.Context(), 0, false, func(_ uint64, _ time.Time, e node.Event) error {
		if e.Kind == "held" {
			told = append(told, e.Text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return told
}

func shop(count int) job.Spec {
	spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: count, Image: "img"}}}
	spec.Defaults()
	return spec
}
