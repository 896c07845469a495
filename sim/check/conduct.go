package check

import (
	"slices"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Awards is the rest of S5: a claim is taken under a token above every one that its
// peer knows of that slot and life.
type Awards struct{ news news }

// NewAwards returns the checker.
func NewAwards() *Awards { return &Awards{} }

// Rule implements Checker.
func (*Awards) Rule() string { return "S5" }

// Wrote implements WriteWatcher.
func (a *Awards) Wrote(h Host, writes []node.Write) error {
	for _, r := range a.news.of(h, writes) {
		c := claimOf(h, r)
		if c == nil || c.Phase != ledger.Accepted || c.Run > 0 || c.Refuted > 0 || h.Ledger() == nil {
			continue // none, or not taken now
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
type Joining struct{ news news }

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
			if v.Phase == ledger.Accepted && v.Run == 0 && v.Refuted == 0 {
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
