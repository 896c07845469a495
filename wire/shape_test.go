package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"shoal/internal/fuzztest"
)

// repeated is the frame of a message whose field is a list of one item many times.
func repeated(kind MessageKind, field byte, item []byte, count int) []byte {
	b := []byte{0x82, 0x18, byte(kind), 0xa1, field, 0x9a}
	b = binary.BigEndian.AppendUint32(b, uint32(count))
	return append(b, bytes.Repeat(item, count)...)
}

// Short encodings that stand for much are refused before anything is set aside.
func TestDecode_SmallBytesDoNotBecomeLargeMessages(t *testing.T) {
	for name, b := range map[string][]byte{
		"marks of nothing":        repeated(MsgVector, 2, []byte{0xf6}, 100_000),
		"records of nothing":      repeated(MsgPush, 1, []byte{0xf6}, 100_000),
		"devices of nothing":      repeated(MsgStanding, 5, []byte{0xf6}, 100_000),
		"bid of devices":          repeated(MsgBid, 6, []byte{0x00}, 100_000),
		"votes of nothing":        repeated(MsgVotes, 1, []byte{0xf6}, 100_000),
		"lots of empty maps":      repeated(MsgCall, 4, []byte{0xa0}, 100_000),
		"lists of a wrong type":   repeated(MsgLists, 2, []byte{0x00}, 100_000),
		"numbers of a wrong type": repeated(MsgDelta, 4, []byte{0x60}, 100_000),
		"keys nobody knows":       append([]byte{0x82, 0x18, byte(MsgObserve), 0xb9, 0x0f, 0x00}, manyKeys(0x0f00)...),
	} {
		fuzztest.Bounded(t, len(b), func() {
			if _, err := Decode(b); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		})
	}
}

func manyKeys(n int) (out []byte) {
	for i := range n {
		out = append(out, 0x19, byte((i+256)>>8), byte(i+256), 0x00)
	}
	return out
}

// What peers do send, at its largest, passes.
func TestDecode_LargestHonestMessages(t *testing.T) {
	r := testRecord()
	var lists Lists
	l := IssuerList{Mark: Mark{UpTo: r.Num}}
	for i := range 40_000 {
		l.Numbers = append(l.Numbers, Version{Inc: 1, Nonce: 1 << 60, Seq: uint64(i)})
	}
	lists.Issuers = []IssuerList{l}
	push := Push{}
	for range MaxRecords {
		push.Records = append(push.Records, r)
	}
	call := Call{}
	for i := range MaxLots {
		lot := Lot{Job: "a/b", Task: "c"}
		for n := range MaxSlotsPerCall / MaxLots {
			lot.Slots = append(lot.Slots, n*i)
		}
		call.Lots = append(call.Lots, lot)
	}
	var vector Vector
	for range 10_000 {
		vector.Marks = append(vector.Marks, Mark{UpTo: r.Num})
	}
	for _, m := range []Message{&lists, &push, &call, &vector} {
		b, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		fuzztest.Bounded(t, len(b), func() {
			if _, err := Decode(b); err != nil {
				t.Errorf("%T of %d bytes: %v", m, len(b), err)
			}
		})
	}
}

func BenchmarkDecodeClaimSizedRecord(b *testing.B) {
	r := testRecord()
	r.Body = make([]byte, 500)
	frame, err := Encode(&Push{Records: []*Record{r}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}
