package sim

import (
	"fmt"
	"time"
)

// hardwareKinds are the kinds of harm to disks, clocks and engines.
var hardwareKinds = []faultKind{
	{"barrier", (*drawer).barrier},
	{"bit rot", (*drawer).rot},
	{"slow disk", (*drawer).diskSlow},
	{"sleep", (*drawer).sleep},
	{"engine's pace", (*drawer).pace},
	{"start fails", (*drawer).startFail},
	{"call hangs", (*drawer).hangCall},
	{"engine restart", (*drawer).engineRestart},
	{"container ends", (*drawer).containerEnds},
	{"orphan", (*drawer).orphan},
}

func (d *drawer) yes(of int, option string) string {
	if d.r.IntN(of) == 0 {
		return " " + option
	}
	return ""
}

// slot is one that a job of the plan may have.
func (d *drawer) slot() string { return fmt.Sprintf("job%d.%d", d.r.IntN(4), d.r.IntN(4)) }

func (d *drawer) barrier(at time.Duration) {
	who := d.peer()
	if d.r.IntN(4) == 0 {
		who = "any"
	}
	d.add(at, "crashsync %s after=%d when=%s%s for=%v", who, d.r.IntN(12), d.pick("before", "after"), d.yes(4, "torn=yes"), d.seconds(1, 40))
}

// rot is of no use before the store is read again.
func (d *drawer) rot(at time.Duration) {
	p := d.peer()
	if d.r.IntN(3) == 0 {
		d.add(at, "rot %s log=yes", p)
	} else {
		d.add(at, "rot %s records=%d", p, 1+d.r.IntN(10))
	}
	d.add(at+d.seconds(1, 30), "crash %s for=%v%s", p, d.seconds(1, 20), d.yes(4, "torn=yes"))
}

func (d *drawer) diskSlow(at time.Duration) {
	if d.r.IntN(2) == 0 {
		d.add(at, "diskslow %s factor=%d for=%v", d.peer(), 2+d.r.IntN(100), d.seconds(5, 60))
		return
	}
	d.add(at, "diskslow %s sync=%dms..%dms for=%v", d.peer(), 1+d.r.IntN(200), 200+d.r.IntN(1800), d.seconds(5, 60))
}

func (d *drawer) sleep(at time.Duration) {
	if d.r.IntN(2) == 0 {
		d.add(at, "pause %s for=%v links=die", d.peer(), d.seconds(30, 75))
		return
	}
	d.add(at, "sleep %s for=%v", d.peer(), d.seconds(1, 90))
}

func (d *drawer) pace(at time.Duration) {
	d.add(at, "engine %s create=%dms start=%dms..%dms", d.peer(), 5+d.r.IntN(500), 20+d.r.IntN(2000), 2100+d.r.IntN(8000))
}

func (d *drawer) startFail(at time.Duration) {
	d.add(at, "startfail %s p=%d%% for=%v", d.pick(d.peer(), d.peer(), "all"), 10+d.r.IntN(91), d.seconds(5, 60))
}

func (d *drawer) hangCall(at time.Duration) {
	d.add(at, "hangcall %s op=%s count=%d", d.pick(d.peer(), d.peer(), "all"), d.pick("create", "start", "stop", "remove"), 1+d.r.IntN(4))
}

func (d *drawer) engineRestart(at time.Duration) {
	d.add(at, "enginerestart %s for=%v%s", d.peer(), d.seconds(1, 30), d.yes(3, "live=no"))
}

// containerEnds ends one by itself, now and then while its daemon is down.
func (d *drawer) containerEnds(at time.Duration) {
	slot := d.slot()
	if d.r.IntN(2) == 0 {
		d.add(at, "crashdaemon %s for=%v", d.peer(), d.seconds(2, 20))
		at += time.Second
	}
	if d.r.IntN(2) == 0 {
		d.add(at, "oom %s%s fails=no", slot, d.yes(3, "child=yes"))
		return
	}
	d.add(at, "exit %s code=%d fails=no", slot, d.r.IntN(3))
}

// orphan leaves a container behind, or lets somebody else have the name of one.
func (d *drawer) orphan(at time.Duration) {
	if d.r.IntN(5) == 0 {
		d.add(at, "conflict %s count=%d", d.peer(), 1+d.r.IntN(2))
		return
	}
	d.add(at, "orphan %s %s life=%d token=%d%s%s", d.pick(d.peer(), d.peer(), "all"), d.slot(), 1+d.r.IntN(2), 1+d.r.IntN(4),
		d.yes(3, "stopped"), d.yes(4, "stuck"))
}
