package sim

import (
	"slices"
	"strings"
	"testing"
)

// TestFaults_Overlap: of faults of one machine that overlap the last end counts.
func TestFaults_Overlap(t *testing.T) {
	for name, c := range map[string]struct{ text, want, not string }{
		"daemon in a power cut":    {"at 20s crash n3 for=60s\nat 30s crashdaemon n3 for=10s", "80.000  n3    starts (2)", "40.000  n3    starts (2)"},
		"power cut in a power cut": {"at 20s crash n3 for=60s\nat 30s crash n3 for=10s", "80.000  n3    starts (2)", "40.000  n3    starts (2)"},
		"one that outlasts":        {"at 20s crash n3 for=20s\nat 30s crash n3 for=30s", "60.000  n3    starts (2)", "40.000  n3    starts (2)"},
		"one without end":          {"at 20s crashdaemon n3 for=20s\nat 30s crash n3", "power cut", "starts (2)"},
		"a restart ends them all":  {"at 20s crash n3 for=60s\nat 30s restart n3\nat 40s crash n3 for=5s", "45.000  n3    starts (3)", "80.000  n3    starts"},
		"alone":                    {"at 20s crash n3 for=10s", "30.000  n3    starts (2)", "starts (3)"},
		"after it has left":        {"at 20s leave n3\nat 40s crash n3 for=5s\nat 60s restart n3", "left the swarm", "starts (2)"},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := RunScenario(strings.NewReader("peers 4 run 90s\n"+c.text), "x.txt", Options{Lines: true})
			if err != nil || res.Failure != nil {
				t.Fatalf("%v: %s", err, res.String())
			}
			has := func(text string) bool {
				return slices.ContainsFunc(res.Lines, func(l string) bool { return strings.Contains(l, text) })
			}
			n3 := slices.DeleteFunc(slices.Clone(res.Lines), func(l string) bool { return !strings.Contains(l, "n3") })
			if !has(c.want) || slices.ContainsFunc(n3, func(l string) bool { return strings.Contains(l, "n3    starts") && strings.Contains(l, c.not) }) {
				t.Fatalf("want %q and not %q in:\n%s", c.want, c.not, strings.Join(n3, "\n"))
			}
		})
	}
}

// TestEngine_FaultsOverlap: an engine works again only when nothing holds it any more.
func TestEngine_FaultsOverlap(t *testing.T) {
	res := runText(t, `peers 1 run 150s
at 2s submit web
at 20s hang engine n1 for=60s
at 30s hang engine n1 for=5s
at 40s hang engine n1 for=5s down
at 100s hang engine n1 for=30s down
at 105s enginerestart n1 for=5s
at 50s exit web.0
at 79s running 0 of web
at 100s running 1 of web
at 115s exit web.0
at 129s running 0 of web
calm running 1 of web`, "x.txt")
	if res.Failure != nil {
		t.Fatal(res.String())
	}
}
