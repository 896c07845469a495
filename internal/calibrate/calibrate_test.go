package calibrate

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// By how much the levels may differ at the percentiles of held. With 12 peers the one
// mesh that the real stack happens to have is luck; with 50 it matters little.
const (
	tolerance   = 0.20
	tolerance12 = 0.40
	beyond      = 10 // samples above a percentile, or it says nothing
)

// full are the scenarios of `make calibrate`. Sixteen connections are what a peer of
// a swarm of fifty keeps to its ring neighbours.
var full = []scenario{
	{name: "25 ms", peers: 50, degree: 16, from: 25 * time.Millisecond, to: 25 * time.Millisecond},
	{name: "5–80 ms", peers: 50, degree: 16, from: 5 * time.Millisecond, to: 80 * time.Millisecond},
	{name: "25 ms, 5 % loss", peers: 50, degree: 16, from: 25 * time.Millisecond, to: 25 * time.Millisecond, loss: 0.05},
}

// small is what every test run affords.
var small = []scenario{
	{name: "12 peers, 5–80 ms", peers: 12, degree: 8, from: 5 * time.Millisecond, to: 80 * time.Millisecond},
	{name: "12 peers, 5–80 ms, 5 % loss", peers: 12, degree: 8, from: 5 * time.Millisecond, to: 80 * time.Millisecond, loss: 0.05},
}

// TestCalibration runs scenarios at both levels and holds their delivery times
// against one another. SHOAL_CALIBRATE names the file that gets the table of the
// scenarios at full size.
func TestCalibration(t *testing.T) {
	out, all, within := os.Getenv("SHOAL_CALIBRATE"), small, tolerance12
	if out != "" {
		all, within = full, tolerance
	}
	table := tableHead()
	for _, s := range all {
		s.length, s.pace, s.dials = 20*time.Second, 4*time.Second, 100
		t.Run(s.name, func(t *testing.T) { table += compare(t, s, within) })
	}
	t.Log("milliseconds, real / simulated\n" + table)
	if out != "" {
		if err := rewrite(out, table); err != nil {
			t.Error(err)
		}
	}
}

func compare(t *testing.T, s scenario, within float64) string {
	t.Helper()
	live, graph := onRealStack(t, s)
	sim := inSimulator(t, s, graph)
	var b strings.Builder
	for _, x := range rows(live, sim) {
		x.write(&b, s.name)
		for _, p := range held {
			if off := x.off(p); math.Abs(off) > within && float64(len(x.real))*(100-p)/100 >= beyond {
				t.Errorf("%s, p%g: %v really, %v simulated, %+.0f %%", x.name, p, percentile(x.real, p), percentile(x.sim, p), off*100)
			}
		}
	}
	return b.String()
}

const (
	tableBegin = "<!-- make calibrate: from here"
	tableEnd   = "<!-- make calibrate: to here -->"
)

// rewrite puts the table between its marks in a Markdown file.
func rewrite(file, table string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(b)
	begin, end := strings.Index(text, tableBegin), strings.Index(text, tableEnd)
	if begin < 0 || end < begin {
		return fmt.Errorf("%s: no lines %q and %q to put the table between", file, tableBegin, tableEnd)
	}
	head := fmt.Sprintf("%s; written %s -->\n", tableBegin, time.Now().UTC().Format(time.DateOnly))
	return os.WriteFile(file, []byte(text[:begin]+head+table+text[end:]), 0o644)
}
