package ledger

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"shoal/wire"
)

// A forger is a peer with a real key, and a ledger that counts what it verifies.
type forger struct {
	key      wire.Key
	seq      uint64
	state    *State
	verified int
}

func newForger() *forger {
	f := &forger{key: wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)))}
	f.state = New(wire.PeerID{9}, swarm, func(by wire.PeerID, msg, sig []byte) bool {
		f.verified++
		return wire.VerifyEd25519(by, msg, sig)
	})
	return f
}

// card is a record of the forger's own, later than the last, as it comes off the wire.
func (f *forger) card() *wire.Record {
	f.seq++
	self := f.key.Peer()
	r := &wire.Record{Num: wire.Number{Issuer: self, Inc: 1, Nonce: 1, Seq: f.seq}, Kind: wire.KindCard, Body: wire.MustMarshal(&Card{Peer: self})}
	r.Seal(swarm, f.key)
	return r
}

func (f *forger) forged() *wire.Record {
	r := f.card()
	r.Sig[0] ^= 1
	return r
}

// signedAs is a record with its issuer's signature of the same as another kind.
func (f *forger) signedAs(kind wire.RecordKind) *wire.Record {
	r := f.card()
	as := *r
	as.Kind = kind
	as.Seal(swarm, f.key)
	r.Sig = as.Sig
	return r
}

// TestMerge_ForgedCostsOneVerification has a sender of nothing but forged records make
// this peer verify each once, but for the first few, of which it finds out how they were
// forged.
func TestMerge_ForgedCostsOneVerification(t *testing.T) {
	const records, looks = 1000, domainLooks * 7
	f := newForger()
	for range records {
		if out, err := f.state.Merge(f.forged()); out != Refused || wire.FaultOf(err) != wire.FaultForged {
			t.Fatal(out, err)
		}
	}
	if f.verified != records+looks {
		t.Errorf("%d forged records took %d verifications, want %d", records, f.verified, records+looks)
	}
	if _, err := f.state.Merge(f.signedAs(wire.KindMember)); wire.FaultOf(err) != wire.FaultForged {
		t.Errorf("with none left to look: %v", err)
	}
	for range verifiedALook {
		if out, err := f.state.Merge(f.card()); out != Merged {
			t.Fatal(out, err)
		}
	}
	f.verified = 0
	if _, err := f.state.Merge(f.signedAs(wire.KindMember)); wire.FaultOf(err) != wire.FaultDomain {
		t.Errorf("after %d good records: %v", verifiedALook, err)
	}
	if f.verified > 8 {
		t.Errorf("one look took %d verifications", f.verified)
	}
}

// BenchmarkMergeSigned is a record that comes off the wire and is verified: a good one,
// and one of a sender that sends only forged ones. A target: the second costs no more.
func BenchmarkMergeSigned(b *testing.B) {
	for _, c := range []struct {
		name string
		next func(*forger) *wire.Record
		want Outcome
	}{{"good", (*forger).card, Merged}, {"forged", (*forger).forged, Refused}} {
		b.Run(c.name, func(b *testing.B) {
			f := newForger()
			encoded := make([][]byte, b.N)
			for i := range encoded {
				encoded[i] = wire.MustMarshal(c.next(f))
			}
			began := cpuTime(b)
			b.ResetTimer()
			for _, e := range encoded {
				r, err := wire.DecodeRecord(e)
				if err != nil {
					b.Fatal(err)
				}
				if out, err := f.state.Merge(r); out != c.want {
					b.Fatal(out, err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/record")
			b.ReportMetric(float64(f.verified)/float64(b.N), "verifications/record")
		})
	}
}
