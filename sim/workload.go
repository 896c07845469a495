package sim

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/job"
)

// A Workload is a source of jobs and of operations on them. It is one statement of
// a scenario, and stands for a list of ops that Expand draws from the seed before
// the run: the run itself knows ops only, and so do shrinking and printing.
type Workload struct {
	name string // of its jobs: "load" for load-0, load-1, …
	text string // as the statement reads
	line int    // of the scenario; 0: from the command line

	from, until time.Duration // no job arrives and nothing is done outside; until 0: the end of the run
	rate        float64       // jobs a second; with burst: outside of bursts
	burst       float64       // jobs a second within bursts; 0: there are none
	on, off     time.Duration // mean length of bursts, and of the time between them
	most        int           // jobs, at most

	service, batch int  // shares of the mix; both 0: services, or what the trace says
	replicas       pair // copies of a service
	cpu, mem       pair // needs of a copy; zero: drawn as workload_sizes.go says
	lasts          span // of a batch job; zero: drawn as workload_sizes.go says
	life           span // of a service, from submission to removal; zero: for ever
	keep           span // of a batch job, from its end to its removal; zero: for ever
	size           float64

	scale, update, remove, drain float64 // operations a second
	drainFor                     span

	speed float64 // times and durations of the trace are divided by it
	pods  []pod   // of the trace; nil: none
}

// A pair is the least and the greatest of some amounts.
type pair struct{ from, to int64 }

const (
	maxFrequency = 10_000  // a second
	maxDrawn     = 100_000 // ops that one workload may stand for, by expectation
	maxJobs      = 10_000
)

// newWorkload reads the words after "workload". Path finds a
// file that they name.
func newWorkload(words []string, path func(string) string) (*Workload, error) {
	w := &Workload{
		name: "load", text: strings.Join(words, " "), from: 5 * time.Second, on: 10 * time.Second, off: time.Minute, most: maxJobs,
		replicas: pair{1, 3}, size: 1, speed: 1, drainFor: span{10 * time.Second, time.Minute},
	}
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		if err := job.CheckName(words[0]); err != nil || len(words[0]) > job.MaxName-8 {
			return nil, fmt.Errorf("%q cannot name jobs; write a short name in lower case, such as night", words[0])
		}
		w.name, words = words[0], words[1:]
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		set := workloadOptions[key]
		if set == nil {
			return nil, fmt.Errorf("%s: unknown option; known are %s", word, strings.Join(sortedKeys(workloadOptions), ", "))
		}
		if key == "trace" {
			value = path(value)
		}
		if err := set(w, value); err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}
	return w, w.agree()
}

// workloadOptions set one option each from its text.
var workloadOptions = map[string]func(w *Workload, v string) error{
	"rate":  func(w *Workload, v string) (err error) { w.rate, err = parseFrequency(v); return },
	"burst": func(w *Workload, v string) (err error) { w.burst, err = parseFrequency(v); return },
	"on":    func(w *Workload, v string) (err error) { w.on, err = parseLength(v); return },
	"off":   func(w *Workload, v string) (err error) { w.off, err = parseLength(v); return },
	"from":  func(w *Workload, v string) (err error) { w.from, err = parseDuration(v); return },
	"until": func(w *Workload, v string) (err error) { w.until, err = parseLength(v); return },
	"max": func(w *Workload, v string) error {
		p, err := parsePair(v, parseCopies)
		if err == nil && (p.from != p.to || p.from > maxJobs) {
			err = fmt.Errorf("%q is no number of jobs from 1 to %d", v, maxJobs)
		}
		w.most = int(p.to)
		return err
	},
	"mix":      (*Workload).setMix,
	"replicas": func(w *Workload, v string) (err error) { w.replicas, err = parsePair(v, parseCopies); return },
	"cpu":      func(w *Workload, v string) (err error) { w.cpu, err = parsePair(v, parseCPU); return },
	"mem":      func(w *Workload, v string) (err error) { w.mem, err = parsePair(v, parseBytes); return },
	"size":     func(w *Workload, v string) (err error) { w.size, err = parseFactor(v); return },
	"lasts":    func(w *Workload, v string) (err error) { w.lasts, err = parseLengths(v); return },
	"life":     func(w *Workload, v string) (err error) { w.life, err = parseLengths(v); return },
	"keep":     func(w *Workload, v string) (err error) { w.keep, err = parseLengths(v); return },
	"scale":    func(w *Workload, v string) (err error) { w.scale, err = parseFrequency(v); return },
	"update":   func(w *Workload, v string) (err error) { w.update, err = parseFrequency(v); return },
	"remove":   func(w *Workload, v string) (err error) { w.remove, err = parseFrequency(v); return },
	"drain":    func(w *Workload, v string) (err error) { w.drain, err = parseFrequency(v); return },
	"drainfor": func(w *Workload, v string) (err error) { w.drainFor, err = parseLengths(v); return },
	"speed":    func(w *Workload, v string) (err error) { w.speed, err = parseFactor(v); return },
	"trace":    func(w *Workload, v string) (err error) { w.pods, err = readPods(v); return },
}

// agree refuses options that say nothing together.
func (w *Workload) agree() error {
	switch {
	case w.rate == 0 && w.burst == 0 && w.pods == nil:
		return fmt.Errorf("nothing arrives; write a rate such as rate=2/s, or trace=FILE")
	case w.speed != 1 && w.pods == nil:
		return fmt.Errorf("speed= is that of a trace; name it with trace=FILE")
	}
	return nil
}

// fits reports why the workload cannot be part of a run of this length.
func (w *Workload) fits(run time.Duration) error {
	until := w.end(run)
	if until > run || w.from >= until {
		return fmt.Errorf("from=%v until=%v is no part of a run of %v", w.from, until, run)
	}
	length := (until - w.from).Seconds()
	drawn := length * (w.meanRate() + w.scale + w.update + w.remove + 2*w.drain)
	if drawn > maxDrawn {
		return fmt.Errorf("about %.0f operations in %v are too many, %d are allowed; lower the rates", drawn, until-w.from, maxDrawn)
	}
	return nil
}

func (w *Workload) end(run time.Duration) time.Duration {
	if w.until == 0 {
		return run
	}
	return w.until
}

// meanRate is that of both states, weighted by how long each lasts.
func (w *Workload) meanRate() float64 {
	if w.burst == 0 {
		return w.rate
	}
	on, off := w.on.Seconds(), w.off.Seconds()
	return (w.burst*on + w.rate*off) / (on + off)
}

// setMix reads "service:3,batch:1".
func (w *Workload) setMix(v string) error {
	w.service, w.batch = 0, 0
	for _, part := range strings.Split(v, ",") {
		kind, text, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 1000 {
			return fmt.Errorf("%q is no share; write mix=service:3,batch:1", part)
		}
		switch kind {
		case "service":
			w.service = n
		case "batch":
			w.batch = n
		case "system", "cron":
			return fmt.Errorf("jobs of type %s are not supported yet; use service or batch", kind)
		default:
			return fmt.Errorf("%q is no type of job; use service or batch", kind)
		}
	}
	if w.service+w.batch == 0 {
		return fmt.Errorf("all shares are 0; write mix=service:3,batch:1")
	}
	return nil
}

// workload is the statement of a scenario.
func (p *parser) workload(words []string) error {
	w, err := newWorkload(words, p.path)
	if err != nil {
		return err
	}
	w.line = p.line
	return p.s.addWorkload(w)
}

// addWorkload adds w under a name that no other has.
func (s *Scenario) addWorkload(w *Workload) error {
	if slices.ContainsFunc(s.Loads, func(x *Workload) bool { return x.name == w.name }) {
		return fmt.Errorf("there is one named %s already; begin with another name: workload night rate=…", w.name)
	}
	s.Loads = append(s.Loads, w)
	return nil
}

// workloadsFit checks the workloads once the length of the run is known.
func (p *parser) workloadsFit() error {
	for _, w := range p.s.Loads {
		if err := w.fits(p.s.Run); err != nil {
			return fmt.Errorf("%s:%d: workload: %w", p.name, w.line, err)
		}
	}
	return nil
}

// AddWorkload adds what would stand behind the word "workload" in the scenario;
// files are found from the working directory.
func (s *Scenario) AddWorkload(text string) error {
	w, err := newWorkload(strings.Fields(text), func(file string) string { return file })
	if err == nil {
		err = w.fits(s.Run)
	}
	if err == nil {
		err = s.addWorkload(w)
	}
	if err == nil {
		s.Flags = append(s.Flags, "--workload "+Quote(w.text))
	}
	return err
}

// parseFrequency reads "2/s", "30/m" or "1.5/h" into times a second.
func parseFrequency(s string) (float64, error) {
	text, unit, _ := strings.Cut(s, "/")
	v, err := strconv.ParseFloat(text, 64)
	per := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || per == 0 || !(v >= 0 && v/per <= maxFrequency) {
		return 0, fmt.Errorf("%q is no rate up to %d/s; write one such as 2/s, 30/m or 5/h", s, maxFrequency)
	}
	return v / per, nil
}

// parseFactor reads "10%", "0.1" or "60".
func parseFactor(s string) (float64, error) {
	text, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(text, 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 1e-6 || v > 1e6 {
		return 0, fmt.Errorf("%q is no factor from 0.000001 to 1000000; write one such as 10%% or 60", s)
	}
	return v, nil
}

// parseLength reads a duration that is not zero.
func parseLength(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d < time.Millisecond {
		err = fmt.Errorf("%q is too short; write 1ms or more", s)
	}
	return d, err
}

// parseLengths reads "30s" or "10s..1m".
func parseLengths(s string) (span, error) {
	d, err := parseSpan(s)
	if err == nil && d.from < time.Millisecond {
		err = fmt.Errorf("%q is too short; write 1ms or more", s)
	}
	return d, err
}

// parsePair reads "A" or "A..B", neither of them 0.
func parsePair(s string, read func(string) (int64, error)) (pair, error) {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	a, err := read(from)
	if err != nil {
		return pair{}, err
	}
	b, err := read(to)
	if err != nil {
		return pair{}, err
	}
	if a < 1 || b < a {
		return pair{}, fmt.Errorf("%q goes from nothing, or ends before it begins", s)
	}
	return pair{a, b}, nil
}

func parseCopies(s string) (int64, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > job.MaxCount {
		return 0, fmt.Errorf("%q is no number from 1 to %d", s, job.MaxCount)
	}
	return int64(n), nil
}
