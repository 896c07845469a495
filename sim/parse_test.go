package sim

import (
	"strings"
	"testing"
)

func TestParse_ErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "# nothing\n", "x.txt:1: no peers; begin with a line such as: peers 5 cpu=2000m mem=4GiB"},
		{"word", "peers 2\nfrobnicate n1\n", `x.txt:2: "frobnicate" begins no statement`},
		{"verb", "peers 2\nat 1s explode n1\n", `x.txt:2: unknown verb "explode"; docs/SIMULATION.md lists them`},
		{"time", "peers 2\nat soon crash n1\n", `x.txt:2: "soon" is no duration; write one such as 250ms`},
		{"number", "peers none\n", `x.txt:1: peers: "none" is no number of peers from 1 to 20000`},
		{"rate", "peers 2 net loss=200%\n", `x.txt:1: net: loss=200%: "200%" is no rate`},
		{"peer", "peers 2\nat 1s crash bob\n", `x.txt:2: crash: "bob" is no peer; write n1, holder(web.0)`},
		{"option", "peers 2\nat 1s crash n1 speed=3\n", "x.txt:2: crash: unknown option speed=; known are "},
		{"value", "peers 2\nat 1s submit web cpu=lots\n", `x.txt:2: submit: cpu=lots: "lots" is no amount of CPU`},
		{"args", "peers 2\nat 1s crash\n", "x.txt:2: "},
		{"by", "peers 2\nat 9s crash n1\nby 3s nobody web.0\n", "x.txt:3: by 3s lies before the line above it, at 9s"},
		{"no assertion", "peers 2\nby 3s crash n1\n", `x.txt:2: "crash" is no assertion; those are accepted, `},
		{"rule", "peers 2\nalways happy\n", `x.txt:2: always: "happy" is no rule; known are `},
		{"cut", "peers 2\nat 1s cut n1\n", `x.txt:2: cut: "n1" does not say what from what; write n1,n2|n3 or n1>n2`},
		{"range", "peers 9\nat 1s cut n4..n2|rest\n", `x.txt:2: cut: "n4..n2" is no range of peers; write n4..n9`},
		{"job", "peers 2\njob {\"name\":7}\n", "x.txt:2: job: no spec of a job in JSON: "},
		{"spec", "peers 2\njob {\"namespace\":\"default\",\"name\":\"shop\"}\n", "x.txt:2: job: "},
		{"deploy", "peers 2\nat 1s deploy shop\n", "x.txt:2: deploy: there is no line job {…} of shop"},
		{"image", "peers 2\nimage redis fetch=2s\n", "x.txt:2: image: fetch=2s: unknown option; known are exit, "},
		{"from", "peers 2\nfrom 3s crash n1\n", `x.txt:2: "crash" is no assertion; those are accepted, `},
		{"option twice", "peers 2\nat 1s crash n1 for=3s for=4s\n", "x.txt:2: crash: for stands here twice; leave one out"},
		{"nobody in rest", "peers 3\nat 1s cut n1..n3|rest\n", "x.txt:2: cut: n1..n3|rest: rest is nobody, all 3 peers stand there by name"},
		{"nobody in rest of a link", "peers 3\nlink n1..n3|rest loss=5%\n", "x.txt:2: link: n1..n3|rest: rest is nobody"},
		{"years", "peers 2\nat 1s clockjump n1 by=-9999999y\n", `x.txt:2: clockjump: by=-9999999y: "-9999999y" is no number of years from -200y to 200y`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(c.text), "x.txt")
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v, want %s…", err, c.want)
			}
		})
	}
}

// TestParse_AlwaysExcept: every rule that a result names can be taken out.
func TestParse_AlwaysExcept(t *testing.T) {
	res := runText(t, "peers 3 run 20s\nalways except ready, fair, kinds", "x.txt")
	if _, on := res.Checks["fair"]; on || res.Verdict != OK {
		t.Fatalf("%v: %s", res.Checks, res.String())
	}
	for rule := range runText(t, "peers 3 run 20s", "x.txt").Checks {
		if _, ok := ruleNames[rule]; !ok {
			t.Errorf("always except %s is refused", rule)
		}
	}
}

// FuzzParse feeds the parser anything: no panic, and what it takes it writes so
// that it reads it back.
func FuzzParse(f *testing.F) {
	f.Add("peers 3 cpu=2 mem=4GiB label=a=b net loss=1% run 10s seed=3\nat 1s submit web replicas=2\n" +
		"by 5s running >=1 of web\ncalm converged within=3s\n")
	f.Add("peers 9\njob {\"namespace\":\"default\",\"name\":\"shop\",\"tasks\":[{\"name\":\"web\",\"count\":2,\"image\":\"nginx\"}]}\n" +
		"image nginx pull=2s..9s exit=1 stuck=yes\nat 1s deploy shop\nat 2s cut n1..n3,n5|rest for=9s\nfrom 9s serving 2 of shop/web\n")
	f.Add("peers 2\nat 1s cut n1|rest\nat 2s crash any on=award when=before\n----\nline\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		if _, err := Parse(strings.NewReader(s.String()), "again"); err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
	})
}
