// Package doctor judges how a peer and its machine are: it turns facts into one
// finding a check, each with what was seen and, unless all is well, one sentence that
// says what to do. It reads nothing itself: whoever gathers the facts bounds how long
// that may take. A fact that is not known is a zero value and makes no finding, or one
// that says so.
package doctor

import (
	"fmt"
	"strings"
	"time"
)

// A Grade says how bad a finding is.
type Grade string

// The grades. A warning is worth a look and harms nothing yet; a failure keeps the
// peer from doing its part.
const (
	OK   Grade = "ok"
	Warn Grade = "warn"
	Fail Grade = "fail"
)

// A Finding is what one check has seen.
type Finding struct {
	Check string `json:"check"` // "clock", "engine", …
	Grade Grade  `json:"grade"`
	Saw   string `json:"saw"`          // with units
	Do    string `json:"do,omitempty"` // one sentence; empty if there is nothing to do
}

func ok(check, format string, args ...any) Finding {
	return Finding{Check: check, Grade: OK, Saw: fmt.Sprintf(format, args...)}
}

func warn(check, do, format string, args ...any) Finding {
	return Finding{Check: check, Grade: Warn, Saw: fmt.Sprintf(format, args...), Do: do}
}

func fail(check, do, format string, args ...any) Finding {
	return Finding{Check: check, Grade: Fail, Saw: fmt.Sprintf(format, args...), Do: do}
}

// Failed reports whether any finding is a failure.
func Failed(findings []Finding) bool {
	for _, f := range findings {
		if f.Grade == Fail {
			return true
		}
	}
	return false
}

// Machine is what can be seen without a daemon.
type Machine struct {
	Engine Engine
	Disk   Disk
	Files  Files
	Aside  string // settings of an earlier start that could not be read, and what became of them; empty: none
	Port   Port
	Synced *bool // what the kernel says of its clock; nil: unknown
}

// Engine is what runs containers.
type Engine struct {
	Driver string // "docker" or "process"; empty: unknown
	Host   string // its address
	Err    string // why it does not answer; empty: it does

	Version     string
	Cgroup      string // "1" or "2"; empty: unknown
	NoLimits    []string
	LiveRestore bool     // its containers outlive its restart
	Restarts    []string // containers of ours that it restarts by itself
	Root        string   // where it keeps images; empty: not on this machine
	FreeBytes   int64    // there
	TotalBytes  int64
}

// Disk is the one that the ledger lies on.
type Disk struct {
	Dir        string
	Err        string
	FreeBytes  int64
	TotalBytes int64
	NeedBytes  int64 // below it nothing is written
	BidBytes   int64 // below this much beyond NeedBytes the peer takes no work
}

// Files are the descriptors that the daemon may have, and has.
type Files struct {
	Limit int64 // 0: unknown
	Open  int64 // 0: unknown, as no daemon runs
}

// Port is what the peer listens on.
type Port struct {
	Number int
	Err    string   // why it cannot be listened on, or dialled from here
	Busy   bool     // a daemon has it that does not answer
	Bound  []string // what is listened on; empty: no daemon runs
}

// Peer is what a running daemon knows besides.
type Peer struct {
	Name    string
	State   string // "ready", "joining", …
	Why     string // what a joining peer waits for
	Uptime  time.Duration
	Version string
	Expires time.Time // of its certificate; zero: never
	Now     time.Time // this machine's wall clock

	Copied      time.Time // when an earlier start of its key elsewhere was heard of; zero: never
	SteppedBack time.Time // when it found a later one, and went mute; zero: it did not
	Speaks      string    // the first protocol, with its version

	Missing []string // what of the machine cannot be read
	Closed  string   // why its owner's rules let it take nothing now; empty: they do
	Ports   []string // published ports that do not answer here, and why

	Members  []Member // others, by name
	Clocks   []Clock
	Unasked  []string // asked for their clock, without an answer
	Protocol []Lack
	Reach    Reach
	Conns    Conns
	Store    Store
}

// Member is another peer as this one sees it.
type Member struct {
	Name     string
	State    string
	Version  string
	Heard    time.Duration // since its last beat; negative: never
	Path     string        // "direct", "punched", "relayed"; empty: no connection
	Observes bool          // it observes this peer
	Profile  string

	OtherVersion bool // it spoke another version of the first protocol lately: both refuse one another
}

// Clock is how far another peer's wall clock is ahead of this one's.
type Clock struct {
	Peer  string
	Ahead time.Duration
	Error time.Duration // either way: half of the round trip
}

// Lack is a connected peer that does not speak all that this one does.
type Lack struct {
	Peer   string
	Protos []string
}

// Reach is whether others can dial this peer.
type Reach struct {
	Tries    bool     // false: the profile forgoes finding out and relays
	Asked    int      // places that members tried to dial it from
	Reached  int      // and could
	Hidden   bool     // some cannot, or have not tried from behind a NAT
	NAT      bool     // some see it as an address that it has not
	Seen     []string // those addresses
	Dialled  bool     // a member on another network has dialled it
	Profile  string
	External []string // addresses that lead here though no interface has them
	Relays   []string // members that carry connections to it
	Carries  bool     // it carries connections of others
}

// Conns are the connections between members.
type Conns struct {
	Open int
	High int // above it idle ones are closed
	Max  int // above it none is taken
}

// Store is the ledger on the disk.
type Store struct {
	Records int
	Digest  string
	Damage  string // and not refilled yet
	Held    string // why the peer holds still

	AcceptLoss bool // the peer was told to go on with what is left
}

// AtRest is the store that a stopped peer left, looked at without opening it.
type AtRest struct {
	Dir     string // the state directory, as a shell takes it
	Unseen  string // why it was not looked at; empty: it was
	Refused string // why no daemon can open it; empty: one can
	Damage  string // what is wrong with it; empty: nothing
	Records int
}

// Outside is what can be seen of a daemon that does not answer.
type Outside struct {
	Socket  string
	Err     string  // why nobody answers there
	Hung    bool    // something listens there
	Foreign bool    // it belongs to another user
	Holder  string  // who has the state directory open; empty: nobody
	Member  string  // why this machine is no member; empty: it is
	Store   *AtRest // nil: there is none
}

// Alone judges a machine whose daemon does not answer.
func Alone(o Outside, m Machine) []Finding {
	out := append([]Finding{daemon(o), membershipAtRest(o), clock(m, nil)}, machine(m)...)
	if o.Store != nil {
		out = append(out, storeAtRest(*o.Store))
	}
	return out
}

// Running judges a peer whose daemon answers.
func Running(p Peer, m Machine) []Finding {
	out := []Finding{ok("daemon", "%s answers, version %s, up %s", p.Name, p.Version, round(p.Uptime)), membership(p), clock(m, &p)}
	out = append(out, machine(m)...)
	if f, is := identity(p); is {
		out = append(out, f)
	}
	if p.SteppedBack.IsZero() {
		out = append(out, reach(p), connections(p.Conns), neighbours(p), doubts(p), versions(p), store(p))
	} else { // it speaks with nobody, which says nothing about them
		out = append(out, connections(p.Conns), store(p))
	}
	if len(p.Missing) > 0 {
		out = append(out, fail("facts", "mend what keeps it from being read: until then the peer takes no work.",
			"not known: %s", strings.Join(p.Missing, "; ")))
	}
	if p.Closed != "" {
		out = append(out, ok("owner", "%s: as its configuration says", p.Closed))
	}
	if len(p.Ports) > 0 {
		out = append(out, warn("published", "stop what has the port on this machine, or publish another one.", "%s", strings.Join(p.Ports, "; ")))
	}
	return out
}

// names lists the first few of many.
func names(all []string) string {
	const most = 4
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// round leaves of a duration what a person reads.
func round(d time.Duration) time.Duration {
	switch {
	case d.Abs() < time.Second:
		return d.Round(time.Millisecond)
	case d.Abs() < time.Minute:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Second)
	}
}

// size prints bytes: "412 MiB", "1.5 GiB".
func size(b int64) string {
	for _, u := range []struct {
		name string
		of   int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}} {
		if b >= u.of {
			return fmt.Sprintf("%.1f %s", float64(b)/float64(u.of), u.name)
		}
	}
	return fmt.Sprintf("%d MiB", b>>20)
}
