package plan

import (
	"encoding/binary"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"shoal/wire"
)

// whoForms are the ways to name peers, for errors.
const whoForms = "write peer nas.1, n7, site home, group nas, 3 peers of site home, half of group nas, everyone, or holder of web.0"

var (
	someOf   = regexp.MustCompile(`^(?:(\d+) (?:peers?|devices?)|(half|all)(?: (?:peers?|devices?))?) of (.+)$`)
	singleOf = regexp.MustCompile(`^(holder|steward|second|acceptor) of (\S+)$`)
)

// who reads which peers a line means: machines, or, where they are known only during
// the run, the scenario's own words for one.
func (c *compiler) who(v value, text string) (machines []int, ref string, err error) {
	text = strings.Join(strings.Fields(text), " ")
	if m := singleOf.FindStringSubmatch(text); m != nil {
		target := m[2]
		if m[1] == "holder" {
			if target, err = c.slot(v, target); err != nil {
				return nil, "", err
			}
		}
		return nil, m[1] + "(" + target + ")", nil
	}
	for _, part := range strings.Split(text, ",") {
		some, err := c.some(v, strings.TrimSpace(part))
		if err != nil {
			return nil, "", err
		}
		machines = append(machines, some...)
	}
	slices.Sort(machines)
	return slices.Compact(machines), "", nil
}

// some reads one part of a list of peers.
func (c *compiler) some(v value, text string) ([]int, error) {
	m := someOf.FindStringSubmatch(text)
	if m == nil {
		return c.all(v, text)
	}
	of, err := c.all(v, m[3])
	if err != nil {
		return nil, err
	}
	n := len(of)
	switch {
	case m[2] == "half":
		n = (len(of) + 1) / 2
	case m[1] != "":
		if n, err = strconv.Atoi(m[1]); err != nil || n < 1 || n > len(of) {
			return nil, v.errorf("%q: there are %d of them", text, len(of))
		}
	}
	return c.draw(of, n), nil
}

// draw takes n of the machines by chance.
func (c *compiler) draw(of []int, n int) []int {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], c.seed)
	h := wire.HashOf(append(b[:], c.drawing...))
	r := rand.New(rand.NewPCG(binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])))
	of = slices.Clone(of)
	r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:n]
}

// all reads a set of peers: a site, a group, one peer, or everyone.
func (c *compiler) all(v value, text string) ([]int, error) {
	kind, name, _ := strings.Cut(text, " ")
	switch kind {
	case "everyone", "all":
		out := make([]int, len(c.p.Peers))
		for i := range out {
			out[i] = i
		}
		return out, nil
	case "site":
		if s := c.sites[name]; s != nil && len(s.peers) > 0 {
			return s.peers, nil
		}
		settled := slices.DeleteFunc(slices.Clone(c.order), func(s string) bool { return len(c.sites[s].peers) == 0 })
		if len(settled) == 0 {
			return nil, v.errorf("there is no site %q: no peer stands at one; name it under sites: and at its peers", name)
		}
		return nil, v.errorf("there is no site %q with peers; %s", name, near(name, settled))
	case "group":
		if g := c.groups[name]; g != nil {
			return g, nil
		}
		return nil, v.errorf("there is no group %q; %s", name, near(name, c.groupNames()))
	case "peer":
		text = name
	}
	if i := slices.Index(c.p.Peers, text); i >= 0 {
		return []int{i}, nil
	}
	if number, ok := strings.CutPrefix(text, "n"); ok {
		if n, err := strconv.Atoi(number); err == nil {
			if n >= 1 && n <= len(c.p.Peers) {
				return []int{n - 1}, nil
			}
			return nil, v.errorf("there is no peer %s: there are %d", text, len(c.p.Peers))
		}
	}
	switch {
	case c.sites[text] != nil && len(c.sites[text].peers) == 0:
		return nil, v.errorf("no peer stands at the site %s; write site: %s at those that do", text, text)
	case c.sites[text] != nil:
		return nil, v.errorf("%q is no peer; did you mean site %s?", text, text)
	case c.groups[text] != nil:
		return nil, v.errorf("%q is no peer; did you mean group %s?", text, text)
	case kind == "peer":
		return nil, v.errorf("there is no peer %q; %s", text, near(text, c.p.Peers[:min(len(c.p.Peers), 200)]))
	}
	return nil, v.errorf("%q names no peers; %s", text, whoForms)
}
