package plan

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	yamlScalar  = yaml.ScalarNode
	yamlMapping = yaml.MappingNode
)

// scalar is a word of a sentence as a value of its own.
func (v value) scalar(text string) value {
	return value{&yaml.Node{Kind: yamlScalar, Tag: "!!str", Value: text, Line: v.node.Line}, v.file, v.path}
}

// disk is a power cut after which the machine starts with another disk.
func disk(how string) write {
	return func(c *compiler, a *act) error {
		refs, err := c.refs(a)
		if err != nil {
			return err
		}
		for _, r := range refs {
			c.timed(a.line(), a.at, "crash %s", r)
			c.timed(a.line(), a.at+cmp.Or(a.lasts, 10*time.Second), "restart %s disk=%s", r, how)
		}
		return nil
	}
}

func (c *compiler) clock(a *act) error {
	by, ok := a.get("by")
	if !ok {
		return a.errorf("by is missing; write how far, such as by: -10y")
	}
	shift, err := by.option("by")
	if err != nil {
		return err
	}
	refs, err := c.refs(a)
	if err != nil {
		return err
	}
	for _, r := range refs {
		c.timed(a.line(), a.at, "clockjump %s by=%s", r, shift)
		if a.lasts > 0 {
			c.timed(a.line(), a.at+a.lasts, "clockjump %s by=0s", r)
		}
	}
	return nil
}

// cut reads "site home | rest" into a cut of its own, or its one-way kin.
func cut(verb, sign string) write {
	return func(c *compiler, a *act) error {
		left, right, ok := strings.Cut(a.text, sign)
		if !ok {
			return a.what.errorf("%q does not say what from what; write %s", a.text, a.kind.want)
		}
		var sides [2]string
		for i, text := range []string{left, right} {
			if text = strings.TrimSpace(text); text == "rest" {
				sides[i] = text
				continue
			}
			machines, ref, err := c.who(a.what, text)
			if err != nil {
				return err
			}
			if sides[i] = ref; ref == "" {
				sides[i] = names(machines)
			}
		}
		if sides[0] == sides[1] {
			return a.what.errorf("%q has the same peers on both sides", a.text)
		}
		c.timed(a.line(), a.at, "%s %s%s%s%s", verb, sides[0], sign, sides[1], a.suffix())
		return nil
	}
}

// weatherAct changes all links that no other line speaks of; lapses writes how they
// go back.
func (c *compiler) weatherAct(a *act) error {
	o, err := a.what.object(weatherKeys...)
	if err != nil {
		return err
	}
	opts, err := o.options(weatherKeys...)
	if err != nil {
		return err
	}
	if opts == "" {
		return a.what.errorf("says nothing of the network; add some of %s", strings.Join(weatherKeys, ", "))
	}
	c.timed(a.line(), a.at, "net%s", opts)
	c.overlays = append(c.overlays, overlay{linkLine{origin: a.line(), opts: opts}, a.at, a.lasts, c.usual(o)})
	return nil
}

// usual is what the keys of o are while nothing changes them.
func (c *compiler) usual(o object) string {
	out := ""
	for _, key := range weatherKeys {
		if o.has(key) {
			out += " " + key + "=" + c.net[key]
		}
	}
	return out
}

// slowLink changes the links between two sides; lapses writes how they go back.
func (c *compiler) slowLink(a *act) error {
	left, right, err := c.ends(a.what.scalar(a.text))
	if err != nil {
		return err
	}
	opts, err := a.options(weatherKeys...)
	if err != nil {
		return err
	}
	if opts == "" {
		return a.errorf("says nothing of the link; add some of %s", strings.Join(weatherKeys, ", "))
	}
	l := linkLine{a.line(), left, right, opts}
	c.timed(a.line(), a.at, "%s", l.text())
	c.overlays = append(c.overlays, overlay{l, a.at, a.lasts, c.usual(a.object)})
	return nil
}

// with writes one line per peer, with an option that must be there.
func with(verb string, withFor bool, option string) write {
	return func(c *compiler, a *act) error {
		opts, err := a.options(option)
		if err != nil {
			return err
		}
		if opts == "" {
			return a.errorf("%s is missing; it says how bad it is", option)
		}
		return each(verb+" %s"+strings.ReplaceAll(opts, "%", "%%")+map[bool]string{true: "%s"}[withFor], withFor)(c, a)
	}
}

func (c *compiler) loseImage(a *act) error {
	image, err := c.imageOf(a.what, a.text)
	if err == nil {
		c.timed(a.line(), a.at, "lose %s%s", image, a.suffix())
	}
	return err
}

func (c *compiler) endContainer(a *act) error {
	if err := a.noFor(); err != nil {
		return err
	}
	slot, err := c.slot(a.what, a.text)
	if err != nil {
		return err
	}
	code := "1"
	if v, ok := a.get("code"); ok {
		n, err := v.number(0, 255)
		if err != nil {
			return err
		}
		code = strconv.FormatInt(n, 10)
	}
	c.timed(a.line(), a.at, "exit container %s code=%s", slot, code)
	return nil
}

// asked writes where a request goes, " at=n3", or nothing for the first ready peer. What
// was asked for stays: there is no for:.
func (c *compiler) asked(a *act) (string, error) {
	if err := a.noFor(); err != nil {
		return "", err
	}
	if v, ok := a.get("from"); ok {
		return c.askAt(v)
	}
	return "", nil
}

func (c *compiler) scale(a *act) error {
	spec, task, err := c.task(a.what, a.text)
	if err != nil {
		return err
	}
	if task == "" {
		return a.what.errorf("%q is a job; write a task such as %s/%s", a.text, spec.Name, spec.Tasks[0].Name)
	}
	to, ok := a.get("to")
	if !ok {
		return a.errorf("to is missing; write how many, such as to: 5")
	}
	n, err := to.number(0, 10_000)
	if err != nil {
		return err
	}
	where, err := c.asked(a)
	if err == nil {
		c.timed(a.line(), a.at, "scale %s/%s replicas=%d%s", c.jobName(spec), task, n, where)
	}
	return err
}

// update gives a task an environment that it has not had, so that every slot moves.
func (c *compiler) update(a *act) error {
	spec, task, err := c.task(a.what, a.text)
	if err != nil {
		return err
	}
	where, err := c.asked(a)
	if err != nil {
		return err
	}
	for i := range spec.Tasks {
		if name := spec.Tasks[i].Name; task == "" || task == name {
			c.timed(a.line(), a.at, "update %s/%s version=%d%s", c.jobName(spec), name, int(a.at.Seconds()), where)
		}
	}
	return nil
}

func onJob(verb string) write {
	return func(c *compiler, a *act) error {
		spec, task, err := c.task(a.what, a.text)
		if err != nil {
			return err
		}
		if task != "" {
			return a.what.errorf("%q is a task; %s takes a whole job: %s", a.text, verb, spec.Name)
		}
		where, err := c.asked(a)
		if err == nil {
			c.timed(a.line(), a.at, "%s %s/%s%s", verb, c.jobName(spec), spec.Tasks[0].Name, where)
		}
		return err
	}
}

func (c *compiler) drain(a *act) error {
	refs, err := c.refs(a)
	if err != nil {
		return err
	}
	for _, r := range refs {
		c.timed(a.line(), a.at, "drain %s", r)
		if a.lasts > 0 {
			c.timed(a.line(), a.at+a.lasts, "drain %s undo", r)
		}
	}
	return nil
}

// want is how expect: is written, for errors.
const wantForm = "write one such as: web serves >=2 always, shop runs >=4 after 2m, web serves 3 by 30m"

// settle is how long after the last deployment "always" begins.
const settle = time.Minute

// expect reads expect: sentences that must come true.
func (c *compiler) expect(v value) error {
	for _, entry := range v.list() {
		text, err := entry.text()
		if err != nil {
			return err
		}
		if err := c.sentence(entry, strings.Fields(text)); err != nil {
			return err
		}
	}
	return nil
}

// sentence reads "TASK serves|runs N [always | after|from|at|by T | in the end]".
func (c *compiler) sentence(v value, words []string) error {
	if len(words) < 3 {
		return v.errorf("%q is no expectation; %s", strings.Join(words, " "), wantForm)
	}
	spec, task, err := c.task(v, words[0])
	if err != nil {
		return err
	}
	verb := map[string]string{"serves": "serving", "runs": "running"}[words[1]]
	if verb == "" {
		return v.errorf("%q is no verb; a task serves or runs; %s", words[1], wantForm)
	}
	if _, err := strconv.ParseUint(strings.TrimPrefix(words[2], ">="), 10, 31); err != nil {
		return v.errorf("%q is no number; %s", words[2], wantForm)
	}
	what := c.jobName(spec)
	if task != "" {
		what += "/" + task
	}
	when, at, err := c.when(v, words[3:])
	if err == nil {
		c.plan(v.line(), at, "%s %s %s of %s", when, verb, words[2], what)
	}
	return err
}

// when reads when an expectation counts, and where among the lines it stands.
func (c *compiler) when(v value, words []string) (string, time.Duration, error) {
	switch text := strings.Join(words, " "); {
	case text == "" || text == "in the end":
		return "calm", atEnd, nil
	case text == "always":
		from := min(c.at+settle, c.length)
		return fmt.Sprintf("from %v", from), from, nil
	case len(words) == 2:
		form := map[string]string{"after": "from", "from": "from", "at": "at", "by": "by"}[words[0]]
		if form == "" {
			break
		}
		t, err := c.moment(v.scalar(words[1]))
		return fmt.Sprintf("%s %v", form, t), t, err
	}
	return "", 0, v.errorf("%q is no time; %s", strings.Join(words, " "), wantForm)
}
