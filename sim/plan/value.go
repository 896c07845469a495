package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"shoal/job"
	"shoal/sim"
)

// A value is a node of the file that knows its place.
type value struct {
	node *yaml.Node
	file string
	path string // "peers[1].cpu"; empty: the whole file
}

// errorf says what is wrong with the value, and where it is.
func (v value) errorf(format string, args ...any) error {
	place := fmt.Sprintf("%s:%d: ", v.file, v.line())
	if v.path != "" {
		place += v.path + ": "
	}
	return errors.New(place + fmt.Sprintf(format, args...))
}

func (v value) line() int { return max(1, v.node.Line) }

// null reports whether nothing stands there, as after "work:" alone.
func (v value) null() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }

// child is a part of the value; an alias stands for what it names.
func (v value) child(node *yaml.Node, step string) value {
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	return value{node, v.file, strings.TrimPrefix(v.path+step, ".")}
}

// yamlError is how the YAML library words its errors.
var yamlError = regexp.MustCompile(`^(?:yaml: )?(?:construct errors: )?(?:line (\d+)(?:, column \d+)?: )?((?s).*)$`)

// parse reads the file's one document.
func (c *compiler) parse(data []byte) (value, error) {
	whole := value{&yaml.Node{Line: 1}, c.file, ""}
	if len(data) > maxFileBytes {
		return whole, whole.errorf("is larger than %d bytes, which no plan should be", maxFileBytes)
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF):
		return whole, whole.errorf("is empty; a plan has at least peers: and compose:")
	case err != nil:
		m := yamlError.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
		line, _ := strconv.Atoi(m[1])
		whole.node.Line = min(line, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n")))
		return whole, whole.errorf("is not valid YAML: %s; check indentation, quotes and brackets", m[2])
	case len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode:
		return whole, whole.errorf("is no plan: it must be a mapping with keys such as peers: and compose:")
	case !errors.Is(d.Decode(&more), io.EOF):
		return whole, whole.errorf("has several documents; a plan is one")
	}
	return value{doc.Content[0], c.file, ""}, nil
}

// An object is a mapping whose keys are all known.
type object struct {
	value
	keys map[string]value
}

func (o object) has(key string) bool { _, ok := o.keys[key]; return ok }

func (o object) get(key string) (value, bool) { v, ok := o.keys[key]; return v, ok }

// object reads a mapping with some of the known keys.
func (v value) object(known ...string) (object, error) {
	o := object{v, map[string]value{}}
	if v.node.Kind != yaml.MappingNode {
		return o, v.errorf("want a mapping with some of %s", strings.Join(known, ", "))
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		at := v.child(v.node.Content[i+1], "."+key.Value)
		if !slices.Contains(known, key.Value) {
			return o, value{key, v.file, v.path}.errorf("unknown key %q; %s", key.Value, near(key.Value, known))
		}
		if o.has(key.Value) {
			return o, value{key, v.file, v.path}.errorf("%s stands here twice; one of them is too many", key.Value)
		}
		o.keys[key.Value] = at
	}
	return o, nil
}

// near proposes what someone may have meant.
func near(word string, known []string) string {
	if m := job.Near(word, known); len(m) > 0 {
		return "did you mean " + strings.Join(m, " or ") + "?"
	}
	return "known are " + strings.Join(known, ", ")
}

// pairs reads a mapping with any keys, in the file's order.
func (v value) pairs(what string) (keys []value, values []value, err error) {
	if v.node.Kind != yaml.MappingNode {
		return nil, nil, v.errorf("want a mapping from %s", what)
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		keys = append(keys, v.child(v.node.Content[i], ""))
		values = append(values, v.child(v.node.Content[i+1], "."+v.node.Content[i].Value))
	}
	return keys, values, nil
}

// list reads a sequence; one that is missing its dash counts as a list of one.
func (v value) list() []value {
	if v.node.Kind != yaml.SequenceNode {
		return []value{v}
	}
	out := make([]value, len(v.node.Content))
	for i, n := range v.node.Content {
		out[i] = v.child(n, fmt.Sprintf("[%d]", i))
	}
	return out
}

// text reads a word or sentence that fits one line of a scenario.
func (v value) text() (string, error) {
	if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!null" || strings.TrimSpace(v.node.Value) == "" {
		return "", v.errorf("want a word or a sentence")
	}
	if strings.ContainsFunc(v.node.Value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '#' }) {
		return "", v.errorf("%q must fit on one line and have no #", v.node.Value)
	}
	return strings.TrimSpace(v.node.Value), nil
}

// word is text without spaces.
func (v value) word() (string, error) {
	s, err := v.text()
	if err == nil && strings.ContainsAny(s, " \t\"") {
		err = v.errorf("%q must be one word", s)
	}
	return s, err
}

// option is a word that an option of the scenario's language accepts.
func (v value) option(name string) (string, error) {
	s, err := v.word()
	if err == nil {
		if wrong := sim.CheckValue(name, s); wrong != nil {
			err = v.errorf("%v", wrong)
		}
	}
	return s, err
}

// options reads the given keys of an object, each as the option of that name, and
// writes them as a scenario does: " loss=2% delay=1ms..5ms".
func (o object) options(names ...string) (string, error) {
	out := ""
	for _, name := range names {
		v, ok := o.get(name)
		if !ok {
			continue
		}
		s, err := v.option(name)
		if err != nil {
			return "", err
		}
		out += " " + name + "=" + s
	}
	return out, nil
}

func (v value) number(from, to int64) (int64, error) {
	s, err := v.word()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < from || n > to {
		return 0, v.errorf("%q is no number from %d to %d", s, from, to)
	}
	return n, nil
}

func (v value) duration() (time.Duration, error) {
	s, err := v.word()
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d < 0:
		return 0, v.errorf("%q must not be negative", s)
	case err == nil && d > maxRun:
		return 0, v.errorf("%q is too long; at most %v", s, maxRun)
	case err != nil:
		return 0, v.errorf("%q is no duration; write one such as 250ms, 90s or 1h30m", s)
	}
	return d, nil
}
