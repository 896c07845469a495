package wire

import (
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
