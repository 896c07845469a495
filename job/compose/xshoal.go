package compose

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"shoal/job"
)

// edgeAfter is what `failover: {after: edge}` stands for: a device that is often away.
const edgeAfter = 5 * time.Minute

// jobExtension reads x-shoal at the top of the file.
func (l *load) jobExtension(spec *job.Spec, extensions map[string]any) {
	values, ok := l.extension("x-shoal", extensions)
	if !ok {
		return
	}
	for _, dc := range l.words("x-shoal.datacenters", values["datacenters"]) {
		if err := job.CheckName(dc); err != nil {
			l.refuse("x-shoal.datacenters", "%v", err)
		}
		spec.Datacenters = append(spec.Datacenters, dc)
	}
	spec.Namespace = l.word("x-shoal.namespace", values["namespace"])
}

// taskExtension reads x-shoal of a service.
func (c *converter) taskExtension(extensions map[string]any) {
	path := c.under("x-shoal")
	values, ok := c.extension(path, extensions)
	c.gpus(values["gpus"])
	if !ok {
		return
	}
	c.taskType(path+".type", c.word(path+".type", values["type"]))
	c.constraints(path+".constraints", values["constraints"])
	for i, text := range c.words(path+".devices", values["devices"]) {
		c.device(path+".devices"+index(i), text)
	}
	c.disk(path+".disk", values["disk"])
	c.task.Policy = c.choice(path+".policy", values["policy"], "spread", "pack")
	c.task.Priority = c.number(path+".priority", values["priority"], 1, job.MaxPriority)
	c.task.Attempts = c.number(path+".attempts", values["attempts"], 1, job.MaxAttempts)
	c.task.Near = append(c.task.Near, c.affinities(path+".affinity", values["affinity"])...)
	c.task.Apart = append(c.task.Apart, c.affinities(path+".anti-affinity", values["anti-affinity"])...)
	for i, text := range c.words(path+".spread", values["spread"]) {
		c.spread(path+".spread"+index(i), text)
	}
	if v := values["exclusive"]; v != nil && v != false {
		c.refuse(path+".exclusive", "is not supported yet; remove it")
	}
	c.failover(path+".failover", values["failover"])
}

// disk reads how much room on disk a copy needs, which Compose has no word for.
func (c *converter) disk(path string, value any) {
	text := c.word(path, value)
	if text == "" {
		return
	}
	n, err := units.RAMInBytes(text)
	if err != nil || n <= 0 || n > job.MaxBytes {
		c.refuse(path, "%s is no amount of disk up to 64t; write one such as 2GiB", oneSentence(fmt.Errorf("%s", text)))
		return
	}
	c.task.Needs.DiskBytes = n
}

// constraints reads a list of them, or one. What is no text is none: "5" would be taken
// for a label's name.
func (c *converter) constraints(path string, value any) {
	list, ok := value.([]any)
	if _, isMap := value.(map[string]any); isMap {
		c.refuse(path, `must be a list, such as ["zone == kitchen"]`)
		return
	} else if !ok && value != nil {
		list = []any{value}
	}
	for _, item := range list {
		if item == nil {
			c.refuse(path, `an empty one is no constraint; write one such as "zone == kitchen"`)
		} else if text, ok := item.(string); ok {
			c.constraint(path, text)
		} else {
			c.refuse(path, `%s is no constraint; write one such as "zone == kitchen"`, oneSentence(fmt.Errorf("%v", item)))
		}
	}
}

func (c *converter) taskType(path, text string) {
	if d := c.s.Deploy; d != nil && d.Mode == "global" && text != "" && text != "system" {
		c.refuse(path, "%s contradicts deploy.mode global; remove one of the two", oneSentence(fmt.Errorf("%s", text)))
		return
	}
	switch text {
	case "":
	case "service":
		c.task.Type = job.Service
	case "batch":
		c.task.Type = job.Batch
	case "system":
		c.task.Type = job.System
	case "cron":
		c.refuse(path, "%s is not supported yet; write service, batch or system", text)
	default:
		c.refuse(path, "%q is not one of service, batch, system", text)
	}
}

func (c *converter) failover(path string, value any) {
	if value == nil {
		return
	}
	values, ok := value.(map[string]any)
	if !ok {
		c.refuse(path, "must be a mapping, such as failover: {after: 30s}")
		return
	}
	f := &c.task.Failover
	f.InIsland = c.choice(path+".inIsland", values["inIsland"], "heal", "wait")
	f.OnReturn = c.choice(path+".onReturn", values["onReturn"], "incumbent", "newest")
	f.Volume = c.choice(path+".volume", values["volume"], "empty")
	switch text := c.word(path+".after", values["after"]); text {
	case "":
	case "never":
		f.Never = true
	case "edge":
		f.After = edgeAfter
	default:
		after, err := time.ParseDuration(text)
		if err != nil || after < 0 {
			c.refuse(path+".after", "%q is no duration; write one such as 30s, or edge, or never", text)
			return
		}
		if f.After = after; after == 0 {
			f.After = -1 // the zero value means the type's default
		}
	}
}

// number reads a whole number; 0 for none, and for one that is refused.
func (l *load) number(path string, value any, least, most int) int {
	if value == nil {
		return 0
	}
	word := fmt.Sprint(value)
	n, err := strconv.Atoi(word)
	if err != nil || n < least || n > most {
		l.refuse(path, "%s is not a whole number between %d and %d", oneSentence(fmt.Errorf("%q", word)), least, most)
		return 0
	}
	return n
}

// extension returns the mapping under x-shoal.
func (l *load) extension(path string, extensions map[string]any) (map[string]any, bool) {
	value, ok := extensions["x-shoal"]
	if !ok || value == nil {
		return nil, false
	}
	values, ok := value.(map[string]any)
	if !ok {
		l.refuse(path, "must be a mapping, such as x-shoal: {type: batch}")
	}
	return values, ok
}

// word reads a scalar; numbers are taken as written, so that "after: 0" is "0".
func (l *load) word(path string, value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case int, bool, float64:
		return fmt.Sprint(v)
	default:
		l.refuse(path, "must be one word")
		return ""
	}
}

// words reads a list of words, or one word.
func (l *load) words(path string, value any) []string {
	list, ok := value.([]any)
	if _, isMap := value.(map[string]any); isMap {
		l.refuse(path, "must be a list, such as [a, b]")
		return nil
	}
	if !ok {
		if word := l.word(path, value); word != "" {
			return []string{word}
		}
		return nil
	}
	var words []string
	for i, item := range list {
		words = append(words, l.word(path+index(i), item))
	}
	return words
}

func (l *load) choice(path string, value any, allowed ...string) string {
	word := l.word(path, value)
	for _, a := range append(allowed, "") {
		if word == a {
			return word
		}
	}
	l.refuse(path, "%q is not one of %s", word, strings.Join(allowed, ", "))
	return ""
}
