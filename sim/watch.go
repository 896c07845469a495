package sim

import (
	"errors"
	"strings"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/runtime"
	"shoal/sim/check"
	"shoal/wire"
)

// watch stands between the world and the checkers: it tells them what happens and
// shows them the machines.
type watch struct {
	w        *World
	off      map[string]bool // rules the scenario switches off
	all      []check.Checker
	writes   []check.WriteWatcher
	sends    []check.SendWatcher
	replies  []check.ReplyWatcher
	lives    []check.LifeWatcher
	disks    []check.DiskWatcher
	tellings []check.EventWatcher
	ticks    []check.Ticker
	progress []check.Progress
	hosts    []check.Host
	shared   map[wire.PeerID]bool
	since    []time.Duration
	counts   map[string]uint64
	records  uint64        // written by peers about themselves
	written  time.Duration // when a peer last wrote a record of its own
}

func newWatch(w *World) *watch {
	s := &watch{w: w, shared: map[wire.PeerID]bool{}, counts: map[string]uint64{}}
	s.use(check.All(), nil)
	return s
}

// use sets the checkers, leaving out the rules named in off.
func (s *watch) use(all []check.Checker, off map[string]bool) {
	*s = watch{w: s.w, off: off, hosts: s.hosts, shared: s.shared, since: s.since, counts: s.counts}
	for _, c := range all {
		if off[c.Rule()] {
			continue
		}
		s.all = append(s.all, c)
		if c, ok := c.(check.WriteWatcher); ok {
			s.writes = append(s.writes, c)
		}
		if c, ok := c.(check.SendWatcher); ok {
			s.sends = append(s.sends, c)
		}
		if c, ok := c.(check.ReplyWatcher); ok {
			s.replies = append(s.replies, c)
		}
		if c, ok := c.(check.LifeWatcher); ok {
			s.lives = append(s.lives, c)
		}
		if c, ok := c.(check.DiskWatcher); ok {
			s.disks = append(s.disks, c)
		}
		if c, ok := c.(check.EventWatcher); ok {
			s.tellings = append(s.tellings, c)
		}
		if c, ok := c.(check.Ticker); ok {
			s.ticks = append(s.ticks, c)
		}
		if c, ok := c.(check.Progress); ok {
			s.progress = append(s.progress, c)
		}
	}
}

func (s *watch) added(m *machine) {
	s.hosts = append(s.hosts, host{m})
	s.since = append(s.since, s.w.now)
}

// found ends the run if a checker has found something.
func (s *watch) found(err error) {
	if err == nil || s.w.failure != nil {
		return
	}
	s.w.fail(Safety, "%v", err)
	var v *check.Violation
	if errors.As(err, &v) {
		s.w.failure.Rule, s.w.failure.Text = v.Rule, v.Text
	}
}

func (s *watch) wrote(m *machine, writes []node.Write) {
	if len(writes) == 0 {
		return
	}
	for i := range writes {
		if r := writes[i].Put; r != nil && r.Num.Issuer == m.id {
			s.written = s.w.now
			s.records++
		}
	}
	for _, c := range s.writes {
		s.counts[ruleOf(c)]++
		s.found(c.Wrote(s.hosts[m.index], writes))
	}
}

func (s *watch) sent(m *machine, e *wire.Envelope) {
	for _, c := range s.sends {
		s.found(c.Sent(s.hosts[m.index], e))
	}
}

func (s *watch) replied(m *machine, asked *node.Request, r *node.Reply) {
	for _, c := range s.replies {
		s.counts[ruleOf(c)]++
		s.found(c.Replied(s.hosts[m.index], asked, r))
	}
}

func (s *watch) booted(m *machine) {
	s.changed(m)
	for _, c := range s.lives {
		c.Booted(s.hosts[m.index])
	}
	s.diskChanged(m)
}

// diskChanged shows a disk that may not hold what was written.
func (s *watch) diskChanged(m *machine) {
	for _, c := range s.disks {
		s.found(c.DiskChanged(s.hosts[m.index]))
	}
}

func (s *watch) stopped(m *machine) { s.changed(m) }

// engineChanged notes that the containers of a machine have changed.
func (s *watch) engineChanged(m *machine) {
	if s.w.rec != nil {
		s.w.rec.containers(m)
	}
}

// changed notes that a machine's daemon, engine or pause has changed.
func (s *watch) changed(m *machine) {
	s.since[m.index] = s.w.now
	if s.w.rec != nil {
		s.w.rec.life(m)
	}
}

func (s *watch) told(m *machine, e *node.Event) {
	for _, c := range s.tellings {
		s.found(c.Told(s.hosts[m.index], e))
	}
}

func (s *watch) diskLost(m *machine) {
	for _, c := range s.lives {
		c.DiskLost(s.hosts[m.index])
	}
}

// tally returns how often each rule that was on compared something; 0: it was not
// exercised.
func (s *watch) tally() map[string]uint64 {
	for _, c := range s.all {
		s.counts[c.Rule()] += 0
		if c, ok := c.(check.Counter); ok {
			s.counts[c.Rule()] = c.Compared()
		}
	}
	return s.counts
}

// tick is called once a simulated second.
func (s *watch) tick() {
	for _, c := range s.ticks {
		s.counts[ruleOf(c)]++
		s.found(c.Tick(s))
	}
}

// finish is called once the calm has converged.
func (s *watch) finish() {
	s.tick()
	for _, c := range s.all {
		if f, ok := c.(check.Finisher); ok {
			s.found(f.Finish(s))
		}
	}
}

// Now, Hosts, Reaches, Verify and Swarm implement check.World.
func (s *watch) Now() time.Duration { return s.w.now }

// Hosts implements check.World.
func (s *watch) Hosts() []check.Host { return s.hosts }

// Reaches implements check.World.
func (s *watch) Reaches(a, b int) bool { return a == b || s.w.network.both(a, b) }

// Hears implements check.World: a link that is slow or loses much says nothing sure,
// and of a forger others may take nothing.
func (s *watch) Hears(a, b int) bool {
	const mostLoss = 0.1
	n := &s.w.network
	from, to := s.w.machines[b], s.w.machines[a]
	sure := !n.metered && !n.strict && from.slow <= 1 && to.slow <= 1 && !from.forger && !to.forger
	return a == b || sure && n.open(b, a) && n.links.between(b, a).loss <= mostLoss
}

// Verify implements check.World.
func (s *watch) Verify(by wire.PeerID, msg, sig []byte) bool { return verify(by, msg, sig) }

// Swarm implements check.World.
func (s *watch) Swarm() wire.Hash { return s.w.swarm }

// host shows a machine to checkers.
type host struct{ m *machine }

func (h host) Index() int              { return h.m.index }
func (h host) Name() string            { return h.m.name }
func (h host) Peer() wire.PeerID       { return h.m.id }
func (h host) Up() bool                { return h.m.up() }
func (h host) Shared() bool            { return h.m.w.checks.shared[h.m.id] }
func (h host) Tainted() bool           { return len(h.m.w.checks.shared) > 0 }
func (h host) Since() time.Duration    { return h.m.w.checks.since[h.m.index] }
func (h host) EngineWorks() bool       { return h.m.engine.working() }
func (h host) Capacity() job.Resources { return h.m.capacity() }

func (h host) Counts() bool { return h.m.up() && h.m.state() == "ready" }

func (h host) Joining() bool { return h.m.core != nil && h.m.state() == "joining" }
func (h host) SteppedBack() bool {
	return h.m.core != nil && strings.HasPrefix(h.m.state(), "stepped back")
}

// Trusts implements check.Host.
func (h host) Trusts(p wire.PeerID) bool {
	if p == h.m.id || h.m.core == nil {
		return p == h.m.id
	}
	v, ok := h.m.core.Peer(p)
	return ok && v.State == "ready" && v.Votes == 0
}

// Awaits implements check.Host.
func (h host) Awaits(p wire.PeerID) bool { return h.m.core != nil && h.m.core.AwaitsMany(p) }

func (h host) Forgeries() bool { return h.m.w.network.forged > 0 || h.m.w.mixed }

func (h host) Forges(p wire.PeerID) bool {
	if h.m.w.checks.shared[p] {
		return true // an answer of the one machine to what the other asked
	}
	for _, m := range h.m.w.machines {
		if m.id == p && m.forger {
			return true
		}
	}
	return false
}

func (h host) Signed(r *wire.Record) bool { return r.Verify(h.m.w.swarm, verify) }

func (h host) Disk(f func(*wire.Record)) { h.m.disk.all(f) }

func (h host) DiskJobs(f func(*wire.Record)) { h.m.disk.ofJobs(f) }

func (h host) Synced(n wire.Number) bool { return h.m.disk.holds(n) }

func (h host) Pending(n wire.Number) bool { return h.m.disk.pends(n) }

func (h host) Containers() []runtime.Observed { return h.m.engine.observed() }

// Unseen implements check.Host.
func (h host) Unseen(name string) bool {
	c := h.m.engine.find(name)
	return c != nil && c.unseen
}

// Ledger is what the running core holds, if it shows it.
func (h host) Ledger() *ledger.State {
	if h.m.core == nil {
		return nil
	}
	if c, ok := any(h.m.core).(interface{ Ledger() *ledger.State }); ok {
		return c.Ledger()
	}
	return nil
}
