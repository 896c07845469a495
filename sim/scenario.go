package sim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/job"
)

// A Scenario is a run that was written or drawn: the machines, the network, what
// happens when, and what must then be so.
type Scenario struct {
	Name    string
	Groups  []PeerGroup
	Net     NetSpec
	Run     time.Duration // before the calm begins
	Seed    uint64
	Horizon time.Duration // Config.Horizon of every peer; 0: its default
	Encode  bool          // every message goes through its encoding
	Jobs    []job.Spec    // for the verb deploy
	Images  []Image       // those that do not behave as images do by default
	Ops     []Op
	Loads   []*Workload   // drawn into ops by Expand
	Flags   []string      // of the command line that have changed the scenario; they repeat it
	Off     []string      // rules not checked
	Within  time.Duration // how long the calm may take to converge; 0: the checkers' own bounds
	Golden  []string      // notable lines expected; nil: not compared
}

// A PeerGroup is some machines that are alike.
type PeerGroup struct {
	Count int
	MachineSpec
}

// What a peer has, if the scenario does not say.
var defaultCapacity = job.Resources{CPUMilli: 4000, MemBytes: 8 << 30, DiskBytes: 64 << 30}

const (
	defaultRun = 60 * time.Second
	maxPeers   = 20_000
	maxRun     = 1000 * time.Hour
)

// A Moment says when an Op counts.
type Moment uint8

// The moments.
const (
	At   Moment = iota // at Time
	By                 // an assertion: at some time since the line above, not after Time
	Calm               // an assertion: once all has converged
	From               // an assertion: at each second from Time until the calm
)

// An Op is one line of a scenario: something done, or something asserted.
type Op struct {
	Moment Moment
	Time   time.Duration
	From   time.Duration // By: the time of the last At above it
	Verb   string
	Args   []string
	Opts   map[string]string
	Line   int
}

// String writes the op as a scenario has it.
func (o *Op) String() string {
	var s string
	switch o.Moment {
	case At:
		s = "at " + o.Time.String() + " "
	case By:
		s = "by " + o.Time.String() + " "
	case Calm:
		s = "calm "
	case From:
		s = "from " + o.Time.String() + " "
	}
	s += o.Verb
	for _, a := range o.Args {
		s += " " + a
	}
	for _, k := range sortedKeys(o.Opts) {
		s += " " + k
		if v := o.Opts[k]; v != "" {
			s += "=" + v
		}
	}
	return s
}

// machineName finds the machines that an op speaks of by number.
var machineName = regexp.MustCompile(`\bn([1-9][0-9]*)\b`)

// CheckPeers reports why the scenario cannot be run with n peers instead of its own
// number: it names one beyond them, or its peers differ.
func (s *Scenario) CheckPeers(n int) error {
	switch {
	case n < 1 || n > maxPeers:
		return fmt.Errorf("%d is no number of peers from 1 to %d", n, maxPeers)
	case len(s.Groups) != 1:
		return fmt.Errorf("%s has %d kinds of peers: change their numbers there", s.Name, len(s.Groups))
	}
	return s.namesAtMost(n)
}

// peers is how many machines the scenario begins with.
func (s *Scenario) peers() (n int) {
	for _, g := range s.Groups {
		n += g.Count
	}
	return n
}

// namesAtMost reports the first line that names a machine beyond the nth, unless the
// scenario has no more than n by itself: then those may join later.
func (s *Scenario) namesAtMost(n int) error {
	if n >= s.peers() {
		return nil
	}
	for i := range s.Ops {
		op := &s.Ops[i]
		words := slices.Clone(op.Args)
		for _, key := range []string{"at", "from", "to", "disk"} {
			words = append(words, op.Opts[key])
		}
		for _, m := range machineName.FindAllStringSubmatch(strings.Join(words, " "), -1) {
			if number, err := strconv.Atoi(m[1]); err != nil || number > n {
				return fmt.Errorf("%d are too few: %s:%d names n%s", n, s.Name, op.Line, m[1])
			}
		}
	}
	return nil
}

// String writes the scenario in its own language, all of it: Parse reads back one
// that runs the very same.
func (s *Scenario) String() string {
	out := ""
	for _, g := range s.Groups {
		out += fmt.Sprintf("peers %d cpu=%dm mem=%d", g.Count, g.Capacity.CPUMilli, g.Capacity.MemBytes)
		if n := g.Capacity.GPUMilli / job.WholeGPU; n > 0 {
			out += fmt.Sprintf(" gpus=%d", n)
		}
		for _, k := range sortedKeys(g.Labels) {
			out += " label=" + k + "=" + g.Labels[k]
		}
		if g.Datacenter != "" {
			out += " datacenter=" + g.Datacenter
		}
		if g.Clock != 0 {
			out += " clock=" + g.Clock.String()
		}
		if g.DriftPPM != 0 {
			out += fmt.Sprintf(" drift=%d", g.DriftPPM)
		}
		if g.Profile != "" {
			out += " profile=" + g.Profile
		}
		out += g.NIC.String() + "\n"
	}
	out += s.Net.String()
	out += fmt.Sprintf("run %v seed=%d", s.Run, s.Seed)
	if s.Horizon > 0 {
		out += fmt.Sprintf(" horizon=%v", s.Horizon)
	}
	if s.Encode {
		out += " encode=1"
	}
	out += "\n"
	for i := range s.Jobs {
		text, _ := json.Marshal(&s.Jobs[i]) // plain data: it cannot fail
		out += "job " + string(text) + "\n"
	}
	for i := range s.Images {
		out += s.Images[i].String() + "\n"
	}
	for _, w := range s.Loads {
		out += "workload " + w.text + "\n"
	}
	for i := range s.Ops {
		out += s.Ops[i].String() + "\n"
	}
	if len(s.Off) > 0 {
		out += "always except " + strings.Join(s.Off, ", ") + "\n"
	}
	if s.Within > 0 {
		out += fmt.Sprintf("calm converged within=%v\n", s.Within)
	}
	if len(s.Golden) > 0 {
		out += "----\n" + strings.Join(s.Golden, "\n") + "\n"
	}
	return out
}

// formatRate writes a rate so that parseRate reads the very same number.
func formatRate(v float64) string {
	if text := strconv.FormatFloat(v*100, 'g', 4, 64) + "%"; isTheRate(text, v) {
		return text
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func isTheRate(text string, v float64) bool {
	got, err := parseRate(text)
	return err == nil && got == v
}
