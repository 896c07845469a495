//go:build unix

package sim

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/wire"

	core "shoal/runtime"
)

// BenchmarkFalseDeaths counts beliefs in the death of peers that live, among 128 peers
// at 5 % loss, where 5 % of the directed links are dead at any moment, each for 30 s:
// SHOAL_HOURS (1) hours of simulated time. A case is a peer from the moment that
// anybody believes it dead until nobody does; beliefs counts each believer; majority
// are the cases in which more than half of the others believed it. The bound is that of
// the cases, 95 % sure, if they come by chance.
//
// SHOAL_TRACE names a file for a line of each belief.
func BenchmarkFalseDeaths(b *testing.B) {
	for _, peers := range []int{20, 128} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			var c falseDeaths
			cpu := cpuTime()
			for b.Loop() {
				f := newField(b, peers, 0, 0.05, 1, nil)
				f.linksDie(0.05, 30*time.Second)
				f.advance(b, hours(b, 1))
				c.count(f)
			}
			days := float64(peers) * hours(b, 1).Hours() / 24 * float64(b.N)
			b.ReportMetric(days, "peer-days")
			b.ReportMetric(float64(c.cases)/days, "cases/peer·day")
			b.ReportMetric(poissonBound(c.cases)/days, "bound/peer·day")
			b.ReportMetric(float64(c.majority)/days, "majority/peer·day")
			b.ReportMetric(float64(c.beliefs)/days, "beliefs/peer·day")
			b.ReportMetric((cpuTime() - cpu).Seconds(), "cpu-s")
		})
	}
}

func hours(b *testing.B, usual float64) time.Duration {
	if text := os.Getenv("SHOAL_HOURS"); text != "" {
		var err error
		if usual, err = strconv.ParseFloat(text, 64); err != nil || !(usual > 0 && usual <= maxRun.Hours()) {
			b.Fatalf("SHOAL_HOURS=%s: want simulated hours, such as 0.5 or 24, at most %v", text, maxRun.Hours())
		}
	}
	return time.Duration(usual * float64(time.Hour))
}

// linksDie lets each directed link be dead for so long again and again, at moments of
// its own, so that a share of them is at any moment.
func (f *field) linksDie(share float64, length time.Duration) {
	up := time.Duration(float64(length) * (1 - share) / share)
	r := stream(f.s.Seed, 0, "dead links")
	n := &f.w.network
	n.pairs(func(x, y *machine) {
		var die func()
		mend := func() {
			n.setCut(x.index, y.index, false)
			if !x.linked[y.index] {
				n.dialLater(x, y, span{200 * time.Millisecond, 8 * time.Second})
			}
			f.w.later(exponential(r, 1/up.Seconds()), die)
		}
		die = func() {
			n.setCut(x.index, y.index, true)
			f.w.later(length, mend)
		}
		f.w.later(exponential(r, 1/up.Seconds()), die)
	})
}

// falseDeaths are counts over runs.
type falseDeaths struct{ cases, majority, beliefs int }

// count adds what a field has seen; everybody in it lives.
func (c *falseDeaths) count(f *field) {
	believers := map[wire.PeerID]int{}
	isMost := map[wire.PeerID]bool{}
	for _, d := range f.death.told {
		n := believers[d.of]
		if d.back {
			if believers[d.of] = n - 1; n == 1 {
				isMost[d.of] = false
			}
			continue
		}
		believers[d.of] = n + 1
		c.beliefs++
		if n == 0 {
			c.cases++
		}
		if 2*(n+1) > len(f.w.machines)-1 && !isMost[d.of] {
			isMost[d.of] = true
			c.majority++
		}
	}
	f.death.write(os.Getenv("SHOAL_TRACE"))
}

// write keeps what was told in a file.
func (l *deathLog) write(name string) {
	if name == "" {
		return
	}
	var text strings.Builder
	for _, d := range l.told {
		fmt.Fprintf(&text, "%.3f %s believes %s back=%v\n", d.at.Seconds(), l.f.w.machines[d.by].name, l.f.w.nameOf(d.of), d.back)
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o600); err != nil {
		panic(err)
	}
}

// poissonBound is the mean that, 95 % sure, is not exceeded where n were counted.
func poissonBound(n int) float64 {
	exact := []float64{3.00, 4.74, 6.30, 7.75, 9.15, 10.51}
	if n < len(exact) {
		return exact[n]
	}
	k, z := float64(n+1), 1.645 // Wilson and Hilferty
	t := 1 - 1/(9*k) + z/(3*math.Sqrt(k))
	return k * t * t * t
}

// BenchmarkSickLink gives one peer 40 % loss on its link, both ways, and counts what
// that does to the slots of the others in SHOAL_HOURS (24) hours of simulated time:
// moved are those that at the end run in another container than at its beginning.
func BenchmarkSickLink(b *testing.B) {
	for _, peers := range []int{5, 10} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			moved, own, deaths, ownDeaths, slots := 0, 0, 0, 0, 0
			for b.Loop() {
				f := newField(b, peers, max(1, peers/5), 0, 1, nil)
				sick := f.drawPeers(1)[0]
				before := f.containers()
				if err := f.changeLink(sick.name+"|rest", map[string]string{"loss": "40%"}); err != nil {
					b.Fatal(err)
				}
				f.advance(b, hours(b, 24))
				after := f.containers()
				for id, m := range before {
					slots++
					switch {
					case after[id] == m:
					case m == sick:
						own++
					default:
						moved++
					}
				}
				for _, d := range f.death.falsely {
					if d.of == sick.id {
						ownDeaths++
					} else {
						deaths++
					}
				}
			}
			b.ReportMetric(float64(slots), "slots")
			b.ReportMetric(float64(moved), "healthy-moved")
			b.ReportMetric(float64(own), "sick-moved")
			b.ReportMetric(float64(deaths), "healthy-deaths")
			b.ReportMetric(float64(ownDeaths), "sick-deaths")
		})
	}
}

// containers returns which containers run where, by their run and slot.
func (f *field) containers() map[string]*machine {
	out := map[string]*machine{}
	for _, m := range f.w.machines {
		for _, c := range m.engine.containers {
			if c.State == core.StateRunning {
				out[m.name+" "+c.Ref.Slot.String()+" "+c.Starts] = m
			}
		}
	}
	return out
}
