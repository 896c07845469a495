package sim

import (
	"strings"
	"testing"
)

func diffOf(t *testing.T, a, b string, seedA, seedB uint64) *Parting {
	t.Helper()
	parse := func(text string) *Scenario {
		s, err := Parse(strings.NewReader(text), "x.txt")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p, err := Diff(parse(a), Options{Seed: &seedA}, parse(b), Options{Seed: &seedB})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// words are what a person compares.
func (v *StepView) words() string {
	parts := [][]string{{v.Peer, v.Input, v.Refused}, v.Records, v.Messages, v.Actions, v.Replies, v.Events, v.Others}
	var all []string
	for _, part := range parts {
		all = append(all, strings.Join(part, "\n"))
	}
	return withoutNames(strings.Join(all, "\n"))
}

const twoAndAJob = "peers 2 run 10s\nat 2s submit web replicas=2\n"

// Two seeds differ from the first step on, by their identities; shown is where that
// begins to read otherwise, and why it did not before.
func TestDiff_SeedsReadOtherwise(t *testing.T) {
	p := diffOf(t, twoAndAJob, twoAndAJob, 1, 2)
	switch {
	case p == nil || p.Step != 1 || p.Alike:
		t.Fatalf("got %+v", p)
	case p.StepA == nil || p.StepB == nil || p.StepA.words() == p.StepB.words():
		t.Fatalf("both sides read alike: %+v and %+v", p.StepA, p.StepB)
	case !strings.HasPrefix(p.Content, "identities"):
		t.Fatalf("does not say what differs: %q", p.Content)
	}
}

func TestDiff_SameIsNoDifference(t *testing.T) {
	if p := diffOf(t, twoAndAJob, twoAndAJob, 1, 1); p != nil {
		t.Fatalf("equal runs differ: %+v", p)
	}
}

// What a job's environment says is content that no word of a step shows.
func TestDiff_AlikeInWords(t *testing.T) {
	one := "peers 1 run 5s\nat 2s submit web version=1\n"
	p := diffOf(t, one, strings.Replace(one, "version=1", "version=2", 1), 1, 1)
	if p == nil || !p.Alike || p.Step == 0 || p.StepA == nil || p.Content == "" {
		t.Fatalf("got %+v", p)
	}
}

// A peer that hears of a job before it has its author's card names that peer all the same.
func TestEvents_NamePeers(t *testing.T) {
	res, err := RunScenario(strings.NewReader("peers 5\nrun 10s seed=1\nat 500ms submit web replicas=1\n"), "names", Options{Lines: true})
	if err != nil {
		t.Fatal(err)
	}
	came := 0
	for _, l := range res.Lines {
		if _, from, ok := strings.Cut(l, " came from "); ok {
			came++
			if !strings.HasPrefix(from, "n") || len(from) > 2 {
				t.Errorf("a raw identity: %s", l)
			}
		}
	}
	if came == 0 {
		t.Fatal("no job came from anybody")
	}
}
