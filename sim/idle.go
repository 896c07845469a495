package sim

import (
	"fmt"
	"sync"
	"time"

	"shoal/sim/check"
)

// idleJobs is how many jobs of one slot an idle swarm has: it is at rest, and not
// empty, so that in every lane a steward looks at what it has.
const idleJobs = 8

// An idle swarm costs each peer about the same from this many peers on, for it has
// ring neighbours and stewards to speak to, and not all others.
const idlePeers = 32

const (
	idleWarm = 20 * time.Second // until an idle swarm is ready and its ledgers are equal
	idleSpan = 20 * time.Second // is measured
)

// idleBudget is what a peer of an idle swarm of n on `lan` may do a second, written down
// so that a change which makes idle peers busier shows: as measured, and a tenth more.
// Beats to eight observers and their asks, an exchange a second, and what wakes for
// each: the looks at claims, engine and ledger. One to two are standing bids renewed.
func idleBudget(n int) check.Rate {
	return check.Rate{Messages: min(float64(n)+2, 13), Wakes: 4.5}
}

// idleRates remembers the rates of idle swarms by number of peers: they are the
// same in every run of a program.
var idleRates [idlePeers + 1]struct {
	once sync.Once
	rate check.Rate
}

// idleRate is what a peer of an idle swarm of n does a second.
func idleRate(n int) check.Rate {
	r := &idleRates[min(max(n, 1), idlePeers)]
	r.once.Do(func() { r.rate = measureIdle(min(max(n, 1), idlePeers)) })
	return r.rate
}

// MeasureIdle measures the rates of idle swarms of up to n peers, each of which is
// else measured when a run first asks for it: by then a bug may have been planted.
func MeasureIdle(n int) {
	for i := range min(n, idlePeers) {
		idleRate(i + 1)
	}
}

func measureIdle(n int) check.Rate {
	s := &Scenario{Name: "idle", Net: defaultNet, Run: idleWarm, Seed: 1,
		Groups: []PeerGroup{{Count: n, MachineSpec: MachineSpec{Capacity: defaultCapacity}}}}
	r := newRun(s, s.Seed, Options{})
	r.w.checks.use(nil, nil)
	for i := range idleJobs {
		s.Ops = append(s.Ops, Op{Time: time.Second, Verb: "submit", Args: []string{fmt.Sprintf("job%d", i)}, Opts: map[string]string{"cpu": "1m", "mem": "1MiB"}})
	}
	r.start()
	r.plan()
	r.w.runUntil(idleWarm)
	before := r.w.checks.Traffic()
	r.w.runUntil(idleWarm + idleSpan)
	after, each := r.w.checks.Traffic(), float64(n)*idleSpan.Seconds()
	return check.Rate{
		Messages: float64(after.Messages-before.Messages) / each,
		Wakes:    float64(after.Wakes-before.Wakes) / each,
	}
}

// Traffic implements check.Traffics.
func (s *watch) Traffic() check.Traffic {
	return check.Traffic{Messages: s.w.network.sent, Wakes: s.w.wakes, Records: s.records}
}

// Idle implements check.Traffics: what this program does when idle, and never more than
// the budget, or a regression would move its own yardstick.
func (s *watch) Idle() check.Rate {
	n := len(s.w.machines)
	is, may := idleRate(n), idleBudget(n)
	return check.Rate{Messages: min(is.Messages, may.Messages), Wakes: min(is.Wakes, may.Wakes)}
}

// settle watches the traffic once all has converged (V4). Where the notable lines
// are compared with golden ones the run ends before.
func (r *run) settle() {
	storm := check.NewStorm()
	if r.w.checks.off[storm.Rule()] || len(r.s.Golden) > 0 {
		return
	}
	for began := r.w.now; !r.w.over(); r.w.runUntil(r.w.now + time.Second) {
		r.w.checks.counts[storm.Rule()]++
		text := storm.Unmet(r.w.checks)
		if text == "" {
			return
		}
		if r.w.now-began > storm.Bound() {
			r.w.fail(Liveness, "%.0f s after all had converged: %s", (r.w.now - began).Seconds(), text)
			r.w.failure.Rule = storm.Rule()
		}
	}
}
