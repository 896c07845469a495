package node

import (
	"testing"
	"time"

	"shoal/clock"
	"shoal/ledger"
	"shoal/wire"
)

// bench is one core and a peer that sends it things.
type bench struct {
	t    *testing.T
	core *Core
	now  time.Duration
	from wire.PeerID
	seq  uint64
	out  []Ready
}

func newBench(t *testing.T) *bench {
	w := newWorld(t, 2)
	w.run(20 * time.Second)
	return &bench{t: t, core: w.peers[0].core, now: w.now, from: w.peers[1].id}
}

func (b *bench) step(in Input) Ready {
	b.now += time.Millisecond
	in.Now = clock.Instant(b.now)
	rd, _ := b.core.Step(in)
	b.out = append(b.out, rd)
	return rd
}

// later lets d pass, in small steps, so that the core does not think it slept.
func (b *bench) later(d time.Duration) {
	for end := b.now + d; b.now < end; {
		b.now = min(end, b.now+500*time.Millisecond)
		b.step(Input{})
	}
}

func (b *bench) push(recs ...*wire.Record) Ready {
	return b.step(Input{Received: &Received{From: b.from, Msg: &wire.Push{Records: recs}}})
}

// card is a record of the sender's own, newer than all before.
func (b *bench) card(sign func(*wire.Record)) *wire.Record {
	b.seq++
	r := &wire.Record{
		Num: wire.Number{Issuer: b.from, Inc: 7, Nonce: 7, Seq: b.seq}, Kind: wire.KindCard,
		Body: wire.MustMarshal(&ledger.Card{Peer: b.from, Name: "n2"}),
	}
	sign(r)
	return r
}

func (b *bench) good(r *wire.Record) { r.Seal(b.core.cfg.Swarm, testKey(b.from)) }

func (b *bench) forge(r *wire.Record) { r.Sig = make([]byte, 32) }

func (b *bench) events(kind string) (n int) {
	for _, rd := range b.out {
		for _, e := range rd.Events {
			if e.Kind == kind {
				n++
			}
		}
	}
	return n
}

func (b *bench) view() PeerView { return b.core.peerView(b.from) }

// Each kind of bad record is dropped, counted as what it is, and nothing of it kept.
func TestFaults_EachKindIsCounted(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(*bench) *wire.Record
		want  wire.Fault
		blame bool
	}{
		"forged": {func(b *bench) *wire.Record { return b.card(b.forge) }, wire.FaultForged, true},
		"of another swarm": {func(b *bench) *wire.Record {
			return b.card(func(r *wire.Record) { r.Seal(wire.HashOf([]byte("another")), testKey(b.from)) })
		}, wire.FaultForged, true},
		"signed as another kind": {func(b *bench) *wire.Record {
			r := b.card(func(*wire.Record) {})
			r.Kind, r.Body = wire.KindMember, wire.MustMarshal(&ledger.Member{Peer: b.from, Left: true, Seq: 9})
			b.good(r)
			r.Kind, r.Body = wire.KindCard, wire.MustMarshal(&ledger.Card{Peer: b.from})
			as := *r
			as.Kind = wire.KindMember
			as.Seal(b.core.cfg.Swarm, testKey(b.from))
			r.Sig = as.Sig
			return r
		}, wire.FaultDomain, true},
		"cut": {func(b *bench) *wire.Record {
			return b.card(func(r *wire.Record) { r.Body = r.Body[:len(r.Body)-2]; b.forge(r) })
		}, wire.FaultTruncated, true},
		"too long": {func(b *bench) *wire.Record {
			return b.card(func(r *wire.Record) { r.Body = make([]byte, wire.MaxRecordBytes+1); b.good(r) })
		}, wire.FaultOversized, true},
		"signed, and of no use to this version": {func(b *bench) *wire.Record {
			return b.card(func(r *wire.Record) { r.Body = wire.MustMarshal(&ledger.Card{}); b.good(r) })
		}, wire.FaultUnfit, false},
		"older than what is held": {func(b *bench) *wire.Record {
			old := b.card(b.good)
			b.push(b.card(b.good))
			return old
		}, wire.FaultReplayed, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := c.make(b)
			before, held := b.core.Faults(), b.core.Ledger().Len()
			rd := b.push(r)
			found := b.core.Faults().Since(before)
			want := wire.FaultCounts{}
			want[c.want] = 1
			if found != want {
				t.Errorf("counted %v, want one %v", found.Map(), c.want)
			}
			if b.core.Ledger().Len() != held || b.core.Ledger().Holds(r) {
				t.Error("it is kept")
			}
			for _, w := range rd.Records {
				if w.Put == r {
					t.Error("it is written")
				}
			}
			if got := b.view().Score > 0; got != c.blame {
				t.Errorf("held against the sender: %v, want %v", got, c.blame)
			}
		})
	}
}

// Whoever only repeats, replays or passes on what this version does not know is never
// treated worse, however often.
func TestStanding_HonestPeersAreNeverPunished(t *testing.T) {
	b := newBench(t)
	old, now := b.card(b.good), b.card(b.good)
	b.push(now)
	for range 5000 {
		b.push(old, now)
		b.step(Input{Refused: &Refused{Peer: b.from, Fault: wire.FaultUnknown, Count: 100}})
		b.step(Input{Received: &Received{From: b.from, Msg: &wire.Beat{Inc: 1, Beat: 1, Every: time.Second}}})
	}
	if v := b.view(); v.Score != 0 || v.Ignored || v.RefusedFor != 0 || b.events("refused") != 0 {
		t.Errorf("%+v", v)
	}
	if n := b.core.Faults(); n[wire.FaultReplayed] < 5000 || n[wire.FaultUnknown] != 500_000 {
		t.Errorf("counted %v", n.Map())
	}
}

func TestStanding_FirstIgnoredThenRefusedThenForgiven(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.push(b.card(b.forge))
	}
	if v := b.view(); !v.Ignored || v.RefusedFor != 0 || v.Score != 30 {
		t.Fatalf("after 3 forged records: score %d, ignored %v", v.Score, v.Ignored)
	}
	good := b.card(b.good)
	if b.push(good); b.core.Ledger().Holds(good) {
		t.Fatal("what it pushes is looked at")
	}
	b.later(time.Minute)
	if b.push(good); !b.core.Ledger().Holds(good) {
		t.Fatal("a minute later what it pushes is still ignored")
	}
	var waits []time.Duration
	for range 12 {
		var shun []Shun
		for range 30 {
			shun = append(shun, b.step(Input{Refused: &Refused{Peer: b.from, Fault: wire.FaultUndecodable, Count: 1}}).Shun...)
		}
		if len(shun) != 1 || shun[0].Peer != b.from {
			t.Fatalf("30 frames of rubbish: %v", shun)
		}
		waits = append(waits, shun[0].For)
		before := b.core.Faults()
		b.step(Input{Received: &Received{From: b.from, Msg: &wire.Observe{For: time.Second}}})
		if b.core.Faults().Since(before)[wire.FaultIgnored] != 1 {
			t.Fatal("it is listened to while it is refused")
		}
		b.later(shun[0].For)
		if b.core.IsRefused(b.from) {
			t.Fatal("its time is over and it is still refused")
		}
	}
	for i, w := range waits {
		want := min(refuseFirst<<i, refuseMost)
		if w > want || w < want*3/4 {
			t.Errorf("time %d: refused for %v, want %v less up to a quarter", i+1, w, want)
		}
	}
	b.later(refuseForget)
	if v := b.view(); v.Score != 0 || v.Ignored || v.RefusedFor != 0 {
		t.Errorf("an hour later: %+v", v)
	}
}

// However much a peer sends, the log says it at a bounded rate, and what is kept of
// its sender is bounded, too.
func TestStanding_IsBounded(t *testing.T) {
	b := newBench(t)
	for range 10_000 {
		b.push(b.card(b.forge))
	}
	if n := b.events("refused"); n == 0 || n > 4 {
		t.Errorf("%d events of 10,000 forged records within %v", n, 10*time.Second)
	}
	for i := range 5000 {
		p := wire.PeerID{byte(i), byte(i >> 8), 0x77}
		b.step(Input{Refused: &Refused{Peer: p, Fault: wire.FaultForged, Count: 1}})
	}
	if n := len(b.core.faults.of); n > maxStandings {
		t.Errorf("%d standings are kept", n)
	}
	b.step(Input{Refused: &Refused{Peer: b.from, Fault: 200, Count: 1}}) // of no version
}
