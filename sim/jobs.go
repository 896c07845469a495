package sim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
)

// job reads "job {…}": a whole job as JSON, as a Compose file has been read into it.
// The verb deploy submits it by its name.
func (p *parser) job(text string) error {
	var spec job.Spec
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return fmt.Errorf("job: no spec of a job in JSON: %w", err)
	}
	spec.Defaults()
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	if p.s.job(spec.ID()) != nil {
		return fmt.Errorf("job: %s stands here twice", spec.ID())
	}
	p.s.Jobs = append(p.s.Jobs, spec)
	return nil
}

// job finds a job that the scenario carries; nil without it.
func (s *Scenario) job(id job.ID) *job.Spec {
	for i := range s.Jobs {
		if s.Jobs[i].ID() == id {
			return &s.Jobs[i]
		}
	}
	return nil
}

// knownJobs refuses a deploy of a job that no line of the scenario carries.
func (p *parser) knownJobs() error {
	for i := range p.s.Ops {
		op := &p.s.Ops[i]
		if op.Verb != "deploy" {
			continue
		}
		id, _, err := jobTask(op.Args[0])
		if err == nil && p.s.job(id) == nil {
			return fmt.Errorf("%s:%d: deploy: there is no line job {…} of %s", p.name, op.Line, id)
		}
	}
	return nil
}

// deploy submits a job that the scenario carries, as `shoal deploy` does.
func (r *run) deploy(op *Op) error {
	id, _, err := jobTask(op.Args[0])
	if err != nil {
		return err
	}
	spec := *r.s.job(id)
	spec.Tasks = append([]job.Task(nil), spec.Tasks...)
	r.specs[id] = &spec
	return r.ask(op, node.Request{Deploy: &node.Deploy{Spec: spec}})
}

// An Image says what the simulated image of a name does, where that is not the
// default. It wins over what a task's command says.
type Image struct {
	Name   string
	Pull   span          // to fetch it to a machine that has not had it; zero: 300ms..2s
	Start  span          // to start a container of it; zero: 120ms..500ms
	Lasts  time.Duration // a container of it ends by itself after it; 0: never
	Exit   int           // with this code
	Health string        // "ok" (default), "bad": what its health check finds, if it has one
	Stuck  bool          // does not end when asked, only when killed
}

// image reads "image NAME pull=2s..20s start=1s lasts=5s exit=1 health=bad stuck=yes".
func (p *parser) image(words []string) error {
	if len(words) == 0 || strings.Contains(words[0], "=") {
		return fmt.Errorf("which? such as: image redis:7 pull=2s..20s")
	}
	img := Image{Name: words[0]}
	for _, w := range words[1:] {
		if err := img.option(w); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	p.s.Images = append(p.s.Images, img)
	return nil
}

func (img *Image) option(word string) (err error) {
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "pull":
		img.Pull, err = parseSpan(value)
	case "start":
		img.Start, err = parseSpan(value)
	case "lasts":
		img.Lasts, err = parseDuration(value)
	case "exit":
		if err = isInt(value); err == nil {
			img.Exit = (&Op{Opts: map[string]string{key: value}}).number(key, 0)
		}
	case "health":
		err = oneOf("ok", "bad")(value)
		img.Health = value
	case "stuck":
		img.Stuck = true
	default:
		err = fmt.Errorf("unknown option; known are exit, health, lasts, pull, start, stuck")
	}
	return err
}

// String writes the image as a scenario has it.
func (img *Image) String() string {
	s := "image " + img.Name
	if img.Pull != (span{}) {
		s += fmt.Sprintf(" pull=%v", img.Pull)
	}
	if img.Start != (span{}) {
		s += fmt.Sprintf(" start=%v", img.Start)
	}
	if img.Lasts > 0 {
		s += fmt.Sprintf(" lasts=%v", img.Lasts)
	}
	if img.Exit != 0 {
		s += fmt.Sprintf(" exit=%d", img.Exit)
	}
	if img.Health != "" {
		s += " health=" + img.Health
	}
	if img.Stuck {
		s += " stuck=yes"
	}
	return s
}

// String writes the span as a scenario has it.
func (s span) String() string { return s.from.String() + ".." + s.to.String() }

// or returns the span, or another in the place of none.
func (s span) or(usual span) span {
	if s == (span{}) {
		return usual
	}
	return s
}

func (s *Scenario) images() map[string]*Image {
	out := map[string]*Image{}
	for i := range s.Images {
		out[s.Images[i].Name] = &s.Images[i]
	}
	return out
}

var usualImage = &Image{}

// image is what is said of a task's image; never nil.
func (e *engine) image(t *job.Task) *Image {
	if img := e.m.w.images[t.Image]; img != nil {
		return img
	}
	return usualImage
}

// behaviour is what a container of a task does: as its image is said to, else as
// its command says.
func (img *Image) behaviour(t *job.Task) behaviour {
	if img == usualImage {
		return behaviourOf(t)
	}
	b := behaviour{lasts: img.Lasts, exit: img.Exit, stuck: img.Stuck, health: runtime.Healthy}
	switch {
	case t.Health == nil:
		b.health = runtime.HealthNone
	case img.Health == "bad":
		b.health = runtime.Unhealthy
	}
	return b
}
