package wire

import (
	"bytes"
	"testing"

	"shoal/internal/fuzztest"
)

// FuzzRecord reads a record as it lies on a disk or in a message.
func FuzzRecord(f *testing.F) {
	f.Add(MustMarshal(testRecord()))
	open := testRecord()
	open.Kind, open.Key, open.Rank = FirstOpenKind, []byte("key"), []byte{1}
	f.Add(MustMarshal(open))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { _, _ = DecodeRecord(b) })
		r, err := DecodeRecord(b)
		if err != nil {
			if !FaultOf(err).IsBlamed() {
				t.Fatalf("an error without a fault: %v", err)
			}
			return
		}
		nobody := func(PeerID, []byte, []byte) bool { return false }
		_, _ = r.Check(testSwarm, nobody), r.SignedAs(testSwarm, nobody)
		_, _ = r.Hash(), r.BodyHash()
		if again, err := DecodeRecord(MustMarshal(r)); err != nil || again.Hash() != r.Hash() {
			t.Fatalf("it does not survive its own encoding: %v", err)
		}
	})
}

// FuzzNames reads what people type and JSON carries of peers and hashes.
func FuzzNames(f *testing.F) {
	f.Add(testKey(1).Peer().String())
	f.Add(testSwarm.Hex())
	f.Fuzz(func(t *testing.T, s string) {
		fuzztest.Bounded(t, len(s), func() { _, _ = ParsePeerID(s) })
		if p, err := ParsePeerID(s); err == nil {
			if again, err := ParsePeerID(p.String()); err != nil || again != p {
				t.Fatalf("%q reads as %v and then as %v, %v", s, p, again, err)
			}
		}
		var h Hash
		if h.UnmarshalText([]byte(s)) == nil && len(h.Hex()) != len(s) {
			t.Fatalf("%q is read as %s", s, h.Hex())
		}
	})
}

// FuzzLater takes values of a later version apart and puts them together again.
func FuzzLater(f *testing.F) {
	later := MustMarshal(&laterBody{Name: "x", New: true, Part: partLater{A: 1, D: []byte{1}}, Many: []partLater{{B: "b"}}, Maybe: &partLater{}})
	f.Add(later, MustMarshal(&nowBody{Name: "y", Count: 3, Many: []partNow{{A: 2}}}))
	f.Add([]byte{0xa1, 0x04, 0xbb, 0xff}, []byte{0xa1, 0x05, 0x9b, 0xff})
	f.Fuzz(func(t *testing.T, from, to []byte) {
		nowShape.Later(from, 128)
		Parts(from)
		Part(from, 3)
		Without(from, func(n uint64) bool { return n%2 == 0 })
		if nowShape.Weigh(from) != nil || nowShape.Weigh(to) != nil {
			return // nothing that was not decoded is carried
		}
		out := nowShape.Carry(from, to)
		if again := nowShape.Carry(from, out); len(out) > len(from)+len(to) || !bytes.Equal(again, out) {
			t.Fatalf("%x carried into %x is %x, and then %x", from, to, out, again)
		}
	})
}

// FuzzDiagnose spells out for people what a body of any kind holds.
func FuzzDiagnose(f *testing.F) {
	f.Add(MustMarshal(testRecord()))
	f.Add(bytes.Repeat([]byte{0x81}, 100))
	f.Add(bytes.Repeat([]byte{0x40}, 1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		// It is for whoever looks at one record: its text may be longer than the bytes.
		fuzztest.BoundedBy(t, len(b), 64, 1<<20, func() { _, _ = Diagnose(b) })
	})
}
