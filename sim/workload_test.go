package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// drawnText is the ops that a workload stands for, in a run of the length over 8 peers.
func drawnText(t *testing.T, seed uint64, run time.Duration, workload string) []Op {
	t.Helper()
	text := fmt.Sprintf("peers 8 run %v\nworkload %s\n", run, workload)
	s, err := Parse(strings.NewReader(text), "testdata/x.txt")
	if err != nil {
		t.Fatal(err)
	}
	return s.Expand(seed, 0).Ops
}

func countVerbs(ops []Op) map[string]int {
	n := map[string]int{}
	for i := range ops {
		key := ops[i].Verb
		if hasKey(ops[i].Opts, "undo") {
			key = "undrain"
		}
		n[key]++
	}
	return n
}

// TestWorkload_Rates draws an hour of each kind: the counts are those of their rates
// within four standard deviations, and the gaps between arrivals spread as those
// of a Poisson process, or wider in bursts.
func TestWorkload_Rates(t *testing.T) {
	const run = time.Hour + 5*time.Second // the first 5 s are quiet
	ops := drawnText(t, 1, run, "rate=1/s scale=6/m update=3/m remove=2/m drain=1/m drainfor=1s..2s max=10000")
	n := countVerbs(ops)
	for verb, want := range map[string]float64{"submit": 3600, "scale": 360, "update": 180, "remove": 120, "drain": 60} {
		if got := float64(n[verb]); math.Abs(got-want) > 4*math.Sqrt(want) {
			t.Errorf("%v of %s, want about %v", got, verb, want)
		}
	}
	if n["undrain"] != n["drain"] {
		t.Errorf("%d drains, %d undone", n["drain"], n["undrain"])
	}
	if cv := gapVariation(ops); cv < 0.9 || cv > 1.1 {
		t.Errorf("gaps between arrivals vary by %.2f of their mean, want 1", cv)
	}
	bursts := drawnText(t, 1, run, "rate=10/m burst=4/s on=10s off=1m")
	mean := (4*10 + 10.0/60*60) / 70 * 3600
	if got := float64(countVerbs(bursts)["submit"]); got < 0.6*mean || got > 1.4*mean {
		t.Errorf("%v jobs in bursts, want about %.0f", got, mean)
	}
	if cv := gapVariation(bursts); cv < 1.5 {
		t.Errorf("gaps between arrivals of bursts vary by %.2f of their mean, want much more than 1", cv)
	}
}

// gapVariation is the standard deviation of the gaps between submits over their mean.
func gapVariation(ops []Op) float64 {
	var n, sum, squares float64
	var last time.Duration
	for i := range ops {
		if ops[i].Verb != "submit" {
			continue
		}
		if last > 0 {
			gap := (ops[i].Time - last).Seconds()
			n, sum, squares = n+1, sum+gap, squares+gap*gap
		}
		last = ops[i].Time
	}
	mean := sum / n
	return math.Sqrt(squares/n-mean*mean) / mean
}

// TestWorkload_Sizes draws what is documented: medians, and a tail.
func TestWorkload_Sizes(t *testing.T) {
	var lasts, mem, cpu []float64
	r := stream(1, 0, "sizes")
	for range 20_000 {
		lasts = append(lasts, drawLasts(r).Seconds())
		mem = append(mem, float64(drawMem(r)>>20))
		cpu = append(cpu, float64(drawCPU(r)))
	}
	for _, c := range []struct {
		name          string
		got           []float64
		median, tail  float64 // the tail is the 99th hundredth
		least, utmost float64
	}{
		{"lasts", lasts, 0.684, 165, 0.1, 3600},
		{"mem", mem, 140, 640, 16, 4096},
		{"cpu", cpu, 200, 2048, 10, 4000},
	} {
		slices.Sort(c.got)
		n := len(c.got)
		for part, want := range map[float64]float64{0.5: c.median, 0.99: c.tail} {
			if got := c.got[int(part*float64(n))]; math.Abs(got/want-1) > 0.15 {
				t.Errorf("%s: %v of all are below %.3g, want %.3g", c.name, part, got, want)
			}
		}
		if c.got[0] < c.least || c.got[n-1] > c.utmost {
			t.Errorf("%s: from %v to %v, want within %v and %v", c.name, c.got[0], c.got[n-1], c.least, c.utmost)
		}
	}
}

// TestWorkload_OneOptionOneChange adds operations: no arrival moves, no size changes.
func TestWorkload_OneOptionOneChange(t *testing.T) {
	submits := func(workload string) (out []string) {
		for _, op := range drawnText(t, 7, 2*time.Minute, workload) {
			if op.Verb == "submit" {
				out = append(out, op.String())
			}
		}
		return out
	}
	plain := submits("rate=1/s mix=service:1,batch:1")
	if len(plain) < 60 {
		t.Fatalf("only %d jobs", len(plain))
	}
	if more := submits("rate=1/s mix=service:1,batch:1 scale=1/s drain=6/m remove=1/s"); !slices.Equal(plain, more) {
		t.Error("operations change the jobs")
	}
	if fewer := submits("rate=1/s mix=service:1,batch:1 max=20"); !slices.Equal(plain[:20], fewer) {
		t.Error("fewer jobs are other jobs")
	}
	for i := range plain {
		if batch := strings.Contains(plain[i], "type=batch"); batch != strings.Contains(plain[i], "lasts=") {
			t.Errorf("%s: lasts= is for batch jobs", plain[i])
		}
	}
}

// TestWorkload_PlanIsTheRun runs a workload as a statement and as the lines drawn
// from it: the same run, so what is shrunk and printed is what ran.
func TestWorkload_PlanIsTheRun(t *testing.T) {
	const text = "peers 4 run 20s\nworkload rate=1/s mix=service:1,batch:2 life=5s..20s scale=30/m drain=6/m\nworkload night trace=openb/pods.csv speed=50 size=10%\n"
	s, err := Parse(strings.NewReader(text), "testdata/x.txt")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(strings.NewReader(s.String()), s.Name)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := Parse(strings.NewReader(s.Expand(s.Seed, 0).String()), "elsewhere.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(lines.Loads) > 0 || len(lines.Ops) < 20 {
		t.Fatalf("%d workloads and %d ops left in the plan", len(lines.Loads), len(lines.Ops))
	}
	first := Run(s, Options{})
	for name, other := range map[string]*Scenario{"read again": again, "as lines": lines} {
		if got := Run(other, Options{}); got.Hash != first.Hash {
			t.Errorf("%s: hash %s, first %s", name, got.Hash, first.Hash)
		}
	}
	seed := s.Seed + 1
	if got := Run(s, Options{Seed: &seed}); got.Hash == first.Hash || got.Starts == first.Starts && got.Messages == first.Messages {
		t.Error("another seed is the same run")
	}
}

// TestWorkload_Replay shows that the line to repeat a run has the flags that made it.
func TestWorkload_Replay(t *testing.T) {
	s, err := Parse(strings.NewReader("peers 3 run 10s\nby 9s running 99\n"), "x.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UseNodes("testdata/openb/nodes.csv", 4); err != nil {
		t.Fatal(err)
	}
	if err := s.AddWorkload("rate=1/s cpu=100m"); err != nil {
		t.Fatal(err)
	}
	res := Run(s, Options{})
	const want = "shoal sim run x.txt --seed 1 --nodes testdata/openb/nodes.csv --peers 4 --workload 'rate=1/s cpu=100m'"
	if res.Replay != want || res.Peers != 4 {
		t.Errorf("%d peers, again: %s\nwant: %s", res.Peers, res.Replay, want)
	}
}

// TestWorkload_IsShrunk has a run fail by one job of a workload: the others go.
func TestWorkload_IsShrunk(t *testing.T) {
	const text = "peers 3 run 12s\nworkload rate=1/s replicas=1 cpu=10m mem=16MiB\nby 11500ms running 2 of load-0\n"
	s, err := Parse(strings.NewReader(text), "x.txt")
	if err != nil {
		t.Fatal(err)
	}
	small, _ := Shrink(s, 60)
	if len(small.Loads) > 0 || len(small.Ops) > 2 {
		t.Errorf("left:\n%s", small)
	}
}

func TestWorkload_Refusals(t *testing.T) {
	for _, c := range []struct{ name, workload, want string }{
		{"nothing", "", "nothing arrives; write a rate such as rate=2/s, or trace=FILE"},
		{"option", "rate=1/s speedy=2", "speedy=2: unknown option; known are burst, cpu, "},
		{"name", "Big! rate=1/s", `"Big!" cannot name jobs; write a short name in lower case`},
		{"rate", "rate=2", `rate=2: "2" is no rate up to 10000/s; write one such as 2/s, 30/m or 5/h`},
		{"negative", "rate=-2/s", `rate=-2/s: "-2/s" is no rate`},
		{"not a number", "rate=NaN/s", `rate=NaN/s: "NaN/s" is no rate`},
		{"absurd", "rate=1e300/s", `rate=1e300/s: "1e300/s" is no rate`},
		{"too many", "rate=9000/s", "about 495000 operations in 55s are too many, 100000 are allowed; lower the rates"},
		{"burst too many", "burst=9000/s on=1h off=1ms", "about 495000 operations"},
		{"system", "rate=1/s mix=system:1", "mix=system:1: jobs of type system are not supported yet; use service or batch"},
		{"mix", "rate=1/s mix=service", `mix=service: "service" is no share; write mix=service:3,batch:1`},
		{"no mix", "rate=1/s mix=service:0", "mix=service:0: all shares are 0"},
		{"replicas", "rate=1/s replicas=0..3", `replicas=0..3: "0" is no number from 1 to 10000`},
		{"backwards", "rate=1/s cpu=2..1", `cpu=2..1: "2..1" goes from nothing, or ends before it begins`},
		{"no memory", "rate=1/s mem=0", `mem=0: "0" goes from nothing`},
		{"lasts", "rate=1/s lasts=0s", `lasts=0s: "0s" is too short`},
		{"window", "rate=1/s from=50s until=40s", "from=50s until=40s is no part of a run of 1m0s"},
		{"beyond", "rate=1/s until=2m", "from=5s until=2m0s is no part of a run of 1m0s"},
		{"speed", "rate=1/s speed=2", "speed= is that of a trace; name it with trace=FILE"},
		{"size", "rate=1/s size=-1", `size=-1: "-1" is no factor`},
		{"missing", "trace=nowhere.csv", "trace=nowhere.csv: testdata/nowhere.csv: there is no such file"},
		{"device", "trace=/dev/zero", "trace=/dev/zero: /dev/zero is no plain file"},
		{"twice", "rate=1/s\nworkload rate=1/s", "there is one named load already; begin with another name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader("peers 2 run 60s\nworkload "+c.workload+"\n"), "testdata/x.txt")
			if err == nil || !strings.Contains(err.Error(), "workload: "+c.want) || !strings.HasPrefix(err.Error(), "testdata/x.txt:") {
				t.Fatalf("got %v\nwant testdata/x.txt:2: workload: %s…", err, c.want)
			}
		})
	}
}
