// Curve reads what BenchmarkScale prints and writes it as tables in Markdown, with
// the exponent of each cost over the number of peers:
//
//	go test ./sim -run '^$' -bench '^BenchmarkScale$' -benchtime 1x | go run ./internal/curve
//
// A cost of exponent 0 does not grow with the swarm: what a peer does in a second
// is then the same in a swarm of ten and of a thousand. Exponents are the slopes
// of least squares through the logarithms; 1 means twice the peers, twice the cost
// for each of them. -command and -date say what stands above the tables.
//
// The exit code is 1 if the input has no result of BenchmarkScale or a test failed.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	command := flag.String("command", "make curve", "the command that made the figures")
	date := flag.String("date", time.Now().UTC().Format(time.DateOnly), "the day they were made on")
	flag.Parse()
	r, err := read(os.Stdin, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "curve:", err)
		os.Exit(1)
	}
	r.write(os.Stdout, *date, *command)
}

// A report is the output of one go test -bench.
type report struct {
	machine map[string]string // "goos", "goarch", "cpu"
	procs   string            // GOMAXPROCS; empty: 1
	rows    []row             // by peers
}

// A row is the result for one size.
type row struct {
	peers  int
	values map[string]float64 // by unit, "steady-x-real"
}

// read takes in the output of go test and copies it to log, so that whoever waits
// sees the sizes come.
func read(in io.Reader, log io.Writer) (*report, error) {
	r := &report{machine: map[string]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	failed := false
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(log, line)
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
		if key, value, ok := strings.Cut(line, ": "); ok && slices.Contains([]string{"goos", "goarch", "cpu"}, key) {
			r.machine[key] = strings.TrimSpace(value)
		}
		if err := r.result(line); err != nil {
			return nil, err
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return nil, err
	case failed:
		return nil, fmt.Errorf("the benchmark failed")
	case len(r.rows) == 0:
		return nil, fmt.Errorf("no line begins with BenchmarkScale/")
	}
	slices.SortFunc(r.rows, func(a, b row) int { return cmp.Compare(a.peers, b.peers) })
	return r, nil
}

// result reads "BenchmarkScale/100-2   1   18300399676 ns/op   0.5 steady-x-real".
func (r *report) result(line string) error {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "BenchmarkScale/") {
		return nil
	}
	size, procs, _ := strings.Cut(strings.TrimPrefix(words[0], "BenchmarkScale/"), "-")
	peers, err := strconv.Atoi(size)
	if err != nil || peers < 1 {
		return fmt.Errorf("%q: want a number of peers after BenchmarkScale/", words[0])
	}
	r.procs = procs
	x := row{peers: peers, values: map[string]float64{}}
	for i := 2; i+1 < len(words); i += 2 {
		v, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return fmt.Errorf("%s: %q is no figure", words[0], words[i])
		}
		x.values[words[i+1]] = v
	}
	r.rows = append(r.rows, x)
	return nil
}

// A column is one figure of a table.
type column struct {
	title string
	unit  string
	scale float64 // the figure is divided by it; 0: 1
	cost  bool    // it is a cost of one peer, so it has an exponent
}

func columns(phase string) []column {
	p := phase + "-"
	return []column{
		{title: "simulated s", unit: p + "sim-s"},
		{title: "× real time", unit: p + "x-real"},
		{title: "× real time by CPU", unit: p + "x-real-cpu"},
		{title: "peer·s per s", unit: p + "peer·s/s"},
		{title: "CPU µs", unit: p + "cpu-µs/peer·s", cost: true},
		{title: "events", unit: p + "events/peer·s", cost: true},
		{title: "messages", unit: p + "msgs/peer·s", cost: true},
		{title: "stream B", unit: p + "streamB/peer·s", cost: true},
		{title: "topic B", unit: p + "topicB/peer·s", cost: true},
		{title: "allocations", unit: p + "allocs/peer·s", cost: true},
		{title: "allocated KiB", unit: p + "allocB/peer·s", scale: 1024, cost: true},
		{title: "peak heap KiB per peer", unit: p + "heapB/peer", scale: 1024, cost: true},
	}
}

// write prints both phases.
func (r *report) write(w io.Writer, date, command string) {
	fmt.Fprintf(w, "Measured on %s, %s, %s/%s, GOMAXPROCS %s, with `%s`.\n", date,
		cmp.Or(r.machine["cpu"], "unknown CPU"), r.machine["goos"], r.machine["goarch"], cmp.Or(r.procs, "1"), command)
	for _, t := range []struct{ title, phase string }{
		{"Start-up: everyone joins and every slot is deployed", "start"},
		{"Steady: churn", "steady"},
	} {
		fmt.Fprintf(w, "\n**%s** (costs are for one peer and one simulated second)\n\n", t.title)
		r.table(w, columns(t.phase))
	}
}

func (r *report) table(w io.Writer, cols []column) {
	head, rule := "| Peers |", "|---:|"
	for _, c := range cols {
		head += " " + c.title + " |"
		rule += "---:|"
	}
	fmt.Fprintf(w, "%s\n%s\n", head, rule)
	for _, x := range r.rows {
		fmt.Fprintf(w, "| %d |", x.peers)
		for _, c := range cols {
			v, ok := x.values[c.unit]
			if !ok {
				fmt.Fprint(w, " – |")
				continue
			}
			fmt.Fprintf(w, " %s |", figure(v/cmp.Or(c.scale, 1)))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "| exponent |")
	for _, c := range cols {
		text := "–"
		if e, ok := r.exponent(c.unit); ok && c.cost {
			text = strconv.FormatFloat(e, 'f', 2, 64)
		}
		fmt.Fprintf(w, " %s |", text)
	}
	fmt.Fprintln(w)
}

// exponent is the slope of log(unit) over log(peers), by least squares; false with
// fewer than two sizes of a figure above zero.
func (r *report) exponent(unit string) (float64, bool) {
	var n, sx, sy, sxx, sxy float64
	for _, row := range r.rows {
		v := row.values[unit]
		if v <= 0 {
			continue
		}
		x, y := math.Log(float64(row.peers)), math.Log(v)
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	spread := n*sxx - sx*sx
	if n < 2 || spread <= 0 {
		return 0, false
	}
	return (n*sxy - sx*sy) / spread, true
}

// figure writes three significant digits, and whole numbers from a hundred on.
func figure(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
