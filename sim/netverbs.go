package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// addNetVerbs fills in what can be done to the network, and asserted of it.
func addNetVerbs() {
	for name, kind := range map[string]func(string) error{
		"jitter": isDuration, "topicloss": isRate, "reorder": isRate, "factor": isInt,
		"bandwidth": func(s string) error { _, err := parseBits(s); return err },
		"uplink":    func(s string) error { _, err := parseBits(s); return err },
		"delay":     func(s string) error { _, _, err := parseDelay(s); return err },
		"via":       oneOf("direct", "relay"), "nat": oneOf("yes", "relay"), "addr": isText,
	} {
		optionKinds[name] = kind
	}
	for name, v := range map[string]verb{
		"net":  {usage: "loss=10% dup=1% delay=20ms..80ms", opts: linkOptions, do: (*run).setNet},
		"link": {args: 1, usage: linkUsage, opts: linkOptions, check: linkArgs, do: (*run).setLink},
		"bridge": {args: 1, usage: "n1,n2|n3|n4,n5 [for=1m]: the outer two see each other through the middle alone",
			opts: []string{"for"}, check: bridgeArgs, do: (*run).bridge},
		"ring": {args: 1, usage: "n1,n2,n3,n4 [for=1m]: of these each sees its two neighbours alone",
			opts: []string{"for"}, check: ringArgs, do: (*run).ring},
		"slow":   {args: 1, usage: "PEER factor=20 [for=1m]", opts: []string{"factor", "for"}, check: slowArgs, do: (*run).slow},
		"linked": {args: 2, usage: "n1 n2 [via=direct|relay]", opts: []string{"via"}, check: linkedArgs, assert: (*run).linked},
	} {
		verbs[name] = v
	}
	join := verbs["join"]
	join.opts = append(slices.Clone(join.opts), "nat", "addr", "uplink")
	verbs["join"] = join
}

// setNet changes the weather: what links are like that no line speaks of.
func (r *run) setNet(op *Op) error {
	n := &r.w.network
	for _, k := range sortedKeys(op.Opts) {
		if err := n.now.option(k, op.Opts[k], ""); err != nil {
			return err
		}
	}
	n.links.weather(&n.now)
	n.meter(n.now.Bandwidth > 0)
	if r.w.rec != nil {
		r.w.rec.weather(n.now.String() != r.s.Net.String(), op.String())
	}
	return nil
}

func linkArgs(op *Op) error {
	if _, _, err := splitCut(op.Args[0]); err != nil { // a peer on both sides has links all the same
		return err
	}
	return checkLinkOptions(op.Opts)
}

// setLink changes single links until the calm.
func (r *run) setLink(op *Op) error {
	a, b, err := r.sides(op.Args[0])
	if err != nil {
		return err
	}
	both := strings.Contains(op.Args[0], "|")
	err = r.layLinks(a, b, both, op.Opts)
	if err == nil && r.w.rec != nil {
		r.w.rec.linked(op, a, b, both)
	}
	return err
}

// changeLinks makes links what the scenario's head says of them.
func (r *run) changeLinks() {
	for _, l := range r.s.Net.Links {
		if err := r.changeLink(l.Sides, l.Opts); err != nil {
			r.miss(&Op{Verb: "link", Args: []string{l.Sides}, Line: l.Line}, err.Error())
		}
	}
	if r.w.rec != nil {
		r.w.rec.linksAreUsual()
	}
}

func (r *run) changeLink(sides string, opts map[string]string) error {
	a, b, err := r.sides(sides)
	if err != nil {
		return err
	}
	return r.layLinks(a, b, strings.Contains(sides, "|"), opts)
}

// layLinks lays options over the links from a to b and, if both, over those back.
func (r *run) layLinks(a, b []*machine, both bool, opts map[string]string) error {
	n := &r.w.network
	n.meter(opts["bandwidth"] != "")
	done := n.links.change(a, b, opts, len(r.w.machines))
	if done && both {
		done = n.links.change(b, a, opts, len(r.w.machines))
	}
	if !done {
		return fmt.Errorf("more than %d kinds of link", maxLinkClasses)
	}
	return nil
}

func bridgeArgs(op *Op) error {
	parts := strings.Split(op.Args[0], "|")
	if len(parts) != 3 {
		return fmt.Errorf("%q is no bridge; write n1,n2|n3|n4,n5", op.Args[0])
	}
	var seen []string
	for _, part := range parts {
		side, err := splitRefs(part)
		if err != nil {
			return err
		}
		if err := apart(seen, side); err != nil {
			return err
		}
		seen = append(seen, side...)
	}
	return nil
}

// bridge cuts two sides apart that both see a third. One of the three may be rest.
func (r *run) bridge(op *Op) error {
	var sides [3][]*machine
	var named []*machine
	parts := strings.Split(op.Args[0], "|")
	for _, rest := range []bool{false, true} {
		for i, text := range parts {
			if (text == "rest") != rest {
				continue
			}
			refs, err := splitRefs(text)
			if err != nil {
				return err
			}
			if sides[i], err = r.several(refs, named); err != nil {
				return err
			}
			named = append(named, sides[i]...)
		}
	}
	r.cutAll(op.duration("for"), &activeCut{sides[0], sides[2], true})
	return nil
}

func ringArgs(op *Op) error {
	refs, err := splitRefs(op.Args[0])
	if err == nil && len(refs) < 4 && !slices.Contains(refs, "rest") {
		err = fmt.Errorf("%q is no ring: of fewer than 4 peers all are neighbours", op.Args[0])
	}
	return err
}

// ring cuts every listed machine from all listed ones but the two beside it.
func (r *run) ring(op *Op) error {
	refs, err := splitRefs(op.Args[0])
	if err != nil {
		return err
	}
	named, err := r.several(slices.DeleteFunc(slices.Clone(refs), func(s string) bool { return s == "rest" }), nil)
	if err != nil {
		return err
	}
	members, err := r.several(refs, named)
	if err != nil {
		return err
	}
	var cuts []*activeCut
	for i, m := range members {
		var far []*machine
		for j := i + 2; j < len(members); j++ {
			if i+len(members)-j >= 2 {
				far = append(far, members[j])
			}
		}
		cuts = append(cuts, &activeCut{[]*machine{m}, far, true})
	}
	r.cutAll(op.duration("for"), cuts...)
	return nil
}

// cutAll makes cuts, for a while, or, with 0, until a heal.
func (r *run) cutAll(d time.Duration, cuts ...*activeCut) {
	for _, c := range cuts {
		r.cuts = append(r.cuts, c)
		r.cutTurns(c, true)
		c.set(r.w, true)
	}
	r.w.network.broken()
	if d > 0 {
		r.w.later(d, func() {
			for _, c := range cuts {
				r.mendCut(c)
			}
		})
	}
}

// maxSlow is how many times as slow as ever a daemon may be.
const maxSlow = 10_000

func slowArgs(op *Op) error {
	if f, err := strconv.Atoi(op.Opts["factor"]); err != nil || f < 1 || f > maxSlow {
		return fmt.Errorf("factor=%s: want a number from 1 to %d", op.Opts["factor"], maxSlow)
	}
	return refArgs(op)
}

// slow makes all that a daemon does take so many times as long, as a machine that
// swaps or is too hot does. 1 ends it.
func (r *run) slow(op *Op) error {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	factor := int64(op.number("factor", 1))
	m.slow = factor
	r.recordLife(m)
	if d := op.duration("for"); d > 0 {
		r.w.later(d, func() {
			if m.slow == factor {
				m.slow = 0
				r.recordLife(m)
			}
		})
	}
	return nil
}

func (r *run) recordLife(m *machine) {
	if r.w.rec != nil {
		r.w.rec.life(m)
	}
}

func linkedArgs(op *Op) error {
	for _, a := range op.Args {
		if _, err := parseRef(a); err != nil {
			return err
		}
	}
	return nil
}

// linked asserts a connection that both ends know of.
func (r *run) linked(op *Op) string {
	a, err := r.w.find(op.Args[0])
	if err != nil {
		return err.Error()
	}
	b, err := r.w.find(op.Args[1])
	if err != nil {
		return err.Error()
	}
	if !a.linked[b.index] || !b.linked[a.index] {
		return fmt.Sprintf("%s and %s have no connection", a.name, b.name)
	}
	switch direct := r.w.network.direct(a, b); {
	case op.Opts["via"] == "relay" && direct:
		return fmt.Sprintf("%s and %s have a direct connection", a.name, b.name)
	case op.Opts["via"] == "direct" && !direct:
		return fmt.Sprintf("%s and %s are connected through %s", a.name, b.name, r.w.machines[a.conn(b).relay-1].name)
	}
	return ""
}
