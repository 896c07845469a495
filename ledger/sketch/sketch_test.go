package sketch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// draw makes two sets that share common ids and differ by the rest.
func draw(rng *rand.Rand, common, onlyA, onlyB int) (a, b *Set, inA, inB []uint64) {
	a, b = new(Set), new(Set)
	for range common {
		id := rng.Uint64() & idMask
		a.Add(id)
		b.Add(id)
	}
	for range onlyA {
		id := rng.Uint64() & idMask
		a.Add(id)
		inA = append(inA, id)
	}
	for range onlyB {
		id := rng.Uint64() & idMask
		b.Add(id)
		inB = append(inB, id)
	}
	slices.Sort(inA)
	slices.Sort(inB)
	return a, b, inA, inB
}

// With symbols enough both ways round tell the same difference, and with too few
// Decode says so.
func TestDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		onlyA, onlyB := rapid.IntRange(0, 500).Draw(t, "only a"), rapid.IntRange(0, 500).Draw(t, "only b")
		a, b, inA, inB := draw(rng, rapid.IntRange(0, 500).Draw(t, "common"), onlyA, onlyB)
		n := rapid.SampledFrom([]int{0, 1, 16, 64, 256, Standing}).Draw(t, "symbols")
		theirs, mine, err := b.Decode(a.Symbols(n))
		back, forth, err2 := a.Decode(b.Symbols(n))
		if !errors.Is(err, err2) {
			t.Fatalf("one way %v, the other %v", err, err2)
		}
		d := onlyA + onlyB
		switch {
		case err == nil: // no symbols tell nothing, and say so by being none
			if n > 0 && !(slices.Equal(theirs, inA) && slices.Equal(mine, inB) && slices.Equal(back, inB) && slices.Equal(forth, inA)) {
				t.Fatalf("%d and %d ids alone, want %d and %d", len(theirs), len(mine), onlyA, onlyB)
			}
		case n >= 64 && d*4 < n, d == 0: // fewer symbols may fail by chance
			t.Fatalf("%d differences are not told by %d symbols: %v", d, n, err)
		}
	})
}

// A Set follows what comes and goes: it is the one that holds what is left.
func TestSet_Removal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b, inA, inB := draw(rng, 100, 50, 50)
	for _, id := range inA {
		a.Remove(id)
	}
	for _, id := range inB {
		a.Add(id)
	}
	if *a != *b {
		t.Error("two ways to one set give two sketches")
	}
}

// How often an estimate and the symbols that follow from it are enough, and how many
// symbols there are to a difference.
func TestEnough(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, d := range []int{0, 1, 2, 5, 10, 20, 50, 100, 150, 200} {
		const runs = 400
		failed, told, symbols := 0, 0, 0
		for range runs {
			a, b, _, _ := draw(rng, 0, d/2, d-d/2)
			n, ok := a.Parity().Apart(b.Parity())
			if n = Enough(n); !ok || n > Standing {
				continue
			}
			told++
			symbols += n
			if _, _, err := b.Decode(a.Symbols(n)); err != nil {
				failed++
			}
		}
		t.Logf("%3d differences: %3d of %d with symbols, %5.1f of them, %d failed", d, told, runs, float64(symbols)/float64(max(told, 1)), failed)
		if failed*100 > 6*runs || d <= 100 && told < runs*99/100 {
			t.Errorf("%d differences: %d of %d estimates did, %d of these gave too few symbols", d, told, runs, failed)
		}
	}
}

func TestParity_Bytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	a, _, _, _ := draw(rng, 0, 300, 0)
	b := a.Parity().Bytes()
	if p, ok := ParseParity(b); !ok || p != a.Parity() || len(b) != ParitySize {
		t.Errorf("%v reads back as %v, %v", a.Parity(), p, ok)
	}
	for _, bad := range [][]byte{nil, b[1:], append(b, 0)} {
		if _, ok := ParseParity(bad); ok {
			t.Errorf("%d bytes are read as a parity", len(bad))
		}
	}
}

// What nobody sends honestly: Decode refuses it, at once.
func TestDecode_MadeUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	a, b, inA, _ := draw(rng, 50, 4, 3)
	good := a.Symbols(64)
	twice := new(Set)
	*twice = *a
	twice.Add(inA[0])
	alone := make([]byte, 64*SymbolSize) // an id on one symbol only: to take it out puts it elsewhere
	copy(alone[5*SymbolSize:], new(Set).with(9).Symbols(1))
	broken := slices.Clone(good)
	broken[4*SymbolSize-1]++
	for name, bytes := range map[string][]byte{
		"a cut symbol": good[1:], "too many": make([]byte, (Standing+1)*SymbolSize),
		"an id held twice": twice.Symbols(64), "an id on one symbol": alone, "a wrong count": broken,
		"noise": noise(rng, 64*SymbolSize),
	} {
		if theirs, mine, err := b.Decode(bytes); err == nil {
			t.Errorf("%s is read as %d and %d ids", name, len(theirs), len(mine))
		}
	}
}

func (s *Set) with(id uint64) *Set { s.Add(id); return s }

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// A walk falls on symbol i with probability 1/(1+i/2), on each once.
func TestWalk(t *testing.T) {
	const ids = 40_000
	var met [Standing]int
	for id := range uint64(ids) {
		last := -1
		for w := walkOf(id); w.at < len(met); w.next() {
			if w.at <= last {
				t.Fatalf("id %d: the walk goes from %d to %d", id, last, w.at)
			}
			last = w.at
			met[w.at]++
		}
	}
	for i, n := range met {
		if want := ids * 2 / (i + 2); n < want*3/4 || n > want*5/4 {
			t.Errorf("%d ids fall on symbol %d, want about %d", n, i, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 10))
	a, b, _, _ := draw(rng, 20, 3, 4)
	f.Add(a.Symbols(0))
	f.Add(a.Symbols(20))
	f.Add(noise(rng, 5*SymbolSize))
	f.Fuzz(func(t *testing.T, theirs []byte) {
		plus, minus, err := b.Decode(theirs)
		if err != nil {
			return
		}
		// What is told must be what is there: b with it has those very symbols.
		c := *b
		for _, id := range plus {
			c.Add(id)
		}
		for _, id := range minus {
			c.Remove(id)
		}
		if !slices.Equal(c.Symbols(len(theirs)/SymbolSize), theirs) {
			t.Fatalf("%d and %d ids do not explain the symbols", len(plus), len(minus))
		}
	})
}

func BenchmarkAdd(b *testing.B) {
	var s Set
	for id := range uint64(b.N) {
		s.Add(mix(id))
	}
}

// The first 64 symbols of a set of 1,000 that nobody has kept up to date.
func BenchmarkFirst64Of1000(b *testing.B) {
	var symbols [64]symbol
	for b.Loop() {
		for id := range uint64(1000) {
			apply(symbols[:], mix(id)&idMask, 1)
		}
	}
}

func BenchmarkSymbols(b *testing.B) {
	var s Set
	for b.Loop() {
		s.Symbols(64)
	}
}

// What it costs to tell differences among 100,000 ids, and how many symbols each
// takes at the least.
func BenchmarkDecode(b *testing.B) {
	for _, d := range []int{1, 10, 100, 300} {
		b.Run(fmt.Sprint(d), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(11, 12))
			x, y, _, _ := draw(rng, 100_000, d/2, d-d/2)
			symbols := x.Symbols(Enough(d))
			for b.Loop() {
				if _, _, err := y.Decode(symbols); err != nil {
					b.Fatal(err)
				}
			}
			least := 0
			for {
				if _, _, err := y.Decode(x.Symbols(least)); err == nil && least > 0 {
					break
				}
				least++
			}
			b.ReportMetric(float64(least)/float64(d), "symbols/difference")
		})
	}
}
