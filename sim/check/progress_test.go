package check

import (
	"fmt"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A crowd is a World of several machines, each ready and up.
type crowd struct {
	fake
	members []*member
	traffic Traffic
	verify  func() bool
	swarm   wire.Hash // as checkers see it; zero: that of the ledgers
}

func (c *crowd) Swarm() wire.Hash {
	if c.swarm == (wire.Hash{}) {
		return c.fake.Swarm()
	}
	return c.swarm
}

type member struct {
	fake
	index int
}

func (m *member) Index() int        { return m.index }
func (m *member) Name() string      { return fmt.Sprintf("n%d", m.index+1) }
func (m *member) Peer() wire.PeerID { return wire.PeerID{byte(m.index + 1)} }

func (m *member) Capacity() job.Resources {
	return job.Resources{CPUMilli: 1000, MemBytes: 1 << 30}
}

func (c *crowd) Traffic() Traffic { return c.traffic }
func (c *crowd) Idle() Rate       { return Rate{Messages: 10, Wakes: 5} }

func (c *crowd) Verify(wire.PeerID, []byte, []byte) bool { return c.verify == nil || c.verify() }

func (c *crowd) Hosts() []Host {
	var out []Host
	for _, m := range c.members {
		out = append(out, m)
	}
	return out
}

// newCrowd makes n machines with empty ledgers.
func newCrowd(n int) *crowd {
	c := &crowd{}
	for i := range n {
		m := &member{index: i}
		m.state = ledger.New(m.Peer(), c.fake.Swarm(), c.fake.Verify)
		c.members = append(c.members, m)
	}
	return c
}

// record is a record of peer n.
func record(n int, seq uint64, kind wire.RecordKind, v any) *wire.Record {
	return &wire.Record{Num: wire.Number{Issuer: wire.PeerID{byte(n)}, Inc: 1, Nonce: 1, Seq: seq}, Kind: kind, Body: wire.MustMarshal(v)}
}

// know puts records into the ledgers of some machines, of all if none is named.
func (c *crowd) know(t *testing.T, records []*wire.Record, of ...int) {
	t.Helper()
	for _, m := range c.members {
		for _, r := range records {
			if len(of) > 0 && of[0] != m.index {
				continue
			}
			again := *r
			if _, err := m.state.Merge(&again); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// wanted are the cards of n peers and a job of one slot.
func wanted(n int) []*wire.Record {
	spec := &job.Spec{Namespace: "default", Name: "web", Tasks: []job.Task{{Name: "web", Image: "web", Count: 1}}}
	spec.Defaults()
	body := record(1, 2, wire.KindSpec, spec)
	out := []*wire.Record{body, record(1, 3, wire.KindHead, &ledger.Head{
		Job: "default/web", Life: 1, Revision: 1, Spec: wire.HashOf(body.Body), Author: wire.PeerID{1},
	})}
	for i := range n {
		id := wire.PeerID{byte(i + 1)}
		out = append(out, record(i+1, 1, wire.KindCard, &ledger.Card{Peer: id, Name: fmt.Sprint(i), Capacity: job.Resources{CPUMilli: 1000, MemBytes: 1 << 30}}))
	}
	return out
}

func runs(n int, token wire.Token) []runtime.Observed {
	return []runtime.Observed{{Container: fmt.Sprint(n), ID: fmt.Sprint(n), State: runtime.StateRunning,
		Ref: runtime.Ref{Peer: wire.PeerID{byte(n)}, Slot: slot(0), Life: 1, Token: token}}}
}

func held(n int, token wire.Token) *wire.Record {
	c := claim(0, token, ledger.Serving)
	c.Peer = wire.PeerID{byte(n)}
	c.Needs = job.Resources{CPUMilli: 1, MemBytes: 1}
	return record(n, 5, wire.KindClaim, c)
}

func failed(n int, token wire.Token, fails uint32) *wire.Record {
	c := claim(0, token, ledger.Failed)
	c.Peer, c.Fails = wire.PeerID{byte(n)}, fails
	c.Needs = job.Resources{CPUMilli: 1, MemBytes: 1}
	return record(n, 4, wire.KindClaim, c)
}

// TestProgress_Finds gives each rule of progress a swarm that breaks it, and one
// that does not.
func TestProgress_Finds(t *testing.T) {
	for _, c := range []struct {
		name  string
		rule  Progress
		make  func(*testing.T, *crowd)
		unmet bool
	}{
		{"equal ledgers", &Equal{}, func(t *testing.T, c *crowd) { c.know(t, wanted(3)) }, false},
		{"one lacks a claim", &Equal{}, func(t *testing.T, c *crowd) {
			c.know(t, wanted(3))
			c.know(t, []*wire.Record{held(2, 1)}, 1)
		}, true},
		{"a slot runs at its holder", Runs{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(3), held(2, 1)))
			c.members[1].containers = runs(2, 1)
		}, false},
		{"its holder does not run it", Runs{}, func(t *testing.T, c *crowd) { c.know(t, append(wanted(3), held(2, 1))) }, true},
		{"a failed slot is not sold again", Resold{}, func(t *testing.T, c *crowd) { c.know(t, append(wanted(3), failed(2, 1, 0))) }, true},
		{"it has been sold again", Resold{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(3), failed(2, 1, 0), held(3, 2)))
		}, false},
		{"it has failed too often", Resold{}, func(t *testing.T, c *crowd) { c.know(t, append(wanted(3), failed(2, 9, fewFails+1))) }, false},
		{"it has failed wherever there is room", Resold{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(2), failed(1, 1, 0), failed(2, 2, 1)))
		}, false},
		{"sold again, and its holder does not run it", Runs{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(3), failed(2, 1, 0), held(3, 2)))
		}, true},
		{"it waits out its delay", Runs{}, func(t *testing.T, c *crowd) { c.know(t, append(wanted(3), failed(2, 1, 0))) }, false},
		{"one copy runs", Surplus{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(3), held(2, 1)))
			c.members[1].containers = runs(2, 1)
		}, false},
		{"two copies run", Surplus{}, func(t *testing.T, c *crowd) {
			c.know(t, append(wanted(3), held(2, 1)))
			c.members[1].containers, c.members[2].containers = runs(2, 1), runs(3, 2)
		}, true},
		{"all are ready", NewReady(), func(*testing.T, *crowd) {}, false},
		{"one joins for ever", NewReady(), func(_ *testing.T, c *crowd) { c.members[1].joining = true }, true},
		{"nobody is ready or was", NewReady(), func(_ *testing.T, c *crowd) { c.joinAll() }, false},
		{"a removed peer", NewReady(), func(t *testing.T, c *crowd) {
			c.know(t, []*wire.Record{record(1, 9, wire.KindMember, &ledger.Member{Peer: wire.PeerID{2}, Revoked: true})})
			c.members[1].joining = true
		}, false},
		{"a forger", NewReady(), func(_ *testing.T, c *crowd) { c.members[1].joining, c.members[1].forger = true, true }, false},
		{"nobody wants what runs", Surplus{}, func(_ *testing.T, c *crowd) { c.members[0].containers = runs(1, 1) }, true},
	} {
		t.Run(c.rule.Rule()+" "+c.name, func(t *testing.T) {
			w := newCrowd(3)
			c.make(t, w)
			if got := c.rule.Unmet(w); (got != "") != c.unmet {
				t.Fatalf("unmet: %q", got)
			}
		})
	}
}

func (c *crowd) joinAll() {
	for _, m := range c.members {
		m.joining = true
	}
}

// TestReady_FindsWhoWasReady lets all start again at once: who was ready is asked to be
// so again with nobody there to join, but not once its store has lost something.
func TestReady_FindsWhoWasReady(t *testing.T) {
	w, r := newCrowd(2), NewReady()
	for range surelyKept {
		if err := r.Tick(w); err != nil {
			t.Fatal(err)
		}
	}
	w.joinAll()
	if r.Unmet(w) == "" {
		t.Error("nobody is ready again, and that is not found")
	}
	for _, h := range w.Hosts() {
		r.DiskLost(h)
	}
	if text := r.Unmet(w); text != "" {
		t.Errorf("their stores have lost something, and yet: %s", text)
	}
}

// TestStorm_Finds lets a swarm of three speak at, and above, what is idle.
func TestStorm_Finds(t *testing.T) {
	for _, c := range []struct {
		name  string
		each  Traffic // by all, in each second
		unmet bool
	}{
		{"idle", Traffic{Messages: 30, Wakes: 15}, false},
		{"on the bound", Traffic{Messages: 38, Wakes: 20}, false},
		{"messages", Traffic{Messages: 39, Wakes: 15}, true},
		{"wakes", Traffic{Messages: 30, Wakes: 21}, true},
		{"a few records, with their messages", Traffic{Messages: 70, Wakes: 15, Records: 1}, false},
		{"records without end", Traffic{Messages: 30, Wakes: 15, Records: 6}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, s := newCrowd(3), NewStorm()
			last := s.Unmet(w)
			for range 30 {
				if w.now == 0 && last == "" {
					t.Fatal("nothing has been measured yet")
				}
				w.now += time.Second
				w.traffic.Messages += c.each.Messages
				w.traffic.Wakes += c.each.Wakes
				w.traffic.Records += c.each.Records
				last = s.Unmet(w)
			}
			if (last != "") != c.unmet {
				t.Fatalf("unmet: %q", last)
			}
		})
	}
}

// TestMergeLaws_Find joins ledgers with a verifier that changes its mind after so
// many calls: what it refuses in one order and takes in the next makes them differ.
func TestMergeLaws_Find(t *testing.T) {
	run := func(refusals int) (err error) {
		w, m := newCrowd(3), NewMergeLaws()
		w.know(t, append(wanted(3), held(2, 1)))
		calls := 0
		w.verify = func() bool { calls++; return calls > refusals }
		w.swarm = wire.Hash{8} // so that what has been verified is verified again
		if err := m.Tick(w); err != nil {
			return err
		}
		merged := []node.Write{put(1, wire.KindClaim, claim(0, 1, ledger.Running))}
		for i := 0; i < 3*2*eachPeer && err == nil; i++ {
			err = m.Wrote(w.Hosts()[2], merged)
		}
		return err
	}
	if err := run(0); err != nil {
		t.Errorf("a verifier that takes all: %v", err)
	}
	if m := NewMergeLaws(); m.Tick(newCrowd(3)) != nil || m.Compared() != 0 {
		t.Error("a second in which nothing is merged counts")
	}
	found := 0
	for refusals := range 256 {
		if run(refusals) != nil {
			found++
		}
	}
	if found == 0 {
		t.Error("no change of mind was found")
	}
}

// TestEqual_BoundGrowsWithTheSwarm as the rounds of an epidemic do.
func TestEqual_BoundGrowsWithTheSwarm(t *testing.T) {
	for n, want := range map[int]float64{0: 10, 9: 10, 100: 10, 101: 12, 200: 12, 201: 14, 1000: 18} {
		if got := (&Equal{peers: n}).Bound(); got.Seconds() != want {
			t.Errorf("%d peers: %v, want %v s", n, got, want)
		}
	}
}
