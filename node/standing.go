package node

import (
	"fmt"
	"strings"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// What peers send and this one drops is counted by fault, and held against the sender
// where no correct peer, of any version, sends such a thing (wire.Fault.IsBlamed):
//
//	fair ──30 points──► pushes ignored ──100──► refused for 30 s, 60 s, … 10 min
//	  ◄──── a point less each 6 s ◄────────────────────────┘
//
// A fault is ten points. While a peer's pushes are ignored an exchange still brings
// what is true in them; while it is refused nothing it says is heard, and the
// transport hangs up. Nobody is refused for ever: a fault may be a bug of ours, or a
// broken machine that was mended. Replays, repetitions and unknown kinds cost nothing.
const (
	faultPoints = 10
	ignoreAt    = 30
	refuseAt    = 100
	maxPoints   = 200
	leakEvery   = 6 * time.Second

	refuseFirst  = 30 * time.Second // doubled with each, less up to a quarter by chance
	refuseMost   = 10 * time.Minute
	refuseForget = time.Hour // without a fault, the next begins at refuseFirst

	maxStandings = 1024            // peers of whom faults are kept; of more, the sums alone
	tellEvery    = time.Minute     // between two events on one peer's faults
	tellAnyEvery = 5 * time.Second // and on anyone's
)

// A standing is what one peer has sent that was dropped.
type standing struct {
	faults wire.FaultCounts
	points int64
	at     clock.Instant // when points were right
	last   clock.Instant // of the last fault held against it
	until  clock.Instant // refused before it
	times  int           // refused in a row
	told   clock.Instant
	untold uint64 // faults held against it since told
}

// faults is what this peer has dropped, of whom it was, and when it last said so.
type faults struct {
	all  wire.FaultCounts
	of   map[wire.PeerID]*standing
	told clock.Instant
}

// A Shun asks the transport to hang up on a peer and to take nothing of it for a while.
type Shun struct {
	Peer wire.PeerID
	For  time.Duration
}

// receive handles one message. An error is the sender's doing and is only for
// the log; nothing a peer sends may do more.
func (c *Core) receive(from wire.PeerID, msg wire.Message) error {
	if from != c.cfg.Self {
		if f := c.turnedAway(from, msg); f != 0 {
			c.fault(from, f, 1)
			return nil
		}
	}
	before := c.dropped()
	err := c.handle(from, msg)
	found := c.dropped().Since(before)
	if f := wire.FaultOf(err); f != 0 && found == (wire.FaultCounts{}) {
		found[f]++
	}
	for f, n := range found {
		c.fault(from, wire.Fault(f), n)
	}
	return err
}

// turnedAway returns why a message is not looked at; 0: it is.
func (c *Core) turnedAway(from wire.PeerID, msg wire.Message) wire.Fault {
	_, isPush := msg.(*wire.Push)
	switch s := c.faults.of[from]; {
	case c.led.IsRevoked(from):
		return wire.FaultStranger
	case s == nil:
		return 0
	case s.until > c.now, isPush && s.score(c.now) >= ignoreAt:
		return wire.FaultIgnored
	}
	return 0
}

// dropped counts what the parts of this core have dropped of what they were given.
func (c *Core) dropped() wire.FaultCounts {
	n := c.led.Refusals()
	g := c.mem.Stats()
	n[wire.FaultForged] += g.Forged
	n[wire.FaultStranger] += g.Strangers
	n[wire.FaultReplayed] += g.StaleBeats
	return n
}

// refused takes what the transport or the decoder has dropped already. A zero Peer is
// somebody who never got in.
func (c *Core) refused(r *Refused) {
	if int(r.Fault) < wire.NumFaults {
		c.fault(r.Peer, r.Fault, uint64(r.Count))
	}
}

// fault counts n faults of a peer and does what its score then asks for.
func (c *Core) fault(from wire.PeerID, f wire.Fault, n uint64) {
	if f == 0 || n == 0 {
		return
	}
	c.faults.all[f] += n
	s := c.faults.of[from]
	if s == nil && f.IsBlamed() && !from.IsZero() && from != c.cfg.Self {
		s = c.faults.make(c.now, from)
	}
	if s == nil {
		return // what nobody is blamed for is counted by sender only of those with a standing
	}
	s.faults[f] += n
	if f.IsBlamed() {
		c.blame(from, s, n)
	}
}

// make begins the standing of a peer; nil: too many others have one that matters.
func (f *faults) make(now clock.Instant, p wire.PeerID) *standing {
	if len(f.of) >= maxStandings {
		for id, s := range f.of { // in any order: each is judged alone
			if s.until <= now && s.score(now) == 0 {
				delete(f.of, id)
			}
		}
		if len(f.of) >= maxStandings {
			return nil
		}
	}
	s := &standing{at: now}
	f.of[p] = s
	return s
}

// score is what is left of a peer's points.
func (s *standing) score(now clock.Instant) int64 {
	return max(0, s.points-int64(max(0, now.Sub(s.at))/leakEvery))
}

func (c *Core) blame(from wire.PeerID, s *standing, n uint64) {
	if s.until > c.now {
		return // what was on its way when it was refused
	}
	before := s.score(c.now)
	s.points, s.at = min(maxPoints, before+faultPoints*int64(min(n, maxPoints))), c.now
	s.untold += n
	switch {
	case s.points >= refuseAt:
		c.refuse(from, s)
	case before < ignoreAt && s.points >= ignoreAt:
		c.tellFaults(from, s, "what it pushes is ignored until that is forgotten", true)
	default:
		c.tellFaults(from, s, "which was dropped", false)
	}
	s.last = c.now
}

// refuse turns a peer away for a while. What it has sent by then is half forgotten
// when it is back.
func (c *Core) refuse(from wire.PeerID, s *standing) {
	if c.now.Sub(s.last) >= refuseForget {
		s.times = 0
	}
	wait := min(refuseFirst<<s.times, refuseMost)
	wait -= time.Duration(c.rng.Int64N(int64(wait / 4)))
	s.times = min(s.times+1, 8)
	s.until = c.now.Add(wait)
	s.points, s.at = refuseAt/2, s.until
	c.out.Shun = append(c.out.Shun, Shun{from, wait})
	c.tellFaults(from, s, fmt.Sprintf("nothing of it is taken for %v", wait.Round(time.Second)), true)
}

// tellFaults makes an event of a peer's faults: at each change of how it is treated,
// else at a bounded rate.
func (c *Core) tellFaults(from wire.PeerID, s *standing, then string, changed bool) {
	isEarly := func(told clock.Instant, gap time.Duration) bool { return told != 0 && c.now.Sub(told) < gap }
	if !changed && (isEarly(s.told, tellEvery) || isEarly(c.faults.told, tellAnyEvery)) {
		return
	}
	c.event(Event{Kind: "refused", Peer: from, Text: fmt.Sprintf("%s sent what no correct peer sends (%s), %s", c.nameOf(from), s.words(), then)})
	s.told, c.faults.told, s.untold = c.now, c.now, 0
}

// words lists the faults held against a peer since this peer's start.
func (s *standing) words() string {
	var out []string
	for f, n := range s.faults {
		if wire.Fault(f).IsBlamed() && n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, wire.Fault(f).String()))
		}
	}
	return strings.Join(out, ", ")
}

// IsRefused reports whether nothing is taken of a peer now.
func (c *Core) IsRefused(p wire.PeerID) bool {
	s := c.faults.of[p]
	return s != nil && s.until > c.now
}

// Faults counts what this peer has dropped since its start.
func (c *Core) Faults() wire.FaultCounts { return c.faults.all }

// FaultsOf counts what this peer has dropped of another's.
func (c *Core) FaultsOf(p wire.PeerID) wire.FaultCounts {
	if s := c.faults.of[p]; s != nil {
		return s.faults
	}
	return wire.FaultCounts{}
}

// standingView fills in how a peer is treated for what it sent.
func (c *Core) standingView(v *PeerView) {
	s := c.faults.of[v.ID]
	if s == nil {
		return
	}
	v.Faults, v.Score = s.faults.Map(), int(s.score(c.now))
	switch {
	case s.until > c.now:
		v.RefusedFor = s.until.Sub(c.now)
	case v.Score >= ignoreAt:
		v.Ignored = true
	}
}
