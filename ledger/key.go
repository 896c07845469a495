package ledger

import (
	"cmp"
	"encoding/binary"
	"strconv"
	"strings"

	"shoal/job"
	"shoal/wire"
)

// keyOf returns what a record is about. Only records with equal keys compete.
func keyOf(r *wire.Record) string {
	if r.Cell == "" {
		r.Cell = makeKey(r)
	}
	return r.Cell
}

func makeKey(r *wire.Record) string {
	switch v := r.Value.(type) {
	case *job.Spec:
		h := r.BodyHash()
		return "s" + string(h[:])
	case *Head:
		return headKey(v.Job)
	case *Verdict:
		return verdictKey(v.Slot, v.Life, v.Token, v.Peer)
	case *BadSpec:
		return "b" + slotText(v.Slot) + "\x00" + strconv.FormatUint(v.Life, 10) + "\x00" + string(v.Spec[:])
	case *VolumePlace:
		return "p" + string(v.Job) + "\x00" + v.Volume + "\x00" + strconv.Itoa(v.Slot) + "\x00" + string(v.Peer[:])
	case *Card:
		return "k" + string(v.Peer[:])
	case *Member:
		return "m" + string(v.Peer[:]) + string(r.Num.Issuer[:])
	}
	return "u" + string(rune(r.Kind)) + string(r.Key)
}

func headKey(id job.ID) string { return "h" + string(id) }

func slotText(s job.SlotID) string {
	return string(s.Job) + "\x00" + s.Task + "\x00" + strconv.Itoa(s.Index) + "\x00" + s.At
}

func verdictKey(s job.SlotID, life uint64, t wire.Token, p wire.PeerID) string {
	var b strings.Builder
	b.WriteByte('v')
	b.WriteString(slotText(s))
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], life)
	binary.BigEndian.PutUint64(n[8:], uint64(t))
	b.Write(n[:])
	b.Write(p[:])
	return b.String()
}

// compareRecords is the total order of two records with one key; the greater is
// kept. Its last terms make it total, so no two peers can disagree.
func compareRecords(a, b *wire.Record) int {
	var c int
	switch v := a.Value.(type) {
	case *Head:
		c = CompareHeads(v, b.Value.(*Head))
	case *Claim, *VolumePlace, *Card:
		c = a.Num.Version().Compare(b.Num.Version())
	case *Verdict:
		c = cmp.Compare(v.Refuted, b.Value.(*Verdict).Refuted)
	case *BadSpec:
		c = cmp.Compare(v.Revision, b.Value.(*BadSpec).Revision)
	case *Member:
		w := b.Value.(*Member)
		c = cmp.Or(compareBool(v.Revoked, w.Revoked), cmp.Compare(v.Seq, w.Seq))
	default:
		c = cmp.Compare(string(a.Rank), string(b.Rank))
	}
	if c != 0 {
		return c
	}
	ah, bh := bodyHash(a), bodyHash(b)
	return cmp.Or(cmp.Compare(string(ah[:]), string(bh[:])), a.Num.Compare(b.Num))
}

func bodyHash(r *wire.Record) wire.Hash { return r.BodyHash() }

// CompareHeads orders heads by (life, deleted, revision); equal ones are told
// apart by the hash of their bodies, which it does not see.
func CompareHeads(a, b *Head) int {
	return cmp.Or(cmp.Compare(a.Life, b.Life), compareBool(a.Deleted, b.Deleted), cmp.Compare(a.Revision, b.Revision))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
