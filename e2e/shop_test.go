package e2e

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"shoal/internal/lab"
	"shoal/runtime"
)

// Three services deployed at one of three peers: the engines run each slot once,
// every peer shows the same, every peer's published port answers. Then the job is
// removed and deployed again.
func TestShop_SameFromEveryPeer(t *testing.T) {
	s := startSwarm(t, 3)
	s.runShop(s.Peers[0])
	for _, p := range s.Peers {
		s.within(10*time.Second, func(ctx context.Context) error { return s.psAgrees(ctx, p, s.Peers...) })
		if why := s.shoal(p, "why", "shop/web.0"); !strings.Contains(why, "shop/web.0") {
			t.Errorf("%s$ shoal why shop/web.0 does not name the slot:\n%s", p.Name, why)
		}
	}
	for range 3 {
		first, err := visitor(t.Context(), s.Peers[0], s.Peers[1])
		must(t, err)
		second, err := visitor(t.Context(), s.Peers[1], s.Peers[2])
		must(t, err)
		if second != first+1 {
			t.Errorf("visitor %d, then %d: two counters?", first, second)
		}
	}

	s.shoal(s.Peers[1], "rm", "shop")
	s.within(30*time.Second, func(ctx context.Context) error { return s.onceEach(ctx, nil, s.Peers...) })
	s.runShop(s.Peers[2])
}

// A daemon killed under running containers takes them up again: same IDs, none
// started anew.
func TestKilledDaemonAdoptsItsContainers(t *testing.T) {
	s := startSwarm(t, 1)
	p := s.Peers[0]
	s.runShop(p)
	before := copies(s)
	must(t, p.KillDaemon())
	must(t, p.StartDaemon(t.Context()))
	s.within(20*time.Second, func(ctx context.Context) error { return s.psAgrees(ctx, p, p) })
	s.within(20*time.Second, func(ctx context.Context) error { return answers(ctx, p) })
	if after := copies(s); !slices.Equal(before, after) {
		t.Errorf("containers before the kill %v, after it %v", before, after)
	}
	s.within(20*time.Second, func(ctx context.Context) error { // once it is ready, alone
		r, err := p.Shoal(ctx, "rm", "shop")
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("rm: %s", r.Stderr)
		}
		return err
	})
	s.within(time.Minute, func(ctx context.Context) error { return noNetworks(ctx, p) })
}

// noNetworks is nil once no job's network is left on a peer's engine.
func noNetworks(ctx context.Context, p *lab.Peer) error {
	docker, err := p.Docker()
	if err != nil {
		return err
	}
	defer docker.Close()
	left, err := docker.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", runtime.LabelSwarm))})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d networks of jobs are left on %s, one is %s", len(left), p.Name, left[0].Name)
	}
	return err
}

// SIGTERM leaves the containers running too.
func TestStoppedDaemonLeavesItsContainers(t *testing.T) {
	s := startSwarm(t, 1)
	s.runShop(s.Peers[0])
	before := copies(s)
	must(t, s.Peers[0].SignalDaemon(syscall.SIGTERM))
	if after := copies(s); !slices.Equal(before, after) {
		t.Errorf("containers before the stop %v, after it %v", before, after)
	}
}

// copies lists the running containers of all peers, sorted.
func copies(s swarm) []string {
	s.t.Helper()
	slots, err := s.running(s.t.Context(), s.Peers...)
	must(s.t, err)
	var ids []string
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		for _, c := range slots[slot] {
			ids = append(ids, slot+" "+c.id)
		}
	}
	return ids
}

// The web task reaches Redis by name wherever it is, and still does after the peer
// that had it is gone.
func TestNameFollowsRedis(t *testing.T) {
	s := startSwarm(t, 3)
	s.runShop(s.Peers[0])
	old := s.holder("shop/redis.0")
	must(t, old.PowerCut(t.Context()))
	left := without(s.Peers, old)
	took := s.within(60*time.Second, func(ctx context.Context) error {
		if err := s.onceEach(ctx, shopSlots, left...); err != nil {
			return err
		}
		return answers(ctx, left...)
	})
	t.Logf("from the power cut of %s to Redis found elsewhere, by name: %s", old.Name, took)
}

// endedCopy is how events tell which surplus copy ended, and by which rule.
var endedCopy = regexp.MustCompile(`shop/\S+ ends on \w+ \(token \d+\): (\w+ won with token \d+: .*|it was declared lost and sold again to \w+)`)

// Each side of a split deploys; after the heal all run once, all peers know all jobs,
// and the ledgers are equal.
func TestSplit_BothSidesDeployAndHeal(t *testing.T) {
	s := startSwarm(t, 3)
	a, b, c := s.Peers[0], s.Peers[1], s.Peers[2]
	s.runShop(a)
	must(t, s.Partition(t.Context(), []*lab.Peer{a, b}, []*lab.Peer{c}))

	// The side of c runs all of the shop, and so does the other.
	s.within(60*time.Second, func(ctx context.Context) error { return s.onceEach(ctx, shopSlots, c) })
	s.within(60*time.Second, func(ctx context.Context) error { return s.onceEach(ctx, shopSlots, a, b) })
	s.shoal(a, "run", "--detach", "--name", "left", "shoal-test/busybox", "--", "sleep", "100000")
	s.shoal(c, "run", "--detach", "--name", "right", "shoal-test/busybox", "--", "sleep", "100000")

	must(t, s.Heal(t.Context()))
	took := s.within(60*time.Second, func(ctx context.Context) error {
		want := append([]string{"left/left.0", "right/right.0"}, shopSlots...)
		if err := s.onceEach(ctx, want, s.Peers...); err != nil {
			return err
		}
		return s.equalLedgers(ctx)
	})
	t.Logf("from the heal to one copy of each slot and equal ledgers: %s", took)
	events := s.shoal(a, "events")
	ended := endedCopy.FindAllString(events, -1)
	if len(ended) == 0 {
		t.Errorf("events do not tell which copies ended and why:\n%s", events)
	}
	t.Logf("events: %s", strings.Join(ended, "; "))
}
