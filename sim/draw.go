package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a drawn plan is like, unless it is asked for otherwise.
const (
	DrawTime  = 5 * time.Minute // simulated, before the calm
	DrawPeers = 9

	// MaxDrawPeers bounds the peers of a drawn plan: its work and its faults are for
	// one cell.
	MaxDrawPeers = 1000

	minFaults = 12 // a plan of DrawTime has at least so many; a shorter one in proportion
	maxExtra  = 13 // and up to so many more
)

// Draw makes a random scenario of DrawTime from a seed; see DrawFor.
func Draw(seed uint64, peers int) *Scenario { return DrawFor(seed, peers, DrawTime) }

// DrawFor makes a random scenario from a seed: work, and among it faults of a
// subset of the kinds, each kind at its own rate. All of it is drawn here, before
// the run, so that a failing plan can be printed, cut down and kept as a file:
// its text says everything. A plan has minFaults faults or more for each DrawTime
// of its length. run is rounded to milliseconds and is at least 10 s.
func DrawFor(seed uint64, peers int, run time.Duration) *Scenario {
	run = max(run.Round(time.Millisecond), 10*time.Second)
	d := &drawer{r: stream(seed, 0, "plan"), peers: peers, begin: 3 * time.Second, end: run - 5*time.Second}
	s := &Scenario{Name: fmt.Sprintf("soak-%d", seed), Seed: seed, Run: run, Encode: seed%8 == 0}
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
	d.faults(run)
	d.rare(seed)
	d.topology(s, seed)
	d.zones(s, seed)
	d.ops = slices.DeleteFunc(d.ops, func(op Op) bool { return op.Time > run }) // ends of what the calm ends anyway
	slices.SortStableFunc(d.ops, func(a, b Op) int { return int(a.Time - b.Time) })
	s.Ops = d.ops
	for i := range s.Ops {
		s.Ops[i].Line = i + len(s.Groups) + headLines + 1
	}
	return s
}

// headLines is how many lines Scenario.String writes above the first op of a plan,
// besides one of each group of peers.
const headLines = 2

type drawer struct {
	r          *rand.Rand
	peers      int
	begin, end time.Duration
	bursts     []time.Duration // faults gather around these, if there are any
	ops        []Op
}

// add puts one line into the plan, as a scenario has it behind "at T".
func (d *drawer) add(at time.Duration, format string, args ...any) {
	op := Op{Time: at.Round(time.Millisecond), Opts: map[string]string{}}
	words := strings.Fields(fmt.Sprintf(format, args...))
	op.Verb = words[0]
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok && k != "" && !strings.ContainsAny(k, "(|>") {
			op.Opts[k] = v
		} else if optionKinds[w] != nil {
			op.Opts[w] = ""
		} else {
			op.Args = append(op.Args, w)
		}
	}
	d.ops = append(d.ops, op)
}

// last is the number of the last peer of those the plan begins with.
func (d *drawer) last() string { return strconv.Itoa(d.peers) }

func (d *drawer) peer() string { return "n" + strconv.Itoa(1+d.r.IntN(d.peers)) }

func (d *drawer) pick(list ...string) string { return list[d.r.IntN(len(list))] }

func (d *drawer) seconds(from, to int) time.Duration {
	t := time.Duration(from)*time.Second + time.Duration(d.r.Int64N(int64(to-from)*int64(time.Second)))
	return t.Round(time.Millisecond)
}

// work draws jobs, and what is done to each afterwards.
func (d *drawer) work() {
	jobs := 2 + d.r.IntN(4)
	for i := range jobs {
		name := "job" + strconv.Itoa(i)
		opts := fmt.Sprintf("replicas=%d cpu=%dm mem=%dMiB", 1+d.r.IntN(6), 100*(1+d.r.IntN(8)), 64*(1+d.r.IntN(6)))
		for _, o := range taskKinds {
			if d.r.IntN(o.oneIn) == 0 {
				opts += " " + o.option(d)
			}
		}
		begin := d.begin + time.Duration(d.r.Int64N(int64(d.end-d.begin)/4))
		d.add(begin, "submit %s %s fails=no", name, opts)
		for range d.r.IntN(7) {
			d.change(begin, name)
		}
	}
}

// taskKinds are the options of a drawn task, each there in one of so many.
var taskKinds = []struct {
	oneIn  int
	option func(*drawer) string
}{
	{3, func(d *drawer) string { return "onreturn=" + d.pick("newest", "incumbent") }},
	{4, func(d *drawer) string { return "failover=" + d.pick("0s", "2s", "10s", "never") }},
	{4, func(*drawer) string { return "health=ok" }},
	{5, func(*drawer) string { return "order=start-first" }},
	{6, func(*drawer) string { return "volume=data" }},
	{8, func(*drawer) string { return "stuck=yes" }},
	{8, func(*drawer) string { return "inisland=wait" }},
	{8, func(*drawer) string { return "failure=rollback" }},
	{8, func(d *drawer) string { return "parallelism=" + strconv.Itoa(2+d.r.IntN(3)) }},
	{8, func(*drawer) string { return "policy=pack" }},
	{8, func(d *drawer) string {
		return fmt.Sprintf("type=batch lasts=%v exit=%d", d.seconds(2, 60), max(0, d.r.IntN(4)-2))
	}},
}

// change draws one later operation on a job. Its answer may be a refusal: the job
// may be removed by then, or changed at the other side of a cut.
func (d *drawer) change(begin time.Duration, name string) {
	at := min(begin+2*time.Second+time.Duration(d.r.Int64N(int64(d.end-begin))), d.end)
	where := ""
	if d.r.IntN(3) == 0 {
		where = " at=" + d.peer()
	}
	switch d.r.IntN(14) {
	case 0, 1, 2:
		d.add(at, "update %s version=%d%s fails=no", name, d.r.IntN(1000), where)
	case 3, 4, 5:
		d.add(at, "scale %s replicas=%d%s fails=no", name, d.r.IntN(8), where)
	case 6:
		d.add(at, "remove %s%s fails=no", name, where)
	case 7:
		d.add(at, "remove %s%s fails=no", name, where)
		d.add(at+d.seconds(0, 20), "redeploy %s fails=no", name)
	case 8:
		d.add(at, "exit %s.%d code=%d fails=no", name, d.r.IntN(3), d.r.IntN(3))
	case 9:
		d.add(at, "redeploy %s%s fails=no", name, where)
	case 10: // does not become healthy: paused, or rolled back; and what follows
		d.add(at, "update %s version=%d health=bad monitor=10s%s fails=no", name, d.r.IntN(1000), where)
		if d.r.IntN(2) == 0 {
			d.add(at+d.seconds(5, 90), "update %s version=%d health=ok%s fails=no", name, d.r.IntN(1000), where)
		}
	case 11:
		p := d.peer()
		d.add(at, "drain %s fails=no", p)
		d.add(at+d.seconds(2, 60), "drain %s undo fails=no", p)
	case 13: // needs that may no longer fit where it runs
		d.add(at, "update %s cpu=%dm%s fails=no", name, 100*(1+d.r.IntN(20)), where)
	case 12:
		d.add(at, "rollback %s%s fails=no", name, where)
	}
}
