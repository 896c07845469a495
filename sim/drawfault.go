package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A faultKind is one kind of harm that plans are drawn of.
type faultKind struct {
	name string
	draw func(*drawer, time.Duration) // the lines of one such fault that begins then
}

// faultKinds are all kinds; their order is part of what a seed means.
var faultKinds = []faultKind{
	{"power cut", (*drawer).crash},
	{"daemon killed", (*drawer).daemon},
	{"pause", (*drawer).pause},
	{"split", (*drawer).split},
	{"one-way cut", (*drawer).oneway},
	{"bridge or ring", (*drawer).bridge},
	{"bad link", (*drawer).link},
	{"slow peer", (*drawer).slow},
	{"weather", (*drawer).weather},
	{"engine", (*drawer).engine},
	{"disk lost", (*drawer).diskLost},
	{"cloned disk", (*drawer).cloned},
	{"disk error", (*drawer).diskFail},
	{"disk full", (*drawer).diskFull},
	{"clock", (*drawer).clock},
	{"message lost", (*drawer).drops},
	{"trap", (*drawer).trap},
	{"churn", (*drawer).join},
	{"site", (*drawer).site},
}

// faults draws which kinds of fault this run has, at which rate each, how many in
// all, and whether they come evenly or in bursts.
func (d *drawer) faults(run time.Duration) {
	kinds := slices.Concat(faultKinds, hardwareKinds)
	d.r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	kinds = kinds[:2+d.r.IntN(len(kinds)-1)]
	var lots []faultKind // each kind as often as its rate says
	for _, k := range kinds {
		for range 1 + d.r.IntN(5) {
			lots = append(lots, k)
		}
	}
	if d.r.IntN(3) == 0 {
		for range 1 + d.r.IntN(3) {
			d.bursts = append(d.bursts, d.begin+time.Duration(d.r.Int64N(int64(d.end-d.begin))))
		}
	}
	count := minFaults + d.r.IntN(maxExtra)
	count = max(1, int((int64(count)*int64(run)+int64(DrawTime)-1)/int64(DrawTime)))
	for (&Scenario{Ops: d.ops}).Faults() < count {
		lots[d.r.IntN(len(lots))].draw(d, d.when())
	}
}

// when draws the time of a fault: anywhere, or up to 15 s behind the begin of a burst.
func (d *drawer) when() time.Duration {
	if len(d.bursts) == 0 {
		return d.begin + time.Duration(d.r.Int64N(int64(d.end-d.begin)))
	}
	at := d.bursts[d.r.IntN(len(d.bursts))] + time.Duration(d.r.Int64N(int64(15*time.Second)))
	return min(at, d.end)
}

func (d *drawer) crash(at time.Duration) {
	if d.r.IntN(12) == 0 {
		d.add(at, "crash %s", d.peer()) // for good
		return
	}
	d.add(at, "crash %s for=%v", d.peer(), d.seconds(1, 60))
}

func (d *drawer) daemon(at time.Duration) {
	d.add(at, "crashdaemon %s for=%v", d.peer(), d.seconds(1, 40))
}

// pause is up to ten times the seven beats after which a peer counts as dead.
func (d *drawer) pause(at time.Duration) {
	d.add(at, "pause %s for=%v", d.peer(), d.seconds(1, 75))
}

func (d *drawer) split(at time.Duration) {
	if d.r.IntN(4) == 0 {
		d.add(at, "cut %s|rest", d.side())
		d.add(at+d.seconds(2, 60), "heal") // of whatever else is cut, too
		return
	}
	d.add(at, "cut %s|rest for=%v", d.side(), d.seconds(2, 60))
}

// side is up to half of the peers, as a list.
func (d *drawer) side() string {
	side := map[string]bool{}
	for range 1 + d.r.IntN(max(1, d.peers/2)) {
		side[d.peer()] = true
	}
	return strings.Join(sortedKeys(side), ",")
}

func (d *drawer) oneway(at time.Duration) {
	to := "rest"
	if d.r.IntN(2) == 0 {
		to = d.peer()
	}
	from := d.peer()
	d.add(at, "oneway %s>%s for=%v", from, others(from, to), d.seconds(2, 40))
}

// bridge leaves two sides only a third to see each other through, or all only their
// two neighbours.
func (d *drawer) bridge(at time.Duration) {
	all := d.r.Perm(d.peers)
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = "n" + strconv.Itoa(n+1)
	}
	if d.peers >= 4 && d.r.IntN(2) == 0 {
		d.add(at, "ring %s for=%v", strings.Join(names[:4+d.r.IntN(d.peers-3)], ","), d.seconds(2, 60))
		return
	}
	if d.peers < 3 {
		d.oneway(at)
		return
	}
	a := 1 + d.r.IntN(d.peers-2)
	d.add(at, "bridge %s|%s|rest for=%v", strings.Join(names[:a], ","), names[a], d.seconds(2, 60))
}

// link makes some links bad, and usually good again.
func (d *drawer) link(at time.Duration) {
	sides := fmt.Sprintf("%s%srest", d.peer(), d.pick(">", "|"))
	switch d.r.IntN(3) {
	case 0:
		d.add(at, "link %s loss=%d%%", sides, 1+d.r.IntN(60))
	case 1:
		d.add(at, "link %s delay=%dms..%dms", sides, 50+d.r.IntN(200), 250+d.r.IntN(1000))
	case 2:
		d.add(at, "link %s bandwidth=%dkbit", sides, 32<<d.r.IntN(6))
	}
	if d.r.IntN(4) > 0 {
		d.add(at+d.seconds(2, 90), "link %s loss=0%% delay=2ms..20ms bandwidth=100Mbit", sides)
	}
}

func (d *drawer) slow(at time.Duration) {
	d.add(at, "slow %s factor=%d for=%v", d.peer(), 2<<d.r.IntN(6), d.seconds(2, 60))
}

func (d *drawer) weather(at time.Duration) {
	d.add(at, "net loss=%d%% dup=%d%% delay=%dms..%dms", d.r.IntN(31), d.r.IntN(6), 1+d.r.IntN(50), 60+d.r.IntN(400))
	d.add(at+d.seconds(2, 40), "net loss=1%% dup=0%% delay=2ms..20ms")
}

func (d *drawer) engine(at time.Duration) {
	down := ""
	if d.r.IntN(3) == 0 {
		down = " down"
	}
	d.add(at, "hang %s for=%v%s", d.peer(), d.seconds(1, 60), down)
}

func (d *drawer) diskLost(at time.Duration) {
	p := d.peer()
	d.add(at, "crash %s", p)
	d.add(at+d.seconds(1, 30), "restart %s disk=%s", p, d.pick("lost", "lost", "damaged"))
}

// cloned starts a peer with the disk, and so with the key, of another.
func (d *drawer) cloned(at time.Duration) {
	p, of := d.peer(), d.peer()
	if p == of || d.r.IntN(4) > 0 { // rare: it costs the swarm a peer for the rest of the run
		d.crash(at)
		return
	}
	d.add(at, "crash %s", p)
	d.add(at+d.seconds(1, 30), "restart %s disk=clone-of:%s", p, of)
}

func (d *drawer) diskFail(at time.Duration) {
	p := d.peer()
	d.add(at, "diskfail %s", p)
	d.add(at+d.seconds(5, 30), "restart %s", p)
}

func (d *drawer) diskFull(at time.Duration) {
	p := d.peer()
	d.add(at, "diskfull %s free=%dMiB", p, 1+d.r.IntN(400))
	d.add(at+d.seconds(5, 90), "diskfull %s free=50GiB", p)
}

func (d *drawer) clock(at time.Duration) {
	p := d.peer()
	if d.r.IntN(3) == 0 { // a clock runs at another pace from its next start on
		d.add(at, "crash %s", p)
		at += d.seconds(1, 10)
		d.add(at, "clockjump %s by=%s drift=%d", p, d.pick("600s", "-600s"), d.r.IntN(1001)-500)
		d.add(at+time.Second, "restart %s", p)
		return
	}
	d.add(at, "clockjump %s by=%s", p, d.pick("10y", "-10y", "1h", "-300s"))
}

func (d *drawer) drops(at time.Duration) {
	d.add(at, "drop %s count=%d", d.pick("reply", "award", "bid", "call", "delta", "push", "store", "stored", "votes", "lists", "vector"), 1+d.r.IntN(6))
}

func (d *drawer) trap(at time.Duration) {
	d.add(at, "crash any on=%s when=%s after=%d for=%v", d.pick("reply", "award", "call", "store", "stored", "delta"),
		d.pick("before", "after"), d.r.IntN(3), d.seconds(1, 40))
}

// join adds a peer; now and then one leaves or is removed.
func (d *drawer) join(at time.Duration) {
	switch d.r.IntN(6) {
	case 0, 1:
		d.add(at, "join first=yes")
	case 2:
		d.add(at, "leave %s fails=no", d.peer())
	case 3:
		d.add(at, "crash %s", "n"+d.last())
		d.add(at+d.seconds(1, 20), "expel n%s fails=no", d.last())
	default:
		d.add(at, "join")
	}
}

// site cuts the power of several peers at once, and they come back one by one.
func (d *drawer) site(at time.Duration) {
	for p := range strings.SplitSeq(d.side(), ",") {
		d.add(at, "crash %s for=%v", p, d.seconds(2, 40))
	}
}
