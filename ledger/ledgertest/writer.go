package ledgertest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Test is a swarm whose signatures are hashes: real enough, at no cost.
var Test = Swarm{ID: wire.HashOf([]byte("test swarm")), Verify: verify}

// A Key signs by hashing.
type Key wire.PeerID

// Sign implements wire.Signer.
func (k Key) Sign(msg []byte) []byte {
	h := sha256.New()
	h.Write(k[:])
	h.Write(msg)
	return h.Sum(nil)
}

func verify(p wire.PeerID, msg, sig []byte) bool { return slices.Equal(Key(p).Sign(msg), sig) }

// A Writer issues records as a peer does, each with the next number.
type Writer struct {
	ID  wire.PeerID
	Inc uint32 // 0 counts as 1
	Seq uint64
}

// Seal issues a record with that body.
func (w *Writer) Seal(kind wire.RecordKind, body any) *wire.Record {
	return w.sealOpen(kind, nil, nil, wire.MustMarshal(body))
}

func (w *Writer) sealOpen(kind wire.RecordKind, key, rank, body []byte) *wire.Record {
	w.Seq++
	r := &wire.Record{
		Num:  wire.Number{Issuer: w.ID, Inc: max(w.Inc, 1), Nonce: 7, Seq: w.Seq},
		Kind: kind, Key: key, Rank: rank, Body: body,
	}
	r.Seal(Test.ID, Key(w.ID))
	return r
}

// A Kind is a kind of record, and how one by w is drawn that speaks of peers of ws.
type Kind struct {
	Name string
	Kind wire.RecordKind
	Draw func(t *rapid.T, w *Writer, ws []*Writer) *wire.Record
}

// Kinds are all kinds of record that the ledger has a join for, and one that it does
// not know.
var Kinds = []Kind{
	{"spec", wire.KindSpec, drawSpec},
	{"head", wire.KindHead, drawHead},
	{"claim", wire.KindClaim, drawClaim},
	{"verdict", wire.KindVerdict, drawVerdict},
	{"bad spec", wire.KindBadSpec, drawBadSpec},
	{"volume place", wire.KindVolumePlace, drawPlace},
	{"card", wire.KindCard, drawCard},
	{"member", wire.KindMember, drawMember},
	{"of a later version", wire.FirstOpenKind + 1, drawUnknown},
}

// Slots are the slots that drawn records are about, of one task of one job.
var Slots = []job.SlotID{{Job: "default/shop", Task: "web"}, {Job: "default/shop", Task: "web", Index: 1}}

// specs are the job specs that drawn heads name: they differ in what runs, or in the
// number of copies alone.
var specs = func() (out []*job.Spec) {
	for i, count := range []int{2, 2, 1} {
		s := &job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{
			Name: "web", Image: fmt.Sprintf("web:%d", i%2), Count: count, Mounts: []job.Mount{{Type: "volume", Source: "db", Target: "/db"}},
		}}}
		s.Tasks[0].Failover.OnReturn = []string{"incumbent", "newest"}[i%2]
		s.Tasks[0].Update.FailureAction = []string{"pause", "rollback"}[i%2]
		s.Defaults()
		out = append(out, s)
	}
	return out
}()

func specHash(i int) wire.Hash { return wire.HashOf(wire.MustMarshal(specs[i])) }

func taskHash(i int) wire.Hash { return ledger.TaskHash(&specs[i].Tasks[0]) }

// Draw draws a record of any kind, of so few values that records compete. Each is by
// one of ws, and what it says of a peer is of one of ws.
func Draw(t *rapid.T, ws []*Writer) *wire.Record {
	return Kinds[rapid.IntRange(0, len(Kinds)-1).Draw(t, "kind")].Draw(t, who(t, "by", ws), ws)
}

func who(t *rapid.T, label string, ws []*Writer) *Writer {
	return ws[rapid.IntRange(0, len(ws)-1).Draw(t, label)]
}

func small(t *rapid.T, label string, from, to int) uint64 {
	return uint64(rapid.IntRange(from, to).Draw(t, label))
}

func drawSpec(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	return w.Seal(wire.KindSpec, specs[small(t, "spec", 0, len(specs)-1)])
}

func drawHead(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	h := &ledger.Head{
		Job: Slots[0].Job, Life: small(t, "life", 1, 2), Revision: small(t, "revision", 1, 4), Deleted: small(t, "deleted", 0, 3) == 0,
		Spec: specHash(int(small(t, "spec", 0, len(specs)-1))), Author: w.ID,
	}
	h.Volumes = h.Deleted && rapid.Bool().Draw(t, "volumes")
	if rapid.Bool().Draw(t, "previous") {
		h.Previous = specHash(0)
	}
	return w.Seal(wire.KindHead, h)
}

func drawClaim(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	spec := int(small(t, "spec", 0, len(specs)-1))
	return w.Seal(wire.KindClaim, &ledger.Claim{
		Slot: Slots[small(t, "slot", 0, len(Slots)-1)], Life: small(t, "life", 1, 2), Token: wire.Token(small(t, "token", 1, 3)), Peer: w.ID,
		Spec: taskHash(spec), JobSpec: specHash(spec), Needs: job.Resources{CPUMilli: 100},
		Phase: ledger.Phase(small(t, "phase", int(ledger.Accepted), int(ledger.Superseded))), Run: uint32(small(t, "run", 0, 2)),
		Leaving: rapid.Bool().Draw(t, "leaving"), Refuted: uint32(small(t, "refuted", 0, 2)),
	})
}

func drawVerdict(t *rapid.T, w *Writer, ws []*Writer) *wire.Record {
	return w.Seal(wire.KindVerdict, &ledger.Verdict{
		Slot: Slots[small(t, "slot", 0, len(Slots)-1)], Life: small(t, "life", 1, 2), Token: wire.Token(small(t, "token", 1, 3)),
		Peer: who(t, "of", ws).ID, Refuted: uint32(small(t, "refuted", 0, 2)), By: w.ID, Unstarted: rapid.Bool().Draw(t, "unstarted"),
	})
}

func drawBadSpec(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	return w.Seal(wire.KindBadSpec, &ledger.BadSpec{
		Job: Slots[0].Job, Life: small(t, "life", 1, 2), Revision: small(t, "revision", 1, 4),
		Spec: taskHash(int(small(t, "spec", 0, len(specs)-1))), Slot: Slots[small(t, "slot", 0, len(Slots)-1)], Reason: "exits",
	})
}

func drawPlace(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	return w.Seal(wire.KindVolumePlace, &ledger.VolumePlace{
		Job: Slots[0].Job, Volume: "db", Slot: int(small(t, "slot", 0, 1)), Peer: w.ID,
		Gone: small(t, "gone", 0, 3) == 0, Life: small(t, "life", 1, 2),
	})
}

func drawCard(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	c := &ledger.Card{Peer: w.ID, Name: fmt.Sprint(small(t, "name", 1, 3)), Draining: rapid.Bool().Draw(t, "draining")}
	if rapid.Bool().Draw(t, "entitled") {
		c.Cert = Entitled
	}
	return w.Seal(wire.KindCard, c)
}

// Entitled is the certificate of those cards whose peers may write heads and remove
// peers, where the swarm asks.
var Entitled = []byte("may")

func drawMember(t *rapid.T, w *Writer, ws []*Writer) *wire.Record {
	m := &ledger.Member{Peer: who(t, "of", ws).ID, Revoked: small(t, "revoked", 0, 3) == 0, Seq: small(t, "seq", 1, 3)}
	m.Left = m.Peer == w.ID && rapid.Bool().Draw(t, "left")
	return w.Seal(wire.KindMember, m)
}

func drawUnknown(t *rapid.T, w *Writer, _ []*Writer) *wire.Record {
	body := wire.MustMarshal([]any{"of a later version", small(t, "body", 0, 1)})
	return w.sealOpen(wire.FirstOpenKind+1, []byte{byte(small(t, "key", 1, 2))}, []byte{byte(small(t, "rank", 1, 3))}, body)
}

// laterField is a field that no version of any body has yet.
const laterField = 1000

// Later returns a body as a later version of shoal would write it: with a field more.
func Later(body []byte) []byte {
	fields := map[uint64]any{}
	if err := wire.Unmarshal(body, &fields); err != nil {
		panic("ledgertest: a body is no map: " + err.Error())
	}
	fields[laterField] = "of a later version"
	return wire.MustMarshal(fields)
}

// IsLater reports whether a body has the field that Later adds.
func IsLater(body []byte) bool {
	fields := map[uint64]any{}
	return wire.Unmarshal(body, &fields) == nil && fields[laterField] == "of a later version"
}
