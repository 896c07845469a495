package check

import (
	"fmt"
	"time"
)

// Storm is V4: once all is calm, messages and wakes are back to at most 1.2 times
// those of an idle swarm: nothing goes round in circles. Containers that end and are
// started again are no storm: each record written about them has its messages, but
// such records are bounded too.
type Storm struct {
	from  time.Duration // of the window being measured; 0: none yet
	start Traffic
	text  string // what the last window showed
}

// Traffic counts what cores have done since the world began.
type Traffic struct{ Messages, Wakes, Records uint64 }

// A Rate is what one peer of an idle swarm does a second.
type Rate struct{ Messages, Wakes float64 }

// Traffics is what Storm asks of a world besides.
type Traffics interface {
	World
	Traffic() Traffic
	Idle() Rate // of a swarm of as many peers, with no work and no faults
}

// NewStorm returns the checker.
func NewStorm() *Storm { return &Storm{} }

// Rule implements Checker.
func (*Storm) Rule() string { return "V4" }

// Bound is how long after everything has converged traffic may stay high: waiting
// slots are offered again, what was pushed is forwarded, lost members are redialled.
func (*Storm) Bound() time.Duration { return 60 * time.Second }

const (
	stormWindow = 10 * time.Second
	stormFactor = 1.2
	stormSpare  = 20 // messages or wakes a window, so that a swarm of one or two is not judged by a handful
	perRecord   = 40 // messages, or wakes, until a new record is everywhere
	maxRecords  = 1  // written by a peer, a second
	lostRate    = 1  // messages or wakes of a peer, a second, for each that is lost
	lostMost    = 4  // so many: of those near on its rings one peer dials some, each second or two
)

// Unmet says how traffic is above idle, or that it has not been measured for a
// whole window yet; "" once a window was calm.
func (s *Storm) Unmet(w Traffics) string {
	now, all := w.Now(), w.Traffic()
	if s.from == 0 {
		s.from, s.start, s.text = now, all, "traffic has not been measured yet"
		return s.text
	}
	if now-s.from < stormWindow {
		return s.text
	}
	up := 0.0
	for _, h := range w.Hosts() {
		if h.Ledger() != nil {
			up++
		}
	}
	seconds, idle := (now - s.from).Seconds(), w.Idle()
	lost := min(float64(len(w.Hosts()))-up, lostMost)
	idle.Messages += lost * lostRate
	idle.Wakes += lost * lostRate
	s.text = ""
	records := float64(all.Records - s.start.Records)
	if records > maxRecords*up*seconds+stormSpare {
		s.text = fmt.Sprintf("%.0f records a second by %.0f peers", records/seconds, up)
	}
	for _, x := range []struct {
		what string
		n    uint64
		idle float64
	}{{"messages", all.Messages - s.start.Messages, idle.Messages}, {"wakes", all.Wakes - s.start.Wakes, idle.Wakes}} {
		if float64(x.n) > stormFactor*x.idle*up*seconds+perRecord*records+stormSpare {
			s.text = fmt.Sprintf("%.0f %s a second by %.0f peers, and %.1f each is idle", float64(x.n)/seconds, x.what, up, x.idle)
		}
	}
	s.from, s.start = now, all
	return s.text
}
