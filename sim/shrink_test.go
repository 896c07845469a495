package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestShrink cuts a plan that cannot succeed down to what makes it fail.
func TestShrink(t *testing.T) {
	s := DrawFor(3, 3, 10*time.Second)
	s.Ops = slices.DeleteFunc(s.Ops, func(op Op) bool { return op.Time > 8*time.Second })
	s.Ops = append(s.Ops, Op{Time: 9 * time.Second, Verb: "submit", Args: []string{"web"}, Opts: map[string]string{"cpu": "1m"}},
		Op{Moment: By, From: 9 * time.Second, Time: 9500 * time.Millisecond, Verb: "running", Args: []string{"77"}})
	got, runs := Shrink(s, 60)
	if len(got.Ops) != 1 || got.Ops[0].Verb != "running" || got.Groups[0].Count != 1 {
		t.Fatalf("left after %d runs:\n%s", runs, got)
	}
}

// TestShrink_Halves needs a fault, but not for as long as it was drawn: a job is
// not accepted for as long as its only peer is down.
func TestShrink_Halves(t *testing.T) {
	s := &Scenario{Name: "halves", Groups: []PeerGroup{{Count: 1, MachineSpec: MachineSpec{Capacity: defaultCapacity}}},
		Net: defaultNet, Run: 60 * time.Second, Seed: 1}
	op := func(at time.Duration, verb, arg, key, value string) Op {
		return Op{Time: at, Verb: verb, Args: []string{arg}, Opts: map[string]string{key: value}}
	}
	s.Ops = []Op{
		op(2*time.Second, "crash", "n1", "for", "40s"), op(3*time.Second, "clockjump", "n1", "by", "10y"),
		op(4*time.Second, "submit", "web", "cpu", "1m"), op(5*time.Second, "accepted", "web", "stores", ">=1"),
	}
	got, _ := Shrink(s, 60)
	if len(got.Ops) > 3 || slices.ContainsFunc(got.Ops, func(op Op) bool { return op.duration("for") > 4*time.Second }) {
		t.Fatalf("left:\n%s", got)
	}
}

// TestShrink_Groups: peers of several groups go too, the last group's first, as far as
// no line names them.
func TestShrink_Groups(t *testing.T) {
	s, err := Parse(strings.NewReader(`peers 3 cpu=2
peers 4
peers 5 mem=1GiB
run 20s
at 9s crash n5
at 10s running 77`), "groups")
	if err != nil {
		t.Fatal(err)
	}
	got, _ := Shrink(s, 60)
	if len(got.Groups) != 1 || got.peers() != 1 {
		t.Fatalf("left:\n%s", got)
	}
	h := &shrinker{best: s, left: 60, want: signatureOf(Run(s, Options{}).Failure)}
	if h.peers(); len(h.best.Groups) != 2 || h.best.peers() != 5 {
		t.Fatalf("n5 is named; left:\n%s", h.best)
	}
}
