package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"shoal/job"
)

// maxLine bounds a line of a scenario, in bytes.
const maxLine = 1 << 20

// Parse reads a scenario. Its error names the place: "holder_dies.txt:7: …".
func Parse(r io.Reader, name string) (*Scenario, error) {
	p := &parser{name: name, s: &Scenario{Name: name, Net: defaultNet, Run: defaultRun, Seed: 1}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		p.line++
		text := lines.Text()
		if p.line == 1 {
			text = strings.TrimPrefix(text, "\ufeff") // as some editors begin a file
		}
		if p.golden {
			p.s.Golden = append(p.s.Golden, strings.TrimRight(text, " "))
			continue
		}
		if strings.HasPrefix(text, "----") {
			p.golden = true
			continue
		}
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, fmt.Errorf("%s:%d: is no text, so this is no scenario", name, p.line)
		}
		if err := p.read(text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.line, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes", name, p.line+1, maxLine)
	case err != nil:
		return nil, fmt.Errorf("%s:%d: %w", name, p.line+1, err)
	}
	if err := p.knownJobs(); err != nil {
		return nil, err
	}
	if err := p.workloadsFit(); err != nil {
		return nil, err
	}
	if len(p.s.Groups) == 0 {
		return nil, fmt.Errorf("%s:1: no peers; begin with a line such as: peers 5 cpu=2000m mem=4GiB", name)
	}
	if err := p.makesSense(); err != nil {
		return nil, err
	}
	return p.s, nil
}

type parser struct {
	name   string
	s      *Scenario
	line   int
	ran    int           // the line of "run"; 0: none yet
	last   time.Duration // of the last "at"
	golden bool
	census *slotCensus // once somebody asked
}

// headers are the words that begin a statement about the whole run; several may
// stand on one line.
var headers = map[string]func(*parser, []string) error{
	"peers": (*parser).peers, "net": (*parser).net, "run": (*parser).run, "image": (*parser).image,
	"link": (*parser).link, "workload": (*parser).workload,
}

func (p *parser) read(text string) error {
	if spec, ok := strings.CutPrefix(text, "job "); ok {
		return p.job(spec)
	}
	words := strings.Fields(text)
	if at := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); at >= 0 {
		words = words[:at]
	}
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "at", "by", "from":
		return p.op(words)
	case "always":
		return p.always(words[1:])
	case "calm":
		return p.calm(words[1:])
	}
	for len(words) > 0 {
		head := headers[words[0]]
		if head == nil {
			return fmt.Errorf("%.40q begins no statement; one of at, by, from, always, calm, image, job, link, net, peers, run, workload does", words[0])
		}
		end := 1
		for end < len(words) && headers[words[end]] == nil {
			end++
		}
		if err := head(p, words[1:end]); err != nil {
			return fmt.Errorf("%s: %w", words[0], err)
		}
		words = words[end:]
	}
	return nil
}

func (p *parser) peers(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("how many? such as: peers 5 cpu=2000m mem=4GiB")
	}
	if strings.HasPrefix(words[0], "from=") {
		return p.peersFrom(words)
	}
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 1 || n > maxPeers {
		return fmt.Errorf("%q is no number of peers from 1 to %d", words[0], maxPeers)
	}
	g := PeerGroup{Count: n}
	g.Capacity = defaultCapacity
	if err := machineOptions(&g.MachineSpec, words[1:]); err != nil {
		return err
	}
	p.s.Groups = append(p.s.Groups, g)
	return nil
}

// machineOptions reads cpu= mem= gpus= label= datacenter= profile= and those of nicSpec into spec.
func machineOptions(spec *MachineSpec, words []string) (err error) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "cpu":
			spec.Capacity.CPUMilli, err = parseCPU(value)
		case "mem":
			spec.Capacity.MemBytes, err = parseBytes(value)
		case "gpus":
			spec.Capacity.GPUMilli, err = parseGPUs(value)
			if spec.Capacity.GPUMilli%job.WholeGPU != 0 {
				err = fmt.Errorf("%q is no number of devices; write one from 0 to %d", value, job.MaxGPUs)
			}
		case "label":
			name, text, _ := strings.Cut(value, "=")
			spec.Labels = maps.Clone(spec.Labels)
			if spec.Labels == nil {
				spec.Labels = map[string]string{}
			}
			spec.Labels[name] = text
		case "datacenter":
			spec.Datacenter = value
		case "clock":
			spec.Clock, err = parseShift(value)
		case "drift":
			spec.DriftPPM, err = parseDrift(value)
		case "profile":
			if value != "lan" && value != "metered" && value != "small" {
				err = fmt.Errorf("%q is none of lan, metered, small", value)
			}
			spec.Profile = value
		default:
			var ok bool
			if ok, err = spec.NIC.option(key, value); !ok {
				err = fmt.Errorf("unknown option; known are addr, clock, cpu, datacenter, drift, label, mem, nat, profile, uplink")
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func (p *parser) run(words []string) (err error) {
	if p.ran > 0 {
		return fmt.Errorf("line %d says it already; write one run for the whole file", p.ran)
	}
	p.ran = p.line
	for i, w := range words {
		key, value, isOption := strings.Cut(w, "=")
		switch {
		case i == 0 && !isOption:
			p.s.Run, err = parseDuration(w)
		case key == "seed":
			if p.s.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
				err = fmt.Errorf("want a whole number from 0 on")
			}
		case key == "horizon":
			p.s.Horizon, err = parseDuration(value)
		case key == "encode":
			p.s.Encode = value != "0"
		default:
			err = fmt.Errorf("unknown option; known are encode, horizon, seed")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// op reads "at T VERB ARGS… OPTIONS…" and "by T ASSERTION…".
func (p *parser) op(words []string) error {
	if len(words) < 3 {
		return fmt.Errorf("want: %s TIME VERB, such as: %s 6s %s", words[0], words[0], map[string]string{"at": "crash n1", "by": "held web.0", "from": "serving >=2 of web"}[words[0]])
	}
	t, err := parseDuration(words[1])
	if err != nil {
		return err
	}
	op := Op{Moment: At, Time: t, Line: p.line}
	switch words[0] {
	case "from":
		op.Moment = From
	case "by":
		op.Moment, op.From = By, p.last
		if t < p.last {
			return fmt.Errorf("by %v lies before the line above it, at %v", t, p.last)
		}
	default:
		p.last = t
	}
	return p.verb(op, words[2:])
}

// verb checks verb, arguments and options against the table, and adds the op.
func (p *parser) verb(op Op, words []string) error {
	op.Verb = words[0]
	v, ok := verbs[op.Verb]
	if !ok {
		return fmt.Errorf("unknown verb %.40q; %s", op.Verb, nearVerb(op.Verb))
	}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if least, cut := strings.CutSuffix(key, ">"); cut && least != "" { // stores>=2
			key, value = least, ">="+value
		}
		if most, cut := strings.CutSuffix(key, "<"); cut && most != "" { // awards<=1.1
			key, value = most, "<="+value
		}
		if !ok && !slices.Contains(v.opts, key) || strings.ContainsAny(key, "(|>") {
			op.Args = append(op.Args, w)
			continue
		}
		if op.Opts == nil {
			op.Opts = map[string]string{}
		}
		if hasKey(op.Opts, key) {
			return fmt.Errorf("%s: %s stands here twice; leave one out", op.Verb, key)
		}
		op.Opts[key] = value
	}
	switch {
	case op.Moment != At && v.assert == nil:
		return fmt.Errorf("%q is no assertion; those are %s", op.Verb, strings.Join(assertions(), ", "))
	case len(op.Args) < v.args || len(op.Args) > v.args+v.more:
		return fmt.Errorf("want: %s %s", op.Verb, v.usage)
	}
	for _, k := range sortedKeys(op.Opts) {
		if !slices.Contains(v.opts, k) {
			return fmt.Errorf("%s: unknown option %s=; known are %s", op.Verb, k, strings.Join(v.opts, ", "))
		}
		if err := optionKinds[k](op.Opts[k]); err != nil {
			return fmt.Errorf("%s: %s=%s: %w", op.Verb, k, op.Opts[k], err)
		}
	}
	if v.check != nil {
		if err := v.check(&op); err != nil {
			return fmt.Errorf("%s: %w", op.Verb, err)
		}
	}
	p.s.Ops = append(p.s.Ops, op)
	return nil
}

// ruleNames are other names of the rules.
var ruleNames = map[string]string{
	"accepted-is-safe": "S1", "no-overcommit": "S4", "tokens-only-grow": "S5", "merge-is-a-join": "S6",
	"no-orphans": "S7", "removed-stays-removed": "S8", "S1": "S1", "S4": "S4", "S5": "S5", "S6": "S6", "S7": "S7",
	"S8": "S8", "V1": "V1", "V2": "V2", "V3": "V3", "V4": "V4", "invariants": "", "S3": "S3",
	"joining": "joining", "yield": "yield", "deaths": "deaths", "moves": "moves", "keys": "keys",
	"ready": "ready", "fair": "fair", "kinds": "kinds",
}

// always names rules: all are on anyway, unless "except" takes some out.
func (p *parser) always(words []string) error {
	except := false
	for _, w := range words {
		w = strings.TrimSuffix(w, ",")
		if w == "except" {
			except = true
			continue
		}
		rule, ok := ruleNames[w]
		if !ok {
			return fmt.Errorf("always: %q is no rule; known are %s", w, strings.Join(sortedKeys(ruleNames), ", "))
		}
		if except && rule != "" {
			p.s.Off = append(p.s.Off, rule)
		}
	}
	return nil
}

// calm reads "calm converged within=10s", or any assertion.
func (p *parser) calm(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("calm what? such as: calm converged within=10s")
	}
	if words[0] != "converged" {
		return p.verb(Op{Moment: Calm, Line: p.line}, words)
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		if key != "within" {
			return fmt.Errorf("calm converged: unknown option %s; known is within", w)
		}
		d, err := parseDuration(value)
		if err != nil {
			return err
		}
		p.s.Within = d
	}
	return nil
}

// nearVerb proposes what someone may have meant.
func nearVerb(typed string) string {
	if near := job.Near(typed, sortedKeys(verbs)); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return "docs/SIMULATION.md lists them"
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
