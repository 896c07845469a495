package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// The peer that took the deployment dies, daemon and engine by SIGKILL; then a
// second one. Whoever is left runs all of it.
func TestDeath_OfTheDeployerThenOfASecond(t *testing.T) {
	s := startSwarm(t, 3)
	s.runShop(s.Peers[0])
	limits := []time.Duration{20 * time.Second, 25 * time.Second}
	for i, limit := range limits {
		dead, left := s.Peers[i], s.Peers[i+1:]
		must(t, dead.KillDaemon())
		must(t, dead.KillEngine())
		took := s.within(limit, func(ctx context.Context) error { return s.onceEach(ctx, shopSlots, left...) })
		t.Logf("from the death of %s to all running on %d: %s", dead.Name, len(left), took)
		took = s.within(limit, func(ctx context.Context) error { return answers(ctx, left...) })
		t.Logf("and answering %s later", took)
	}
}

// After a power cut of all, one peer with its cable out brings back what it held,
// without talking to anyone.
func TestPowerCut_AloneItsWorkIsBack(t *testing.T) {
	s := startSwarm(t, 3)
	s.runShop(s.Peers[0])
	p := s.holder("shop/redis.0")
	slots, err := s.running(t.Context(), p)
	must(t, err)
	held := slices.Sorted(maps.Keys(slots))
	for _, q := range s.Peers {
		must(t, q.PowerCut(t.Context()))
	}
	must(t, p.CutCable(t.Context()))
	must(t, p.PowerOn(t.Context()))
	must(t, p.StartEngine(t.Context()))
	began := time.Now()
	must(t, p.StartDaemon(t.Context()))
	s.within(15*time.Second-time.Since(began), func(ctx context.Context) error {
		slots, err := s.running(ctx, p)
		if err != nil {
			return err
		}
		for _, slot := range held {
			if len(slots[slot]) != 1 {
				return fmt.Errorf("%s held %q, runs %q", p.Name, held, slices.Sorted(maps.Keys(slots)))
			}
		}
		return nil
	})
	t.Logf("from the daemon's start to %q running: %s", held, since(began))
}
