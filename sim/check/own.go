package check

import (
	"cmp"
	"slices"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// A claimKey names a claim among those of one peer.
type claimKey struct {
	slot  job.SlotID
	life  uint64
	token wire.Token
}

func keyOf(c *ledger.Claim) claimKey { return claimKey{c.Slot, c.Life, c.Token} }

// own follows each host's own claims through what it writes, and through its disk
// when its daemon starts.
type own struct {
	hosts []ownClaims // by index
}

type ownClaims struct {
	claims  map[claimKey]*ledger.Claim
	numbers map[wire.Number]claimKey
	lost    bool              // its disk was lost or exchanged since the last start
	spoilt  map[claimKey]bool // claims as such a disk had them, or as others give them back: their end may be forgotten
	last    wire.Version      // the greatest number of a claim of its own
}

func (o *own) of(h Host) *ownClaims {
	for len(o.hosts) <= h.Index() {
		o.hosts = append(o.hosts, ownClaims{claims: map[claimKey]*ledger.Claim{}, numbers: map[wire.Number]claimKey{}})
	}
	return &o.hosts[h.Index()]
}

// lose notes that h's disk was lost, or exchanged for an older one.
func (o *own) lose(h Host) { o.of(h).lost = true }

// reload forgets what was written but not kept.
func (o *own) reload(h Host) {
	c := o.of(h)
	clear(c.claims)
	clear(c.numbers)
	h.Disk(func(r *wire.Record) {
		if claim := claimOf(h, r); claim != nil {
			c.put(r, claim)
		}
	})
	if c.lost {
		c.lost, c.spoilt = false, map[claimKey]bool{}
		for k := range c.claims {
			c.spoilt[k] = true
		}
	}
}

func (c *ownClaims) put(r *wire.Record, claim *ledger.Claim) {
	k := keyOf(claim)
	if old := c.claims[k]; old != nil && c.newer(k, r.Num) {
		return
	}
	c.claims[k] = claim
	c.numbers[r.Num] = k
}

// newer reports whether a later record of the claim is known already; a disk is
// read in no order.
func (c *ownClaims) newer(k claimKey, n wire.Number) bool {
	for have, key := range c.numbers {
		if key == k && have.Compare(n) > 0 {
			return true
		}
	}
	return false
}

// wrote follows one write and returns the own claim it puts, if it does.
func (o *own) wrote(h Host, w *node.Write) *ledger.Claim {
	c := o.of(h)
	if w.Drop != nil {
		if k, ok := c.numbers[*w.Drop]; ok {
			delete(c.numbers, *w.Drop)
			if !c.has(k) {
				delete(c.claims, k)
			}
		}
		return nil
	}
	if w.Put == nil {
		return nil
	}
	claim := claimOf(h, w.Put)
	if claim == nil {
		return nil
	}
	switch v := w.Put.Num.Version(); {
	case v.Compare(c.last) > 0:
		c.last = v
	case c.spoilt != nil: // from before its disk was lost; whoever was away has it as it was then
		c.spoilt[keyOf(claim)] = true
	}
	c.put(w.Put, claim)
	return claim
}

func (c *ownClaims) has(k claimKey) bool {
	for _, key := range c.numbers {
		if key == k {
			return true
		}
	}
	return false
}

// open returns the claims that have not ended, in order.
func (c *ownClaims) open() []*ledger.Claim {
	var out []*ledger.Claim
	for _, claim := range c.claims {
		if !claim.Phase.Ended() {
			out = append(out, claim)
		}
	}
	slices.SortFunc(out, func(a, b *ledger.Claim) int {
		return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Life, b.Life), cmp.Compare(a.Token, b.Token))
	})
	return out
}

// claimOf returns the claim of h's own peer that a record holds, or nil.
func claimOf(h Host, r *wire.Record) *ledger.Claim {
	if r.Kind != wire.KindClaim || r.Num.Issuer != h.Peer() || ledger.Open(r) != nil {
		return nil
	}
	c, _ := r.Value.(*ledger.Claim)
	return c
}
