package fuzztest

import "testing"

type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

var sink []byte

func TestBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int
		fails bool
	}{
		{"within", Always, false},
		{"above", Always + 8*1000, true},
	} {
		var r recorder
		Bounded(&r, 1000, func() { sink = make([]byte, c.bytes) })
		if r.failed != c.fails {
			t.Errorf("%s: fails %v, want %v", c.name, r.failed, c.fails)
		}
	}
}
