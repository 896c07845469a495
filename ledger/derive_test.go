package ledger_test

import (
	"fmt"
	"testing"

	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

var (
	one, two, three = peerID(1), peerID(2), peerID(3)

	shop  = job.MakeID("", "shop")
	web0  = job.SlotID{Job: shop, Task: "web"}
	specs = []*job.Spec{shopSpec("web:1", 2, "pause"), shopSpec("web:2", 2, "pause"), shopSpec("web:2", 2, "rollback"), shopSpec("web:1", 1, "pause")}
)

func peerID(n byte) wire.PeerID { return wire.PeerID{n} }

func shopSpec(image string, count int, onFailure string) *job.Spec {
	s := &job.Spec{Namespace: shop.Namespace(), Name: shop.Name(), Tasks: []job.Task{{
		Name: "web", Image: image, Count: count, Mounts: []job.Mount{{Type: "volume", Source: "db", Target: "/db"}},
	}}}
	s.Defaults()
	s.Tasks[0].Update.FailureAction = onFailure
	return s
}

func hashOf(spec int) wire.Hash { return wire.HashOf(wire.MustMarshal(specs[spec])) }

func taskOf(spec int) wire.Hash { return ledger.TaskHash(&specs[spec].Tasks[0]) }

// A tale is records told one after the other; each writer numbers its own.
type tale struct {
	t  *testing.T
	s  *ledger.State
	ws map[wire.PeerID]*ledgertest.Writer
}

func tell(t *testing.T) *tale {
	t.Helper()
	x := &tale{t, ledgertest.Test.New(), map[wire.PeerID]*ledgertest.Writer{}}
	for _, s := range specs {
		x.add(one, wire.KindSpec, s)
	}
	return x
}

func (x *tale) by(p wire.PeerID) *ledgertest.Writer {
	if x.ws[p] == nil {
		x.ws[p] = &ledgertest.Writer{ID: p}
	}
	return x.ws[p]
}

func (x *tale) add(p wire.PeerID, kind wire.RecordKind, body any) *wire.Record {
	x.t.Helper()
	r := x.by(p).Seal(kind, body)
	if _, err := x.s.Merge(r); err != nil {
		x.t.Fatalf("merge %v: %v", kind, err)
	}
	return r
}

func (x *tale) head(p wire.PeerID, h ledger.Head) *wire.Record {
	x.t.Helper()
	h.Job, h.Author = shop, p
	if h.Spec.IsZero() {
		h.Spec = hashOf(0)
	}
	return x.add(p, wire.KindHead, &h)
}

func (x *tale) claim(c ledger.Claim) {
	x.t.Helper()
	if c.Slot == (job.SlotID{}) {
		c.Slot = web0
	}
	c.Life, c.Token = max(c.Life, 1), max(c.Token, 1)
	if c.Spec.IsZero() {
		c.Spec, c.JobSpec = taskOf(0), hashOf(0)
	}
	x.add(c.Peer, wire.KindClaim, &c)
}

func (x *tale) verdict(v ledger.Verdict) {
	x.t.Helper()
	v.Slot, v.Life, v.Token = web0, max(v.Life, 1), max(v.Token, 1)
	x.add(v.By, wire.KindVerdict, &v)
}

// TestDerived_IsWhatTheRulesSay has a row for each rule by which something is derived
// of merged records; got is what was derived, in words.
func TestDerived_IsWhatTheRulesSay(t *testing.T) {
	for _, tt := range []struct {
		name string
		tell func(*tale)
		got  func(*ledger.State) any
		want string
	}{
		// Lives of a name.
		{"a deleted head beats a later revision of its life", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 2, Deleted: true})
			x.head(two, ledger.Head{Life: 1, Revision: 7})
		}, headIs, "1.2 deleted"},
		{"a first revision of the next life beats a deletion", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 9, Deleted: true})
			x.head(two, ledger.Head{Life: 2, Revision: 1})
		}, headIs, "2.1"},
		{"a verdict of no beginning is not refuted by a count", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Starting, Run: 1, Refuted: 5})
			x.verdict(ledger.Verdict{Peer: one, By: two, Unstarted: true})
		}, winnerIs, "nobody"},
		{"a verdict of no beginning is refuted by a claim that has begun", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Running, Run: 1, Refuted: 1})
			x.verdict(ledger.Verdict{Peer: one, By: two, Unstarted: true})
		}, func(s *ledger.State) any { return s.Winner(web0) != nil && s.Winner(web0).Peer == one }, "true"},
		{"a claim of an earlier life is not live", func(x *tale) {
			x.head(one, ledger.Head{Life: 2, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Life: 1, Phase: ledger.Serving})
		}, winnerIs, "nobody"},
		{"tokens count anew in each life", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Life: 1, Token: 5, Phase: ledger.Stopped})
			x.claim(ledger.Claim{Peer: one, Life: 2, Token: 2, Phase: ledger.Accepted})
		}, func(s *ledger.State) any { return []wire.Token{s.MaxToken(web0, 1), s.MaxToken(web0, 2)} }, "[5 2]"},
		{"nothing is wanted of a removed job", func(x *tale) { x.head(one, ledger.Head{Life: 1, Revision: 2, Deleted: true}) },
			func(s *ledger.State) any { return len(s.Wanted(shop)) }, "0"},
		{"a removed life is remembered by name", func(x *tale) { x.s.Remove(shop, 3) },
			func(s *ledger.State) any { return []uint64{s.RemovedLife(shop), s.RemovedLife("default/other")} }, "[3 0]"},

		// Ancestors of a head.
		{"a head written over another is no conflict", func(x *tale) {
			first := x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.head(two, ledger.Head{Life: 1, Revision: 2, Over: ledger.Over(first)})
		}, conflictsAre, "[]"},
		{"two heads over the same one are in conflict", func(x *tale) {
			first := x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.head(two, ledger.Head{Life: 1, Revision: 2, Over: ledger.Over(first)})
			x.head(three, ledger.Head{Life: 1, Revision: 2, Over: ledger.Over(first), Spec: hashOf(1)})
		}, func(s *ledger.State) any { return len(s.Conflicts(shop)) }, "1"},
		{"of three in a row the one that was not written over is in conflict", func(x *tale) {
			first := x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.head(two, ledger.Head{Life: 1, Revision: 2, Over: ledger.Over(first)})
			x.head(three, ledger.Head{Life: 1, Revision: 3, Over: ledger.Over(first)})
		}, conflictsAre, "[1.2]"},
		{"heads of an earlier life are no conflict", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 4})
			x.head(two, ledger.Head{Life: 2, Revision: 1})
		}, conflictsAre, "[]"},
		{"a head names its last eight ancestors, newest first", func(x *tale) {
			var last *wire.Record
			for rev := uint64(1); rev <= 12; rev++ {
				last = x.head(one, ledger.Head{Life: 1, Revision: rev, Over: ledger.Over(last)})
			}
		}, func(s *ledger.State) any {
			r := s.HeadRecord(shop)
			over := r.Value.(*ledger.Head).Over
			return fmt.Sprint(len(over), len(s.Heads(shop)), over[0] == ledger.HeadHash(s.Heads(shop)[1]))
		}, "8 5 true"},

		// Verdict and refutation.
		{"a verdict on a claim's present count stands", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Serving})
			x.verdict(ledger.Verdict{Peer: one, Refuted: 0, By: two})
		}, lostIs, "true"},
		{"a refutation voids it", func(x *tale) {
			x.verdict(ledger.Verdict{Peer: one, Refuted: 0, By: two})
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Serving, Refuted: 1})
		}, lostIs, "false"},
		{"a verdict of another steward on an older count stays void", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Serving, Refuted: 2})
			x.verdict(ledger.Verdict{Peer: one, Refuted: 1, By: two})
			x.verdict(ledger.Verdict{Peer: one, Refuted: 0, By: three})
		}, lostIs, "false"},
		{"the greatest count declared lost decides", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Serving, Refuted: 1})
			x.verdict(ledger.Verdict{Peer: one, Refuted: 1, By: two})
			x.verdict(ledger.Verdict{Peer: one, Refuted: 0, By: three})
		}, lostIs, "true"},
		{"a verdict is on one token alone", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Token: 2, Phase: ledger.Serving})
			x.verdict(ledger.Verdict{Peer: one, Token: 1, By: two})
		}, lostIs, "false"},

		// Live claims and the winner.
		{"the wanted spec beats the lower token", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Token: 1, Phase: ledger.Serving, Spec: taskOf(1), JobSpec: hashOf(1)})
			x.claim(ledger.Claim{Peer: two, Token: 2, Phase: ledger.Accepted})
		}, winnerIs, two.Short()},
		{"a leaving one holds until another serves", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Token: 1, Phase: ledger.Serving, Leaving: true})
			x.claim(ledger.Claim{Peer: two, Token: 2, Phase: ledger.Starting})
		}, winnerIs, one.Short()},
		{"and loses to one that serves", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.claim(ledger.Claim{Peer: one, Token: 1, Phase: ledger.Serving, Leaving: true})
			x.claim(ledger.Claim{Peer: two, Token: 2, Phase: ledger.Serving})
		}, winnerIs, two.Short()},
		{"a slot beyond the count is not live", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 2, Spec: hashOf(3)})
			x.claim(ledger.Claim{Peer: one, Slot: job.SlotID{Job: shop, Task: "web", Index: 1}, Phase: ledger.Serving})
		}, func(s *ledger.State) any { return len(s.LiveClaims(job.SlotID{Job: shop, Task: "web", Index: 1})) }, "0"},
		{"while the spec has not come nothing loses its claim", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1, Spec: wire.Hash{9}})
			x.claim(ledger.Claim{Peer: one, Phase: ledger.Serving})
		}, winnerIs, one.Short()},
		{"an ended claim takes no room, a beaten or lost one does", func(x *tale) {
			x.claim(ledger.Claim{Peer: one, Token: 1, Phase: ledger.Superseded, Needs: job.Resources{CPUMilli: 1}})
			x.claim(ledger.Claim{Peer: one, Token: 2, Phase: ledger.Backoff, Needs: job.Resources{CPUMilli: 10}})
			x.verdict(ledger.Verdict{Peer: one, Token: 2, By: two})
		}, func(s *ledger.State) any { return s.Claimed(one).CPUMilli }, "10"},

		// A bad spec.
		{"a bad spec pauses, and is not what a missing slot runs", badSpecTale(1, 2), wantedIs, "web:2 paused, else web:1"},
		{"with rollback the one before is wanted", badSpecTale(2, 2), wantedIs, "web:1"},
		{"a bad spec of an older head is void", badSpecTale(1, 1), wantedIs, "web:2"},

		// Where a volume is.
		{"a volume stays where it is across lives", func(x *tale) {
			x.add(two, wire.KindVolumePlace, &ledger.VolumePlace{Job: shop, Volume: "db", Peer: two, Life: 1})
			x.head(one, ledger.Head{Life: 2, Revision: 1})
		}, placeIs, two.Short()},
		{"of two the winner's counts", func(x *tale) {
			x.head(one, ledger.Head{Life: 1, Revision: 1})
			x.add(one, wire.KindVolumePlace, &ledger.VolumePlace{Job: shop, Volume: "db", Peer: one, Life: 1})
			x.add(two, wire.KindVolumePlace, &ledger.VolumePlace{Job: shop, Volume: "db", Peer: two, Life: 1})
			x.claim(ledger.Claim{Peer: two, Phase: ledger.Serving})
		}, placeIs, two.Short()},
		{"a removal with volumes ends those of its life", func(x *tale) {
			x.add(two, wire.KindVolumePlace, &ledger.VolumePlace{Job: shop, Volume: "db", Peer: two, Life: 1})
			x.head(one, ledger.Head{Life: 1, Revision: 2, Deleted: true, Volumes: true})
		}, placeIs, "nowhere"},
		{"a removed peer's volume is nowhere", func(x *tale) {
			x.add(two, wire.KindVolumePlace, &ledger.VolumePlace{Job: shop, Volume: "db", Peer: two, Life: 1})
			x.add(one, wire.KindMember, &ledger.Member{Peer: two, Revoked: true, Seq: 1})
		}, placeIs, "nowhere"},

		// Members.
		{"revoked wins over any later word", func(x *tale) {
			x.add(two, wire.KindCard, &ledger.Card{Peer: two})
			x.add(one, wire.KindMember, &ledger.Member{Peer: two, Revoked: true, Seq: 1})
			x.add(two, wire.KindMember, &ledger.Member{Peer: two, Seq: 9})
		}, func(s *ledger.State) any { return s.IsMember(two) }, "false"},
		{"who has left may come again", func(x *tale) {
			x.add(two, wire.KindCard, &ledger.Card{Peer: two})
			x.add(two, wire.KindMember, &ledger.Member{Peer: two, Left: true, Seq: 1})
			x.add(two, wire.KindMember, &ledger.Member{Peer: two, Seq: 2})
		}, func(s *ledger.State) any { return s.IsMember(two) }, "true"},

		// A peer's own past.
		{"the greatest incarnation of a peer is that of any of its records", func(x *tale) {
			x.by(two).Inc = 4
			x.add(two, wire.KindCard, &ledger.Card{Peer: two})
		}, func(s *ledger.State) any { return s.MaxIncarnation(two) }, "4"},
		{"or of its mark, when all it wrote is gone", func(x *tale) { x.s.LoadMark(wire.Number{Issuer: two, Inc: 6, Nonce: 1, Seq: 3}) },
			func(s *ledger.State) any { return s.MaxIncarnation(two) }, "6"},
		{"a card of a later start beats one with a greater number", func(x *tale) {
			x.by(two).Seq = 50
			x.add(two, wire.KindCard, &ledger.Card{Peer: two, Name: "before"})
			x.by(two).Inc, x.by(two).Seq = 2, 0
			x.add(two, wire.KindCard, &ledger.Card{Peer: two, Name: "after"})
		}, func(s *ledger.State) any { return s.Card(two).Name }, "after"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := tell(t)
			tt.tell(x)
			if got := fmt.Sprint(tt.got(x.s)); got != tt.want {
				t.Errorf("got %s, want %s\n%s", got, tt.want, ledgertest.Derived(x.s))
			}
		})
	}
}

// badSpecTale is a job at its second head, of a spec that a holder found bad under the
// head of a revision.
func badSpecTale(spec int, revision uint64) func(*tale) {
	return func(x *tale) {
		first := x.head(one, ledger.Head{Life: 1, Revision: 1})
		x.head(one, ledger.Head{Life: 1, Revision: 2, Spec: hashOf(spec), Previous: hashOf(0), Over: ledger.Over(first)})
		x.add(two, wire.KindBadSpec, &ledger.BadSpec{Job: shop, Life: 1, Revision: revision, Spec: taskOf(spec), Slot: web0, Reason: "exits"})
	}
}

func headIs(s *ledger.State) any {
	h := s.Head(shop)
	if h.Deleted {
		return fmt.Sprintf("%d.%d deleted", h.Life, h.Revision)
	}
	return fmt.Sprintf("%d.%d", h.Life, h.Revision)
}

func conflictsAre(s *ledger.State) any {
	out := []string{}
	for _, h := range s.Conflicts(shop) {
		out = append(out, fmt.Sprintf("%d.%d", h.Life, h.Revision))
	}
	return out
}

func winnerIs(s *ledger.State) any {
	if w := s.Winner(web0); w != nil {
		return w.Peer.Short()
	}
	return "nobody"
}

func lostIs(s *ledger.State) any {
	c := s.ClaimsOf(web0)
	return s.IsLost(c[len(c)-1])
}

func wantedIs(s *ledger.State) any {
	w := s.Wanted(shop)[0]
	text := w.Task.Image
	if w.Paused {
		text += " paused"
	}
	if w.Fallback != nil {
		text += ", else " + w.Fallback.Task.Image
	}
	return text
}

func placeIs(s *ledger.State) any {
	if p := s.PlaceOf(shop, "db", web0); p != nil {
		return p.Peer.Short()
	}
	return "nowhere"
}
