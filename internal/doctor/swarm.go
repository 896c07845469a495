package doctor

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// certificateWarn is how long before its end a certificate is worth a warning.
const certificateWarn = 14 * 24 * time.Hour

func membership(p Peer) Finding {
	const renew = "join again with a ticket of another member: `shoal leave`, then `shoal up TICKET`."
	left := p.Expires.Sub(p.Now)
	switch {
	case strings.HasPrefix(p.State, "stepped back"):
		return fail("member", "see `identity` below.", "%s: it takes no part, and stops its containers", p.State)
	case p.State != "ready":
		return fail("member", "wait, or mend what it waits for.", "%s: %s", p.State, p.Why)
	case p.Expires.IsZero():
		return ok("member", "ready; its certificate does not expire")
	case left < 0:
		return fail("member", renew, "its certificate ended %s ago: others may not admit it", round(-left))
	case left < certificateWarn:
		return warn("member", renew, "its certificate ends in %s", round(left))
	}
	return ok("member", "ready; its certificate ends in %d days", int(left.Hours()/24))
}

// copiedFor is how long a copy of the key that was heard of is worth a warning: nothing
// more is heard of it once it has stepped back.
const copiedFor = 24 * time.Hour

// identity tells that another machine uses this one's key; false if none is known to.
func identity(p Peer) (Finding, bool) {
	switch {
	case !p.SteppedBack.IsZero():
		return fail("identity", "decide which one keeps it; on the other `shoal down`, delete the state directory, and join anew with `shoal up TICKET`.",
			"this peer stepped back %s ago, at %s: another machine with a copy of its state directory was started later and runs as %s",
			round(p.Now.Sub(p.SteppedBack)), p.SteppedBack.Format(time.TimeOnly), p.Name), true
	case !p.Copied.IsZero() && p.Now.Sub(p.Copied) < copiedFor:
		return warn("identity", "find that one and on it `shoal down`, delete its state directory, and join anew with `shoal up TICKET`.",
			"another machine with a copy of this one's state directory ran as %s too, heard of %s ago, at %s: it was started earlier, so it steps back",
			p.Name, round(p.Now.Sub(p.Copied)), p.Copied.Format(time.TimeOnly)), true
	}
	return Finding{}, false
}

// reach says whether others can dial this peer and how it is reached if not.
func reach(p Peer) Finding {
	r := p.Reach
	punched, relayed := 0, 0
	for _, m := range p.Members {
		switch m.Path {
		case "punched":
			punched++
		case "relayed":
			relayed++
		}
	}
	links := ""
	if punched+relayed > 0 {
		links = "; " + count(punched, "link") + " punched, " + count(relayed, "link") + " relayed"
	}
	const open = "open the port in the firewall (UDP and TCP), or forward it in the router."
	where := "cannot be dialled from outside"
	if r.NAT {
		where = "behind a NAT"
	}
	switch {
	case !r.Tries && r.NAT && !r.Dialled:
		return warn("reach", "forward its port in the router (UDP and TCP), or start it with `--profile lan` or `metered`, which use relays.",
			"behind a NAT, seen as %s, and nobody outside has dialled it: profile %s uses no relays%s", names(r.Seen), r.Profile, unlinked(p))
	case !r.Tries:
		return ok("reach", "not found out, by its profile; it must be dialled directly%s", links)
	case r.Asked == 0 && !r.Hidden:
		return ok("reach", "no member on another network has tried to dial it yet%s", links)
	case !r.Hidden:
		return ok("reach", "dialled from %s%s%s", count(r.Asked, "network"), external(r), links)
	case len(r.Relays) == 0:
		return fail("reach", open, "%s, and no member carries connections to it (%d of %d networks reach it)%s", where, r.Reached, r.Asked, links)
	case len(r.Relays) == 1:
		return warn("reach", open, "%s, reached through %s alone%s", where, r.Relays[0], links)
	}
	return ok("reach", "%s, reached through %s%s", where, names(r.Relays), links)
}

// unlinked names the members that this peer has no connection to.
func unlinked(p Peer) string {
	var out []string
	for _, m := range p.Members {
		if isHere(m) && m.Path == "" {
			out = append(out, m.Name)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "; no connection to " + names(out)
}

func external(r Reach) string {
	if len(r.External) == 0 {
		return ""
	}
	return " at " + names(r.External)
}

func connections(c Conns) Finding {
	const do = "raise nothing yet: look with `shoal peers` whether more members than the profile is made for are connected."
	switch {
	case c.Open >= c.Max-c.Max/10:
		return fail("connections", do, "%d open, at %d no more are taken", c.Open, c.Max)
	case c.Open >= c.High:
		return warn("connections", do, "%d open, above %d idle ones are closed", c.Open, c.High)
	}
	return ok("connections", "%d open, %d at most", c.Open, c.Max)
}

// neighbours are those that would notice if this peer died.
func neighbours(p Peer) Finding {
	const do = "see that this machine reaches them at the port (UDP and TCP): `shoal peers` shows the paths."
	var observers, cut, refused, flat []string
	others, linked := 0, 0
	for _, m := range p.Members {
		if m.OtherVersion && m.Path == "" {
			refused = append(refused, m.Name)
		}
		if !isHere(m) {
			continue
		}
		others++
		if m.Path != "" {
			linked++
		}
		isFlat := m.Path == "" && m.Profile == "small" && p.Reach.Hidden // they cannot meet
		if isFlat {
			flat = append(flat, m.Name)
		}
		if m.Observes {
			observers = append(observers, m.Name)
			if m.Path == "" && !isFlat {
				cut = append(cut, m.Name)
			}
		}
	}
	switch {
	case len(p.Members) == 0:
		return ok("neighbours", "this peer is alone in its swarm")
	case linked == 0 && len(refused) > 0:
		return fail("neighbours", oneVersion, "connected to none of %s: %s", count(len(p.Members), "other member"), speaks(refused))
	case linked == 0:
		return fail("neighbours", do, "connected to none of %s", count(len(p.Members), "other member"))
	case len(flat) > 0 && len(cut) == 0:
		return warn("neighbours", "start it there with `--profile lan` or `metered`, or forward the port in one of the routers.",
			"no connection to %s: profile small uses no relays, and this peer cannot be dialled", names(flat))
	case len(cut) > 0:
		return warn("neighbours", do, "no connection to %s, of %s that observe it", names(cut), count(len(observers), "member"))
	}
	return ok("neighbours", "connected to %d of %s; observed by %s", linked, count(others, "other member"), names(observers))
}

func isHere(m Member) bool { return m.State == "ready" || m.State == "joining" || m.State == "suspect" }

// doubts are members that are not as they should be.
func doubts(p Peer) Finding {
	var bad, refused []string
	here := 0
	for _, m := range p.Members {
		switch {
		case m.State == "ready":
			here++
		case m.OtherVersion:
			refused = append(refused, m.Name)
		case m.Heard < 0:
			bad = append(bad, m.Name+" is "+m.State)
		default:
			bad = append(bad, m.Name+" is "+m.State+", heard "+round(m.Heard).String()+" ago")
		}
	}
	switch {
	case len(refused) > 0 && len(bad) == 0:
		return warn("members", oneVersion, "%s, so that this peer holds them dead", speaks(refused))
	case len(refused) > 0:
		bad = append(bad, speaks(refused))
		fallthrough
	case len(bad) > 0:
		return warn("members", "look at those machines, or remove what is gone for good with `shoal peers rm`.", "%s", names(bad))
	}
	return ok("members", "%s, all ready", count(here, "other member"))
}

// oneVersion is what to do where two peers refuse one another.
const oneVersion = "install one version of shoal here and there; `shoal version` on each tells which is older."

func speaks(who []string) string {
	if len(who) == 1 {
		return who[0] + " speaks another version of the protocol"
	}
	return names(who) + " speak another version of the protocol"
}

func versions(p Peer) Finding {
	by := map[string][]string{p.Version: {p.Name}}
	var refused []string
	for _, m := range p.Members {
		if m.OtherVersion {
			refused = append(refused, m.Name)
		}
		if m.Version != "" && isHere(m) {
			by[m.Version] = append(by[m.Version], m.Name)
		}
	}
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, v+" on "+names(by[v]))
	}
	const do = "bring all members to one version, one machine after the other."
	if len(refused) > 0 {
		return fail("versions", oneVersion, "%s than this peer, which speaks %s: neither lets the other in", speaks(refused), p.Speaks)
	}
	if len(p.Protocol) > 0 {
		l := p.Protocol[0]
		return fail("versions", do, "%s does not speak %s, which this peer does (%s)", l.Peer, strings.Join(l.Protos, ", "), strings.Join(parts, "; "))
	}
	if len(by) > 1 {
		return warn("versions", do, "%s; all speak the same protocols", strings.Join(parts, "; "))
	}
	return ok("versions", "%s everywhere, with the same protocols", p.Version)
}

func store(p Peer) Finding {
	s := p.Store
	switch {
	case s.Held != "":
		return fail("store", "make room on the disk: the peer goes on by itself.", "the peer holds still: %s", s.Held)
	case s.Damage != "" && s.AcceptLoss:
		return warn("store", "wait: as `--accept-loss` says, the peer goes on with what is left if no member answers within half a minute.", "%s", s.Damage)
	case s.Damage != "":
		return fail("store", "let another member refill it; where none is left, `shoal up --accept-loss`.", "%s", s.Damage)
	}
	return ok("store", "%s, digest %s; `shoal ledger verify` reads all of them again", count(s.Records, "record"), s.Digest)
}

func storeAtRest(s AtRest) Finding {
	switch {
	case s.Unseen != "":
		return warn("store", "look with `shoal ledger verify --state "+s.Dir+"`.", "not looked at: %s", s.Unseen)
	case s.Refused != "":
		return fail("store", "until then no daemon starts with it.", "%s", s.Refused)
	case s.Damage != "":
		return fail("store", "start the peer, so that another member refills it; where none is left, `shoal up --accept-loss`.", "damaged: %s", s.Damage)
	}
	return ok("store", "%s, all as they were written", count(s.Records, "record"))
}
