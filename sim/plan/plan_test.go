package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"shoal/job"
	"shoal/sim"
)

// shop stands for the Compose file of every plan here.
func shop(file, name string) (*job.Spec, error) {
	if file == "gone.yaml" {
		return nil, errors.New("open gone.yaml: no such file or directory")
	}
	if name == "" {
		name = "shop"
	}
	s := &job.Spec{Namespace: "default", Name: name, Tasks: []job.Task{
		{Name: "db", Count: 1, Image: "redis:7"}, {Name: "web", Count: 3, Image: "nginx"},
	}}
	s.Defaults()
	return s, nil
}

func read(text string, seed *uint64) (*Plan, error) {
	return Read([]byte(text), "my.yaml", Options{Seed: seed, Compose: shop})
}

const whole = `name: mine
seed: 7
duration: 40m
compose: {file: compose.yaml, at: 5s, from: nas.1}
net: {delay: 2ms..9ms, topicloss: 1%}
sites:
  home: {delay: 1ms..2ms}
  shop:
links:
  - {between: home | shop, delay: 20ms..40ms, bandwidth: 10Mbit}
peers:
  - {group: nas, count: 2, site: home, cpu: 4, mem: 8GiB, labels: {disk: ssd}}
  - {group: till, count: 4, site: shop, cpu: 500m, mem: 1GiB, profile: metered, nat: yes, uplink: 2Mbit}
images:
  web: {pull: 2s..9s}
  redis:7: {start: 3s, lasts: 1m, exit: 2}
work:
  - {at: 20m, scale: web, to: 5}
  - {at: 21m, drain: till.2, for: 5m}
faults:
  - {at: 10m, cut: site shop | rest, for: 1m}
  - power off: 2 peers of site shop at 12m for 2m
  - {at: 15m, slow link: home | shop, loss: 10%, for: 1m}
  - {at: 17m, power off: holder of web.0, for: 1m}
  - {at: 30m, every: 4m, pause: 1 peer of group till, for: 30s}
expect:
  - web serves >=2 always
  - shop runs 4 by 9m
  - web runs 5 in the end
`

const wholeText = `net delay=2ms..9ms topicloss=1%
run 40m0s seed=7
peers 2 cpu=4 mem=8GiB label=disk=ssd datacenter=home
peers 4 cpu=500m mem=1GiB profile=metered nat=yes uplink=2Mbit datacenter=shop addr=shop
job {…}
image nginx pull=2s..9s
image redis:7 start=3s lasts=1m exit=2
link n1..n2|n1..n2 delay=1ms..2ms
link n1..n2|n3..n6 delay=20ms..40ms bandwidth=10Mbit
at 5s deploy shop at=n1
from 1m5s serving >=2 of shop/web
by 9m0s running 4 of shop
# cut site shop | rest
at 10m0s cut n3..n6|rest for=1m0s
# power off 2 peers of site shop
at 12m0s crash n3 for=2m0s
at 12m0s crash n4 for=2m0s
# slow link home | shop
at 15m0s link n1..n2|n3..n6 loss=10%
at 16m0s link n1..n2|n3..n6 loss=0%
at 16m0s link n1..n2|n3..n6 delay=20ms..40ms bandwidth=10Mbit
# power off holder of web.0
at 17m0s crash holder(shop/web.0) for=1m0s
# scale web
at 20m0s scale shop/web replicas=5
# drain till.2
at 21m0s drain n4
at 26m0s drain n4 undo
# pause 1 peer of group till
at 30m0s pause n3 for=30s
# pause 1 peer of group till
at 34m0s pause n4 for=30s
# pause 1 peer of group till
at 38m0s pause n3 for=30s
calm running 5 of shop/web
`

func TestRead_WritesAScenario(t *testing.T) {
	p, err := read(whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for line := range strings.Lines(p.Text) {
		if strings.HasPrefix(line, "job ") {
			line = "job {…}\n"
		}
		got += line
	}
	if got != wholeText {
		t.Errorf("got\n%s\nwant\n%s", got, wholeText)
	}
	if p.Title != "mine" || p.Peers[5] != "till.4" || p.Sites[0] != "home" {
		t.Errorf("%s: %v at %v", p.Title, p.Peers, p.Sites)
	}
	for _, op := range p.Scenario.Ops {
		if op.Verb == "deploy" && op.Line != 4 || op.Verb == "crash" && op.Line != 22 && op.Line != 24 {
			t.Errorf("%s is of line %d", op.String(), op.Line)
		}
	}
	again, err := sim.Parse(strings.NewReader(p.Scenario.String()), "again")
	if err != nil || again.String() != p.Scenario.String() {
		t.Errorf("the scenario does not read back: %v", err)
	}
}

// Every verb makes a line that the scenario's language knows.
func TestRead_EveryVerb(t *testing.T) {
	const text = `compose: c.yaml
duration: 10m
peers: [{group: a, count: 4}]
work:
  - {at: 1m, update: shop}
  - {at: 1m, redeploy: shop}
  - {at: 2m, rollback: shop, from: a.2}
  - {at: 3m, remove: shop}
  - {at: 4m, leave: a.4}
faults:
  - {at: 1m, power off: half of everyone, for: 1m}
  - {at: 1m, kill daemon: holder of web.0}
  - {at: 1m, lose disk: a.2}
  - {at: 1m, damage disk: n2, for: 3s}
  - {at: 1m, fail disk: a.2}
  - {at: 1m, slow disk: a.2, factor: 20, for: 1m}
  - {at: 1m, fill disk: a.2, free: 5MiB, for: 1m}
  - {at: 1m, rot disk: a.2, records: 3}
  - {at: 1m, sleep: a.2, for: 1m}
  - {at: 1m, fail starts: a.2, p: 30%, for: 1m}
  - {at: 1m, restart engine: a.2}
  - {at: 1m, stop engine: "a.2, a.3", for: 1m}
  - {at: 1m, shift clock: a.2, by: -10y, for: 1m}
  - {at: 1m, one way: a.2 > rest, for: 1m}
  - {at: 1m, slow: a.2, factor: 20, for: 1m}
  - {at: 1m, slow link: a.2 | rest, delay: 1s, for: 1m}
  - {at: 1m, weather: {loss: 5%, delay: 9ms..90ms}, for: 1m}
  - {at: 1m, lose image: web}
  - {at: 1m, end container: web.1, code: 3}
`
	p, err := read(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"startfail n2 p=30% for=1m0s", "net delay=1ms..5ms loss=0%", "exit container shop/web.1 code=3", "oneway n2>rest for=1m0s"} {
		if !strings.Contains(p.Text, line) {
			t.Errorf("no %q in\n%s", line, p.Text)
		}
	}
}

// Another seed draws other peers, and shifts nothing else.
func TestRead_SeedDrawsPeers(t *testing.T) {
	drawn := map[string]bool{}
	for seed := range uint64(20) {
		p, err := read(whole, &seed)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(p.Text, "# power off 2 peers of site shop\n")
		pair, _, _ := strings.Cut(rest, "#")
		drawn[pair] = true
	}
	if len(drawn) != 6 {
		t.Errorf("20 seeds drew %d pairs of 4 peers, want all 6", len(drawn))
	}
}

func TestRead_ErrorsNameThePlace(t *testing.T) {
	const head = "compose: c.yaml\npeers:\n  - {group: nas, count: 3}\nduration: 30m\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "my.yaml:1: is empty; a plan has at least peers: and compose:"},
		{"yaml", "peers: [\n", "my.yaml:1: is not valid YAML: "},
		{"scalar", "hello\n", "my.yaml:1: is no plan: "},
		{"no compose", "peers: [{count: 3}]\n", "my.yaml:1: compose is missing; "},
		{"key", head + "fault: []\n", `my.yaml:5: unknown key "fault"; did you mean faults?`},
		{"twice", head + "seed: 1\nseed: 2\n", "my.yaml:6: "},
		{"count", "compose: c.yaml\npeers:\n  - {count: many}\n", `my.yaml:3: peers[0].count: "many" is no number from 1 to 20000`},
		{"cpu", "compose: c.yaml\npeers:\n  - {count: 1,\n     cpu: lots}\n", `my.yaml:4: peers[0].cpu: "lots" is no amount of CPU; write one such as 500m or 2`},
		{"site", "compose: c.yaml\nsites: {home: }\npeers: [{site: hone}]\n", `my.yaml:3: peers[0].site: there is no site "hone"; did you mean home?`},
		{"compose", "compose: gone.yaml\npeers: [{count: 1}]\n", "my.yaml:1: compose: open gone.yaml: no such file"},
		{"verb", head + "faults:\n  - {at: 1m, power of: nas.1}\n", `my.yaml:6: faults[0]: unknown key "power of"; did you mean power off?`},
		{"no verb", head + "faults:\n  - {at: 1m}\n", "my.yaml:6: faults[0]: says when, and not what; the verbs are power off, "},
		{"two verbs", head + "faults:\n  - {at: 1m, pause: nas.1, power off: nas.2}\n", "my.yaml:6: faults[0]: has two verbs, pause and power off; "},
		{"work", head + "faults:\n  - {at: 1m, scale: web, to: 2}\n", "my.yaml:6: faults[0]: scale stands under work:"},
		{"for ever", head + "work:\n  - {at: 1m, scale: web, to: 2, for: 1m}\n", "my.yaml:6: work[0]: scale has no for:; leave it out"},
		{"when", head + "faults:\n  - {power off: nas.1}\n", "my.yaml:6: faults[0]: at is missing; write when, such as at: 5m"},
		{"time", head + "faults:\n  - {at: soon, power off: nas.1}\n", `my.yaml:6: faults[0].at: "soon" is no duration; write one such as 250ms, 90s or 1h30m`},
		{"late", head + "faults:\n  - {at: 31m, power off: nas.1}\n", "my.yaml:6: faults[0].at: 31m0s is after the end of the run; it lasts 30m0s: "},
		{"long", head + "faults:\n  - {at: 29m, power off: nas.1, for: 2m}\n", "my.yaml:6: faults[0].for: ends at 31m0s, and the run lasts 30m0s; "},
		{"inline", head + "faults:\n  - power off: nas.1 at 29m for ever\n", `my.yaml:6: faults[0].power off: "ever" is no duration; `},
		{"often", head + "faults:\n  - {at: 1m, power off: nas.1, for: 1m, every: 30s}\n", "my.yaml:6: faults[0].every: 30s is too often; "},
		{"peer", head + "faults:\n  - {at: 1m, power off: nas.7}\n", `my.yaml:6: faults[0].power off: "nas.7" names no peers; write peer nas.1, `},
		{"peer near", head + "faults:\n  - {at: 1m, power off: peer nas.7}\n", `my.yaml:6: faults[0].power off: there is no peer "nas.7"; did you mean nas.1 or `},
		{"empty site", "compose: c.yaml\nsites: {a: {}, b: {}}\nlinks: [{between: a | b, delay: 5ms}]\npeers: [{count: 1}]\n",
			"my.yaml:3: links[0].between: no peer stands at the site a; write site: a at those that do"},
		{"group", head + "faults:\n  - {at: 1m, power off: nas}\n", `my.yaml:6: faults[0].power off: "nas" is no peer; did you mean group nas?`},
		{"too many", head + "faults:\n  - {at: 1m, power off: 5 peers of group nas}\n", `my.yaml:6: faults[0].power off: "5 peers of group nas": there are 3 of them`},
		{"cut", head + "faults:\n  - {at: 1m, cut: nas.1}\n", `my.yaml:6: faults[0].cut: "nas.1" does not say what from what; `},
		{"task", head + "work:\n  - {at: 1m, scale: wep, to: 3}\n", `my.yaml:6: work[0].scale: there is no job or task "wep"; did you mean web`},
		{"image", head + "images:\n  ngin: {pull: 1s}\n", `my.yaml:6: images: no task uses an image "ngin"; did you mean nginx?`},
		{"span", head + "images:\n  nginx: {pull: slow}\n", `my.yaml:6: images.nginx.pull: "slow" is no duration; `},
		{"expect", head + "expect: [web flies 3]\n", `my.yaml:5: expect[0]: "flies" is no verb; a task serves or runs; `},
		{"expect time", head + "expect: [web serves 3 soon]\n", `my.yaml:5: expect[0]: "soon" is no time; `},
		{"matrix", head + "net: {matrix: gone.tsv}\n", "my.yaml:5: "},
		{"rest", head + "faults:\n  - {at: 1m, cut: everyone | rest}\n", "my.yaml:6: cut: n1..n3|rest: rest is nobody"},
		{"weather", head + "faults:\n  - {at: 1m, weather: {}}\n", "my.yaml:6: faults[0].weather: says nothing of the network; "},
		{"at once", head + "faults:\n  - {at: 1m, end container: web.0, for: 1m}\n", "my.yaml:6: faults[0]: end container has no for:; leave it out"},
		{"factor", head + "faults:\n  - {at: 1m, slow disk: nas.1}\n", "my.yaml:6: faults[0]: factor is missing; "},
		{"share", head + "faults:\n  - {at: 1m, fail starts: nas.1, p: often}\n", `my.yaml:6: faults[0].p: "often" is no rate; write one such as 2%`},
		{"injection", head + "faults:\n  - {at: 1m, power off: \"nas.1\\nat 1s crash n1\"}\n", "my.yaml:6: faults[0].power off: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.text, nil)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s…", err, c.want)
			}
		})
	}
}

// FuzzRead feeds it anything: no panic, and every error names the file.
func FuzzRead(f *testing.F) {
	f.Add(whole)
	f.Add("compose: [a, {file: b, name: x}]\npeers: [{count: 2, labels: {a: b}}]\nexpect: x serves 1 at 2m\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := read(text, nil)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "my.yaml:") {
				t.Fatalf("an error without its place: %v", err)
			}
			return
		}
		if _, err := sim.Parse(strings.NewReader(p.Scenario.String()), "again"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRead_OverlaysEndAlone: what ends one change of links or weather leaves the
// others as they are, and speaks of its own links alone.
func TestRead_OverlaysEndAlone(t *testing.T) {
	p, err := Read([]byte(`
duration: 4m
compose: shop.yaml
sites: {x: {delay: 1ms..2ms}, y: {delay: 1ms..2ms}}
links: [{between: x | y, delay: 30ms..40ms, loss: 1%}]
peers: [{group: a, site: x, count: 3}, {group: b, site: y, count: 3}]
faults:
  - {at: 60s, weather: {loss: 5%}, for: 60s}
  - {at: 90s, weather: {loss: 20%}, for: 10s}
  - {at: 60s, slow link: a.1 | b.1, loss: 5%, for: 60s}
  - {at: 90s, slow link: a.1 | rest, loss: 20%, for: 10s}
`), "my.yaml", Options{Compose: shop})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range strings.Split(p.Text, "\n") {
		if strings.HasPrefix(l, "at 1m40s ") || strings.HasPrefix(l, "at 2m0s ") {
			got = append(got, l)
		}
	}
	want := []string{
		"at 1m40s net loss=0%", "at 1m40s net loss=5%",
		"at 1m40s link n1|n2..n6 loss=0%", "at 1m40s link n1|n2..n3 delay=1ms..2ms",
		"at 1m40s link n1|n4..n6 delay=30ms..40ms loss=1%", "at 1m40s link n1|n4 loss=5%",
		"at 2m0s net loss=0%", "at 2m0s link n1|n4 loss=0%", "at 2m0s link n1|n4 delay=30ms..40ms loss=1%",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
