package compose

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"shoal/job"
)

// RunOptions are the flags of `shoal run IMAGE [-- CMD]`, as typed.
type RunOptions struct {
	Image     string
	Command   []string // after --
	Name      string   // of the job; empty: from the image's name
	Namespace string

	Replicas int      // copies; 0: 1
	Type     string   // "service" (default) or "batch"
	Publish  []string // "8080:80", "80"
	Env      []string // "NAME=VALUE"
	Volumes  []string // "data:/var/lib/x", "/srv/www:/www:ro"
	CPU      string   // "0.5"
	Memory   string   // "256m"
	Restart  string   // "no", "on-failure[:N]", "always"

	Constraints []string
	Devices     []string // as Compose's, or usb=VENDOR:PRODUCT
	Datacenters []string
	Labels      []string // "NAME=VALUE"
	User        string
	WorkingDir  string
	Hostname    string
	Entrypoint  []string
	Pull        string
	Platform    string
}

// SpecFromRun makes a job of one task, of the same name, that has had Defaults and
// passes Validate. The error is an *Error that names the flag.
func SpecFromRun(o RunOptions) (*job.Spec, error) {
	name := o.Name
	if name == "" {
		name = nameFromImage(o.Image)
	}
	if err := job.CheckName(name); err != nil {
		return nil, &Error{Field: "--name", Text: err.Error()}
	}
	t := job.Task{
		Name: name, Image: o.Image, Command: o.Command, Entrypoint: o.Entrypoint, Count: max(o.Replicas, 0),
		User: o.User, WorkingDir: o.WorkingDir, Hostname: o.Hostname, Pull: o.Pull, Platform: o.Platform,
		Constraints: o.Constraints,
	}
	if o.Replicas == 0 {
		t.Count = 1
	}
	for _, set := range []func(*job.Task) *Error{o.taskType, o.devices, o.ports, o.volumes, o.needs, o.restart, o.env} {
		if err := set(&t); err != nil {
			return nil, err
		}
	}
	spec := &job.Spec{Namespace: o.Namespace, Name: name, Datacenters: o.Datacenters, Tasks: []job.Task{t}}
	spec.Defaults()
	if err := spec.Validate(); err != nil {
		return nil, &Error{Text: err.Error()}
	}
	return spec, nil
}

// nameFromImage takes the last part: "ghcr.io/x/Shop:2" is "shop".
func nameFromImage(image string) string {
	image, _, _ = strings.Cut(image, "@")
	base := path.Base(image)
	base, _, _ = strings.Cut(base, ":")
	return nameFrom(base)
}

func (o RunOptions) taskType(t *job.Task) *Error {
	switch o.Type {
	case "", "service":
	case "batch":
		t.Type = job.Batch
	case "system", "cron":
		return &Error{Field: "--type", Text: o.Type + " is not supported yet; write service or batch, or system in a file"}
	default:
		return &Error{Field: "--type", Text: fmt.Sprintf("%q is not one of service, batch", o.Type)}
	}
	if o.Replicas < 0 {
		return &Error{Field: "--replicas", Text: fmt.Sprintf("%d is less than 0", o.Replicas)}
	}
	return nil
}

func (o RunOptions) devices(t *job.Task) *Error {
	for _, text := range o.Devices {
		d, err := job.ParseDevice(text)
		if err != nil {
			return &Error{Field: "--device", Text: err.Error()}
		}
		t.Devices = append(t.Devices, d.String())
	}
	return nil
}

func (o RunOptions) ports(t *job.Task) *Error {
	for _, text := range o.Publish {
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			return &Error{Field: "--publish", Text: fmt.Sprintf("%q is no port; write PUBLISHED:TARGET, such as 8080:80", text)}
		}
		for _, p := range ports {
			c := converter{load: bare()}
			port, ok := c.port("", p)
			if !ok {
				return &Error{Field: "--publish", Text: c.refusals[0].Text}
			}
			if port.Published == 0 {
				port.Published = port.Target // --publish 80 asks for a published port
			}
			t.Ports = append(t.Ports, port)
		}
	}
	return nil
}

// bare is a load that only gathers what is said, with no file to point into.
func bare() *load {
	return &load{files: []*source{{}}, places: map[string]place{}, items: map[string]string{}, scalars: map[string]string{}}
}

func (o RunOptions) volumes(t *job.Task) *Error {
	for _, text := range o.Volumes {
		v, err := format.ParseVolume(text)
		if err != nil || !strings.HasPrefix(v.Target, "/") {
			return &Error{Field: "--volume", Text: fmt.Sprintf("%q is no mount; write NAME:/PATH or /HOST/PATH:/PATH", text)}
		}
		if v.Type == types.VolumeTypeBind && !path.IsAbs(v.Source) {
			return &Error{Field: "--volume", Text: fmt.Sprintf("%q is no absolute path of a peer", v.Source)}
		}
		source := v.Source
		if v.Type == types.VolumeTypeBind {
			source = path.Clean(source)
		}
		t.Mounts = append(t.Mounts, job.Mount{Type: v.Type, Source: source, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly})
	}
	return nil
}

func (o RunOptions) needs(t *job.Task) *Error {
	if o.CPU != "" {
		cpus, err := strconv.ParseFloat(o.CPU, 32)
		c := converter{load: bare()}
		if t.Limits.CPUMilli = c.milli("", float32(cpus)); err != nil || t.Limits.CPUMilli == 0 {
			return &Error{Field: "--cpu", Text: fmt.Sprintf("%q is no number of CPUs; write one such as 0.5", o.CPU)}
		}
	}
	if o.Memory != "" {
		n, err := units.RAMInBytes(o.Memory)
		if err != nil || n <= 0 {
			return &Error{Field: "--memory", Text: fmt.Sprintf("%q is no amount of memory; write one such as 256m", o.Memory)}
		}
		t.Limits.MemBytes = n
	}
	return nil
}

func (o RunOptions) restart(t *job.Task) *Error {
	c := converter{load: bare(), s: types.ServiceConfig{Restart: o.Restart}}
	c.restart()
	if len(c.refusals) > 0 {
		return &Error{Field: "--restart", Text: c.refusals[0].Text}
	}
	t.Restart = c.task.Restart
	return nil
}

func (o RunOptions) env(t *job.Task) *Error {
	for _, list := range []struct {
		flag  string
		pairs []string
		to    *map[string]string
	}{{"--env", o.Env, &t.Env}, {"--label", o.Labels, &t.Labels}} {
		for _, pair := range list.pairs {
			name, value, ok := strings.Cut(pair, "=")
			if !ok || name == "" {
				return &Error{Field: list.flag, Text: fmt.Sprintf("%q is not NAME=VALUE", pair)}
			}
			if *list.to == nil {
				*list.to = map[string]string{}
			}
			(*list.to)[name] = value
		}
	}
	return nil
}
