package doctor

import (
	"slices"
	"strings"
	"time"
)

// What is worth a warning.
const (
	clockWarn = 2 * time.Second
	clockFail = time.Minute

	engineWarnBytes = 2 << 30 // an image and what it is unpacked to
	engineFailBytes = 256 << 20

	filesWarn = 1024 // connections, Badger's files and forwarded ports, with room
)

func machine(m Machine) []Finding {
	found := append(engine(m.Engine), port(m.Port), disk(m.Disk), files(m.Files))
	if m.Aside != "" {
		found = append(found, warn("settings", "give the flags of `shoal up` again, then delete that file.", "%s", m.Aside))
	}
	return found
}

func daemon(o Outside) Finding {
	switch {
	case o.Foreign:
		return fail("daemon", "run this as the user who ran `shoal up`.", "the socket %s belongs to another user", o.Socket)
	case o.Hung:
		return fail("daemon", "look at its log, then end it and start it again: its containers run on meanwhile.",
			"it listens at %s and does not answer: %s", o.Socket, o.Err)
	case o.Holder != "":
		return fail("daemon", "name that one's socket with --socket or $SHOAL_SOCKET.",
			"none answers at %s, but %s has the state directory open", o.Socket, o.Holder)
	}
	return fail("daemon", "start it with `shoal up`, or name its socket with --socket.", "none answers at %s", o.Socket)
}

func membershipAtRest(o Outside) Finding {
	if o.Member != "" {
		return warn("member", "join with `shoal up TICKET`, or make a swarm with `shoal up`.", "%s", o.Member)
	}
	return ok("member", "this machine is a member; its daemon decides whether it is ready")
}

// clock compares wall clocks with those of others; p is nil where no daemon can ask.
func clock(m Machine, p *Peer) Finding {
	if p == nil || len(p.Clocks) == 0 {
		return clockAlone(m, p)
	}
	middle, off := middleClock(p.Clocks)
	var who []string
	for _, c := range p.Clocks {
		who = append(who, c.Peer)
	}
	compared := "compared with " + names(who)
	switch {
	case len(p.Clocks) == 1 && middle.Abs() > clockWarn:
		return clockOff(middle, "set both by NTP (`timedatectl set-ntp true`): tickets, certificates and cron go by them.", compared)
	case middle.Abs() > clockWarn:
		return clockOff(middle, "set this machine's clock by NTP (`timedatectl set-ntp true`): tickets, certificates and cron go by it.",
			"the middle of "+names(who))
	case len(off) > 0:
		return warn("clock", "set the clocks there by NTP: tickets, certificates and cron go by them.",
			"within %s of most, but not of %s", round(middle.Abs()+time.Millisecond), names(off))
	}
	return ok("clock", "within %s, %s", round(middle.Abs()+errorOf(p.Clocks)), compared)
}

func clockOff(ahead time.Duration, do, compared string) Finding {
	side := "behind"
	if ahead < 0 { // they are behind, so this one is ahead
		side = "ahead"
	}
	f := warn("clock", do, "%s %s, %s", round(ahead.Abs()), side, compared)
	if ahead.Abs() > clockFail {
		f.Grade = Fail
	}
	return f
}

func clockAlone(m Machine, p *Peer) Finding {
	who := "no daemon to compare with others"
	if p != nil {
		who = "no other peer to compare with"
		if len(p.Unasked) > 0 {
			who = "not compared: no answer from " + names(p.Unasked)
		}
	}
	switch {
	case m.Synced == nil:
		return ok("clock", "%s", who)
	case *m.Synced:
		return ok("clock", "%s; the kernel says it is kept by NTP", who)
	}
	return warn("clock", "have it kept by NTP (`timedatectl set-ntp true`): tickets, certificates and cron go by it.",
		"%s; the kernel says that nothing keeps it right", who)
}

// middleClock is the median of how far clocks are ahead, this one's 0 among them unless
// there is but one other; and who is far from this one.
func middleClock(clocks []Clock) (middle time.Duration, off []string) {
	all := []time.Duration{0}
	if len(clocks) == 1 {
		all = nil
	}
	for _, c := range clocks {
		all = append(all, c.Ahead)
		if d := c.Ahead.Abs(); d > clockWarn+c.Error {
			off = append(off, c.Peer+" ("+signed(c.Ahead)+")")
		}
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], off
}

func signed(ahead time.Duration) string {
	if ahead < 0 {
		return round(-ahead).String() + " behind"
	}
	return round(ahead).String() + " ahead"
}

func errorOf(clocks []Clock) time.Duration {
	var most time.Duration
	for _, c := range clocks {
		most = max(most, c.Error)
	}
	return most
}

func engine(e Engine) []Finding {
	switch {
	case e.Driver == "process" && e.Host != "":
		return []Finding{ok("engine", "nothing listens at %s: tasks would run as plain processes", e.Host)}
	case e.Driver == "process":
		return []Finding{ok("engine", "none is used: tasks run as plain processes")}
	case e.Err != "":
		return []Finding{fail("engine", "start it (`systemctl start docker`) or name another with --docker-host: without it this peer takes no slots.",
			"%s: %s", e.Host, e.Err)}
	case e.Driver == "":
		return nil
	}
	live := "its restart ends containers, this peer starts them again"
	if e.LiveRestore {
		live = "containers outlive its restart (live-restore)"
	}
	out := []Finding{ok("engine", "%s answers, version %s; %s", e.Host, e.Version, live)}
	return append(out, engineParts(e)...)
}

func engineParts(e Engine) []Finding {
	var out []Finding
	switch {
	case e.Cgroup == "1":
		out = append(out, warn("cgroup", "boot with systemd.unified_cgroup_hierarchy=1: out of memory is told less surely with version 1.", "version 1"))
	case len(e.NoLimits) > 0:
		out = append(out, warn("cgroup", "enable these controllers in the kernel: containers may take more than they were sold.",
			"version %s without limits of %s", e.Cgroup, strings.Join(e.NoLimits, ", ")))
	case e.Cgroup != "":
		out = append(out, ok("cgroup", "version %s", e.Cgroup))
	}
	if len(e.Restarts) > 0 {
		out = append(out, warn("restarts", "take it off with `docker update --restart=no`: the peer restarts its containers itself, and two would do so.",
			"the engine restarts by itself: %s", names(e.Restarts)))
	}
	if e.TotalBytes > 0 {
		out = append(out, engineDisk(e))
	}
	return out
}

func engineDisk(e Engine) Finding {
	const do = "free some with `docker system prune`, or give the engine a larger disk: images are kept there."
	switch {
	case e.FreeBytes < engineFailBytes:
		return fail("images", do, "%s of %s free at %s", size(e.FreeBytes), size(e.TotalBytes), e.Root)
	case e.FreeBytes < engineWarnBytes:
		return warn("images", do, "%s of %s free at %s", size(e.FreeBytes), size(e.TotalBytes), e.Root)
	}
	return ok("images", "%s of %s free at %s", size(e.FreeBytes), size(e.TotalBytes), e.Root)
}

func port(p Port) Finding {
	switch {
	case p.Err != "" && len(p.Bound) > 0:
		return fail("port", "look for a firewall on this machine that closes it (`nft list ruleset`).", "%s", p.Err)
	case p.Err != "":
		return fail("port", "stop what has it, or give another with --port.", "%s", p.Err)
	case p.Busy:
		return ok("port", "%d is the daemon's that does not answer: not looked at", p.Number)
	case len(p.Bound) > 0:
		return ok("port", "listens on %s", names(p.Bound))
	}
	return ok("port", "%d, UDP and TCP, is free for the daemon", p.Number)
}

func disk(d Disk) Finding {
	const do = "free some, or move the state directory to a larger disk."
	room := d.FreeBytes - d.NeedBytes
	seen := size(d.FreeBytes) + " of " + size(d.TotalBytes) + " free at " + d.Dir
	switch {
	case d.Err != "":
		return fail("disk", "see that the state directory is there and can be read, or name it with --state.", "%s", d.Err)
	case room <= 0:
		return fail("disk", do, "%s, the store writes nothing below %s", seen, size(d.NeedBytes))
	case room < d.BidBytes:
		return fail("disk", do, "%s, this peer takes no work below %s", seen, size(d.NeedBytes+d.BidBytes))
	case room < 2*d.BidBytes:
		return warn("disk", do, "%s, this peer takes no work below %s", seen, size(d.NeedBytes+d.BidBytes))
	}
	return ok("disk", "%s; the store needs %s, work %s", seen, size(d.NeedBytes), size(d.NeedBytes+d.BidBytes))
}

func files(f Files) Finding {
	const do = "raise the limit: LimitNOFILE= in the unit, or `ulimit -n`."
	switch {
	case f.Limit == 0:
		return ok("files", "the limit of open files is not known")
	case f.Open > f.Limit-f.Limit/10:
		return fail("files", do, "%d of %d open", f.Open, f.Limit)
	case f.Open > f.Limit/2 || f.Limit < filesWarn:
		return warn("files", do, "%d of %d open; %d is a good limit", f.Open, f.Limit, 4*filesWarn)
	case f.Open > 0:
		return ok("files", "%d of %d open", f.Open, f.Limit)
	}
	return ok("files", "%d may be open", f.Limit)
}
