package main

import "testing"

func TestRoomy(t *testing.T) {
	for _, c := range []struct {
		need, have int64
		want       bool
	}{{4 << 30, 8 << 30, false}, {4 << 30, 10 << 30, true}, {100 << 20, 1 << 30, true}, {1 << 20, 0, false}} {
		if got := roomy(c.need, c.have); got != c.want {
			t.Errorf("%d of %d: %v", c.need, c.have, got)
		}
	}
}
