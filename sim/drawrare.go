package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rareKinds are kinds of fault that have a stream of their own, so that the rest of
// a plan is the same with and without them. Each is in one plan of rareOneIn.
var rareKinds = []faultKind{
	{"forger", (*drawer).forger},
	{"newer peer", (*drawer).newer},
	{"deaf few", (*drawer).deafFew},
	{"stores destroyed", (*drawer).wreck},
	{"old image", (*drawer).oldImage},
	{"flood", (*drawer).flood},
	{"lost image", (*drawer).loseImage},
	{"blink", (*drawer).blink},
	{"system task", (*drawer).systemTask},
	{"liar", (*drawer).liar},
	{"placed task", (*drawer).placed},
}

const rareOneIn = 8

// rare draws the rare kinds.
func (d *drawer) rare(seed uint64) {
	for i, k := range rareKinds {
		d.r = stream(seed, i, "rare faults")
		if d.r.IntN(rareOneIn) > 0 {
			continue
		}
		for range 1 + d.r.IntN(3) {
			k.draw(d, d.begin+time.Duration(d.r.Int64N(int64(d.end-d.begin))))
		}
	}
}

// forger has a peer alter records that it passes on.
func (d *drawer) forger(at time.Duration) {
	d.add(at, "forge %s %s count=%d", d.peer(), d.pick(strings.Split(forgeUsage, "|")...), 1+d.r.IntN(2))
}

// systemTask has a copy on each peer of one task more, and draws what is done to it.
func (d *drawer) systemTask(at time.Duration) {
	name := "agent" + strconv.Itoa(d.r.IntN(2))
	opts := fmt.Sprintf("type=system cpu=%dm mem=%dMiB", 50*(1+d.r.IntN(8)), 64*(1+d.r.IntN(4)))
	for _, o := range []string{"parallelism=2", "health=ok", "order=start-first", "failure=rollback", "volume=data", "stuck=yes", "restarts=1"} {
		if d.r.IntN(4) == 0 {
			opts += " " + o
		}
	}
	d.add(at, "submit %s %s fails=no", name, opts)
	for range d.r.IntN(6) {
		later := min(at+d.seconds(2, 120), d.end)
		switch d.r.IntN(6) {
		case 0, 1:
			d.add(later, "update %s version=%d at=%s fails=no", name, d.r.IntN(1000), d.peer())
		case 2:
			d.add(later, "update %s version=%d health=%s monitor=10s fails=no", name, d.r.IntN(1000), d.pick("bad", "ok"))
		case 3:
			d.add(later, "exit %s@%s code=%d fails=no", name, d.peer(), d.r.IntN(3))
		case 4:
			d.add(later, "scale %s replicas=%d fails=no", name, d.r.IntN(2))
		default:
			d.add(later, "remove %s at=%s fails=no", name, d.peer())
			d.add(later+d.seconds(0, 20), "redeploy %s fails=no", name)
		}
	}
}

// liar has a peer say that it does what it does not.
func (d *drawer) liar(at time.Duration) {
	d.add(at, "lie %s starts=%s", d.peer(), d.pick("never", "never", "no"))
}

// placed has a task more, of which it matters where its copies are or when they are sold.
func (d *drawer) placed(at time.Duration) {
	name := "placed" + strconv.Itoa(d.r.IntN(2))
	opts := fmt.Sprintf("replicas=%d cpu=%dm mem=%dMiB", 1+d.r.IntN(6), 100*(1+d.r.IntN(8)), 64*(1+d.r.IntN(4)))
	for _, o := range placings {
		if d.r.IntN(o.oneIn) == 0 {
			opts += " " + strings.ReplaceAll(d.pick(o.options...), "SELF", name)
		}
	}
	d.add(at, "submit %s %s fails=no", name, opts)
	for range d.r.IntN(5) {
		d.change(at, name)
	}
}

// placings are the options of a placed task, one of each kind there in one of so many.
var placings = []struct {
	oneIn   int
	options []string
}{
	{2, []string{"apart=SELF", "apart=SELF!", "apart=SELF@zone", "apart=SELF@zone!", "apart=job:job1", "apart=job:job0@zone!"}},
	{3, []string{"near=job:job0", "near=job:job0!", "near=job:job1@zone", "near=job:job1@zone!"}},
	{4, []string{"spread=zone"}},
	{3, []string{"priority=1", "priority=80", "priority=100"}},
	{4, []string{"constraint=zone==a", "constraint=zone!=b"}},
	{4, []string{"failover=0s", "order=start-first", "onreturn=newest", "onreturn=incumbent", "policy=pack"}},
}

// newer brings in records of a kind that a later version may have.
func (d *drawer) newer(at time.Duration) { d.add(at, "newer %s", d.peer()) }

// deafFew has some peers, too few to say so, no longer hear one.
func (d *drawer) deafFew(at time.Duration) {
	from, a, b := d.peer(), d.peer(), d.peer()
	d.add(at, "oneway %s>%s for=%v", from, others(from, a, b), d.seconds(10, 40))
}

// wreck destroys two of the three stores of a job as soon as its answer has named them,
// or all but one of fewer, and gives the job reason for an answer.
func (d *drawer) wreck(at time.Duration) {
	name, down := fmt.Sprintf("job%d", d.r.IntN(2)), ""
	at = max(at, d.begin+(d.end-d.begin)/4) // the jobs are there by then
	if d.r.IntN(3) > 0 {
		down = fmt.Sprintf(" for=%v", d.seconds(1, 40))
	}
	d.add(at, "wreck %s count=2 least=3%s", name, down)
	switch d.r.IntN(3) {
	case 0:
		d.add(at+d.seconds(0, 3), "update %s version=%d fails=no", name, d.r.IntN(1000))
	case 1:
		d.add(at+d.seconds(0, 3), "scale %s replicas=%d fails=no", name, d.r.IntN(8))
	case 2:
		d.add(at+d.seconds(0, 3), "remove %s fails=no", name)
	}
}

// oldImage puts a store back from an image of some time before.
func (d *drawer) oldImage(at time.Duration) {
	p := d.peer()
	d.add(at, "image %s", p)
	at += d.seconds(1, 90)
	d.add(at, "crash %s", p)
	d.add(at+d.seconds(1, 20), "restart %s disk=image", p)
}

// flood has a peer send each of its messages again and again.
func (d *drawer) flood(at time.Duration) {
	d.add(at, "flood %s factor=%d for=%v", d.peer(), 2+d.r.IntN(40), d.seconds(2, 20))
}

// blink has something befall peers while slots are sold, so that an award finds one that
// has bid and can no longer take it: its supervisor has just started its daemon again,
// it is being drained, or its engine is silent.
func (d *drawer) blink(at time.Duration) {
	var sales []time.Duration
	for i := range d.ops {
		if slices.Contains([]string{"submit", "scale", "redeploy", "update"}, d.ops[i].Verb) {
			sales = append(sales, d.ops[i].Time)
		}
	}
	if len(sales) > 0 {
		at = sales[d.r.IntN(len(sales))]
	}
	for range 2 + d.r.IntN(d.peers) {
		p, at := d.peer(), at+time.Duration(20+d.r.IntN(300))*time.Millisecond
		switch d.r.IntN(4) {
		case 0, 1:
			d.add(at, "crashdaemon %s for=%dms", p, 5+d.r.IntN(200))
		case 2:
			d.add(at, "drain %s fails=no", p)
			d.add(at+d.seconds(2, 20), "drain %s undo fails=no", p)
		case 3:
			d.add(at, "hang %s for=%v", p, d.seconds(1, 20))
		}
	}
}

// others are the peers of a list that are not this one, or, if none is, the rest.
func others(peer string, list ...string) string {
	if left := without(list, peer); len(left) > 0 {
		return strings.Join(left, ",")
	}
	return "rest"
}
