package sim

import (
	"strings"
	"testing"
)

// TestRequest_NeverAnswered: a user's request that nobody takes is no success; with
// fails= the line says itself that this may be.
func TestRequest_NeverAnswered(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"given up":         {"peers 3 run 200s\nat 9s crash n2\nat 10s submit web at=n2", "submit of line 3 was never answered: n2 was asked, and is down"},
		"nobody is ready":  {"peers 3 run 200s\nat 0s crash n1\nat 3s submit web", "submit of line 3 was never answered: no peer is ready"},
		"still open":       {"peers 3 run 30s\nat 9s crash n2\nat 10s submit web at=n2", "submit of line 3 was never answered: n2 was asked, and is down"},
		"fails=":           {"peers 3 run 200s\nat 9s crash n2\nat 10s submit web at=n2 fails=no", ""},
		"answered in time": {"peers 3 run 60s\nat 9s crash n2 for=20s\nat 10s submit web at=n2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := runText(t, c.text, "x.txt")
			switch {
			case c.want == "" && res.Failure != nil:
				t.Fatal(res.String())
			case c.want != "" && (res.Failure == nil || res.Verdict != Liveness || res.Failure.Text != c.want):
				t.Fatalf("want %s: %s", c.want, res.String())
			}
		})
	}
}

// TestResult_Waits: a slot that fits nowhere is no failure, and is named.
func TestResult_Waits(t *testing.T) {
	res := runText(t, "peers 3 mem=1GiB run 60s\nat 3s submit t/db mem=2GiB replicas=2\nat 3s submit web", "x.txt")
	want := "t/db.0: 0 of 3 peers: 3 memory"
	if res.Verdict != OK || len(res.Waits) != 2 || res.Waits[0] != want || !strings.Contains(res.String(), "\n  waits: "+want) {
		t.Fatalf("%q: %s", res.Waits, res.String())
	}
}
