//go:build unix

package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"shoal/node"
	"shoal/sim/check"
	"shoal/wire"
)

// BenchmarkCrashToDead measures how long after a power cut each living peer believes
// the lost one dead, on `lan` at 1 % loss: SHOAL_TRIALS crashes (by size: 200, 200,
// 40, 5) of peers drawn one after the other, each at a random moment of its beat and
// back before the next. What counts is every living peer's own belief, so a crash
// among n gives n-1 times. One that does not come within 30 s ends the benchmark, and
// so does the belief that somebody is dead who lives.
func BenchmarkCrashToDead(b *testing.B) {
	for _, size := range []struct{ peers, crashes int }{{3, 200}, {10, 200}, {128, 40}, {1000, 5}} {
		b.Run(strconv.Itoa(size.peers), func(b *testing.B) {
			var took []time.Duration
			echoes, cpu := 0, cpuTime()
			for b.Loop() {
				left := trialsOr(b, size.crashes)
				for seed := uint64(1); left > 0; seed++ {
					f := newField(b, size.peers, 0, 0.01, seed, nil)
					for range min(left, crashesPerWorld) {
						took = append(took, f.crashAndWait(b)...)
						left--
					}
					echoes += f.death.echoes
				}
			}
			reportTails(b, "dead", took)
			b.ReportMetric(float64(echoes), "echoes")
			b.ReportMetric((cpuTime() - cpu).Seconds(), "cpu-s")
		})
	}
}

// BenchmarkManyDead measures the same where several lose their power at one instant:
// two of three, 64 of 128. Undeclared is how many beliefs are missing after 15 s.
func BenchmarkManyDead(b *testing.B) {
	for _, size := range []struct{ peers, dead, trials int }{{3, 2, 200}, {128, 64, 5}} {
		b.Run(fmt.Sprintf("%d-of-%d", size.dead, size.peers), func(b *testing.B) {
			var took []time.Duration
			late := 0
			for b.Loop() {
				for trial := range trialsOr(b, size.trials) {
					f := newField(b, size.peers, 0, 0.01, uint64(trial+1), nil)
					at := f.crash(f.drawPeers(size.dead)...)
					f.advance(b, 30*time.Second)
					for _, d := range f.beliefs(b, at) {
						took = append(took, d)
						if d > 15*time.Second {
							late++
						}
					}
				}
			}
			reportTails(b, "dead", took)
			b.ReportMetric(float64(late), "undeclared-15s")
		})
	}
}

const (
	crashesPerWorld = 10
	downFor         = 25 * time.Second
	crashGap        = 25 * time.Second // from the return of one to the crash of the next
	warmUp          = 30 * time.Second
)

// A field is a run of equal peers that is looked at from outside.
type field struct {
	*run
	draws *rand.Rand
	death *deathLog
	lost  map[wire.PeerID]time.Duration // who has no power, since when
}

// newField makes so many peers and jobs of 20 slots each, lets them start, and runs
// the world to warmUp. change, if not nil, may alter the scenario first.
func newField(b *testing.B, peers, jobs int, loss float64, seed uint64, change func(*Scenario)) *field {
	b.Helper()
	s := &Scenario{
		Name: "field", Seed: seed, Net: defaultNet,
		Groups: []PeerGroup{{Count: peers, MachineSpec: MachineSpec{Capacity: defaultCapacity}}},
	}
	s.Net.Loss = loss
	d := &drawer{r: stream(seed, 0, "field jobs"), peers: peers}
	for i := range jobs {
		d.add(2*time.Second+time.Duration(i)*10*time.Second/time.Duration(jobs), "submit job%d replicas=%d cpu=100m mem=64MiB", i, slotsPerJob)
	}
	s.Ops = d.ops
	if change != nil {
		change(s)
	}
	f := &field{run: newRun(s, seed, Options{}), draws: stream(seed, 0, "field"), lost: map[wire.PeerID]time.Duration{}}
	f.death = &deathLog{f: f}
	f.w.checks.use([]check.Checker{f.death}, nil)
	f.start()
	for _, m := range f.w.machines {
		for i := range jobs {
			m.engine.images[fmt.Sprintf("sim/job%d", i)] = true // no figure here is about fetching
		}
	}
	f.plan()
	f.advance(b, warmUp)
	return f
}

func (f *field) advance(b *testing.B, d time.Duration) {
	b.Helper()
	f.w.runUntil(f.w.now + d)
	if f.w.failure != nil {
		b.Fatal(f.w.failure)
	}
}

// drawPeers draws n machines that have power.
func (f *field) drawPeers(n int) (out []*machine) {
	for _, i := range f.draws.Perm(len(f.w.machines)) {
		if m := f.w.machines[i]; m.core != nil && len(out) < n {
			out = append(out, m)
		}
	}
	return out
}

// crash cuts the power of machines within the next beat, all at one moment.
func (f *field) crash(victims ...*machine) (at time.Duration) {
	f.w.runUntil(f.w.now + time.Duration(f.draws.Int64N(int64(time.Second))))
	for _, m := range victims {
		f.lost[m.id] = f.w.now
		m.powerCut()
	}
	f.death.told = f.death.told[:0]
	return f.w.now
}

// crashAndWait crashes one peer, waits until all believe it and lets it come back.
func (f *field) crashAndWait(b *testing.B) []time.Duration {
	victim := f.drawPeers(1)[0]
	at := f.crash(victim)
	f.advance(b, downFor)
	took := f.beliefs(b, at)
	f.restore(b, victim)
	return took
}

// restore gives a machine its power back and waits until all is as before.
func (f *field) restore(b *testing.B, m *machine) {
	b.Helper()
	delete(f.lost, m.id)
	m.start()
	f.advance(b, crashGap)
	if m.state() != "ready" {
		b.Fatalf("%s is still %s %v after its start", m.name, m.state(), crashGap)
	}
}

// beliefs returns how long each living peer took to believe each lost one dead.
func (f *field) beliefs(b *testing.B, at time.Duration) (took []time.Duration) {
	b.Helper()
	first := map[hostAndPeer]time.Duration{}
	for _, d := range f.death.told {
		if key := (hostAndPeer{d.by, d.of}); !d.back && first[key] == 0 {
			first[key] = d.at - at
		}
	}
	for _, m := range f.w.machines {
		if m.core == nil {
			continue
		}
		for id := range f.lost {
			d := first[hostAndPeer{m.index, id}]
			if d == 0 {
				b.Fatalf("seed %d: %s does not believe %s dead %v after its crash at %v", f.s.Seed, m.name, f.w.nameOf(id), f.w.now-at, at)
			}
			took = append(took, d)
		}
	}
	if n := len(f.death.falsely); n > 0 {
		d := f.death.falsely[0]
		b.Fatalf("seed %d: %d beliefs that somebody is dead who lives, first %s of %s at %v",
			f.s.Seed, n, f.w.machines[d.by].name, f.w.nameOf(d.of), d.at)
	}
	return took
}

type hostAndPeer struct {
	host int
	peer wire.PeerID
}

// deathLog is a checker that only writes down who came to believe whom dead.
type deathLog struct {
	f       *field
	told    []deathOrReturn // since the latest crash
	falsely []deathOrReturn // deaths of peers that had power
	echoes  int             // of peers that had power again for less than echoWithin
}

// echoWithin is how long after its start a peer may be believed dead once more by
// votes that were under way: it is counted, and no finding.
const echoWithin = 2 * time.Second

type deathOrReturn struct {
	at   time.Duration
	by   int
	of   wire.PeerID
	back bool
}

// Rule implements check.Checker.
func (*deathLog) Rule() string { return "death log" }

// Told implements check.EventWatcher.
func (l *deathLog) Told(h check.Host, e *node.Event) error {
	if e.Kind != "died" && e.Kind != "returned" {
		return nil
	}
	d := deathOrReturn{l.f.w.now, h.Index(), e.Peer, e.Kind == "returned"}
	l.told = append(l.told, d)
	switch _, gone := l.f.lost[e.Peer]; {
	case gone || d.back:
	case l.f.w.now-l.f.w.byID[e.Peer][0].bootAt < echoWithin:
		l.echoes++
	default:
		l.falsely = append(l.falsely, d)
	}
	return nil
}

func trialsOr(b *testing.B, usual int) int {
	if os.Getenv("SHOAL_TRIALS") == "" {
		return usual
	}
	return trials(b)
}

// reportTails reports the median, the 99th percentile and the maximum of times, and
// how many there are.
func reportTails(b *testing.B, name string, times []time.Duration) {
	b.Helper()
	if len(times) == 0 {
		b.Fatalf("no %s was measured", name)
	}
	slices.SortFunc(times, cmp.Compare[time.Duration])
	b.ReportMetric(times[len(times)/2].Seconds(), name+"-p50-s")
	b.ReportMetric(times[len(times)*99/100].Seconds(), name+"-p99-s")
	b.ReportMetric(times[len(times)-1].Seconds(), name+"-max-s")
	b.ReportMetric(float64(len(times)), name+"-n")
}
