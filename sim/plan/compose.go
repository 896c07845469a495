package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/job"
)

// firstDeploy is when a job is deployed that says nothing else: the peers are up by
// then.
const firstDeploy = 3 * time.Second

// compose reads compose: a file, or a list of files, each a job of its own.
func (c *compiler) compose(v value) error {
	if c.o.Compose == nil {
		return v.errorf("no Compose file can be read here")
	}
	for _, entry := range v.list() {
		if err := c.composeFile(entry); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) composeFile(v value) error {
	file, name, at, where := v, "", firstDeploy, ""
	if o, err := v.object("file", "name", "at", "from"); err == nil {
		if !o.has("file") {
			return v.errorf("file is missing; write file: compose.yaml")
		}
		file = o.keys["file"]
		if n, ok := o.get("name"); ok {
			if name, err = n.word(); err != nil {
				return err
			}
		}
		if t, ok := o.get("at"); ok {
			if at, err = c.moment(t); err != nil {
				return err
			}
		}
		if f, ok := o.get("from"); ok {
			if where, err = c.askAt(f); err != nil {
				return err
			}
		}
	} else if v.node.Kind != yamlScalar {
		return err
	}
	path, err := file.text()
	if err != nil {
		return err
	}
	spec, err := c.o.Compose(path, name)
	if err != nil {
		return file.errorf("%v", err)
	}
	spec.Namespace = "default" // a world has one namespace
	if slices.ContainsFunc(c.jobs, func(s *job.Spec) bool { return s.ID() == spec.ID() }) {
		return file.errorf("there is a job %s already; give this one another name:", spec.ID())
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return file.errorf("%v", err)
	}
	c.jobs = append(c.jobs, spec)
	c.emit(file.line(), "job %s", text)
	c.timed(file.line(), at, "deploy %s%s", c.jobName(spec), where)
	c.at = max(c.at, at)
	return nil
}

// askAt writes which peer a user's request goes to.
func (c *compiler) askAt(v value) (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	machines, ref, err := c.who(v, text)
	switch {
	case err != nil:
		return "", err
	case ref != "":
		return " at=" + ref, nil
	}
	return fmt.Sprintf(" at=n%d", machines[0]+1), nil
}

// jobName writes a job as a scenario does.
func (c *compiler) jobName(s *job.Spec) string { return s.ID().String() }

// task finds what a line calls a job or a task: "shop", "shop/web", or "web" where
// only one job has it. The task is empty if the job as a whole is meant.
func (c *compiler) task(v value, text string) (spec *job.Spec, task string, err error) {
	jobPart, taskPart, both := strings.Cut(text, "/")
	var known []string
	for _, s := range c.jobs {
		if s.Name == text {
			return s, "", nil
		}
		if both && s.Name == jobPart && s.Task(taskPart) != nil {
			return s, taskPart, nil
		}
		known = append(known, s.Name)
		for i := range s.Tasks {
			name := s.Tasks[i].Name
			known = append(known, name, s.Name+"/"+name)
			if name != text {
				continue
			}
			if spec != nil {
				return nil, "", v.errorf("both %s and %s have a task %q; write %s/%s", spec.Name, s.Name, text, s.Name, text)
			}
			spec, task = s, name
		}
	}
	if spec == nil {
		err = v.errorf("there is no job or task %q; %s", text, near(text, known))
	}
	return spec, task, err
}

// slot writes "web.0" as a scenario does: "shop/web.0".
func (c *compiler) slot(v value, text string) (string, error) {
	name, number, ok := strings.Cut(text, ".")
	if !ok {
		return "", v.errorf("%q is no slot; write one such as web.0", text)
	}
	spec, task, err := c.task(v, name)
	if err != nil {
		return "", err
	}
	if task == "" {
		return "", v.errorf("%q is a job; write a slot such as %s/%s.0", name, spec.Name, spec.Tasks[0].Name)
	}
	slot := c.jobName(spec) + "/" + task + "." + number
	if _, err := job.ParseSlotID(slot); err != nil {
		return "", v.errorf("%v", err)
	}
	return slot, nil
}

// images reads images: what the simulated image of each name does.
func (c *compiler) images(v value) error {
	keys, values, err := v.pairs("images, or tasks that use them, to what they do, such as redis:7: {pull: 2s..20s}")
	if err != nil {
		return err
	}
	for i := range keys {
		name, err := keys[i].word()
		if err != nil {
			return err
		}
		if name, err = c.imageOf(keys[i], name); err != nil {
			return err
		}
		o, err := values[i].object("pull", "start", "lasts", "exit", "health", "stuck")
		if err != nil {
			return err
		}
		text, err := o.options("pull", "start", "lasts", "exit", "health")
		if err != nil {
			return err
		}
		if s, ok := o.get("stuck"); ok && s.node.Value != "false" {
			text += " stuck=yes"
		}
		c.emit(values[i].line(), "image %s%s", name, text)
	}
	return nil
}

// imageOf accepts an image that a task uses, or the task.
func (c *compiler) imageOf(v value, name string) (string, error) {
	var known []string
	for _, s := range c.jobs {
		for i := range s.Tasks {
			if s.Tasks[i].Image == name {
				return name, nil
			}
			known = append(known, s.Tasks[i].Image)
		}
	}
	if spec, task, err := c.task(v, name); err == nil && task != "" {
		return spec.Task(task).Image, nil
	}
	return "", v.errorf("no task uses an image %q; %s", name, near(name, known))
}

// moment reads a time of the run.
func (c *compiler) moment(v value) (time.Duration, error) {
	d, err := v.duration()
	if err == nil && d > c.length {
		err = v.errorf("%v is after the end of the run; it lasts %v: raise duration:, or take an earlier time", d, c.length)
	}
	return d, err
}
