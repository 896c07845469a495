package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// addSales adds the assertion about what sales took.
func addSales() {
	for name := range salesFigures {
		optionKinds[name] = func(v string) error { return isSalesBound(name, v) }
	}
	verbs["sales"] = verb{usage: "awards<=1.1 p99<=250ms messages<=4 bytes<=1KiB placed>=10, of all sales until now",
		opts: sortedKeys(salesFigures), check: salesArgs, assert: (*run).soldWithin}
}

// A salesFigure is one that a scenario may bound: how its bound is written, its value,
// and how that is shown.
type salesFigure struct {
	parse func(string) (float64, error)
	value func(*Sales) float64
	show  func(float64) string
}

var salesFigures = map[string]salesFigure{
	"awards":   {parseFigure, func(s *Sales) float64 { return s.AwardsPerSlot }, showFigure},
	"placed":   {parseFigure, func(s *Sales) float64 { return float64(s.Placed) }, showFigure},
	"messages": {parseFigure, func(s *Sales) float64 { return s.PerSlot.Messages }, showFigure},
	"bytes":    {parseSize, func(s *Sales) float64 { return s.PerSlot.Bytes }, showFigure},
	"p50":      {parseTime, func(s *Sales) float64 { return float64(s.times().P50) }, showTime},
	"p90":      {parseTime, func(s *Sales) float64 { return float64(s.times().P90) }, showTime},
	"p99":      {parseTime, func(s *Sales) float64 { return float64(s.times().P99) }, showTime},
	"max":      {parseTime, func(s *Sales) float64 { return float64(s.times().Max) }, showTime},
}

func (s *Sales) times() Times {
	if s.Claimed == nil {
		return Times{}
	}
	return *s.Claimed
}

func parseFigure(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= 1e12) {
		return 0, fmt.Errorf("%q is no number such as 1.1", s)
	}
	return v, nil
}

func parseSize(s string) (float64, error) { n, err := parseBytes(s); return float64(n), err }

func parseTime(s string) (float64, error) { d, err := parseDuration(s); return float64(d), err }

func showFigure(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
func showTime(v float64) string   { return time.Duration(v).String() }

// salesBound reads "<=1.1" or ">=10" of a figure.
func salesBound(figure, text string) (bound float64, most bool, err error) {
	rest, most := strings.CutPrefix(text, "<=")
	if !most {
		var least bool
		if rest, least = strings.CutPrefix(text, ">="); !least {
			return 0, false, fmt.Errorf("no bound; write %s<=%s or %s>=%s", figure, text, figure, text)
		}
	}
	bound, err = salesFigures[figure].parse(rest)
	return bound, most, err
}

func isSalesBound(figure, text string) error { _, _, err := salesBound(figure, text); return err }

func salesArgs(op *Op) error {
	if len(op.Opts) == 0 {
		return fmt.Errorf("want: %s", verbs["sales"].usage)
	}
	return nil
}

// weighsSales reports whether a line asks for bytes.
func (s *Scenario) weighsSales() bool {
	for i := range s.Ops {
		if op := &s.Ops[i]; op.Verb == "sales" && hasKey(op.Opts, "bytes") {
			return true
		}
	}
	return false
}

// soldWithin compares what sales took with the bounds; without a placement none holds.
func (r *run) soldWithin(op *Op) string {
	s := r.w.sales.result()
	if s.Placed == 0 {
		return "nothing was placed"
	}
	for _, k := range sortedKeys(op.Opts) {
		bound, most, err := salesBound(k, op.Opts[k])
		if err != nil {
			return err.Error()
		}
		f := salesFigures[k]
		if v := f.value(s); most && v > bound || !most && v < bound {
			return fmt.Sprintf("%s is %s", k, f.show(v))
		}
	}
	return ""
}
