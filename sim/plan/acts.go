package plan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// An act is one line of faults: or work:, as it applies at one time.
type act struct {
	object
	kind  *actKind
	what  value
	text  string // of what, without its times
	at    time.Duration
	lasts time.Duration // 0: to the end of the run
}

// An actKind is a verb of faults: or work:.
type actKind struct {
	verb string
	want string   // what stands after it, for errors
	more []string // further keys
	write
}

// write emits an act as lines of the scenario.
type write func(*compiler, *act) error

// faultKinds in the order of the documentation.
var faultKinds = []*actKind{
	{"power off", "peers", nil, each("crash %s%s", true)},
	{"kill daemon", "peers", nil, each("crashdaemon %s%s", true)},
	{"pause", "peers", nil, each("pause %s%s", true)},
	{"hang engine", "peers", nil, each("hang engine %s%s", true)},
	{"stop engine", "peers", nil, each("hang engine %s%s down", true)},
	{"lose disk", "peers", nil, disk("lost")},
	{"damage disk", "peers", nil, disk("damaged")},
	{"fail disk", "peers", nil, each("diskfail %s", false)},
	{"slow disk", "peers", []string{"factor"}, with("diskslow", true, "factor")},
	{"fill disk", "peers", []string{"free"}, with("diskfull", true, "free")},
	{"rot disk", "peers", []string{"records"}, with("rot", false, "records")},
	{"sleep", "peers", nil, each("sleep %s%s", true)},
	{"fail starts", "peers", []string{"p"}, with("startfail", true, "p")},
	{"restart engine", "peers", nil, each("enginerestart %s%s", true)},
	{"shift clock", "peers", []string{"by"}, (*compiler).clock},
	{"cut", "site home | rest", nil, cut("cut", "|")},
	{"one way", "site home > rest", nil, cut("oneway", ">")},
	{"slow", "peers", []string{"factor"}, with("slow", true, "factor")},
	{"slow link", "home | cabin", weatherKeys, (*compiler).slowLink},
	{"weather", "{loss: 5%, delay: 50ms..300ms}", nil, (*compiler).weatherAct},
	{"lose image", "an image", nil, (*compiler).loseImage},
	{"end container", "a slot, such as web.0", []string{"code"}, (*compiler).endContainer},
}

var workKinds = []*actKind{
	{"scale", "a task, such as web", []string{"to", "from"}, (*compiler).scale},
	{"update", "a task, such as web", []string{"from"}, (*compiler).update},
	{"rollback", "a job", []string{"from"}, onJob("rollback")},
	{"remove", "a job", []string{"from"}, onJob("remove")},
	{"redeploy", "a job", []string{"from"}, onJob("redeploy")},
	{"drain", "peers", nil, (*compiler).drain},
	{"leave", "peers", nil, each("leave %s", false)},
}

func (c *compiler) faults(v value) error { return c.acts(v, faultKinds, workKinds, "work") }

func (c *compiler) work(v value) error { return c.acts(v, workKinds, faultKinds, "faults") }

func (c *compiler) acts(v value, kinds, others []*actKind, otherKey string) error {
	for _, entry := range v.list() {
		a, err := c.act(entry, kinds, others, otherKey)
		if err != nil {
			return err
		}
		if err := c.repeatAct(a); err != nil {
			return err
		}
	}
	return nil
}

// act reads an entry: a verb, when, for how long.
func (c *compiler) act(v value, kinds, others []*actKind, otherKey string) (*act, error) {
	var known []string
	for _, k := range kinds {
		known = append(known, k.verb)
	}
	if v.node.Kind != yamlMapping {
		return nil, v.errorf("want a mapping such as {at: 5m, %s: %s}", kinds[0].verb, exampleOf(kinds[0]))
	}
	a := &act{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i].Value
		if at := slices.IndexFunc(kinds, func(k *actKind) bool { return k.verb == key }); at >= 0 {
			if a.kind != nil {
				return nil, v.errorf("has two verbs, %s and %s; make it two entries", a.kind.verb, key)
			}
			a.kind = kinds[at]
		}
		if slices.ContainsFunc(others, func(k *actKind) bool { return k.verb == key }) {
			return nil, v.errorf("%s stands under %s:", key, otherKey)
		}
	}
	keys := []string{"at", "for", "every"}
	if a.kind == nil {
		if _, err := v.object(append(keys, known...)...); err != nil {
			return nil, err
		}
		return nil, v.errorf("says when, and not what; the verbs are %s", strings.Join(known, ", "))
	}
	var err error
	if a.object, err = v.object(append(append(keys, a.kind.verb), a.kind.more...)...); err != nil {
		return nil, err
	}
	a.what = a.keys[a.kind.verb]
	return a, c.times(a)
}

func exampleOf(k *actKind) string {
	if k.want == "peers" {
		return "3 peers of site shop"
	}
	_, example, _ := strings.Cut(k.want, "such as ")
	return cmp.Or(example, k.want)
}

// inlineTimes are "at 5m" and "for 20m" at the end of a sentence.
var inlineTimes = regexp.MustCompile(`^(.*?)(?:\s+at\s+(\S+))?(?:\s+for\s+(\S+))?$`)

// times reads when, and for how long: as keys, or at the end of the sentence.
func (c *compiler) times(a *act) (err error) {
	at, hasAt := a.get("at")
	lasts, hasFor := a.get("for")
	if a.what.node.Kind == yamlScalar {
		if a.text, err = a.what.text(); err != nil {
			return err
		}
		m := inlineTimes.FindStringSubmatch(a.text)
		a.text = m[1]
		if m[2] != "" {
			at, hasAt = a.what.scalar(m[2]), true
		}
		if m[3] != "" {
			lasts, hasFor = a.what.scalar(m[3]), true
		}
	}
	if !hasAt {
		return a.errorf("at is missing; write when, such as at: 5m")
	}
	if a.at, err = c.moment(at); err != nil || !hasFor {
		return err
	}
	if a.lasts, err = lasts.duration(); err != nil {
		return err
	}
	switch {
	case a.lasts == 0:
		return lasts.errorf("0s is no time at all; leave it out to let it last to the end of the run")
	case a.at+a.lasts > c.length:
		return lasts.errorf("ends at %v, and the run lasts %v; leave it out to let it last to the end", a.at+a.lasts, c.length)
	}
	return nil
}

// repeatAct emits an act once, or every so often until the end of the run.
func (c *compiler) repeatAct(a *act) error {
	every := time.Duration(0)
	if v, ok := a.get("every"); ok {
		var err error
		if every, err = v.duration(); err != nil {
			return err
		}
		if every < time.Second || every <= a.lasts {
			return v.errorf("%v is too often; take more than 1s, and more than its for:", every)
		}
		if int((c.length-a.at)/every) >= maxRepeats {
			return v.errorf("%v makes more than %d of them; take a longer time", every, maxRepeats)
		}
	}
	for {
		c.drawing = fmt.Sprintf("%s %s at %v", a.kind.verb, a.text, a.at)
		c.plan(a.line(), a.at, "# %s %s", a.kind.verb, a.text)
		if err := a.kind.write(c, a); err != nil {
			return err
		}
		a.at += every
		if len(c.ops) > maxLines {
			return a.errorf("makes a scenario of more than %d lines", maxLines)
		}
		if every == 0 || a.at+a.lasts > c.length {
			return nil
		}
	}
}

// suffix is " for=20m0s", or nothing.
func (a *act) suffix() string {
	if a.lasts == 0 {
		return ""
	}
	return fmt.Sprintf(" for=%v", a.lasts)
}

// noFor refuses a time for what is done at once.
func (a *act) noFor() error {
	if a.lasts > 0 {
		return a.errorf("%s has no for:; leave it out", a.kind.verb)
	}
	return nil
}

// refs are the peers an act is about, as a scenario names them.
func (c *compiler) refs(a *act) ([]string, error) {
	if a.text == "" {
		return nil, a.what.errorf("whom? %s", whoForms)
	}
	machines, ref, err := c.who(a.what, a.text)
	if err != nil || ref != "" {
		return []string{ref}, err
	}
	out := make([]string, len(machines))
	for i, m := range machines {
		out[i] = fmt.Sprintf("n%d", m+1)
	}
	return out, nil
}

// each writes one line per peer; withFor says that the verb knows for=.
func each(format string, withFor bool) write {
	return func(c *compiler, a *act) error {
		refs, err := c.refs(a)
		if err != nil {
			return err
		}
		if err := a.noFor(); err != nil && !withFor {
			return err
		}
		for _, r := range refs {
			args := []any{r}
			if withFor {
				args = append(args, a.suffix())
			}
			c.timed(a.line(), a.at, format, args...)
		}
		return nil
	}
}
