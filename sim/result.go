package sim

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// A Verdict says how a run ended.
type Verdict string

// The verdicts.
const (
	OK       Verdict = "ok"
	Crash    Verdict = "crash"    // a core panicked, spun, or said what it must never say
	Safety   Verdict = "safety"   // an invariant S1 to S8 was broken
	Liveness Verdict = "liveness" // V1 to V4, or what the scenario expects, did not come about

	// Stopped runs were all well up to the step at which they were to stop; of what would
	// have followed nothing is known.
	Stopped Verdict = "stopped"

	// Interrupted runs have ended before their time because somebody wanted so.
	Interrupted Verdict = "interrupted"
)

// ExitCode is what a process that ran the scenario ends with.
func (v Verdict) ExitCode() int {
	switch v {
	case OK, Stopped:
		return 0
	case Crash:
		return 3
	case Safety:
		return 4
	case Liveness:
		return 5
	case Interrupted:
		return 130 // as a shell says of what Ctrl-C has ended
	}
	return 1
}

// A Failure is the first finding of a run.
type Failure struct {
	Kind Verdict       `json:"kind"`
	Rule string        `json:"rule,omitempty"` // "S4", "V2"; empty: an assertion of the scenario, or a crash
	At   time.Duration `json:"at"`             // of simulated time
	Text string        `json:"text"`
	Line string        `json:"line,omitempty"` // "FILE:LINE" of the assertion
}

func (f *Failure) String() string {
	head := string(f.Kind)
	if f.Rule != "" {
		head += " " + f.Rule
	}
	if f.Line != "" {
		head = f.Line + ": " + head
	}
	return fmt.Sprintf("%s at %.3fs: %s", head, f.At.Seconds(), f.Text)
}

// A Result is what a run shows. Equal scenarios, seeds and programs give equal
// results but for Wall.
type Result struct {
	Scenario   string            `json:"scenario"`
	Seed       uint64            `json:"seed"`
	Peers      int               `json:"peers"`
	Verdict    Verdict           `json:"verdict"`
	Failure    *Failure          `json:"failure,omitempty"`
	Hash       string            `json:"hash"` // of the trace, 16 hexadecimal digits
	Simulated  time.Duration     `json:"simulated"`
	Calm       time.Duration     `json:"calm,omitempty"` // until everything had converged after the faults ended
	Steps      uint64            `json:"steps"`          // of cores
	Messages   uint64            `json:"messages"`       // sent
	Kinds      map[string]uint64 `json:"kinds"`          // messages sent, by kind
	Checks     map[string]uint64 `json:"checks"`         // how often each rule compared something; 0: not exercised
	Starts     int               `json:"starts"`         // containers started
	Rare       map[string]uint64 `json:"rare,omitempty"` // rare branches taken, see RareBranches
	Sales      *Sales            `json:"sales,omitempty"`
	Refused    uint64            `json:"refused,omitempty"`
	Replay     string            `json:"replay"`
	Lines      []string          `json:"lines,omitempty"`      // notable lines, if they were asked for
	DidNothing []string          `json:"didNothing,omitempty"` // lines of the scenario that found nothing to do, and why
	Waits      []string          `json:"waits,omitempty"`      // slots that nobody holds at the end, and why: "t/db.0: 0 of 3 peers: 3 memory"
	Wall       time.Duration     `json:"wall"`                 // how long the run took; the only field that differs
	Recording  *Recording        `json:"-"`                    // if Options.Record asked for it
}

// String is the one line, or few, for a person.
func (r *Result) String() string {
	if r.Verdict == Interrupted {
		return fmt.Sprintf("%s: interrupted at %v simulated, seed %d, %d peers, nothing found until then",
			r.Scenario, r.Simulated.Round(time.Second), r.Seed, r.Peers)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, seed %d, %d peers, %.1f s simulated", r.Scenario, r.Verdict, r.Seed, r.Peers, r.Simulated.Seconds())
	if r.Calm > 0 {
		fmt.Fprintf(&b, ", calm after %.1f s", r.Calm.Seconds())
	}
	fmt.Fprintf(&b, ", trace %s", r.Hash)
	if r.Sales != nil && r.Sales.Placed > 0 {
		fmt.Fprintf(&b, "\n  %s", r.Sales)
	}
	for _, line := range r.DidNothing {
		fmt.Fprintf(&b, "\n  did nothing: %s", line)
	}
	for _, line := range r.Waits {
		fmt.Fprintf(&b, "\n  waits: %s", line)
	}
	if idle := r.Unexercised(); len(idle) > 0 && r.Verdict == OK {
		fmt.Fprintf(&b, "\n  not exercised: %s", strings.Join(idle, ", "))
	}
	if r.Failure != nil {
		fmt.Fprintf(&b, "\n  %s\n  again: %s", r.Failure, r.Replay)
	}
	return b.String()
}

// Unexercised names the rules that were on and had nothing to compare, in order.
func (r *Result) Unexercised() (out []string) {
	for rule, n := range r.Checks {
		if n == 0 {
			out = append(out, rule)
		}
	}
	slices.Sort(out)
	return out
}

// stack is the stack of a panic, without the frames of the world.
func stack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	var out []string
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			out = lines[i+2:]
		}
		if strings.Contains(l, "sim.(*machine).step") {
			break
		}
	}
	return strings.Join(out[:min(len(out), 16)], "\n")
}
