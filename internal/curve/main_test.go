package main

import (
	"io"
	"math"
	"strings"
	"testing"
)

// TestRead_FitsTheExponent gives costs that grow as peers^0.5 and stay equal.
func TestRead_FitsTheExponent(t *testing.T) {
	const text = `goos: linux
goarch: amd64
cpu: Some CPU
BenchmarkScale/400-2   1   99 ns/op   20 steady-events/peer·s   5 steady-msgs/peer·s
BenchmarkScale/100-2   1   99 ns/op   10 steady-events/peer·s   5 steady-msgs/peer·s
BenchmarkOther-2       1   99 ns/op
PASS
`
	r, err := read(strings.NewReader(text), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.rows) != 2 || r.rows[0].peers != 100 {
		t.Fatalf("rows %+v, want 100 and 400 peers", r.rows)
	}
	for unit, want := range map[string]float64{"steady-events/peer·s": 0.5, "steady-msgs/peer·s": 0} {
		if got, ok := r.exponent(unit); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: exponent %v, %v; want %v", unit, got, ok, want)
		}
	}
	if _, ok := r.exponent("start-msgs/peer·s"); ok {
		t.Error("a figure that is missing has an exponent")
	}
	var out strings.Builder
	r.write(&out, "2026-01-02", "make curve")
	for _, want := range []string{"Measured on 2026-01-02, Some CPU, linux/amd64, GOMAXPROCS 2", "| 100 | – |", " 0.50 |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestRead_RefusesWhatIsNoResult(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":  "PASS\n",
		"failed":   "BenchmarkScale/10-2 1 9 ns/op\n--- FAIL: BenchmarkScale/30\n",
		"no peers": "BenchmarkScale/many-2 1 9 ns/op\n",
		"no value": "BenchmarkScale/10-2 1 x ns/op\n",
	} {
		if _, err := read(strings.NewReader(text), io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
