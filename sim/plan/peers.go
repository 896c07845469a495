package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"shoal/job"
)

// A site is a place where peers stand; a datacenter to the swarm.
type site struct {
	name   string
	peers  []int // machines, from 0
	inside value // what the links between them are like
}

// What can be said of links, and of the whole network at the head of a run.
var (
	linkKeys    = []string{"delay", "jitter", "loss", "dup", "reorder", "bandwidth"}
	weatherKeys = []string{"delay", "jitter", "loss", "dup", "reorder"}
	netKeys     = append(slices.Clone(linkKeys), "topicloss", "uplink", "matrix", "rows", "conncap", "punch", "relays", "queue")
)

// weather reads net:, the links of all peers that no link and no site speaks of.
func (c *compiler) weather(v value) error {
	o, err := v.object(netKeys...)
	if err != nil {
		return err
	}
	for _, key := range netKeys {
		field, ok := o.get(key)
		if !ok {
			continue
		}
		word, err := field.word()
		if err != nil {
			return err
		}
		if slices.Contains(linkKeys, key) {
			if word, err = field.option(key); err != nil {
				return err
			}
		}
		c.net[key] = word
		if c.netLine == 0 || key == "matrix" {
			c.netLine = field.line()
		}
	}
	return nil
}

// link writes what is so between two sides from the begin.
func (c *compiler) link(origin int, a, b []int, opts string) {
	if opts != "" {
		c.links = append(c.links, linkLine{origin, a, b, opts})
	}
}

// readSites reads sites: names with the weather inside each.
func (c *compiler) readSites(v value) error {
	names, values, err := v.pairs("names of sites to what is between their peers, such as home: {delay: 1ms..3ms}")
	if err != nil {
		return err
	}
	for i, n := range names {
		name, err := n.word()
		if err != nil {
			return err
		}
		if err := job.CheckName(name); err != nil {
			return n.errorf("%v", err)
		}
		if c.sites[name] != nil || name == "rest" {
			return n.errorf("there is a site %q already", name)
		}
		c.sites[name] = &site{name: name, inside: values[i]}
		c.order = append(c.order, name)
	}
	return nil
}

// peers reads peers: groups of machines that are alike.
func (c *compiler) peers(v value) error {
	list := v.list()
	for i, entry := range list {
		if err := c.group(entry, i); err != nil {
			return err
		}
	}
	if len(list) == 0 || len(c.p.Peers) == 0 {
		return v.errorf("is empty; write a group such as - {group: nas, count: 3, cpu: 4, mem: 8GiB}")
	}
	return nil
}

func (c *compiler) group(v value, i int) error {
	o, err := v.object("group", "count", "site", "cpu", "mem", "labels", "profile", "nat", "uplink")
	if err != nil {
		return err
	}
	name := fmt.Sprintf("group%d", i+1)
	if n, ok := o.get("group"); ok {
		if name, err = n.word(); err != nil {
			return err
		}
		if err := job.CheckName(name); err != nil {
			return n.errorf("%v", err)
		}
		if c.groups[name] != nil {
			return n.errorf("there is a group %q already", name)
		}
	}
	count := int64(1)
	if n, ok := o.get("count"); ok {
		if count, err = n.number(1, maxPeers); err != nil {
			return err
		}
	}
	if len(c.p.Peers)+int(count) > maxPeers {
		return v.errorf("makes %d peers; at most %d are simulated", len(c.p.Peers)+int(count), maxPeers)
	}
	at, err := c.siteOf(o)
	if err != nil {
		return err
	}
	text, err := o.machine()
	if err != nil {
		return err
	}
	if at != "" {
		text += " datacenter=" + at
		if o.has("nat") {
			text += " addr=" + at // behind one public address
		}
	}
	c.emit(v.line(), "peers %d%s", count, text)
	for n := range count {
		if at != "" {
			c.sites[at].peers = append(c.sites[at].peers, len(c.p.Peers))
		}
		c.groups[name] = append(c.groups[name], len(c.p.Peers))
		c.p.Sites = append(c.p.Sites, at)
		c.p.Peers = append(c.p.Peers, fmt.Sprintf("%s.%d", name, n+1))
	}
	return nil
}

func (c *compiler) siteOf(o object) (string, error) {
	v, ok := o.get("site")
	if !ok {
		return "", nil
	}
	name, err := v.word()
	if err == nil && c.sites[name] == nil {
		err = v.errorf("there is no site %q; %s", name, near(name, c.order))
		if len(c.order) == 0 {
			err = v.errorf("there is no site %q; name it under sites:", name)
		}
	}
	return name, err
}

// machine writes what a group's machines have.
func (o object) machine() (string, error) {
	text, err := o.options("cpu", "mem", "profile", "nat", "uplink")
	if err != nil {
		return "", err
	}
	labels, ok := o.get("labels")
	if !ok {
		return text, nil
	}
	keys, values, err := labels.pairs("labels to their values, such as disk: ssd")
	if err != nil {
		return "", err
	}
	for i := range keys {
		k, err := keys[i].word()
		if err != nil {
			return "", err
		}
		val, err := values[i].word()
		if err != nil {
			return "", err
		}
		text += " label=" + k + "=" + val
	}
	return text, nil
}

// readLinks reads links:, what is between peers of two sites, and before them what
// sites: says of the links inside each.
func (c *compiler) readLinks(v value) error {
	for _, entry := range v.list() {
		o, err := entry.object(append([]string{"between"}, linkKeys...)...)
		if err != nil {
			return err
		}
		between, ok := o.get("between")
		if !ok {
			return entry.errorf("between is missing; write which sites, such as between: home | cabin")
		}
		a, b, err := c.ends(between)
		if err != nil {
			return err
		}
		opts, err := o.options(linkKeys...)
		if err != nil {
			return err
		}
		c.link(entry.line(), a, b, opts)
	}
	return nil
}

// insides writes the links inside each site.
func (c *compiler) insides() error {
	for _, name := range c.order {
		s := c.sites[name]
		if s.inside.null() {
			continue
		}
		o, err := s.inside.object(linkKeys...)
		if err != nil {
			return err
		}
		opts, err := o.options(linkKeys...)
		if err != nil {
			return err
		}
		if len(s.peers) > 1 {
			c.link(o.line(), s.peers, s.peers, opts)
		}
	}
	return nil
}

// ends reads "home | cabin": sites, or peers in the words of who; one may be rest.
func (c *compiler) ends(v value) (a, b []int, err error) {
	text, err := v.text()
	if err != nil {
		return nil, nil, err
	}
	left, right, ok := strings.Cut(text, "|")
	if !ok {
		return nil, nil, v.errorf("%q does not say between what; write home | cabin", text)
	}
	sides, rest := [2][]int{}, -1
	for i, side := range []string{strings.TrimSpace(left), strings.TrimSpace(right)} {
		switch {
		case side == "rest" && rest >= 0:
			return nil, nil, v.errorf("%q names nobody; write home | rest", text)
		case side == "rest":
			rest = i
		case c.sites[side] != nil && len(c.sites[side].peers) > 0:
			sides[i] = c.sites[side].peers
		default:
			var ref string
			if sides[i], ref, err = c.who(v, side); err == nil && ref != "" {
				err = v.errorf("%q is known only while the swarm runs; name sites or peers", side)
			}
		}
		if err != nil {
			return nil, nil, err
		}
	}
	switch rest {
	case 0:
		sides[0] = c.others(sides[1])
	case 1:
		sides[1] = c.others(sides[0])
	}
	if len(sides[0]) == 0 || len(sides[1]) == 0 {
		return nil, nil, v.errorf("%q: one side has no peers", text)
	}
	return sides[0], sides[1], nil
}

// others are all machines but the given ones.
func (c *compiler) others(some []int) (out []int) {
	for i := range c.p.Peers {
		if !slices.Contains(some, i) {
			out = append(out, i)
		}
	}
	return out
}

// names writes machines as a scenario's list, runs of numbers as ranges: "n1..n4,n9".
func names(machines []int) string {
	machines = slices.Clone(machines)
	slices.Sort(machines)
	machines = slices.Compact(machines)
	out := ""
	for i := 0; i < len(machines); {
		end := i
		for end+1 < len(machines) && machines[end+1] == machines[end]+1 {
			end++
		}
		if out != "" {
			out += ","
		}
		out += fmt.Sprintf("n%d", machines[i]+1)
		if end > i {
			out += fmt.Sprintf("..n%d", machines[end]+1)
		}
		i = end + 1
	}
	return out
}

// groupNames are those of the groups, in order.
func (c *compiler) groupNames() []string {
	var out []string
	for name := range c.groups {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(c.groups[a][0], c.groups[b][0]) })
	return out
}
