package check

import (
	"slices"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Awards is the rest of S5: a claim is taken under a token above every one that its
// peer knows of that slot and life.
type Awards struct {
	news  news
	taken taken
}

// NewAwards returns the checker.
func NewAwards() *Awards { return &Awards{} }

// Rule implements Checker.
func (*Awards) Rule() string { return "S5" }

// Wrote implements WriteWatcher.
func (a *Awards) Wrote(h Host, writes []node.Write) error {
	for _, r := range a.news.of(h, writes) {
		c := claimOf(h, r)
		if c == nil || !a.taken.now(h, c) || h.Ledger() == nil {
			continue
		}
		for _, o := range h.Ledger().ClaimsOf(c.Slot) {
			if o.Life == c.Life && o.Token >= c.Token && (o.Peer != c.Peer || keyOf(o) != keyOf(c)) {
				return violation("S5", "%s takes %s with token %d and knows of one with token %d", h.Name(), c.Slot, c.Token, o.Token)
			}
		}
	}
	return nil
}

// Joining is the rule that only ready peers accept jobs, bid and take slots.
type Joining struct {
	news  news
	taken taken
}

// NewJoining returns the checker.
func NewJoining() *Joining { return &Joining{} }

// Rule implements Checker.
func (*Joining) Rule() string { return "joining" }

// Wrote implements WriteWatcher.
func (j *Joining) Wrote(h Host, writes []node.Write) error {
	for _, r := range j.news.of(h, writes) {
		what := ""
		switch v := r.Value.(type) {
		case *ledger.Claim:
			if j.taken.now(h, v) {
				what = "takes " + v.Slot.String()
			}
		case *ledger.Head:
			what = "accepts a change of " + v.Job.String()
		}
		if what != "" && h.Joining() {
			return violation("joining", "%s %s before it is ready", h.Name(), what)
		}
	}
	return nil
}

// taken tells the claims that are taken from those that are written again in their first
// phase, as when a drain begins and is undone.
type taken struct{ leaving map[ownKey]bool }

type ownKey struct {
	host  int
	claim claimKey
}

// now reports whether h's peer takes a claim that it writes.
func (t *taken) now(h Host, c *ledger.Claim) bool {
	if t.leaving == nil {
		t.leaving = map[ownKey]bool{}
	}
	k := ownKey{h.Index(), keyOf(c)}
	left := t.leaving[k]
	delete(t.leaving, k)
	if c.Leaving && !c.Phase.Ended() {
		t.leaving[k] = true
	}
	return c.Phase == ledger.Accepted && c.Run == 0 && c.Refuted == 0 && !left
}

// news tells the records that a host writes anew from those that come back to it.
type news struct{ last []wire.Version } // by host: the greatest number of its own

// knows reports whether a record of h's own is no new one.
func (n *news) knows(h Host, r *wire.Record) bool {
	return h.Index() < len(n.last) && r.Num.Version().Compare(n.last[h.Index()]) <= 0
}

// of returns what h's peer has just written itself.
func (n *news) of(h Host, writes []node.Write) (out []*wire.Record) {
	for len(n.last) <= h.Index() {
		n.last = append(n.last, wire.Version{})
	}
	for i := range writes {
		r := writes[i].Put
		if r == nil || r.Num.Issuer != h.Peer() || h.Shared() || r.Num.Version().Compare(n.last[h.Index()]) <= 0 {
			continue
		}
		n.last[h.Index()] = r.Num.Version()
		if ledger.Open(r) == nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *wire.Record) int { return a.Num.Compare(b.Num) })
	return out
}
