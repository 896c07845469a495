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
		return fail("member", "end the other machine that has this one's state directory, or join this one anew.", "%s", p.State)
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
	case !r.Tries:
		return ok("reach", "not found out, by its profile or --no-relay; it must be dialled directly%s", links)
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
	var observers, cut []string
	others, linked := 0, 0
	for _, m := range p.Members {
		if !isHere(m) {
			continue
		}
		others++
		if m.Path != "" {
			linked++
		}
		if m.Observes {
			observers = append(observers, m.Name)
			if m.Path == "" {
				cut = append(cut, m.Name)
			}
		}
	}
	switch {
	case len(p.Members) == 0:
		return ok("neighbours", "this peer is alone in its swarm")
	case linked == 0:
		return fail("neighbours", do, "connected to none of %s", count(len(p.Members), "other member"))
	case len(cut) > 0:
		return warn("neighbours", do, "no connection to %s, of %s that observe it", names(cut), count(len(observers), "member"))
	}
	return ok("neighbours", "connected to %d of %s; observed by %s", linked, count(others, "other member"), names(observers))
}

func isHere(m Member) bool { return m.State == "ready" || m.State == "joining" || m.State == "suspect" }

// doubts are members that are not as they should be.
func doubts(p Peer) Finding {
	var bad []string
	here := 0
	for _, m := range p.Members {
		switch {
		case m.State == "ready":
			here++
		case m.Heard < 0:
			bad = append(bad, m.Name+" is "+m.State)
		default:
			bad = append(bad, m.Name+" is "+m.State+", heard "+round(m.Heard).String()+" ago")
		}
	}
	if len(bad) > 0 {
		return warn("members", "look at those machines, or remove what is gone for good with `shoal peers rm`.", "%s", names(bad))
	}
	return ok("members", "%s, all ready", count(here, "other member"))
}

func versions(p Peer) Finding {
	by := map[string][]string{p.Version: {p.Name}}
	for _, m := range p.Members {
		if m.Version != "" && isHere(m) {
			by[m.Version] = append(by[m.Version], m.Name)
		}
	}
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, v+" on "+names(by[v]))
	}
	const do = "bring all members to one version, one machine after the other."
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
