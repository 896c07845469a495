package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Draw makes a random scenario from a seed: a subset of the kinds of fault, each
// at its own rate, and work among them. All of it is drawn here, before the run,
// so that a failing plan can be printed, cut down and kept as a file.
func Draw(seed uint64, peers int) *Scenario {
	d := &drawer{r: stream(seed, 0, "plan"), peers: peers}
	s := &Scenario{Name: fmt.Sprintf("soak-%d", seed), Seed: seed, Run: 3 * time.Minute, Encode: seed%8 == 0}
	room := defaultCapacity
	room.CPUMilli = int64(500 * (2 + d.r.IntN(7))) // often less than the work needs
	s.Groups = []PeerGroup{{Count: peers, MachineSpec: MachineSpec{Capacity: room}}}
	from := time.Duration(1+d.r.IntN(20)) * time.Millisecond
	s.Net.Delay = span{from, from * time.Duration(2+d.r.IntN(5))}
	if d.r.IntN(2) == 0 {
		s.Net.Loss = float64(d.r.IntN(6)) / 100
		s.Net.Dup = float64(d.r.IntN(4)) / 100
	}
	if d.r.IntN(4) == 0 {
		s.Horizon = time.Minute
	}
	d.work()
	d.faults()
	slices.SortStableFunc(d.ops, func(a, b Op) int { return int(a.Time - b.Time) })
	s.Ops = d.ops
	for i := range s.Ops {
		s.Ops[i].Line = i + 1
	}
	return s
}

const (
	soakBegin = 3 * time.Second
	soakEnd   = 170 * time.Second
)

type drawer struct {
	r     *rand.Rand
	peers int
	ops   []Op
}

func (d *drawer) add(at time.Duration, format string, args ...any) {
	op := Op{Time: at.Round(time.Millisecond), Opts: map[string]string{}}
	words := strings.Fields(fmt.Sprintf(format, args...))
	op.Verb = words[0]
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok && k != "" {
			op.Opts[k] = v
		} else if optionKinds[w] != nil {
			op.Opts[w] = ""
		} else {
			op.Args = append(op.Args, w)
		}
	}
	d.ops = append(d.ops, op)
}

func (d *drawer) time() time.Duration {
	return soakBegin + time.Duration(d.r.Int64N(int64(soakEnd-soakBegin)))
}

func (d *drawer) peer() string { return "n" + strconv.Itoa(1+d.r.IntN(d.peers)) }

func (d *drawer) pick(list ...string) string { return list[d.r.IntN(len(list))] }

// work draws jobs, and what is done to each afterwards.
func (d *drawer) work() {
	jobs := 2 + d.r.IntN(4)
	for i := range jobs {
		name := "job" + strconv.Itoa(i)
		opts := fmt.Sprintf("replicas=%d cpu=%dm mem=%dMiB", 1+d.r.IntN(6), 100*(1+d.r.IntN(8)), 64*(1+d.r.IntN(6)))
		if d.r.IntN(3) == 0 {
			opts += " onreturn=" + d.pick("newest", "incumbent")
		}
		if d.r.IntN(4) == 0 {
			opts += " failover=" + d.pick("0s", "2s", "10s")
		}
		if d.r.IntN(4) == 0 {
			opts += " health=ok"
		}
		if d.r.IntN(5) == 0 {
			opts += " order=start-first"
		}
		if d.r.IntN(6) == 0 {
			opts += " volume=data"
		}
		if d.r.IntN(8) == 0 {
			opts += " stuck=yes"
		}
		begin := soakBegin + time.Duration(d.r.Int64N(int64(40*time.Second)))
		d.add(begin, "submit %s %s fails=no", name, opts)
		for range d.r.IntN(5) {
			d.change(begin, name)
		}
	}
}

// change draws one later operation on a job. Its answer may be a refusal: the job
// may be removed by then, or changed at the other side of a cut.
func (d *drawer) change(begin time.Duration, name string) {
	at := begin + 2*time.Second + time.Duration(d.r.Int64N(int64(soakEnd-begin)))
	at = min(at, soakEnd)
	where := ""
	if d.r.IntN(3) == 0 {
		where = " at=" + d.peer()
	}
	switch d.r.IntN(10) {
	case 0, 1, 2:
		d.add(at, "update %s version=%d%s fails=no", name, d.r.IntN(1000), where)
	case 3, 4, 5:
		d.add(at, "scale %s replicas=%d%s fails=no", name, d.r.IntN(8), where)
	case 6:
		d.add(at, "remove %s%s fails=no", name, where)
	case 7:
		d.add(at, "remove %s%s fails=no", name, where)
		d.add(at+time.Duration(d.r.Int64N(int64(20*time.Second))), "redeploy %s fails=no", name)
	case 8:
		d.add(at, "exit %s.%d code=%d", name, d.r.IntN(3), d.r.IntN(3))
	case 9:
		d.add(at, "redeploy %s%s fails=no", name, where)
	}
}

// faults draws which kinds of fault this run has, and how many of each.
func (d *drawer) faults() {
	kinds := []func(time.Duration){
		d.crash, d.crash, d.daemon, d.pause, d.split, d.oneway, d.weather, d.engine, d.diskLost, d.clock, d.drops, d.trap, d.diskFail, d.join,
	}
	d.r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, kind := range kinds[:1+d.r.IntN(6)] {
		for range 1 + d.r.IntN(4) {
			kind(d.time())
		}
	}
}

func (d *drawer) seconds(from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(d.r.Int64N(int64(to-from)*int64(time.Second)))
}

func (d *drawer) crash(at time.Duration) {
	d.add(at, "crash %s for=%v", d.peer(), d.seconds(1, 60).Round(time.Millisecond))
}

func (d *drawer) daemon(at time.Duration) {
	d.add(at, "crashdaemon %s for=%v", d.peer(), d.seconds(1, 40).Round(time.Millisecond))
}

func (d *drawer) pause(at time.Duration) {
	d.add(at, "pause %s for=%v", d.peer(), d.seconds(1, 60).Round(time.Millisecond))
}

func (d *drawer) split(at time.Duration) {
	side := map[string]bool{}
	for range 1 + d.r.IntN(d.peers/2) {
		side[d.peer()] = true
	}
	d.add(at, "cut %s|rest", strings.Join(sortedKeys(side), ","))
	d.add(at+d.seconds(2, 60), "heal")
}

func (d *drawer) oneway(at time.Duration) {
	if d.r.IntN(2) == 0 {
		d.add(at, "oneway %s>rest", d.peer())
	} else {
		d.add(at, "oneway %s>%s", d.peer(), d.peer())
	}
	d.add(at+d.seconds(2, 40), "heal")
}

func (d *drawer) weather(at time.Duration) {
	d.add(at, "net loss=%d%% dup=%d%% delay=%dms..%dms", d.r.IntN(25), d.r.IntN(5), 1+d.r.IntN(50), 60+d.r.IntN(400))
	d.add(at+d.seconds(2, 40), "net loss=1%% dup=0%% delay=2ms..20ms")
}

func (d *drawer) engine(at time.Duration) {

	if d.r.IntN(3) == 0 {
		d.add(at, "hang %s for=%v down", d.peer(), d.seconds(1, 60).Round(time.Millisecond))
		return
	}
	d.add(at, "hang %s for=%v", d.peer(), d.seconds(1, 60).Round(time.Millisecond))
}

func (d *drawer) diskLost(at time.Duration) {
	p := d.peer()
	d.add(at, "crash %s", p)
	d.add(at+d.seconds(1, 30), "restart %s disk=%s", p, d.pick("lost", "lost", "damaged"))
}

func (d *drawer) clock(at time.Duration) {
	d.add(at, "clockjump %s by=%s", d.peer(), d.pick("10y", "-10y", "1h", "-300s"))
}

func (d *drawer) drops(at time.Duration) {
	d.add(at, "drop %s count=%d", d.pick("reply", "award", "bid", "call", "delta", "push", "store", "stored", "votes", "lists", "vector"), 1+d.r.IntN(6))
}

func (d *drawer) trap(at time.Duration) {
	d.add(at, "crash any on=%s when=%s after=%d for=%v", d.pick("reply", "award", "call", "store", "stored", "delta"),
		d.pick("before", "after"), d.r.IntN(3), d.seconds(1, 40).Round(time.Millisecond))
}

func (d *drawer) diskFail(at time.Duration) {
	p := d.peer()
	d.add(at, "diskfail %s", p)
	d.add(at+d.seconds(5, 30), "restart %s", p)
}

func (d *drawer) join(at time.Duration) {
	if d.r.IntN(2) == 0 {
		d.add(at, "join first=yes")
	} else {
		d.add(at, "join")
	}
}
