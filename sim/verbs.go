package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/wire"
)

// A verb is one word a scenario can use: how it is written, and either what it
// does or what it asserts.
type verb struct {
	args, more int    // arguments that must and may stand there
	usage      string // for errors and docs
	opts       []string
	check      func(*Op) error // of the arguments, when the scenario is read
	do         func(*run, *Op) error
	assert     func(*run, *Op) string // "" if it holds; else what is so instead
}

var taskOptions = []string{
	"replicas", "cpu", "mem", "gpus", "at", "volume", "type", "onreturn", "inisland", "failover", "lasts", "exit", "health", "image",
	"constraint", "parallelism", "restarts", "order", "failure", "version", "fails", "policy", "monitor", "stuck", "depends", "later",
	"attempts", "priority", "near", "apart", "disk", "spread",
}

var verbs map[string]verb

// The table refers to functions that refer to it, so it is filled at the start.
func init() {
	verbs = map[string]verb{
		"submit":   {args: 1, usage: "JOB[/TASK] replicas=3 cpu=500m mem=256MiB at=n1 …", opts: taskOptions, check: jobArg, do: (*run).submit},
		"deploy":   {args: 1, usage: "JOB, of a line job {…}", opts: []string{"at", "fails"}, check: jobArg, do: (*run).deploy},
		"update":   {args: 1, usage: "JOB[/TASK] version=2 at=n1 …", opts: taskOptions, check: jobArg, do: (*run).submit},
		"scale":    {args: 1, usage: "JOB replicas=5", opts: []string{"replicas", "at", "fails"}, check: jobArg, do: (*run).scale},
		"remove":   {args: 1, usage: "JOB", opts: []string{"at", "volumes", "fails"}, check: jobArg, do: (*run).remove},
		"redeploy": {args: 1, usage: "JOB", opts: []string{"at", "fails"}, check: jobArg, do: (*run).redeploy},
		"rollback": {args: 1, usage: "JOB", opts: []string{"at", "revision", "fails"}, check: jobArg, do: (*run).rollback},
		"drain":    {args: 1, usage: "PEER [deadline=30s]", opts: []string{"undo", "deadline", "fails"}, check: refArgs, do: (*run).drain},
		"leave":    {args: 1, usage: "PEER [deadline=30s]", opts: []string{"deadline", "fails"}, check: refArgs, do: (*run).leave},
		"expel":    {args: 1, usage: "PEER at=n1", opts: []string{"at", "fails"}, check: refArgs, do: (*run).expel},

		"crash": {args: 1, usage: "PEER [for=10s] [torn=yes], or PEER on=award when=before after=2",
			opts: []string{"for", "on", "when", "after", "torn"}, check: crashArgs, do: (*run).crash},
		"crashdaemon": {args: 1, usage: "PEER [for=10s]", opts: []string{"for"}, check: refArgs, do: (*run).crashDaemon},
		"restart": {args: 1, usage: "PEER [disk=keep|lost|damaged|image|clone-of:PEER]", opts: []string{"disk"},
			check: restartArgs, do: (*run).restart},
		"clockjump": {args: 1, usage: "PEER by=-10y", opts: []string{"by", "drift"}, check: refArgs, do: (*run).clockJump},
		"join": {usage: "[cpu=4 mem=8GiB first=yes]",
			opts: []string{"cpu", "mem", "gpus", "label", "datacenter", "profile", "first"}, do: (*run).join},

		"cut":    {args: 1, usage: "n1,n2|n3 [for=1h]", opts: []string{"for"}, check: cutArgs, do: (*run).cut},
		"oneway": {args: 1, usage: "n1,n2>n3 [for=1h]", opts: []string{"for"}, check: cutArgs, do: (*run).cut},
		"heal":   {usage: "", do: (*run).heal},
		"drop":   {args: 1, usage: "KIND from=n1 to=n2 count=1", opts: []string{"from", "to", "count"}, check: messageArg, do: (*run).drop},

		"forge": {args: 2, usage: "PEER " + forgeUsage + " count=1", opts: []string{"count"}, check: forgeArgs, do: (*run).forge},
		"newer": {args: 1, usage: "PEER", check: refArgs, do: (*run).newer},
	}
	addHardware()
	addAssertions()
	addSales()
	addNetVerbs()
	addStoreVerbs()
	addLaterVerbs()
	addAccusations()
	addMisbehaviour()
}

func jobArg(op *Op) error {
	_, _, err := jobTask(op.Args[0])
	return err
}

func refArgs(op *Op) error { _, err := parseRef(op.Args[0]); return err }

func crashArgs(op *Op) error {
	if on := op.Opts["on"]; on != "" {
		if err := isMessage(on); err != nil {
			return fmt.Errorf("on=%s: %w", on, err)
		}
	}
	return refArgs(op)
}

func messageArg(op *Op) error { return isMessage(op.Args[0]) }

// engineArgs accepts "hang engine n1" and "hang n1".
func engineArgs(op *Op) error {
	op.Args = without(op.Args, "engine")
	if len(op.Args) != 1 {
		return fmt.Errorf("want: engine PEER")
	}
	return refArgs(op)
}

func containerArgs(op *Op) error {
	op.Args = without(op.Args, "container")
	if len(op.Args) != 1 {
		return fmt.Errorf("want: container SLOT")
	}
	return slotArg(op)
}

func without(args []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == word })
}

func slotArg(op *Op) error { _, err := parseSlot(op.Args[0]); return err }

func restartArgs(op *Op) error {
	switch d := op.Opts["disk"]; {
	case d == "", d == "keep", d == "lost", d == "damaged", d == "image":
	case strings.HasPrefix(d, "clone-of:"):
		if _, err := parseRef(strings.TrimPrefix(d, "clone-of:")); err != nil {
			return err
		}
	default:
		return fmt.Errorf("disk=%s: want keep, lost, damaged, image or clone-of:PEER", d)
	}
	return refArgs(op)
}

func cutArgs(op *Op) error {
	a, b, err := splitCut(op.Args[0])
	if err != nil {
		return err
	}
	return apart(a, b)
}

// apart refuses a peer on both sides: nothing lies between it and itself.
func apart(a, b []string) error {
	for _, text := range a {
		if slices.Contains(b, text) {
			return fmt.Errorf("%s stands on both sides; leave it out of one", text)
		}
	}
	return nil
}

// splitCut reads "n1,n2|n3,n4" and "n1>n2". A side may be "rest".
func splitCut(s string) (a, b []string, err error) {
	at := strings.IndexAny(s, "|>")
	if at < 0 {
		return nil, nil, fmt.Errorf("%q does not say what from what; write n1,n2|n3 or n1>n2", s)
	}
	if a, err = splitRefs(s[:at]); err != nil {
		return nil, nil, err
	}
	b, err = splitRefs(s[at+1:])
	return a, b, err
}

// splitRefs reads "n1,n4..n9,rest".
func splitRefs(s string) (out []string, err error) {
	for _, text := range strings.Split(s, ",") {
		if text == "rest" {
			out = append(out, text)
			continue
		}
		from, to, isRange := strings.Cut(text, "..")
		first, err := parseRef(from)
		if err != nil {
			return nil, err
		}
		if !isRange {
			out = append(out, text)
			continue
		}
		last, err := parseRef(to)
		if err != nil || first.kind != "n" || last.kind != "n" || last.n < first.n {
			return nil, fmt.Errorf("%q is no range of peers; write n4..n9", text)
		}
		for n := first.n; n <= last.n; n++ {
			out = append(out, "n"+strconv.Itoa(n+1))
		}
	}
	return out, nil
}

// cut cuts both directions ("|") or one (">").
func (r *run) cut(op *Op) error {
	a, b, err := r.sides(op.Args[0])
	if err != nil {
		return err
	}
	c := &activeCut{a, b, op.Verb == "cut"}
	r.cuts = append(r.cuts, c)
	c.set(r.w, true)
	r.cutTurns(c, true)
	r.w.network.broken()
	if d := op.duration("for"); d > 0 {
		r.w.later(d, func() { r.mendCut(c) })
	}
	return nil
}

// An activeCut is a cut that no heal has ended.
type activeCut struct {
	a, b []*machine
	both bool
}

func (c *activeCut) set(w *World, cut bool) {
	for _, x := range c.a {
		for _, y := range c.b {
			w.network.setCut(x.index, y.index, cut)
			if c.both {
				w.network.setCut(y.index, x.index, cut)
			}
		}
	}
}

// mendCut ends one cut; what other cuts still separate stays so.
func (r *run) mendCut(c *activeCut) {
	at := slices.Index(r.cuts, c)
	if at < 0 {
		return // a heal was first
	}
	r.cuts = slices.Delete(r.cuts, at, at+1)
	r.cutTurns(c, false)
	c.set(r.w, false)
	for _, other := range r.cuts {
		other.set(r.w, true)
	}
	r.w.network.mended()
}

func (r *run) sides(text string) (a, b []*machine, err error) {
	left, right, err := splitCut(text)
	if err != nil {
		return nil, nil, err
	}
	if a, err = r.several(left, nil); err != nil {
		return nil, nil, err
	}
	if b, err = r.several(right, a); err != nil {
		return nil, nil, err
	}
	if slices.Contains(left, "rest") {
		a, err = r.several(left, b)
	}
	return a, b, err
}

// several resolves a list; "rest" is every machine that is not in others.
func (r *run) several(refs []string, others []*machine) ([]*machine, error) {
	var out []*machine
	for _, text := range refs {
		if text == "rest" {
			for _, m := range r.w.machines {
				if !slices.Contains(others, m) {
					out = append(out, m)
				}
			}
			continue
		}
		m, err := r.w.find(text)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// cutTurns records the begin or the end of a cut.
func (r *run) cutTurns(c *activeCut, on bool) {
	if r.w.rec != nil {
		r.w.rec.cut(c, on)
	}
}

func (r *run) heal(*Op) error {
	for _, c := range r.cuts {
		r.cutTurns(c, false)
	}
	r.cuts = nil
	for _, a := range r.w.machines {
		for _, b := range r.w.machines {
			r.w.network.setCut(a.index, b.index, false)
		}
	}
	r.w.network.mended()
	return nil
}

func (r *run) drop(op *Op) error {
	d := &drop{kind: kindOf(op.Args[0]), from: -1, to: -1, count: op.number("count", 1)}
	for name, field := range map[string]*int{"from": &d.from, "to": &d.to} {
		if text := op.Opts[name]; text != "" && text != "any" {
			m, err := r.w.find(text)
			if err != nil {
				return err
			}
			*field = m.index
		}
	}
	r.w.network.drops = append(r.w.network.drops, d)
	return nil
}

func kindOf(name string) wire.MessageKind {
	for k, s := range messageNames {
		if s == name {
			return k
		}
	}
	return 0
}

// number reads an option that parsing has checked.
func (o *Op) number(key string, def int) int {
	if n, err := strconv.Atoi(strings.TrimPrefix(o.Opts[key], ">=")); err == nil {
		return n
	}
	return def
}

// duration reads an option that parsing has checked; 0 if it is not there.
func (o *Op) duration(key string) time.Duration {
	if v := o.Opts[key]; v != "" {
		if d, err := time.ParseDuration(v); err == nil {
			return d
		}
	}
	return 0
}
