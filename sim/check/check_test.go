package check

import (
	"errors"
	"testing"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// fake is a Host and a World of one machine.
type fake struct {
	now        time.Duration
	containers []runtime.Observed
	records    []*wire.Record
	synced     map[wire.Number]bool
	state      *ledger.State
	joining    bool
	forger     bool
}

func (f *fake) Index() int           { return 0 }
func (f *fake) Name() string         { return "n1" }
func (f *fake) Peer() wire.PeerID    { return wire.PeerID{1} }
func (f *fake) Up() bool             { return true }
func (f *fake) Counts() bool         { return !f.joining }
func (f *fake) Shared() bool         { return false }
func (f *fake) Tainted() bool        { return false }
func (f *fake) Since() time.Duration { return 0 }
func (f *fake) EngineWorks() bool    { return true }
func (f *fake) Capacity() job.Resources {
	return job.Resources{CPUMilli: 1000, MemBytes: 1000, GPUMilli: 2000}
}
func (f *fake) Ledger() *ledger.State                   { return f.state }
func (f *fake) Containers() []runtime.Observed          { return f.containers }
func (f *fake) Synced(n wire.Number) bool               { return f.synced[n] }
func (f *fake) Joining() bool                           { return f.joining }
func (f *fake) SteppedBack() bool                       { return false }
func (f *fake) Trusts(wire.PeerID) bool                 { return true }
func (f *fake) Awaits(wire.PeerID) bool                 { return false }
func (f *fake) Unseen(string) bool                      { return false }
func (f *fake) Forgeries() bool                         { return true }
func (f *fake) Forges(wire.PeerID) bool                 { return f.forger }
func (f *fake) Signed(r *wire.Record) bool              { return len(r.Sig) == 0 }
func (f *fake) Hears(int, int) bool                     { return true }
func (f *fake) Pending(wire.Number) bool                { return false }
func (f *fake) Now() time.Duration                      { return f.now }
func (f *fake) Hosts() []Host                           { return []Host{f} }
func (f *fake) Reaches(int, int) bool                   { return true }
func (f *fake) Verify(wire.PeerID, []byte, []byte) bool { return true }
func (f *fake) Swarm() wire.Hash                        { return wire.Hash{9} }

func (f *fake) DiskJobs(each func(*wire.Record)) {
	f.Disk(func(r *wire.Record) {
		if r.Kind == wire.KindHead || r.Kind == wire.KindSpec {
			each(r)
		}
	})
}

func (f *fake) Disk(each func(*wire.Record)) {
	for _, r := range f.records {
		each(r)
	}
}

func slot(n int) job.SlotID { return job.SlotID{Job: "default/web", Task: "web", Index: n} }

// claim is an open claim on slot n, needing 400 of 1000.
func claim(n int, token wire.Token, phase ledger.Phase) *ledger.Claim {
	return &ledger.Claim{Slot: slot(n), Life: 1, Token: token, Peer: wire.PeerID{1}, Phase: phase, Needs: job.Resources{CPUMilli: 400, MemBytes: 1}}
}

func put(seq uint64, kind wire.RecordKind, v any) node.Write {
	return node.Write{Put: &wire.Record{
		Num: wire.Number{Issuer: wire.PeerID{1}, Inc: 1, Nonce: 1, Seq: seq}, Kind: kind, Body: wire.MustMarshal(v), Value: v,
	}}
}

// TestCheckers_Find gives each checker what it must object to, and the same
// without the fault.
func TestCheckers_Find(t *testing.T) {
	running := []runtime.Observed{{Container: "c", ID: "1", State: runtime.StateRunning,
		Ref: runtime.Ref{Peer: wire.PeerID{1}, Slot: slot(0), Life: 1, Token: 1}}}
	open := func(n int, token wire.Token) node.Write {
		return put(uint64(n)+1, wire.KindClaim, claim(n, token, ledger.Running))
	}
	gpu := func(n int, milli int64, devices ...int) node.Write {
		c := claim(n, 1, ledger.Running)
		c.Needs, c.GPUs = job.Resources{GPUMilli: milli}, devices
		return put(uint64(n)+1, wire.KindClaim, c)
	}
	accepted := &node.Reply{Job: "default/web", Life: 1, Revision: 1, Stores: []wire.PeerID{{1}}}
	head := func(seq, life, revision uint64) node.Write {
		return put(seq, wire.KindHead, &ledger.Head{Job: "default/web", Life: life, Revision: revision, Author: wire.PeerID{1}})
	}
	owned := func(seq uint64, n int, token wire.Token, phase ledger.Phase) node.Write {
		return put(seq, wire.KindClaim, claim(n, token, phase))
	}
	for _, c := range []struct {
		name string
		rule string // empty: nothing is wrong
		run  func(*fake) error
	}{
		{"room for two", "", func(f *fake) error { return NewOvercommit().Wrote(f, []node.Write{open(0, 1), open(1, 1)}) }},
		{"no room for three", "S4", func(f *fake) error {
			return NewOvercommit().Wrote(f, []node.Write{open(0, 1), open(1, 1), open(2, 1)})
		}},
		{"two halves of a device", "", func(f *fake) error {
			return NewOvercommit().Wrote(f, []node.Write{gpu(0, 500, 1), gpu(1, 500, 1)})
		}},
		{"three halves of a device", "S4", func(f *fake) error {
			return NewOvercommit().Wrote(f, []node.Write{gpu(0, 500, 1), gpu(1, 500, 1), gpu(2, 500, 1)})
		}},
		{"a share of a device that is taken", "S4", func(f *fake) error {
			return NewOvercommit().Wrote(f, []node.Write{gpu(0, 1000, 0), gpu(1, 1, 0)})
		}},
		{"more devices than there are", "S4", func(f *fake) error {
			return NewOvercommit().Wrote(f, []node.Write{gpu(0, 2000, 0, 1), gpu(1, 1000, 2)})
		}},
		{"second claim", "S5", func(f *fake) error {
			return NewMonotone().Wrote(f, []node.Write{open(0, 1), owned(9, 0, 2, ledger.Accepted)})
		}},
		{"second claim after the end of the first", "", func(f *fake) error {
			return NewMonotone().Wrote(f, []node.Write{open(0, 1), owned(8, 0, 1, ledger.Stopped), owned(9, 0, 2, ledger.Accepted)})
		}},
		{"token below one it knows", "S5", func(f *fake) error {
			f.state = ledger.New(wire.PeerID{1}, wire.Hash{9}, f.Verify)
			other := *claim(0, 7, ledger.Superseded)
			other.Peer = wire.PeerID{2}
			rec := &wire.Record{Num: wire.Number{Issuer: other.Peer, Inc: 1, Seq: 1}, Kind: wire.KindClaim, Body: wire.MustMarshal(&other), Value: &other}
			_, err := f.state.Merge(rec)
			return errors.Join(err, NewAwards().Wrote(f, []node.Write{owned(1, 0, 7, ledger.Accepted)}))
		}},
		{"takes a slot while joining", "joining", func(f *fake) error {
			f.joining = true
			return NewJoining().Wrote(f, []node.Write{owned(1, 0, 1, ledger.Accepted)})
		}},
		{"keeps what is not signed", "S3", func(f *fake) error {
			w := owned(1, 0, 1, ledger.Accepted)
			w.Put.Sig = []byte{1}
			return (&Signed{}).Wrote(f, []node.Write{w})
		}},
		{"number falls", "S5", func(f *fake) error {
			return NewMonotone().Wrote(f, []node.Write{owned(5, 0, 1, ledger.Running), owned(4, 1, 1, ledger.Running)})
		}},
		{"number twice", "S5", func(f *fake) error {
			return NewMonotone().Wrote(f, []node.Write{owned(5, 0, 1, ledger.Running), owned(5, 1, 1, ledger.Running)})
		}},
		{"sent before it is synced", "S5", func(f *fake) error {
			return NewMonotone().Sent(f, &wire.Envelope{Msg: &wire.Push{Records: []*wire.Record{open(0, 1).Put}}})
		}},
		{"ends while it runs", "S7", func(f *fake) error {
			f.containers = running
			return NewOrphans().Wrote(f, []node.Write{owned(1, 0, 1, ledger.Stopped)})
		}},
		{"orphan", "S7", func(f *fake) error {
			o := NewOrphans()
			f.containers = running
			err := o.Tick(f)
			f.now = orphanBound + time.Second
			return errors.Join(err, o.Tick(f))
		}},
		{"accepted and lost", "S1", func(f *fake) error {
			a := NewAccepted()
			a.Booted(f)
			return a.Replied(f, &node.Request{}, accepted)
		}},
		{"accepted and lost for a moment", "S1", func(f *fake) error {
			a, first := NewAccepted(), head(1, 1, 1)
			f.records = append(f.records, first.Put)
			a.Booted(f)
			said := a.Replied(f, &node.Request{}, accepted)
			f.records = nil
			return errors.Join(said, a.Wrote(f, []node.Write{{Drop: &first.Put.Num}}))
		}},
		{"accepted and lost with the power", "S1", func(f *fake) error {
			a := NewAccepted()
			f.records = append(f.records, head(1, 1, 1).Put)
			a.Booted(f)
			said := a.Replied(f, &node.Request{}, accepted)
			f.records = nil
			return errors.Join(said, a.DiskChanged(f))
		}},
		{"accepted and gone with the disk", "", func(f *fake) error {
			a := NewAccepted()
			f.records = append(f.records, head(1, 1, 1).Put)
			a.Booted(f)
			said := a.Replied(f, &node.Request{}, accepted)
			f.records = nil
			a.DiskLost(f)
			return errors.Join(said, a.DiskChanged(f))
		}},
		{"accepted and replaced", "", func(f *fake) error {
			a, first, next := NewAccepted(), head(1, 1, 1), head(2, 1, 2)
			f.records = append(f.records, first.Put)
			a.Booted(f)
			said := a.Replied(f, &node.Request{}, accepted)
			f.records = append(f.records[:0], next.Put)
			return errors.Join(said, a.Wrote(f, []node.Write{next, {Drop: &first.Put.Num}}))
		}},
		{"accepted without its spec for long", "S1", func(f *fake) error {
			a := NewAccepted()
			f.records = append(f.records, head(1, 1, 1).Put)
			a.Booted(f)
			said := a.Replied(f, &node.Request{}, accepted)
			for f.now < specBound && said == nil {
				f.now += time.Second
				said = a.Tick(f)
			}
			f.now += time.Second
			return errors.Join(said, a.Tick(f))
		}},
		{"back after its removal, for a moment", "S8", func(f *fake) error {
			r := NewRemoved()
			r.Booted(f)
			for i, w := range []node.Write{head(1, 2, 1), head(2, 1, 1)} {
				f.state = ledger.New(wire.PeerID{1}, wire.Hash{9}, f.Verify)
				if _, err := f.state.Merge(w.Put); err != nil {
					return err
				}
				if err := r.Wrote(f, []node.Write{w}); err != nil {
					return errors.Join(err, map[int]error{0: errors.New("too early")}[i])
				}
			}
			return nil
		}},
		{"removed and wanted", "S8", func(f *fake) error {
			r := NewRemoved()
			f.state = ledger.New(wire.PeerID{1}, wire.Hash{9}, f.Verify)
			_, err := f.state.Merge(put(1, wire.KindHead, &ledger.Head{Job: "default/web", Life: 1, Revision: 1, Author: wire.PeerID{1}}).Put)
			said := r.Replied(f, &node.Request{Remove: &node.Remove{Job: "default/web"}}, &node.Reply{Life: 1, Stores: []wire.PeerID{{1}}})
			return errors.Join(err, said, r.Finish(f))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.run(&fake{synced: map[wire.Number]bool{}})
			var v *Violation
			if found := errors.As(err, &v); found != (c.rule != "") || found && v.Rule != c.rule || !found && err != nil {
				t.Fatalf("want %q, got %v", c.rule, err)
			}
		})
	}
}
