package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// A forgery is a wish of the scenario: a machine makes the next count things of a
// sort bad as it passes them on.
type forgery struct {
	how   forger
	from  int
	count int
	old   map[string]*wire.Record // of forgers that replay alone: by cell, the first they saw
}

// A forger makes a bad record of a good one; nil: not of this one. A forger of frames
// has none: it sends rubbish in place of any message.
type forger struct {
	kind wire.RecordKind // 0: any
	make func(w *World, f *forgery, r *wire.Record) *wire.Record
}

// forgers are what a machine can be made to do, as scenarios write it.
var forgers = map[string]forger{
	"claim":     {wire.KindClaim, (*World).altered},
	"head":      {wire.KindHead, (*World).altered},
	"card":      {wire.KindCard, (*World).altered},
	"truncated": {0, (*World).truncated},
	"oversized": {0, (*World).oversized},
	"domain":    {0, (*World).misused},
	"swarm":     {0, (*World).foreign},
	"replayed":  {0, (*World).replayed},
	"frames":    {0, nil},
}

const forgeUsage = "claim|head|card|truncated|oversized|domain|swarm|replayed|frames"

func forgeArgs(op *Op) error {
	if _, known := forgers[op.Args[1]]; !known {
		return fmt.Errorf("%q cannot be forged; want %s", op.Args[1], strings.ReplaceAll(forgeUsage, "|", ", "))
	}
	return refArgs(op)
}

// forge makes a machine a forger.
func (r *run) forge(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	n := &r.w.network
	f := &forgery{how: forgers[op.Args[1]], from: m.index, count: op.number("count", 1)}
	if op.Args[1] == "replayed" {
		f.old = map[string]*wire.Record{}
	}
	n.forgeries = append(n.forgeries, f)
	m.forger = true
	return nil
}

// forge returns the message as m sends it, if it forges: a copy with other records, or
// noise.
func (n *network) forge(m *machine, msg wire.Message) wire.Message {
	switch v := msg.(type) {
	case *wire.Push:
		if records := n.badRecords(m, v.Records, false); records != nil {
			return &wire.Push{Records: records, Hops: v.Hops}
		}
	case *wire.Delta:
		if records := n.badRecords(m, v.Records, true); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Trade:
		if records := n.badRecords(m, v.Records, false); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Settle:
		if records := n.badRecords(m, v.Records, true); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Store:
		if records := n.badRecords(m, v.Records, false); records != nil {
			return &wire.Store{ID: v.ID, Records: records}
		}
	}
	return msg
}

// badRecords returns records with one of them forged; nil if m forges none of them.
// Marks says that marks go with them, by which the receiver takes what is missing for
// dropped. A member that withholds a record there and puts an older one in its place is
// believed today (docs/GUARANTEES.md), so none does that here.
func (n *network) badRecords(m *machine, records []*wire.Record, marks bool) []*wire.Record {
	for _, f := range n.forgeries {
		if f.from != m.index || f.count == 0 || f.how.make == nil || marks && f.old != nil {
			continue
		}
		for i, r := range records {
			if f.how.kind != 0 && f.how.kind != r.Kind || ledger.Open(r) != nil {
				continue
			}
			bad := f.how.make(n.w, f, r)
			if bad == nil {
				continue
			}
			n.forges(m, f, "the %v %v", r.Kind, r.Num)
			records = slices.Clone(records)
			records[i] = bad
			return records
		}
	}
	return nil
}

func (n *network) forges(m *machine, f *forgery, format string, args ...any) {
	f.count--
	n.forged++
	n.w.trace.note(n.w.now, m.name, "forges "+format, args...)
}

// noise is a frame that no peer can decode.
type noise struct{ fault wire.Fault }

// Kind implements wire.Message.
func (*noise) Kind() wire.MessageKind { return 0 }

// garble returns what comes in place of a frame of m's, if it forges those.
func (n *network) garble(m *machine, msg wire.Message) wire.Message {
	for _, f := range n.forgeries {
		if f.from == m.index && f.count > 0 && f.how.make == nil {
			n.forges(m, f, "a %s", messageName(msg.Kind()))
			return &noise{[]wire.Fault{wire.FaultUndecodable, wire.FaultTruncated, wire.FaultOversized}[f.count%3]}
		}
	}
	return msg
}

// later returns a record as its issuer might have written it next, unsigned.
func later(r *wire.Record, body []byte) *wire.Record {
	num := r.Num
	num.Seq += 1000
	return &wire.Record{Num: num, Kind: r.Kind, Key: r.Key, Rank: r.Rank, Body: body}
}

// altered returns a record with other words, under the old signature.
func (w *World) altered(_ *forgery, r *wire.Record) *wire.Record {
	var body any
	switch v := r.Value.(type) {
	case *ledger.Claim:
		c := *v
		c.Token++
		body = &c
	case *ledger.Head:
		h := *v
		h.Revision++
		body = &h
	case *ledger.Card:
		c := *v
		c.Name += "?"
		body = &c
	default:
		return nil
	}
	bad := later(r, wire.MustMarshal(body))
	bad.Sig = r.Sig
	return bad
}

// truncated returns a record whose body ends early.
func (w *World) truncated(_ *forgery, r *wire.Record) *wire.Record {
	bad := later(r, r.Body[:len(r.Body)-1])
	bad.Sig = r.Sig
	return bad
}

// oversized returns a record too long for any peer, though its issuer has signed it.
func (w *World) oversized(_ *forgery, r *wire.Record) *wire.Record {
	bad := later(r, make([]byte, wire.MaxRecordBytes+1))
	bad.Seal(w.swarm, signer(r.Num.Issuer))
	return bad
}

// misused returns a record with its issuer's signature of one of another kind.
func (w *World) misused(_ *forgery, r *wire.Record) *wire.Record {
	as := later(r, r.Body)
	as.Kind = wire.KindBadSpec
	if r.Kind == as.Kind {
		return nil
	}
	as.Seal(w.swarm, signer(r.Num.Issuer))
	bad := later(r, r.Body)
	bad.Sig = as.Sig
	return bad
}

// foreign returns a record that its issuer has signed for another swarm.
func (w *World) foreign(_ *forgery, r *wire.Record) *wire.Record {
	bad := later(r, r.Body)
	bad.Seal(wire.HashOf(w.swarm[:]), signer(r.Num.Issuer))
	return bad
}

// replayed returns the first record of the same cell that the forger saw.
func (w *World) replayed(f *forgery, r *wire.Record) *wire.Record {
	cell := ledger.KeyText(r)
	if f.old[cell] == nil {
		f.old[cell] = r
	}
	if f.old[cell] == r {
		return nil
	}
	return f.old[cell]
}

// newerWithin is how long after it was given to a peer a record must be held: a
// pause does not count.
const newerWithin = 2 * time.Second

// laterKind is a kind of record that no version knows yet.
const laterKind wire.RecordKind = 200

// newer hands a machine a record of a later version's kind, as a neighbour does
// that runs it. The peer must keep it.
func (r *run) newer(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil || !m.up() || m.state() != "ready" {
		return err
	}
	w := r.w
	by := wire.PeerID(streamHash(w.seed, int(w.steps), "newer"))
	rec := &wire.Record{
		Num: wire.Number{Issuer: by, Inc: 1, Nonce: 1, Seq: 1}, Kind: laterKind, Key: by[:], Rank: []byte{1}, Body: []byte{0xa0},
	}
	rec.Seal(w.swarm, signer(by))
	boot := m.boot
	m.give(node.Input{Received: &node.Received{From: by, Msg: &wire.Push{Records: []*wire.Record{rec}, Hops: 1}}})
	w.later(newerWithin, func() {
		if w.checks.off["kinds"] || m.boot != boot || !m.up() || m.syncing {
			return
		}
		w.checks.counts["kinds"]++
		if !m.holds(rec) {
			w.fail(Safety, "%s has been given a %v and does not keep it", m.name, rec.Kind)
			w.failure.Rule = "kinds"
		}
	})
	return nil
}

// holds reports whether the machine's core holds a record.
func (m *machine) holds(r *wire.Record) bool {
	return slices.ContainsFunc(m.core.Ledger().Records(), func(x *wire.Record) bool { return x.Num == r.Num })
}
