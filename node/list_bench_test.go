package node

import (
	"fmt"
	"testing"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// BenchmarkRecords is how long a list of everything holds up the loop of a peer that
// holds 100,000 claims.
func BenchmarkRecords(b *testing.B) {
	const held = 100_000
	key, holder := keyOfSeed(1), keyOfSeed(2).Peer()
	stored := Stored{}
	for i := range held {
		c := ledger.Claim{
			Slot: job.SlotID{Job: job.MakeID("", fmt.Sprintf("job%d", i/100)), Task: "web", Index: i % 100},
			Life: 1, Token: 1, Peer: holder, Phase: ledger.Serving,
		}
		stored.Records = append(stored.Records, &wire.Record{
			Num: wire.Number{Issuer: holder, Inc: 1, Seq: uint64(i + 1)}, Kind: wire.KindClaim, Body: wire.MustMarshal(&c),
		})
	}
	c, err := New(Config{Self: key.Peer(), Swarm: wire.HashOf([]byte("swarm")), Key: key, Verify: wire.VerifyEd25519}, stored)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if n := len(c.Records(0, func(*wire.Record) bool { return true })); n != held {
			b.Fatal(n)
		}
	}
}
