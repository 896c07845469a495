package report

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/sim"
	simcheck "shoal/sim/check"
)

const small = `peers 6 cpu=2000m mem=4GiB datacenter=home
run 90s seed=5
at 1s  submit web replicas=4
at 20s crash n2 for=30s
at 40s cut n5|rest for=20s
at 50s net loss=5%
at 70s net loss=0%
`

// bare are the runs that have least to draw.
var bare = map[string]string{
	"no fault":     "peers 3\nrun 20s\nat 1s submit web replicas=2\n",
	"no container": "peers 3 cpu=100m\nrun 20s\n",
	"nothing fits": "peers 3 cpu=100m\nrun 20s\nat 1s submit web cpu=4\n",
	"soon over":    "peers 3\nrun 20s\nat 500ms submit web\nat 1s running 3 web\n",
	"over at once": "peers 3\nrun 20s\nat 0s submit web\nat 10ms crash n3\nat 100ms running 3 web\n",
}

// run records a scenario.
func run(t *testing.T, text string) *sim.Result {
	t.Helper()
	s, err := sim.Parse(strings.NewReader(text), "small.txt")
	if err != nil {
		t.Fatal(err)
	}
	res := sim.Run(s, sim.Options{Record: true})
	return &res
}

func write(t *testing.T, res *sim.Result, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, res, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// external finds what a browser would fetch.
var external = regexp.MustCompile(`(?i)https?://|//[a-z]|@import|url\([^#]|<link|<img|\bsrc=|fetch\(|XMLHttp`)

func TestWrite_EqualRunsGiveEqualFilesThatAskNobody(t *testing.T) {
	a, b := write(t, run(t, small), Options{Text: small}), write(t, run(t, small), Options{Text: small})
	if !bytes.Equal(a, b) {
		t.Error("two equal runs, two files")
	}
	for line := range bytes.Lines(a) {
		if code, _, _ := bytes.Cut(line, []byte("// ")); external.Match(code) {
			t.Errorf("asks the network: %.120s", line)
		}
	}
	for _, want := range []string{"All invariants held.", "shoal sim run small.txt --seed 5", "S4", "power off"} {
		if !bytes.Contains(a, []byte(want)) {
			t.Errorf("no %q in it", want)
		}
	}
}

// What a file says is text, never code.
func TestWrite_EscapesWhatItShows(t *testing.T) {
	const bad = `</script><script>alert(1)</script><img src=x>`
	res := run(t, small)
	res.Scenario, res.Replay = bad, bad
	res.Recording.Peers[0].Site = bad
	res.Recording.Faults[0].Text = bad
	res.Failure = &sim.Failure{Kind: sim.Safety, Rule: "S4", At: time.Minute, Text: bad}
	res.Verdict = sim.Safety
	page := write(t, res, Options{Text: bad, Names: []string{bad}})
	if bytes.Contains(page, []byte("<script>alert")) || bytes.Contains(page, []byte("<img")) {
		t.Error("a text got into the page as it was")
	}
	if !bytes.Contains(page, []byte("broken at 1:00.000")) || !bytes.Contains(page, []byte("An invariant was broken.")) {
		t.Error("the violation is not shown")
	}
}

func TestWrite_NeedsARecording(t *testing.T) {
	if err := Write(&bytes.Buffer{}, &sim.Result{Scenario: "x"}, Options{}); err == nil {
		t.Error("a report of nothing")
	}
}

// large is a run of 1,000 peers, 10,000 slots and churn, as a recording has it.
func large() *sim.Result {
	rec := &sim.Recording{Run: time.Hour, End: time.Hour, Step: time.Second}
	for i := range 1000 {
		rec.Peers = append(rec.Peers, sim.PeerTrack{Name: fmt.Sprintf("n%d", i+1), Site: fmt.Sprintf("site%d", i%7)})
		for k := range 20 {
			from := time.Duration(i%50*60+k*7) * time.Second
			rec.Faults = append(rec.Faults, sim.FaultSpan{Peer: i, Kind: "off", From: from, To: from + 3*time.Second, Text: "power off"})
		}
	}
	for i := range 100_000 {
		from := time.Duration(i%3600) * time.Second
		rec.Containers = append(rec.Containers, sim.ContainerRun{
			Peer: i % 1000, Slot: job.SlotID{Job: "default/big", Task: fmt.Sprintf("t%d", i%30), Index: i % 333}, Token: uint64(i),
			From: from, To: from + time.Minute, Why: "exited 0",
		})
		rec.Placed = append(rec.Placed, sim.Handover{Took: time.Duration(i) * time.Millisecond})
		rec.Marks = append(rec.Marks, sim.Mark{At: from, Peer: -1, Text: "at 1s crash n1 for=3s"})
	}
	for range 3600 {
		rec.Samples = append(rec.Samples, sim.Sample{Up: 1000, Ready: 1000, Same: 999, Running: 10_000, Messages: 40_000, Bytes: 9_000_000})
	}
	return &sim.Result{Scenario: "large", Verdict: sim.OK, Peers: 1000, Simulated: time.Hour, Recording: rec}
}

func TestWrite_StaysWithinFiveMegabytes(t *testing.T) {
	if n := len(write(t, large(), Options{Text: strings.Repeat("at 1s crash n1\n", 1e6)})); n > 5<<20 {
		t.Errorf("%d bytes", n)
	}
}

// Lists with nothing in them reach the script as lists.
func TestWrite_HasNoNull(t *testing.T) {
	for name, text := range bare {
		page := string(write(t, run(t, text), Options{}))
		_, data, _ := strings.Cut(page, "<script>const D=")
		data, _, _ = strings.Cut(data, "</script>")
		if data == "" || strings.Contains(data, "null") {
			t.Errorf("%s: %s", name, data)
		}
	}
}

// Every rule that a run counts, or that may be broken, has its row.
func TestChecks_HaveARowEach(t *testing.T) {
	known := map[string]bool{"kinds": false} // of the verb newer, no checker
	for _, c := range simcheck.All() {
		known[c.Rule()] = false
	}
	for rule := range run(t, small).Checks {
		known[rule] = false
	}
	for _, r := range rules {
		if done, ok := known[r.name]; !ok || done {
			t.Errorf("%s has a row and is no rule, or has two", r.name)
		}
		known[r.name] = true
	}
	for rule, done := range known {
		if !done {
			t.Errorf("%s has no row", rule)
		}
	}
}

// A percentile is the nearest rank: of two times the median is the first, p99 the second.
func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		n, p int
		want string
	}{
		{0, 50, "–"}, {1, 50, "1 ms"}, {1, 99, "1 ms"}, {2, 50, "1 ms"}, {2, 99, "2 ms"}, {3, 50, "2 ms"}, {3, 99, "3 ms"},
		{4, 50, "2 ms"}, {100, 99, "99 ms"}, {101, 99, "100 ms"},
	} {
		var list []sim.Handover
		for i := range c.n {
			list = append(list, sim.Handover{Took: time.Duration(i+1) * time.Millisecond})
		}
		if got := percentile(list, c.p); got != c.want {
			t.Errorf("p%d of %d: %s, want %s", c.p, c.n, got, c.want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var list []sim.Handover
	for i := range 10_001 {
		list = append(list, sim.Handover{Took: time.Duration(10_000-i) * time.Millisecond})
	}
	q := quantiles(list)
	if len(q) != maxPoints || q[0] != 0 || q[maxPoints-1] != 10_000 || q[maxPoints/2] < 5000 || q[maxPoints/2] > 5050 {
		t.Errorf("%d points, %d to %d, median %d", len(q), q[0], q[len(q)-1], q[maxPoints/2])
	}
}
