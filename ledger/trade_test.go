package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"shoal/ledger/sketch"
	"shoal/wire"
)

// A traffic counts what an exchange sends, as it is encoded.
type traffic struct{ messages, bytes, records int }

func (c *traffic) send(t interface{ Fatalf(string, ...any) }, m wire.Message, records []*wire.Record) {
	b, err := wire.Encode(m)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	c.messages++
	c.bytes += len(b)
	for _, r := range records {
		c.records += len(wire.MustMarshal(r))
	}
}

// exchangeID is as long as those of a peer in its first start.
const exchangeID = 1<<40 | 12345

// sketched runs one exchange by sketch that a opens with b, and one by Vector behind
// it where that must be. Meanwhile happens between the Sketch and the Trade.
func sketched(t interface{ Fatalf(string, ...any) }, a, b *State, meanwhile func()) (sent traffic, left bool) {
	sent.send(t, &wire.Digest{ID: exchangeID, Hash: a.Digest(), Ready: true, Parity: a.Parity()}, nil)
	if a.Digest() == b.Digest() {
		sent.send(t, &wire.Digest{ID: exchangeID, Equal: true, Ready: true}, nil)
		return sent, false
	}
	sk, then := b.Sketch(a.Parity())
	if sk == nil {
		exchange(t, a, b)
		return sent, true
	}
	sk.ID = exchangeID
	sent.send(t, sk, nil)
	trade, err := a.Trade(sk)
	if err != nil {
		exchange(t, a, b)
		return sent, true
	}
	trade.Msg.ID = exchangeID
	sent.send(t, trade.Msg, trade.Msg.Records)
	meanwhile()
	settle, _, err := b.Settle(trade.Msg, then)
	if err != nil {
		t.Fatalf("settle: %v", err)
	}
	settle.ID = exchangeID
	sent.send(t, settle, settle.Records)
	_, left, err = a.Conclude(trade, settle)
	if err != nil {
		t.Fatalf("conclude: %v", err)
	}
	if left {
		exchange(t, a, b)
	}
	return sent, left
}

func nothing() {}

// Whatever happens to three ledgers, exchanges by sketch make of them what exchanges
// by Vector do: the same records, the same marks.
func TestSketchedExchangeIsAnExchange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ws := []*writer{{id: peer(1)}, {id: peer(2)}, {id: peer(3)}}
		by := [2][]*State{{whole(1), whole(2), whole(3)}, {whole(1), whole(2), whole(3)}}
		run := func(i, j int) {
			exchange(t, by[0][i], by[0][j])
			sketched(t, by[1][i], by[1][j], nothing)
			for _, n := range []int{i, j} {
				if by[0][n].Digest() != by[1][n].Digest() {
					t.Fatalf("peer %d after an exchange of %d with %d:\nby vector %v\nby sketch %v", n+1, i+1, j+1, by[0][n].Marks(), by[1][n].Marks())
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			i := rapid.IntRange(0, 2).Draw(t, "at")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0, 1:
				if j := rapid.IntRange(0, 2).Draw(t, "with"); i != j {
					run(i, j)
				}
			case 2:
				for _, s := range by {
					if own := s[i].ClaimsBy(peer(byte(i + 1))); len(own) > 0 && own[0].Phase.Ended() {
						s[i].DropOwn(s[i].ClaimRecord(own[0].Slot, own[0].Life, own[0].Token, own[0].Peer))
					}
				}
			case 3: // a push
				r := drawRecord(t, ws[i:i+1])
				by[0][i].Own(r)
				by[1][i].Own(r)
				mergeAll(t, by[0][(i+1)%3], []*wire.Record{r})
				mergeAll(t, by[1][(i+1)%3], []*wire.Record{r})
			default:
				r := drawRecord(t, ws[i:i+1])
				by[0][i].Own(r)
				by[1][i].Own(r)
			}
		}
	})
}

// What comes to be between the Sketch and the Trade is not covered by the marks that
// the answer says: the one who opened must not take it for dropped.
func TestSettle_SpeaksForTheSketch(t *testing.T) {
	x, y := &writer{id: peer(1)}, &writer{id: peer(2)}
	a, b := whole(1), whole(2)
	a.Own(x.claim(slot0, 1, 1, Running))
	b.Own(y.head("shop", 1, 1, false, 0))
	sketched(t, a, b, func() { b.Own(y.head("blog", 1, 1, false, 0)) })
	if a.Digest() == b.Digest() {
		t.Error("they are equal, and the head of blog was never sent")
	}
	sketched(t, a, b, nothing)
	if a.Digest() != b.Digest() || len(a.Records()) != 3 {
		t.Errorf("after another exchange a has %d records, want 3 and the digest of b", len(a.Records()))
	}
}

// A symbol that hides what one of the two lacks raises no mark above it.
func TestSettle_HiddenRecord(t *testing.T) {
	x := &writer{id: peer(1)}
	a, b := whole(1), whole(2)
	hidden, shown := x.head("shop", 1, 1, false, 0), x.head("blog", 1, 1, false, 0)
	a.Own(hidden)
	a.Own(shown)
	sk, then := b.Sketch(a.Parity())
	b.sketch().Add(idOf(hidden)) // as if a record of b had that very id
	sk.Symbols = b.sketch().Symbols(len(sk.Symbols) / sketch.SymbolSize)
	b.sketch().Remove(idOf(hidden))
	trade, err := a.Trade(sk)
	if err != nil || len(trade.Msg.Records) != 1 {
		t.Fatalf("a gives %d records, %v, want the one shown", len(trade.Msg.Records), err)
	}
	settle, _, err := b.Settle(trade.Msg, then)
	if err != nil || !settle.More {
		t.Fatalf("b found nothing wrong: %v", err)
	}
	if _, left, err := a.Conclude(trade, settle); !left || err != nil {
		t.Fatalf("a sees nothing left, %v", err)
	}
	exchange(t, a, b)
	if a.Digest() != b.Digest() || b.Head("default/shop") == nil {
		t.Error("what was hidden is lost")
	}
}

// Messages that no peer sends are refused, and those that ask for what there is not
// change nothing.
func TestTradeRefuses(t *testing.T) {
	x := &writer{id: peer(1)}
	a, b := whole(1), whole(2)
	a.Own(x.head("shop", 1, 1, false, 0))
	sk, then := b.Sketch(a.Parity())
	for name, bad := range map[string]*wire.Sketch{
		"no sums": {Symbols: sk.Symbols}, "odd sums": {Sums: make([]byte, 34)}, "many sums": {Sums: make([]byte, 1024)},
		"half a symbol": {Sums: sk.Sums, Symbols: sk.Symbols[1:]}, "too many": {Sums: sk.Sums, Symbols: make([]byte, sketch.SymbolSize*(sketch.Standing+1))},
	} {
		if _, err := a.Trade(bad); wire.Judge(err) != wire.Reject {
			t.Errorf("%s: %v, want it rejected", name, err)
		}
	}
	trade, err := a.Trade(sk)
	if err != nil {
		t.Fatal(err)
	}
	good := *trade.Msg
	for name, spoil := range map[string]func(m *wire.Trade){
		"no buckets": func(m *wire.Trade) { m.Buckets = nil }, "half an id": func(m *wire.Trade) { m.Want = make([]byte, 9) },
		"a cut mark":   func(m *wire.Trade) { m.Marks = m.Marks[1:] },
		"a mark twice": func(m *wire.Trade) { m.Marks = bytes.Repeat(m.Marks, 2) },
	} {
		bad := good
		spoil(&bad)
		if _, _, err := b.Settle(&bad, then); wire.Judge(err) != wire.Reject {
			t.Errorf("%s: %v, want it rejected", name, err)
		}
	}
	before := b.Marks()
	asks := good
	asks.Records, asks.Want = nil, make([]byte, sketch.IDSize)
	if settle, _, err := b.Settle(&asks, then); err != nil || !settle.More || len(b.Marks()) != len(before) {
		t.Errorf("a wish for what there is not: %v", err)
	}
	if _, _, err := a.Conclude(trade, &wire.Settle{}); wire.Judge(err) != wire.Reject {
		t.Errorf("an answer without marks: %v, want it rejected", err)
	}
}

// bulk is a record that competes with no other.
func (w *writer) bulk() *wire.Record {
	r := w.seal(wire.FirstOpenKind+1, bytes.Repeat([]byte{byte(w.seq)}, 100))
	r.Key = wire.MustMarshal(r.Num)
	r.Seal(swarm, fakeKey(w.id))
	return r
}

// swarmOf makes two equal ledgers of many records of many issuers, with all marks up.
func swarmOf(t testing.TB, issuers, records int) (a, b *State, ws []*writer) {
	a, b = New(peer(254), swarm, verify), New(peer(255), swarm, verify)
	for i := range issuers {
		h := wire.HashOf(fmt.Append(nil, i))
		ws = append(ws, &writer{id: wire.PeerID(h)})
	}
	for i := range records {
		r := ws[i%issuers].bulk()
		if a.Load(r) != nil || b.Load(r) != nil {
			t.Fatal("a record does not load")
		}
	}
	for _, w := range ws {
		n := wire.Number{Issuer: w.id, Inc: 1, Nonce: 0x123456789abcdef0, Seq: w.seq}
		a.LoadMark(n)
		b.LoadMark(n)
	}
	return a, b, ws
}

// The cost of an exchange between ledgers of 100,000 records of 128 issuers: nothing
// to tell when they are equal, and little beside the records when 100 differ.
func TestExchangeCost(t *testing.T) {
	const records, differ = 100_000, 100
	if testing.Short() {
		t.Skip("makes ledgers of 100,000 records")
	}
	a, b, ws := swarmOf(t, 128, records)
	if sent, _ := sketched(t, a, b, nothing); sent.bytes > 100 || sent.messages != 2 {
		t.Errorf("equal ledgers: %d bytes in %d messages, at most 100 in 2 are allowed", sent.bytes, sent.messages)
	} else {
		t.Logf("equal ledgers: %d bytes in %d messages", sent.bytes, sent.messages)
	}
	for _, issuers := range []int{1, 10, 100} {
		for share, at := range []string{"all at the one who opens", "half at each", "all at the other"} {
			for i := range differ {
				s, w := a, ws[i%issuers]
				if (i+i/issuers)%2 < share {
					s = b
				}
				r := w.bulk()
				mergeAll(t, s, []*wire.Record{r})
				s.raise(r.Num)
			}
			sent, left := sketched(t, a, b, nothing)
			most := 30*issuers + 4096
			if left || sent.messages > 4 || sent.bytes-sent.records > most || a.Digest() != b.Digest() {
				t.Errorf("%d issuers, %s: %d bytes beside the records in %d messages, at most %d in 4 are allowed; left: %v, equal: %v",
					issuers, at, sent.bytes-sent.records, sent.messages, most, left, a.Digest() == b.Digest())
				continue
			}
			t.Logf("%3d issuers, %s: %d bytes beside the records in %d messages, %d are allowed", issuers, at, sent.bytes-sent.records, sent.messages, most)
		}
	}
}

// The work of an exchange by sketch between ledgers of 100,000 records.
func BenchmarkExchange(b *testing.B) {
	for _, differ := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("%d of 100000 differ", differ), func(b *testing.B) {
			x, y, ws := swarmOf(b, 128, 100_000)
			rng := rand.New(rand.NewPCG(1, 2))
			var sum traffic
			for b.Loop() {
				b.StopTimer()
				for range differ {
					s := [...]*State{x, y}[rng.IntN(2)]
					mergeAll(b, s, []*wire.Record{ws[rng.IntN(len(ws))].bulk()})
				}
				b.StartTimer()
				sent, _ := sketched(b, x, y, nothing)
				sum.messages += sent.messages
				sum.bytes += sent.bytes - sent.records
			}
			b.ReportMetric(float64(sum.messages)/float64(b.N), "messages/op")
			b.ReportMetric(float64(sum.bytes)/float64(b.N), "overhead-B/op")
		})
	}
}
