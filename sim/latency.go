package sim

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shoal/internal/plain"
)

// A latency says how long a message travels one way.
type latency struct {
	span              // every duration equally likely, or:
	curve  *quantiles // the distribution's own; nil: the span's
	jitter time.Duration
}

// draw returns one delay: of the curve or the span, and up to jitter on top.
func (l *latency) draw(r *rand.Rand) time.Duration {
	var d time.Duration
	if l.curve != nil {
		d = l.curve.draw(r)
	} else {
		d = l.span.draw(r)
	}
	if l.jitter > 0 {
		d += time.Duration(r.Int64N(int64(l.jitter) + 1))
	}
	return d
}

// quantiles is a distribution by its values at equal steps of probability. A table
// is cheaper than exp, and, its entries rounded to microseconds, the same on every
// processor, which floats are not.
type quantiles [quantileSteps + 1]time.Duration

const (
	quantileSteps = 256
	z99           = 2.3263478740408408 // the standard normal distribution's 99th percentile
)

// lognormal is the distribution with half of its values under median and one in a
// hundred over p99. Its tails end at probabilities of 1/512 and 511/512.
func lognormal(median, p99 time.Duration) *quantiles {
	sigma := 0.0
	if median > 0 {
		sigma = math.Log(float64(p99)/float64(median)) / z99
	}
	var q quantiles
	for i := range q {
		p := min(max(float64(i)/quantileSteps, 0.5/quantileSteps), 1-0.5/quantileSteps)
		z := math.Sqrt2 * math.Erfinv(2*p-1)
		q[i] = time.Duration(float64(median) * math.Exp(sigma*z)).Round(time.Microsecond)
	}
	return &q
}

func (q *quantiles) draw(r *rand.Rand) time.Duration {
	u := r.Uint64()
	i, part := u>>56, int64(u>>32&0xffff) // a step, and where in it, of 1<<16
	return q[i] + time.Duration(int64(q[i+1]-q[i])*part>>16)
}

// A Matrix holds round-trip times between sites, as measured by somebody.
type Matrix struct {
	path   string // absolute, where that can be had
	oneWay [][]time.Duration
}

// Bounds of a file of round-trip times.
const (
	maxMatrixSites = 4096
	maxMatrixBytes = 256 << 20
	maxRTT         = time.Minute
	sameSite       = 100 * time.Microsecond // one way between two peers of one site
)

// loadMatrix reads a square of round-trip times in milliseconds, a line per site,
// separated by white space. Its error names file and line.
func loadMatrix(path string) (*Matrix, error) {
	f, err := plain.Open(path, "a file of round-trip times", maxMatrixBytes)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := readMatrix(f, path)
	if err != nil {
		return nil, err
	}
	m.path = path
	if abs, err := filepath.Abs(path); err == nil {
		m.path = abs
	}
	return m, nil
}

func readMatrix(r io.Reader, name string) (*Matrix, error) {
	m := &Matrix{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	line := 0
	for lines.Scan() {
		line++
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		row, err := matrixRow(words, m)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		m.oneWay = append(m.oneWay, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, line+1, err)
	}
	if len(m.oneWay) == 0 {
		return nil, fmt.Errorf("%s:1: no round-trip times; want a square of milliseconds, a line per site", name)
	}
	if n, width := len(m.oneWay), len(m.oneWay[0]); n != width {
		return nil, fmt.Errorf("%s:%d: %d lines of %d round-trip times are no square", name, line, n, width)
	}
	return m, nil
}

func matrixRow(words []string, m *Matrix) ([]time.Duration, error) {
	switch width := len(words); {
	case len(m.oneWay) > 0 && width != len(m.oneWay[0]):
		return nil, fmt.Errorf("%d round-trip times, the lines above have %d", width, len(m.oneWay[0]))
	case width > maxMatrixSites:
		return nil, fmt.Errorf("%d round-trip times, at most %d sites are read", width, maxMatrixSites)
	case len(m.oneWay) >= width:
		return nil, fmt.Errorf("one line too many: %d round-trip times on each of %d lines are a square", width, width)
	}
	row := make([]time.Duration, len(words))
	for i, w := range words {
		ms, err := strconv.ParseFloat(w, 64)
		if err != nil || !(ms >= 0 && ms <= float64(maxRTT/time.Millisecond)) {
			return nil, fmt.Errorf("column %d: %q is no round-trip time in milliseconds from 0 to %d", i+1, w, maxRTT/time.Millisecond)
		}
		row[i] = max(time.Duration(ms*float64(time.Millisecond)/2).Round(time.Microsecond), sameSite)
	}
	return row, nil
}

// sites says which row of the matrix each machine lives in: by its number, or, if
// drawn, by a permutation from the seed. More machines than rows share them.
func (m *Matrix) sites(seed uint64, drawn bool) func(index int) int32 {
	rows := len(m.oneWay)
	if !drawn {
		return func(i int) int32 { return int32(i % rows) }
	}
	order := stream(seed, 0, "sites").Perm(rows)
	return func(i int) int32 { return int32(order[i%rows]) }
}
