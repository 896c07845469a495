package sim

import (
	"fmt"
	"slices"
	"time"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// A forgery is a wish of the scenario: a machine alters the next count records of a
// kind that it passes on, and leaves their signatures as they are.
type forgery struct {
	kind  wire.RecordKind
	from  int
	count int
}

// forgeable are the kinds of records that a forger can alter, as scenarios write them.
var forgeable = map[string]wire.RecordKind{"claim": wire.KindClaim, "head": wire.KindHead, "card": wire.KindCard}

func forgeArgs(op *Op) error {
	if forgeable[op.Args[1]] == 0 {
		return fmt.Errorf("%q cannot be forged; want claim, head or card", op.Args[1])
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
	n.forgeries = append(n.forgeries, &forgery{forgeable[op.Args[1]], m.index, op.number("count", 1)})
	return nil
}

// forge returns the message as m sends it, if it forges: a copy with other records.
func (n *network) forge(m *machine, msg wire.Message) wire.Message {
	switch v := msg.(type) {
	case *wire.Push:
		if records := n.altered(m, v.Records); records != nil {
			return &wire.Push{Records: records, Hops: v.Hops}
		}
	case *wire.Delta:
		if records := n.altered(m, v.Records); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Trade:
		if records := n.altered(m, v.Records); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Settle:
		if records := n.altered(m, v.Records); records != nil {
			d := *v
			d.Records = records
			return &d
		}
	case *wire.Store:
		if records := n.altered(m, v.Records); records != nil {
			return &wire.Store{ID: v.ID, Records: records}
		}
	}
	return msg
}

// altered returns records with one of them forged; nil if m forges none of them.
func (n *network) altered(m *machine, records []*wire.Record) []*wire.Record {
	for _, f := range n.forgeries {
		if f.from != m.index || f.count == 0 {
			continue
		}
		for i, r := range records {
			if again := alter(r); r.Kind == f.kind && again != nil {
				f.count--
				n.forged++
				n.w.trace.note(n.w.now, m.name, "forges the %v %v", r.Kind, r.Num)
				records = slices.Clone(records)
				records[i] = again
				return records
			}
		}
	}
	return nil
}

// alter returns a record as its issuer might have written it next, under the old
// signature; nil for a kind that is not forgeable.
func alter(r *wire.Record) *wire.Record {
	if ledger.Open(r) != nil {
		return nil
	}
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
	num := r.Num
	num.Seq += 1000
	return &wire.Record{Num: num, Kind: r.Kind, Body: wire.MustMarshal(body), Sig: r.Sig}
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
		if m.boot == boot && m.up() && !m.syncing && !m.holds(rec) {
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
