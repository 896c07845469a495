package plan

import (
	"cmp"
	"slices"
	"time"
)

// A linkLine is what is so from the begin of the links between two sides.
type linkLine struct {
	origin int
	a, b   []int
	opts   string
}

// text writes the line.
func (l *linkLine) text() string { return "link " + names(l.a) + "|" + names(l.b) + l.opts }

// within writes the line for those of its links alone that are also between a and b.
func (l *linkLine) within(a, b []int) (out []string) {
	for _, sides := range [][2][]int{{both(a, l.a), both(b, l.b)}, {both(a, l.b), both(b, l.a)}} {
		if len(sides[0]) == 0 || len(sides[1]) == 0 {
			continue
		}
		part := linkLine{a: sides[0], b: sides[1], opts: l.opts}
		if text := part.text(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// both are the machines that stand in both lists.
func both(a, b []int) (out []int) {
	in := make(map[int]bool, len(b))
	for _, m := range b {
		in[m] = true
	}
	for _, m := range a {
		if in[m] {
			out = append(out, m)
		}
	}
	return out
}

// An overlay is what a fault makes of the weather, or of some links, for a while.
type overlay struct {
	linkLine                // without sides: the weather
	at, lasts time.Duration // lasts 0: to the end of the run
	usual     string        // what the keys of opts are while nothing changes them
}

// open reports whether o is there right after a time.
func (o *overlay) open(at time.Duration) bool {
	return o.at <= at && (o.lasts == 0 || o.at+o.lasts > at)
}

// lapses writes how each overlay ends: the usual weather, on top of it what sites: and
// links: say of these links, and then the overlays that are still open, in the order
// in which they began.
func (c *compiler) lapses() {
	slices.SortStableFunc(c.overlays, func(a, b overlay) int { return cmp.Compare(a.at, b.at) })
	for i := range c.overlays {
		switch o := &c.overlays[i]; {
		case o.lasts == 0:
		case o.a == nil:
			c.weatherLapses(o)
		default:
			c.linkLapses(o)
		}
	}
}

func (c *compiler) weatherLapses(o *overlay) {
	at := o.at + o.lasts
	c.timed(o.origin, at, "net%s", o.usual)
	for i := range c.overlays {
		if other := &c.overlays[i]; other.a == nil && other.open(at) {
			c.timed(o.origin, at, "net%s", other.opts)
		}
	}
}

func (c *compiler) linkLapses(o *overlay) {
	at := o.at + o.lasts
	usual := linkLine{a: o.a, b: o.b, opts: o.usual}
	lines := []string{usual.text()}
	for i := range c.links {
		lines = append(lines, c.links[i].within(o.a, o.b)...)
	}
	for i := range c.overlays {
		if other := &c.overlays[i]; other.a != nil && other.open(at) {
			lines = append(lines, other.within(o.a, o.b)...)
		}
	}
	for _, text := range lines {
		c.timed(o.origin, at, "%s", text)
	}
}
