package sim

import (
	"strings"
	"testing"
	"time"
)

const oneOfTwenty = "peers 20 run 30s seed=3\nat 6s submit web cpu=100m mem=64MiB\nat 10s submit many replicas=30 cpu=100m mem=64MiB\n"

// A result tells what sales took: each slot is claimed once, the messages are those that
// the network carried, and their bytes are there only where somebody asked for them.
func TestSales_AreCounted(t *testing.T) {
	res, err := RunScenario(strings.NewReader(oneOfTwenty), "sales", Options{Weigh: true})
	if err != nil || res.Verdict != OK {
		t.Fatal(err, res.String())
	}
	s := res.Sales
	if s.Placed != 31 || s.Awards < 31 || s.Claimed == nil || s.Claimed.Slots != 31 {
		t.Fatalf("31 slots: %+v, %+v", s, s.Claimed)
	}
	if c := s.Claimed; c.P50 > c.P90 || c.P90 > c.P99 || c.P99 > c.Max || c.Max <= 0 || c.Max > time.Second {
		t.Errorf("times of a quiet swarm: %+v", c)
	}
	if award, reply := s.Kinds["award"], s.Kinds["reply"]; award.Messages == 0 || award.Messages != reply.Messages || award.Bytes == 0 {
		t.Errorf("awards %+v, replies %+v", award, reply)
	}
	if text := res.String(); !strings.Contains(text, "sales: 31 claims, 1.0") {
		t.Errorf("a person reads %q", text)
	}
	again, err := RunScenario(strings.NewReader(oneOfTwenty), "sales", Options{})
	if err != nil || again.Hash != res.Hash {
		t.Fatalf("weighing messages has changed the run: %s, %s, %v", res.Hash, again.Hash, err)
	}
	if again.Sales.PerSlot.Bytes != 0 || again.Sales.PerSlot.Messages != s.PerSlot.Messages {
		t.Errorf("unweighed: %+v, weighed: %+v", again.Sales.PerSlot, s.PerSlot)
	}
}

// What a claim does later is no placement; what fails over is one, and waits for nobody's
// acceptance.
func TestSales_UpdatesAreNone(t *testing.T) {
	const more = "at 15s update many version=2 parallelism=30\nat 40s crash n2\nby 80s running 31\n"
	text := strings.Replace(oneOfTwenty, "run 30s", "run 90s", 1) + more
	res, err := RunScenario(strings.NewReader(text), "sales", Options{})
	if err != nil || res.Verdict != OK {
		t.Fatal(err, res.String())
	}
	if s := res.Sales; s.Placed < 32 || s.Placed > 40 || s.Claimed.Slots != 31 {
		t.Errorf("31 slots of which one peer's were sold again: %d claims, %d first ones", s.Placed, s.Claimed.Slots)
	}
}

func TestSales_Bounds(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"calm sales awards<=1.5 p99<=1s max<=1s messages<=100 bytes<=100KiB placed>=31", ""},
		{"calm sales awards<=0.5", "awards is 1"},
		{"calm sales bytes<=10", "bytes is "},
		{"calm sales placed>=32", "placed is 31"},
		{"calm sales p50>=1h", "p50 is "},
		{"at 5s sales awards<=2", "nothing was placed"},
	} {
		res, err := RunScenario(strings.NewReader(oneOfTwenty+c.line), "sales", Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		if got := res.Failure; c.want == "" && got != nil || c.want != "" && (got == nil || !strings.Contains(got.Text, c.want)) {
			t.Errorf("%s: want %q, got %v", c.line, c.want, got)
		}
	}
}

func TestSales_BadBounds(t *testing.T) {
	for line, want := range map[string]string{
		"calm sales":                  "sales.txt:4: sales: want: awards<=1.1",
		"calm sales awards=1":         "no bound; write awards<=1 or awards>=1",
		"calm sales awards<=many":     `"many" is no number such as 1.1`,
		"calm sales p99<=soon":        "sales.txt:4: sales: p99=<=soon",
		"calm sales price<=1":         "unknown option price=; known are awards, bytes,",
		"calm sales messages<=-1":     `"-1" is no number`,
		"calm sales bytes<=1 bytes>=": "bytes stands here twice",
	} {
		_, err := Parse(strings.NewReader(oneOfTwenty+line), "sales.txt")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v", line, want, err)
		}
	}
	s, err := Parse(strings.NewReader(oneOfTwenty+"calm sales awards<=1.5 placed>=2"), "sales.txt")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Parse(strings.NewReader(s.String()), "again"); err != nil || again.String() != s.String() {
		t.Errorf("%q does not read back: %v", s.String(), err)
	}
}
