package wire

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Two versions of one type: what later ones have more is of every kind.
type (
	partNow struct {
		A int64  `cbor:"1,keyasint,omitempty"`
		B string `cbor:"2,keyasint,omitempty"`
	}
	nowBody struct {
		Name  string            `cbor:"1,keyasint"`
		Count int               `cbor:"3,keyasint,omitempty"`
		Part  partNow           `cbor:"4,keyasint,omitzero"`
		Many  []partNow         `cbor:"5,keyasint,omitempty"`
		Maybe *partNow          `cbor:"6,keyasint,omitempty"`
		Words map[string]string `cbor:"7,keyasint,omitempty"`
		Ranks []string          `cbor:"8,keyasint,omitempty"`
	}
	partLater struct {
		A int64          `cbor:"1,keyasint,omitempty"`
		B string         `cbor:"2,keyasint,omitempty"`
		C map[string]int `cbor:"30,keyasint,omitempty"`
		D []byte         `cbor:"1000,keyasint,omitempty"`
	}
	laterBody struct {
		Name  string            `cbor:"1,keyasint"`
		New   bool              `cbor:"2,keyasint,omitempty"`
		Count int               `cbor:"3,keyasint,omitempty"`
		Part  partLater         `cbor:"4,keyasint,omitzero"`
		Many  []partLater       `cbor:"5,keyasint,omitempty"`
		Maybe *partLater        `cbor:"6,keyasint,omitempty"`
		Words map[string]string `cbor:"7,keyasint,omitempty"`
		Ranks []string          `cbor:"8,keyasint,omitempty"`
		More  []partLater       `cbor:"9,keyasint,omitempty"`
		Far   *partLater        `cbor:"70000,keyasint,omitempty"`
	}
)

var nowShape = ShapeOf((*nowBody)(nil))

func drawPart(t *rapid.T) (p partLater) {
	p.A = rapid.Int64().Draw(t, "a")
	p.B = rapid.SampledFrom([]string{"", "b"}).Draw(t, "b")
	if rapid.Bool().Draw(t, "has c") {
		p.C = map[string]int{"c": 1, "cc": 2}
	}
	p.D = rapid.SampledFrom([][]byte{nil, {1}, bytes.Repeat([]byte{2}, 300)}).Draw(t, "d")
	if rapid.Bool().Draw(t, "nothing known") {
		p.A, p.B = 0, ""
	}
	return p
}

func drawParts(t *rapid.T) (out []partLater) {
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		out = append(out, drawPart(t))
	}
	return out
}

func drawBody(t *rapid.T) *laterBody {
	b := &laterBody{Name: "x", New: rapid.Bool().Draw(t, "new"), Count: rapid.IntRange(0, 99).Draw(t, "count"), Part: drawPart(t), Many: drawParts(t), More: drawParts(t)}
	if rapid.Bool().Draw(t, "maybe") {
		p := drawPart(t)
		b.Maybe = &p
	}
	if rapid.Bool().Draw(t, "far") {
		p := drawPart(t)
		b.Far = &p
	}
	if rapid.Bool().Draw(t, "words") {
		b.Words = map[string]string{"k": "v"}
		b.Ranks = []string{"r"}
	}
	return b
}

// TestShape_Carry has a peer of this version change what a later one wrote: what comes
// out is what the later one would have made of the same change, byte by byte.
func TestShape_Carry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		later := drawBody(t)
		from := MustMarshal(later)
		var now nowBody
		if err := nowShape.Unmarshal(from, &now); err != nil {
			t.Fatal(err)
		}
		if got := nowShape.Carry(from, MustMarshal(&now)); !bytes.Equal(got, from) {
			t.Fatalf("changed by nothing:\n%x, was\n%x", got, from)
		}
		now.Count = rapid.IntRange(0, 3).Draw(t, "count")
		later.Count = now.Count
		for i := range now.Many {
			now.Many[i].A = rapid.Int64Range(0, 1).Draw(t, "a")
			later.Many[i].A = now.Many[i].A
		}
		if rapid.Bool().Draw(t, "another list") {
			now.Many = append(now.Many, partNow{A: 5})
			later.Many = nil // what is not the same list has nothing of a later version
			for _, p := range now.Many {
				later.Many = append(later.Many, partLater{A: p.A, B: p.B})
			}
		}
		if got, want := nowShape.Carry(from, MustMarshal(&now)), MustMarshal(later); !bytes.Equal(got, want) {
			t.Fatalf("after a change:\n%x, want\n%x", got, want)
		}
	})
}

func TestShape_Later(t *testing.T) {
	for _, tc := range []struct {
		name string
		body any
		want string
	}{
		{"all known", &laterBody{Name: "x", Count: 1, Part: partLater{A: 1}, Many: []partLater{{B: "b"}}, Words: map[string]string{"99": "x"}}, ""},
		{"a field", &laterBody{New: true}, "2"},
		{"of a part", &laterBody{Part: partLater{C: map[string]int{"a": 1}}}, "4.30"},
		{"of one of many", &laterBody{Many: []partLater{{A: 1}, {C: map[string]int{"a": 1}}}}, "5.30"},
		{"behind a pointer", &laterBody{Maybe: &partLater{C: map[string]int{"a": 1}}}, "6.30"},
		{"open ones alone", &laterBody{Part: partLater{D: []byte{1}}, Far: &partLater{C: map[string]int{"a": 1}}}, ""},
		{"no number", map[any]any{uint64(1): "x", "name": 1}, "?"},
	} {
		if got := nowShape.Later(MustMarshal(tc.body), 128); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestWithout(t *testing.T) {
	b := MustMarshal(&laterBody{Name: "x", Count: 7, New: true, Far: &partLater{A: 1}})
	got := Without(b, func(field uint64) bool { return field == 3 || field > 1000 })
	if want := MustMarshal(&laterBody{Name: "x", New: true}); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if got := Part(b, 3); !reflect.DeepEqual(got, []byte{7}) {
		t.Errorf("field 3 is %x", got)
	}
	if got := Part(b, 4); got != nil {
		t.Errorf("field 4 is %x", got)
	}
	for _, bad := range [][]byte{nil, {0xa1}, {0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x80}} {
		if got := Without(bad, func(uint64) bool { return true }); !bytes.Equal(got, bad) {
			t.Errorf("%x becomes %x", bad, got)
		}
	}
}
