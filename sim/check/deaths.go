package check

import (
	"fmt"
	"slices"
	"time"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Deaths is the rule of failure detection: nobody is believed dead by the votes of
// half of its observers or fewer; and what went together with many is not sold
// elsewhere before 30 s, for the fault may be the seller's. It asks only where the
// world itself leaves no doubt who heard whom. That takes a look at every pair of
// machines each second, so in a swarm of more than maxWatched it compares nothing, and
// counts as not exercised there.
type Deaths struct {
	w        World
	compared uint64
	link     [][]line // link[a][b]: how b has heard a
	news     news
	died     map[hostPeer]time.Duration // when a host came to believe a peer dead
}

// A line is how one host hears another, as seen once a second.
type line struct {
	from, to time.Duration // of the last stretch in which it heard it
	bad      time.Duration // when it last did not
}

type hostPeer struct {
	host int
	peer wire.PeerID
}

const (
	maxWatched = 32
	settled    = 20 * time.Second // so long nothing else may have happened
	massRepair = 30 * time.Second
	massShare  = 5 // one in so many
	massLeast  = 3
	rings      = 8
)

// NewDeaths returns the checker.
func NewDeaths() *Deaths { return &Deaths{died: map[hostPeer]time.Duration{}} }

// Rule implements Checker.
func (*Deaths) Rule() string { return "deaths" }

// Compared implements Counter: deaths and verdicts that left no doubt.
func (d *Deaths) Compared() uint64 { return d.compared }

// Tick implements Ticker.
func (d *Deaths) Tick(w World) error {
	d.w = w
	hosts := w.Hosts()
	if len(hosts) > maxWatched {
		return nil
	}
	for a, h := range hosts {
		for len(d.link) <= a {
			d.link = append(d.link, nil)
		}
		for b, o := range hosts {
			if len(d.link[a]) <= b {
				d.link[a] = append(d.link[a], line{bad: w.Now()})
			}
			l := &d.link[a][b]
			if !h.Up() || !o.Up() || !w.Hears(b, a) || w.Now()-min(h.Since(), w.Now()) < time.Second {
				l.bad = w.Now()
				continue
			}
			if l.bad >= l.to {
				l.from = w.Now()
			}
			l.to = w.Now()
		}
	}
	return nil
}

// Told implements EventWatcher.
func (d *Deaths) Told(h Host, e *node.Event) error {
	if e.Kind != "died" || d.w == nil || len(d.link) != len(d.w.Hosts()) {
		return nil
	}
	d.died[hostPeer{h.Index(), e.Peer}] = d.w.Now()
	p := d.hostOf(e.Peer)
	if p == nil || !d.quietBut(p) {
		return nil
	}
	d.compared++
	observers, against := d.observers(p), 0
	for _, o := range observers {
		if d.w.Now()-d.link[p.Index()][o.Index()].bad < settled {
			against++
		}
	}
	if 2*against <= len(observers) {
		return violation("deaths", "%s believes %s dead, and of its %d observers only %d may have missed its beats",
			h.Name(), p.Name(), len(observers), against)
	}
	return nil
}

func (d *Deaths) hostOf(p wire.PeerID) Host {
	for _, h := range d.w.Hosts() {
		if h.Peer() == p && !h.Shared() {
			return h
		}
	}
	return nil
}

// quietBut reports whether for a while all hosts but those long gone have been
// ready and heard one another, except for what p says and hears.
func (d *Deaths) quietBut(p Host) bool {
	now := d.w.Now()
	for _, a := range d.w.Hosts() {
		if now-a.Since() < settled || a.Shared() || a.Up() && !a.Counts() || isMetered(p, a) {
			return false
		}
		if !a.Up() {
			if a == p {
				return false
			}
			continue
		}
		for _, b := range d.w.Hosts() {
			if l := b.Ledger(); l != nil && b.Up() && !isMember(l, a.Peer()) {
				return false // whom somebody has removed is not heard by everybody
			}
			if a != b && a != p && b != p && b.Up() && now-d.link[a.Index()][b.Index()].bad < settled {
				return false
			}
		}
	}
	return true
}

func isMember(l *ledger.State, p wire.PeerID) bool {
	m := l.Member(p)
	return l.Card(p) != nil && (m == nil || !m.Revoked && !m.Left)
}

func isMetered(p, h Host) bool {
	l := p.Ledger()
	if l == nil {
		return true
	}
	card := l.Card(h.Peer())
	return card == nil && h.Up() || card != nil && card.Profile == "metered"
}

// observers are the distinct first successors of p on the rings, of those there.
func (d *Deaths) observers(p Host) (out []Host) {
	for i := range rings {
		ring := fmt.Sprintf("shoal/ring/%d", i)
		at := wire.Order(ring, p.Peer())
		var best Host
		var gap uint64
		for _, h := range d.w.Hosts() {
			if h == p || !h.Up() {
				continue
			}
			if g := wire.Order(ring, h.Peer()) - at; best == nil || g < gap { // round the ring
				best, gap = h, g
			}
		}
		if best != nil && !slices.Contains(out, best) {
			out = append(out, best)
		}
	}
	return out
}

// Wrote implements WriteWatcher.
func (d *Deaths) Wrote(h Host, writes []node.Write) error {
	for _, r := range d.news.of(h, writes) {
		v, ok := r.Value.(*ledger.Verdict)
		if !ok || v.Peer == h.Peer() || d.w == nil || len(d.link) != len(d.w.Hosts()) {
			continue
		}
		l := h.Ledger()
		if l == nil || !isMember(l, v.Peer) {
			continue
		}
		at, ok := d.died[hostPeer{h.Index(), v.Peer}]
		n := d.together(h, v.Peer, at)
		if !ok || n < massLeast || n*massShare <= len(d.w.Hosts()) {
			continue
		}
		d.compared++
		if d.w.Now()-at < massRepair-time.Second {
			return violation("deaths", "%s declares the claim on %s lost %v after its peer died together with %d others",
				h.Name(), v.Slot, d.w.Now()-at, n-1)
		}
	}
	return nil
}

// together counts the peers that were heard by all until one moment, and that h
// then came to believe dead at one moment, with p among them; 0 if p is not.
func (d *Deaths) together(h Host, p wire.PeerID, at time.Duration) (n int) {
	first, ok := d.lost(h, p, at)
	if !ok || d.w.Now()-h.Since() < settled {
		return 0
	}
	for _, o := range d.w.Hosts() {
		if died, known := d.died[hostPeer{h.Index(), o.Peer()}]; known && (died-at).Abs() <= 1500*time.Millisecond {
			if when, ok := d.lost(h, o.Peer(), died); ok && (when-first).Abs() <= 2*time.Second {
				n++
			}
		}
	}
	return n
}

// lost returns when h last heard p, if up to then all had heard it for a while and
// it was believed dead soon after.
func (d *Deaths) lost(h Host, p wire.PeerID, died time.Duration) (time.Duration, bool) {
	host := d.hostOf(p)
	if host == nil {
		return 0, false
	}
	last := d.link[host.Index()][h.Index()].to
	if died-last > 14*time.Second || died < last {
		return 0, false
	}
	for _, o := range d.w.Hosts() {
		if l := d.link[host.Index()][o.Index()]; o != host && o.Up() && (l.to < last || last-l.from < settled) {
			return 0, false
		}
	}
	return last, true
}
