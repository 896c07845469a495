package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What each line may say by itself is refused where the whole file shows it to be wrong.
func TestParse_RefusesWhatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"at after the end", "peers 3 run 30s\nat 50s crash n1\n", "x.txt:2: at 50s is after the end of the run (30s): raise run, or take an earlier time"},
		{"by after the end", "peers 3 run 10s\nat 0s submit web\nby 500s running 50 of web\n", "x.txt:3: by 8m20s is after the end of the run (10s)"},
		{"from after the end", "peers 3 run 10s\nat 0s submit web\nfrom 11s serving 1 of web\n", "x.txt:3: from 11s is after the end of the run (10s)"},
		{"end before the run line", "peers 3\nat 50s crash n1\nrun 30s\n", "x.txt:2: at 50s is after"},
		{"no such peer", "peers 3\nat 5s crash n9\n", "x.txt:2: crash: there is no n9 at 5s: the scenario has 3 peers, 0 of them by a join before it; name one from n1 to n3, or raise peers"},
		{"join too late", "peers 3\nat 5s crash n4\nat 6s join\n", "x.txt:2: crash: there is no n4 at 5s"},
		{"of a cut", "peers 3\nat 5s cut n1|n2..n4\n", "x.txt:2: cut: there is no n4 at 5s"},
		{"of an option", "peers 3\nat 5s submit web at=n4\n", "x.txt:2: submit: there is no n4 at 5s"},
		{"of a clone", "peers 3\nat 5s restart n1 disk=clone-of:n4\n", "x.txt:2: restart: there is no n4 at 5s"},
		{"of a link", "peers 3\nlink n1>n4 loss=1%\n", "x.txt:2: link: there is no n4 at 0s"},
		{"unknown job", "peers 3\nat 5s scale nope replicas=3\n", "x.txt:2: scale: no line submits the job nope; write one above, such as: at 0s submit nope"},
		{"job asserted", "peers 3\nby 5s running 2 of nope\n", "x.txt:2: running: no line submits the job nope"},
		{"slot asserted", "peers 3\nby 5s held nope.0\n", "x.txt:2: held: no line submits the job nope"},
		{"copies below", "peers 3\nat 5s submit y replicas=-4\n", `x.txt:2: submit: replicas=-4: "-4" is no number of copies from 0 to 10000`},
		{"copies beyond", "peers 3\nat 5s submit y replicas=20000\n", `x.txt:2: submit: replicas=20000: "20000" is no number of copies from 0 to 10000`},
		{"copies far beyond", "peers 3\nat 5s submit y replicas=99999999\n", `x.txt:2: submit: replicas=99999999: "99999999" is no number of copies`},
		{"copies scaled", "peers 3\nat 1s submit y\nat 5s scale y replicas=20000\n", `x.txt:3: scale: replicas=20000: "20000" is no number of copies`},
		{"spec", "peers 3\nat 5s submit y restarts=-1\n", `x.txt:2: submit: task "y": `},
		{"runs", "peers 3\nrun 20s\nrun 30s\n", "x.txt:3: run: line 2 says it already; write one run for the whole file"},
		{"runs on one line", "peers 3 run 20s run 30s\n", "x.txt:1: run: line 1 says it already"},
		{"both sides", "peers 3\nat 5s cut n1|n1\n", "x.txt:2: cut: n1 stands on both sides; leave it out of one"},
		{"both sides, in a range", "peers 3\nat 5s oneway n1..n2>n2,n3\n", "x.txt:2: oneway: n2 stands on both sides"},
		{"both sides of a bridge", "peers 3\nat 5s bridge n1|n2|n1\n", "x.txt:2: bridge: n1 stands on both sides"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(c.text), "x.txt")
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v, want %s…", err, c.want)
			}
		})
	}
}

func TestParse_TakesWhatCanBe(t *testing.T) {
	for name, text := range map[string]string{
		"at the very end":     "peers 3 run 30s\nat 30s crash n1\n",
		"a peer that joins":   "peers 3\nat 2s join\nat 5s crash n4\n",
		"a job named as one":  "peers 3\nat 2s submit n9 replicas=2\nby 9s held n9.0\n",
		"drawn and cut down":  "peers 3\nat 2s scale job4 replicas=2 fails=no\n",
		"of a workload":       "peers 3\nworkload night rate=1/s\nat 20s scale night-0 replicas=2\n",
		"submitted by update": "peers 3\nat 2s update web version=2\nby 20s running 1 of web\n",
		"links inside a site": "peers 3\nlink n1..n3|n1..n3 loss=1%\n",
		"no copies":           "peers 3\nat 2s submit web\nat 9s scale web replicas=0\n",
	} {
		if _, err := Parse(strings.NewReader(text), "x.txt"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every scenario that is kept, and every plan that is drawn, also as it is printed.
func TestParse_TakesWhatIsKeptAndDrawn(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	mutants, _ := filepath.Glob("testdata/mutants/*.txt")
	if len(files) == 0 || len(mutants) == 0 {
		t.Fatal("no scenarios found")
	}
	for _, name := range append(files, mutants...) {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(f, name)
		f.Close()
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := Parse(strings.NewReader(s.Expand(7, 0).String()), "printed "+name); err != nil {
			t.Error(err)
		}
	}
	for seed := range uint64(300) {
		if _, err := Parse(strings.NewReader(Draw(seed, DrawPeers).String()), "drawn"); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
