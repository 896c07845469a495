package calibrate

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A result is what one level measured, from sending to arrival.
type result struct {
	topic  []time.Duration // at each peer but the author
	author []time.Duration // the same of an author's first publication
	warm   []time.Duration // a frame on a stream in use
	answer []time.Duration // a frame and its answer, on streams in use
	first  []time.Duration // the first frame to a peer without a connection
}

func (r *result) add(kind byte, took time.Duration) {
	switch kind {
	case introduction:
		r.author = append(r.author, took)
	case publication:
		r.topic = append(r.topic, took)
	case question:
		r.warm = append(r.warm, took)
	case answer:
		r.answer = append(r.answer, took)
	case first:
		r.first = append(r.first, took)
	}
}

// A row is one measure at both levels.
type row struct {
	name      string
	real, sim []time.Duration
}

func rows(live, sim result) []row {
	all := []row{
		{"publication", live.topic, sim.topic},
		{"author's first", live.author, sim.author},
		{"frame", live.warm, sim.warm},
		{"frame and answer", live.answer, sim.answer},
		{"frame with dial", live.first, sim.first},
	}
	for _, x := range all {
		slices.Sort(x.real)
		slices.Sort(x.sim)
	}
	return all
}

var percentiles = []float64{10, 25, 50, 75, 90, 99, 100}

// held are the percentiles that must agree.
var held = []float64{50, 90, 99}

// percentile is the nearest rank of sorted durations.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(p/100*float64(len(sorted))+0.5) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// luck is by how many hundredths a percentile of n samples may stand to either side:
// twice its standard error, and one at least. Where the times come in steps, as hops
// of equal latency do, on which side of a step it falls is chance.
func luck(p float64, n int) float64 { return max(1, 2*math.Sqrt(p*(100-p)/float64(max(n, 1)))) }

// off is by which part the simulator's figure differs from the real one's at a
// percentile, or within luck of it.
func (x *row) off(p float64) float64 {
	least := math.Inf(1)
	aside := luck(p, len(x.real))
	for _, q := range []float64{p, p - aside, min(p+aside, (p+100)/2)} {
		want, got := float64(percentile(x.real, q)), float64(percentile(x.sim, p))
		if want > 0 && math.Abs(got-want)/want < math.Abs(least) {
			least = (got - want) / want
		}
	}
	return least
}

// write appends the row to a Markdown table: milliseconds, real / simulated.
func (x *row) write(b *strings.Builder, name string) {
	fmt.Fprintf(b, "| %s | %s | %d / %d ", name, x.name, len(x.real), len(x.sim))
	for _, p := range percentiles {
		fmt.Fprintf(b, "| %s / %s ", ms(percentile(x.real, p)), ms(percentile(x.sim, p)))
	}
	b.WriteString("|\n")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Millisecond)) }

func tableHead() string {
	head, line := "| Scenario | Measure | Samples ", "|---|---|---"
	for _, p := range percentiles {
		name := fmt.Sprintf("p%g", p)
		if p == 100 {
			name = "max"
		}
		head += "| " + name + " "
		line += "|---"
	}
	return head + "|\n" + line + "|\n"
}
