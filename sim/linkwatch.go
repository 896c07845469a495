package sim

import "slices"

// A linkWatch knows which links are other than the head of the scenario makes them.
type linkWatch struct {
	usual links
	open  []*changedLinks
}

// A changedLinks is what a line has made of the links between two sides.
type changedLinks struct {
	sides string // as the line has them
	pairs [][2]int
}

// linksAreUsual notes that the links are now as the head of the scenario makes them.
func (r *recorder) linksAreUsual() {
	l := &r.w.network.links
	r.links.usual = links{classes: slices.Clone(l.classes), of: make([][]uint16, len(l.of))}
	for i, row := range l.of {
		r.links.usual.of[i] = slices.Clone(row)
	}
}

// linked notes that a line has changed links. It opens a fault, unless the links are
// as usual, and ends those whose links are as usual again: a plan takes several lines to
// end one. A drawn plan ends one with links as good as it gets.
func (r *recorder) linked(op *Op, a, b []*machine, both bool) {
	w := &r.links
	w.usual.weather(&r.w.network.now)
	now := &changedLinks{op.Args[0], pairsOf(a, b, both)}
	good := endsFault(op)
	known := slices.ContainsFunc(w.open, func(c *changedLinks) bool { return c.sides == now.sides })
	w.open = slices.DeleteFunc(w.open, func(c *changedLinks) bool {
		over := good && c.sides == now.sides || r.asUsual(c.pairs)
		if over {
			r.turn(false, -1, "link", "", c)
		}
		return over
	})
	if !known && !good && !r.asUsual(now.pairs) {
		r.out.Harms++
		w.open = append(w.open, now)
		r.turn(true, -1, "link", phrase(op), now)
	}
}

// calmLinks ends all faults of links.
func (r *recorder) calmLinks() {
	for _, c := range r.links.open {
		r.turn(false, -1, "link", "", c)
	}
	r.links.open = nil
}

func pairsOf(a, b []*machine, both bool) (out [][2]int) {
	for _, x := range a {
		for _, y := range b {
			if x != y {
				out = append(out, [2]int{x.index, y.index})
			}
			if x != y && both {
				out = append(out, [2]int{y.index, x.index})
			}
		}
	}
	return out
}

func (r *recorder) asUsual(pairs [][2]int) bool {
	for _, p := range pairs {
		if !r.w.network.links.between(p[0], p[1]).equal(r.links.usual.between(p[0], p[1])) {
			return false
		}
	}
	return true
}

// equal reports whether two links are alike.
func (l *link) equal(o *link) bool {
	a, b := *l, *o
	if a.curve != nil && b.curve != nil && *a.curve == *b.curve {
		a.curve, b.curve = nil, nil
	}
	return a == b
}
