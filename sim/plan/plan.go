// Package plan reads a user's own run: a YAML file of peers, sites, links, Compose
// files and faults. It compiles to the text of a scenario and nothing else, so what
// `shoal sim run my.yaml` does can be printed, kept, cut down and run again like any
// scenario. Each error names file, line and field, says what is wrong and what would
// be right.
//
// Which peers "3 peers of site shop" are is drawn here, from the seed and the
// line, before the run: another seed takes others, and a line taken out of the file
// shifts no other line's draw.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/job"
	"shoal/sim"
)

// Options say what a file cannot.
type Options struct {
	Seed *uint64 // instead of the file's

	// Compose reads a Compose file, named relative to the plan, as `shoal deploy`
	// would; name is the job's, empty: as the Compose file says.
	Compose func(file, name string) (*job.Spec, error)
}

// A Plan is a file that was read.
type Plan struct {
	Title    string // the file's name:, else its own
	Scenario *sim.Scenario
	Text     string   // of the scenario, with comments
	Peers    []string // what people call each peer, in order: "nas.1"
	Sites    []string // each peer's site, "" for none

	jobs []*job.Spec
}

// Limits of a file, so that none can bloat a run.
const (
	maxFileBytes = 1 << 20
	maxPeers     = 20_000
	maxRun       = 1000 * time.Hour
	maxRepeats   = 1000   // of one fault
	maxLines     = 50_000 // of the scenario
)

// Read compiles a file. The error begins with "FILE:LINE: FIELD: ".
func Read(data []byte, name string, o Options) (*Plan, error) {
	c := &compiler{o: o, p: &Plan{Title: name}, file: name, sites: map[string]*site{}, groups: map[string][]int{}}
	if err := c.compile(data); err != nil {
		return nil, err
	}
	c.p.Text = c.out.String()
	s, err := sim.Parse(strings.NewReader(c.p.Text), name)
	if err != nil {
		return nil, c.origin(err)
	}
	for i := range s.Ops {
		s.Ops[i].Line = c.lines[s.Ops[i].Line-1] // findings name the user's line
	}
	c.p.Scenario, c.p.jobs = s, c.jobs
	return c.p, nil
}

// A compiler turns a file into lines of a scenario, each with its origin.
type compiler struct {
	o        Options
	p        *Plan
	file     string
	out      strings.Builder
	lines    []int // of the file, for each line of out
	ops      []line
	length   time.Duration
	seed     uint64
	net      map[string]string // options of net
	netLine  int               // of the file: matrix:, or net:
	links    []linkLine        // lines of sites: and links:, in order
	overlays []overlay         // weather and slow links that faults: make
	sites    map[string]*site
	order    []string         // of the sites
	groups   map[string][]int // machines, by the group's name
	jobs     []*job.Spec
	at       time.Duration // of the last job's deployment
	drawing  string        // the act being written, whose peers are drawn
}

// sections are the keys of a file, in the order they are compiled in.
var sections = []struct {
	key  string
	read func(*compiler, value) error
}{
	{"name", (*compiler).title}, {"seed", (*compiler).seedKey}, {"duration", (*compiler).duration},
	{"net", (*compiler).weather}, {"sites", (*compiler).readSites}, {"peers", (*compiler).peers},
	{"links", (*compiler).readLinks}, {"compose", (*compiler).compose}, {"images", (*compiler).images},
	{"work", (*compiler).work}, {"faults", (*compiler).faults}, {"expect", (*compiler).expect},
}

func (c *compiler) compile(data []byte) error {
	c.seed, c.length = 1, 10*time.Minute
	c.net = map[string]string{"delay": "1ms..5ms", "loss": "0%", "dup": "0%", "jitter": "0s", "reorder": "0%"}
	root, err := c.parse(data)
	if err != nil {
		return err
	}
	var keys []string
	for _, s := range sections {
		keys = append(keys, s.key)
	}
	top, err := root.object(keys...)
	if err != nil {
		return err
	}
	for _, key := range []string{"peers", "compose"} {
		if v, ok := top.get(key); !ok || v.null() {
			return root.errorf("%s is missing; a plan has at least peers: and compose:", key)
		}
	}
	for _, s := range sections {
		if v, ok := top.get(s.key); ok && !v.null() {
			if err := s.read(c, v); err != nil {
				return err
			}
		}
		switch s.key {
		case "sites": // the header goes before all else
			c.header(root.line())
		case "peers":
			if err := c.insides(); err != nil {
				return err
			}
		}
	}
	for _, l := range c.links {
		c.emit(l.origin, "%s", l.text())
	}
	c.lapses()
	if len(c.ops) > maxLines {
		return root.errorf("makes a scenario of %d lines; at most %d are run", len(c.ops), maxLines)
	}
	slices.SortStableFunc(c.ops, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	for _, l := range c.ops {
		c.emit(l.origin, "%s", l.text)
	}
	return nil
}

func (c *compiler) header(line int) {
	text := "net"
	for _, key := range slices.Sorted(maps.Keys(c.net)) {
		if value := c.net[key]; value != "0%" && value != "0s" {
			text += " " + key + "=" + value
		}
	}
	c.emit(cmp.Or(c.netLine, line), "%s", text)
	c.emit(line, "run %v seed=%d", c.length, c.seed)
}

// emit writes one line of the scenario.
func (c *compiler) emit(line int, format string, args ...any) {
	fmt.Fprintf(&c.out, format+"\n", args...)
	c.lines = append(c.lines, line)
}

// A line of the scenario that has its place in time.
type line struct {
	at     time.Duration
	text   string
	origin int // line of the file
}

// atEnd is the place of what is asked in the calm.
const atEnd = 2 * maxRun

// plan keeps a line for its place in time, after all that were kept for it before.
func (c *compiler) plan(origin int, at time.Duration, format string, args ...any) {
	c.ops = append(c.ops, line{at, fmt.Sprintf(format, args...), origin})
}

// timed keeps what happens at a time.
func (c *compiler) timed(origin int, at time.Duration, format string, args ...any) {
	c.plan(origin, at, "at %v "+format, append([]any{at}, args...)...)
}

// origin turns an error about a line of the scenario into one about the file.
func (c *compiler) origin(err error) error {
	var line int
	text := err.Error()
	rest, ok := strings.CutPrefix(text, c.file+":")
	if !ok {
		return err
	}
	if _, scan := fmt.Sscanf(rest, "%d:", &line); scan != nil || line < 1 || line > len(c.lines) {
		return err
	}
	_, rest, _ = strings.Cut(rest, ": ")
	return fmt.Errorf("%s:%d: %s", c.file, c.lines[line-1], rest)
}

func (c *compiler) title(v value) (err error) {
	c.p.Title, err = v.text()
	return err
}

func (c *compiler) seedKey(v value) error {
	n, err := v.number(0, 1<<63-1)
	c.seed = uint64(n)
	if c.o.Seed != nil {
		c.seed = *c.o.Seed
	}
	return err
}

func (c *compiler) duration(v value) (err error) {
	if c.length, err = v.duration(); err == nil && c.length < time.Second {
		err = v.errorf("%v is too short; write one such as 10m", c.length)
	}
	return err
}
