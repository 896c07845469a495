package ledger

import (
	"testing"

	"shoal/wire"
)

// FuzzExchange has two ledgers exchange, with one of the three messages as somebody
// made it up: nothing panics, no record is lost that only one of them had, and what
// is refused is held against the sender.
func FuzzExchange(f *testing.F) {
	a, b, _ := unequal()
	sk, then := b.Sketch(a.Parity())
	trade, err := a.Trade(sk)
	if err != nil {
		f.Fatal(err)
	}
	settle, _, err := b.Settle(trade.Msg, then)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), sk.Sums, sk.Symbols, []byte(nil))
	f.Add(uint8(1), trade.Msg.Buckets, trade.Msg.Marks, trade.Msg.Want)
	f.Add(uint8(2), settle.Marks, settle.Gone, []byte(nil))
	f.Fuzz(func(t *testing.T, which uint8, x, y, z []byte) {
		a, b, all := unequal()
		sk, then := b.Sketch(a.Parity())
		if which%3 == 0 {
			sk = &wire.Sketch{Sums: x, Symbols: y}
		}
		trade, err := a.Trade(sk)
		if err != nil {
			return
		}
		if which%3 == 1 {
			trade.Msg.Buckets, trade.Msg.Marks, trade.Msg.Want = x, y, z
		}
		settle, _, err := b.Settle(trade.Msg, then)
		if err != nil {
			if wire.Judge(err) != wire.Reject {
				t.Fatalf("%v is held against nobody", err)
			}
			return
		}
		if which%3 == 2 {
			settle.Marks, settle.Gone = x, y
		}
		if _, _, err := a.Conclude(trade, settle); err != nil && wire.Judge(err) != wire.Reject {
			t.Fatalf("%v is held against nobody", err)
		}
		for _, r := range all {
			if !a.Holds(r) && !b.Holds(r) && which%3 == 0 {
				t.Fatalf("the %v %v is lost", r.Kind, r.Num)
			}
		}
	})
}

// unequal makes two ledgers that share something and have each something alone.
func unequal() (a, b *State, all []*wire.Record) {
	x, y, z := &writer{id: peer(1)}, &writer{id: peer(2)}, &writer{id: peer(3)}
	a, b = whole(1), whole(2)
	shared := []*wire.Record{z.bulk(), z.bulk()}
	for _, r := range shared {
		_, _ = a.Merge(r)
		_, _ = b.Merge(r)
	}
	mine, theirs := x.bulk(), y.bulk()
	a.Own(mine)
	b.Own(theirs)
	_, _ = a.Merge(y.bulk())
	return a, b, append(shared, mine, theirs)
}
