package sim

import "testing"

// An idle swarm of any size stays within what is written down.
func TestIdle_IsWithinItsBudget(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 9, 16, idlePeers} {
		is, may := idleRate(n), idleBudget(n)
		if is.Messages > may.Messages || is.Wakes > may.Wakes {
			t.Errorf("%d peers: %.2f messages and %.2f wakes a second each, at most %.2f and %.2f are budgeted",
				n, is.Messages, is.Wakes, may.Messages, may.Wakes)
		}
	}
}
