package sim

import (
	"strings"
	"testing"
	"time"
)

// A run that is interrupted says so and how far it was; one that could have been is
// the same as any other.
func TestInterrupt(t *testing.T) {
	const text = "peers 3\nrun 2m\nat 3s submit web replicas=2\nby 1m40s held web.0 token=9\n"
	s, err := Parse(strings.NewReader(text), "x.txt")
	if err != nil {
		t.Fatal(err)
	}
	alone := Run(s, Options{})
	if asked := Run(s, Options{Stop: func() bool { return false }}); asked.Hash != alone.Hash || asked.Steps != alone.Steps {
		t.Errorf("trace %s after %d steps if asked, else %s after %d", asked.Hash, asked.Steps, alone.Hash, alone.Steps)
	}
	var at time.Duration
	o := Options{Progress: func(now time.Duration) { at = now }, Stop: func() bool { return at >= 20*time.Second }}
	got := Run(s, o)
	if got.Verdict != Interrupted || got.Failure != nil || got.Verdict.ExitCode() != 130 {
		t.Fatalf("%s with exit code %d, failure %v", got.Verdict, got.Verdict.ExitCode(), got.Failure)
	}
	if got.Simulated < 20*time.Second || got.Simulated > time.Minute {
		t.Errorf("ended at %v, not soon after 20s", got.Simulated)
	}
	if want := "x.txt: interrupted at "; !strings.HasPrefix(got.String(), want) {
		t.Errorf("%q does not begin with %q", got.String(), want)
	}
	at = 0
	if seen, err := Look(s, o, LookAt{Step: 1 << 40}); err != nil || seen.Result.Verdict != Interrupted {
		t.Errorf("Look: %v", err)
	}
}
