package sim

import (
	"time"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// noticeEvery is how often a member answers one that was removed, at most.
const noticeEvery = time.Second

// turnedAway reports whether one of two that connect knows that the other was
// removed: it refuses, and shows the other the record of that, as a real one does.
func (n *network) turnedAway(a, b *machine) bool {
	return n.refuses(a, b) || n.refuses(b, a)
}

func (n *network) refuses(by, who *machine) bool {
	if by.core == nil || who.core == nil || by.id == who.id || !by.core.Ledger().IsRevoked(who.id) {
		return false
	}
	n.showRemoval(by, who)
	return true
}

// farewells hands those who have just been removed the record of it, over the
// connections there still are, before these end.
func (n *network) farewells(m *machine, writes []node.Write) {
	for i := range writes {
		r := writes[i].Put
		if r == nil || r.Kind != wire.KindMember || ledger.Open(r) != nil {
			continue
		}
		v, ok := r.Value.(*ledger.Member)
		if !ok || !v.Revoked || v.Peer == m.id {
			continue
		}
		for _, who := range n.w.byID[v.Peer] {
			if who.core != nil && m.linked[who.index] && n.both(m.index, who.index) {
				n.showRemoval(m, who)
				n.link(m, who, false, n.travel(m, who))
				n.link(who, m, false, n.travel(who, m))
			}
		}
	}
}

func (n *network) showRemoval(by, who *machine) {
	led := by.core.Ledger()
	r := led.MemberRecord(who.id)
	if r == nil || who.noticeAt > n.w.now {
		return
	}
	who.noticeAt = n.w.now + noticeEvery
	push := &wire.Push{Records: []*wire.Record{r}}
	if card := led.CardRecord(r.Num.Issuer); card != nil {
		push.Records = []*wire.Record{card, r}
	}
	n.arrive(by, who, push, n.w.now+n.travel(by, who))
}
