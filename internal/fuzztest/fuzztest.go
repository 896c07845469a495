// Package fuzztest holds what the fuzz targets of all decoders ask beside "no panic":
// that bytes from outside cannot make this process set aside much more than they are.
package fuzztest

import (
	"runtime"
	"testing"
)

// The bound on what decoding may allocate, garbage included: four times the input and
// 64 KiB.
const (
	PerByte = 4
	Always  = 64 << 10
)

// Bounded runs decode and fails if that allocates more than an input of n bytes may.
// Figures are honest only while nothing else runs in this process (-parallel=1); an
// excess must show three times, so that a collector at work is no finding. decode must
// do the same each time.
func Bounded(t testing.TB, n int, decode func()) {
	t.Helper()
	BoundedBy(t, n, PerByte, Always, decode)
}

// BoundedBy is Bounded with another bound, for what does not come from peers: text of
// the user's own, which libraries parse into trees.
func BoundedBy(t testing.TB, n, perByte, always int, decode func()) {
	t.Helper()
	limit := uint64(perByte)*uint64(n) + uint64(always)
	var got uint64
	for range 3 {
		if got = allocated(decode); got <= limit {
			return
		}
	}
	t.Errorf("%d bytes of input made it allocate %d bytes, %d are allowed", n, got, limit)
}

// allocated returns how many bytes f allocates, whether they are still in use or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
