package compose

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"shoal/job"
)

// convert maps a loaded project. What cannot be mapped is refused by path, so the
// result counts only if refused returns nil.
func (l *load) convert(project *types.Project, name string) *job.Spec {
	spec := &job.Spec{Name: name}
	l.jobExtension(spec, project.Extensions)
	spec.Namespace = cmp.Or(l.opts.Namespace, spec.Namespace)
	if len(project.Services) == 0 {
		l.refuse("services", "there is no service to run")
	}
	for _, service := range slices.Sorted(maps.Keys(project.DisabledServices)) {
		l.note("services."+service+".profiles", "leaves the service out: none of its profiles is active; choose one with --profile")
	}
	for _, volume := range slices.Sorted(maps.Keys(project.Volumes)) {
		if v := project.Volumes[volume]; v.Driver != "" && v.Driver != "local" {
			l.refuse("volumes."+volume+".driver", "%s is not supported yet; a plain volume would not hold the data that is meant", v.Driver)
		}
	}
	for _, service := range slices.Sorted(maps.Keys(project.Services)) {
		c := converter{load: l, project: project, path: "services." + service, s: project.Services[service]}
		c.task.Name = service
		c.convert()
		spec.Tasks = append(spec.Tasks, c.task)
	}
	l.neverCompleted(spec)
	return spec
}

// neverCompleted warns of tasks that wait for a service to be completed: in Compose what
// ends is not started again unless it says so, here a service is.
func (l *load) neverCompleted(spec *job.Spec) {
	for i := range spec.Tasks {
		for _, d := range spec.Tasks[i].DependsOn {
			if on := spec.Task(d.Task); on != nil && d.Condition == "completed" && on.Type != job.Batch {
				l.warn("services."+spec.Tasks[i].Name+".depends_on."+d.Task+".condition",
					"never comes about: %s is no batch and is started again whenever it ends; give it x-shoal: {type: batch}", d.Task)
			}
		}
	}
}

// A converter maps one service to one task.
type converter struct {
	*load
	project *types.Project
	path    string
	s       types.ServiceConfig
	task    job.Task
}

// under is the path of a key of the service.
func (c *converter) under(key string) string { return c.path + "." + key }

func (c *converter) convert() {
	c.dangers()
	c.container()
	c.count()
	c.resources()
	c.restart()
	c.ports()
	c.mounts()
	c.health()
	c.dependencies()
	c.networks()
	c.deploy()
	c.taskExtension(c.s.Extensions)
	if d := c.s.Deploy; c.task.Type == job.System && d != nil && d.UpdateConfig != nil {
		if n := d.UpdateConfig.Parallelism; n != nil && *n == 0 {
			c.task.Update.Parallelism = job.MaxCount // all at once, however many peers there are
		}
	}
	if c.task.Type == job.System && c.task.Restart.Policy == "no" {
		c.warn(c.restartKey(),
			"no only lengthens the pauses of a system task: each peer that it suits starts a copy that has failed anew; write always or on-failure")
	}
}

// restartKey is the key that says how the service is restarted.
func (c *converter) restartKey() string {
	if d := c.s.Deploy; d != nil && d.RestartPolicy != nil && d.RestartPolicy.Condition != "" {
		return c.under("deploy.restart_policy.condition")
	}
	return c.under("restart")
}

func (c *converter) container() {
	s, t := &c.s, &c.task
	t.Image, t.Platform, t.User = s.Image, s.Platform, s.User
	t.WorkingDir, t.Hostname = s.WorkingDir, s.Hostname
	t.Command, t.Entrypoint = s.Command, s.Entrypoint
	t.Labels, t.CapDrop, t.ReadOnly = s.Labels, s.CapDrop, s.ReadOnly
	for i, d := range s.Devices {
		c.device(c.under("devices")+index(i), strings.TrimRight(d.Source+":"+d.Target+":"+d.Permissions, ":"))
	}
	t.Env = map[string]string{}
	for k, v := range s.Environment {
		if v != nil { // nil: named without a value, and the environment has none
			t.Env[k] = *v
		}
	}
	t.ExtraHosts = s.ExtraHosts.AsList(":")
	t.Tmpfs = slices.Clone(s.Tmpfs)
	t.ShmBytes, t.StopSignal = c.bytes("shm_size", s.ShmSize), s.StopSignal
	if s.StopGracePeriod != nil && *s.StopGracePeriod < 0 {
		c.refuse(c.under("stop_grace_period"), "%s is less than no time; write one such as 10s", c.asWritten("stop_grace_period", *s.StopGracePeriod))
	} else if s.StopGracePeriod != nil {
		// Zero would mean the default; a millisecond is as good as at once.
		t.StopGrace = max(time.Duration(*s.StopGracePeriod), time.Millisecond)
	}
	if s.Command != nil && len(s.Command) == 0 {
		c.warn(c.under("command"), "is empty, which cannot clear the image's own command; remove it or give one")
	}
	if s.Entrypoint != nil && len(s.Entrypoint) == 0 {
		c.warn(c.under("entrypoint"), "is empty, which cannot clear the image's own entrypoint; remove it or give one")
	}
	if s.Init != nil && !*s.Init {
		c.warn(c.under("init"), "false has no effect: every container has an init process")
	}
	c.image()
	c.outsideFiles()
}

func (c *converter) image() {
	switch {
	case c.s.Build != nil && c.s.Image == "":
		c.refuse(c.under("build"), "images are not built here; build and push it, then name it with image:")
	case c.s.Build != nil:
		c.warn(c.under("build"), "has no effect: images are not built here; %s must be on the peers or in a registry", c.s.Image)
	case c.s.Image == "":
		c.refuse(c.path, "has no image:; name one, such as image: nginx:1.29")
	}
	switch p := c.s.PullPolicy; p {
	case "", "missing", "always", "never":
		c.task.Pull = p
	case "if_not_present":
		c.task.Pull = "missing"
	default:
		c.warn(c.under("pull_policy"), "%s is not supported, and missing is taken instead; write always, missing or never", p)
	}
}

// outsideFiles refuses what would read files where there is no directory to start from.
func (c *converter) outsideFiles() {
	if c.dir != "" {
		return
	}
	for _, key := range []string{"env_file", "label_file"} {
		if _, ok := c.places[c.under(key)]; ok {
			c.refuse(c.under(key), "other files cannot be read here; write the values into this file")
		}
	}
}

// tooGreat refuses a number of copies that Compose has read as another one, since no
// integer holds it: what was written is shown.
func (c *converter) tooGreat(key string) bool {
	text := c.substituted(c.under(key))
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.Abs(n) < math.MaxInt64 {
		return false
	}
	c.refuse(c.under(key), "%s is not between 0 and %d", oneSentence(errors.New(text)), job.MaxCount)
	return true
}

func (c *converter) count() {
	count := 1
	if c.tooGreat("deploy.replicas") || c.tooGreat("scale") {
		return
	}
	if d := c.s.Deploy; d != nil && d.Replicas != nil {
		count = *d.Replicas
	}
	if c.s.Scale != nil {
		if d := c.s.Deploy; d != nil && d.Replicas != nil && *d.Replicas != *c.s.Scale {
			c.refuse(c.under("scale"), "%d contradicts deploy.replicas %d; remove one of the two", *c.s.Scale, *d.Replicas)
		}
		count = *c.s.Scale
	}
	c.task.Count = count
}

func (c *converter) resources() {
	s, t := &c.s, &c.task
	t.Limits = job.Resources{CPUMilli: c.milli("cpus", s.CPUS), MemBytes: c.bytes("mem_limit", s.MemLimit)}
	t.Needs = job.Resources{MemBytes: c.bytes("mem_reservation", s.MemReservation)}
	pids, pidsKey := s.PidsLimit, "pids_limit"
	if s.Deploy != nil {
		if r := s.Deploy.Resources.Limits; r != nil {
			key := "deploy.resources.limits."
			c.prefer(&t.Limits.CPUMilli, c.milli(key+"cpus", float32(r.NanoCPUs)), key+"cpus", "cpus")
			c.prefer(&t.Limits.MemBytes, c.bytes(key+"memory", r.MemoryBytes), key+"memory", "mem_limit")
			if r.Pids != 0 {
				pids, pidsKey = r.Pids, key+"pids"
			}
		}
		if r := s.Deploy.Resources.Reservations; r != nil {
			key := "deploy.resources.reservations."
			t.Needs.CPUMilli = c.milli(key+"cpus", float32(r.NanoCPUs))
			c.prefer(&t.Needs.MemBytes, c.bytes(key+"memory", r.MemoryBytes), key+"memory", "mem_reservation")
		}
	}
	switch {
	case pids < -1: // perhaps one that no integer holds
		c.refuse(c.under(pidsKey), "%s is no number of processes; write one such as 4096", c.asWritten(pidsKey, pids))
	case pids < 0:
		c.warn(c.under(pidsKey), "unlimited is not allowed; %d is taken instead", job.DefaultPids)
		pids = 0
	}
	t.Pids = pids
}

// prefer takes the newer key's value, and refuses another one in the older key.
func (c *converter) prefer(value *int64, newer int64, key, older string) {
	if newer != 0 && *value != 0 && *value != newer {
		c.refuse(c.under(key), "contradicts %s; remove one of the two", older)
	}
	*value = cmp.Or(newer, *value)
}

// milli turns CPUs into thousandths, rounded up to at least one.
func (c *converter) milli(key string, cpus float32) int64 {
	v := float64(cpus)
	switch {
	case v < 0 || math.IsNaN(v) || v > 1e6:
		c.refuse(c.under(key), "%s is no number of CPUs between 0 and 1000000; write one such as 0.5", c.asWritten(key, v))
		return 0
	case v == 0:
		return 0
	}
	return max(1, int64(math.Round(v*1000)))
}

func (c *converter) bytes(key string, n types.UnitBytes) int64 {
	if n < 0 || n > job.MaxBytes { // what no integer holds has become a negative one
		c.refuse(c.under(key), "%s is not between 0 and 64t of memory; write one such as 256m", c.asWritten(key, int64(n)))
		return 0
	}
	return int64(n)
}

// asWritten is a value in the words of the file, or as it was read if they are not at hand.
func (c *converter) asWritten(key string, value any) string {
	return oneSentence(errors.New(cmp.Or(c.substituted(c.under(key)), fmt.Sprint(value))))
}

func (c *converter) restart() {
	r := &c.task.Restart
	policy, attempts, _ := strings.Cut(c.s.Restart, ":")
	switch policy {
	case "", "no", "always", "on-failure":
		r.Policy = policy
	case "unless-stopped":
		r.Policy = "always" // a slot that was stopped stays stopped either way
	default:
		c.refuse(c.under("restart"), "%q is not one of no, always, on-failure, unless-stopped", c.s.Restart)
	}
	if attempts != "" {
		n, err := strconv.Atoi(attempts)
		if err != nil || n < 0 {
			c.refuse(c.under("restart"), "%q is no number of attempts; write one such as on-failure:3", attempts)
		}
		r.MaxAttempts = n
	}
	if c.s.Deploy == nil || c.s.Deploy.RestartPolicy == nil {
		return
	}
	p, path := c.s.Deploy.RestartPolicy, "deploy.restart_policy."
	switch p.Condition {
	case "": // what restart: says, or the type's default
	case "any":
		r.Policy = "always"
	case "none":
		r.Policy = "no"
	case "on-failure":
		r.Policy = "on-failure"
	default:
		c.refuse(c.under(path+"condition"), "%q is not one of none, on-failure, any", p.Condition)
	}
	if p.Delay != nil {
		r.Delay = time.Duration(*p.Delay)
	}
	if p.MaxAttempts != nil {
		r.MaxAttempts = int(min(*p.MaxAttempts, math.MaxInt32))
	}
}

func (c *converter) health() {
	h := c.s.HealthCheck
	switch {
	case h == nil:
		return
	case h.Disable, len(h.Test) == 1 && h.Test[0] == "NONE":
		c.task.Health = &job.Health{Test: []string{"NONE"}}
		return
	case len(h.Test) == 0:
		c.warn(c.under("healthcheck"), "has no test: and no effect; give one such as test: [CMD, true]")
		return
	}
	out := &job.Health{Test: h.Test}
	for _, d := range []struct {
		to   *time.Duration
		from *types.Duration
	}{{&out.Interval, h.Interval}, {&out.Timeout, h.Timeout}, {&out.StartPeriod, h.StartPeriod}} {
		if d.from != nil {
			*d.to = time.Duration(*d.from)
		}
	}
	if h.Retries != nil {
		out.Retries = int(min(*h.Retries, math.MaxInt32))
	}
	c.task.Health = out
}

func (c *converter) dependencies() {
	for _, name := range slices.Sorted(maps.Keys(c.s.DependsOn)) {
		d, path := c.s.DependsOn[name], c.under("depends_on."+name)
		if _, ok := c.project.Services[name]; !ok {
			switch _, disabled := c.project.DisabledServices[name]; {
			case disabled && !d.Required:
			case !d.Required:
				c.warn(path, "waits for nothing: there is no service of that name%s", didYouMean(name, c.project.ServiceNames()))
			case disabled:
				c.refuse(path, "the service is left out, as none of its profiles is active; choose one with --profile, or write required: false")
			default:
				c.refuse(path, "there is no service of that name%s", didYouMean(name, c.project.ServiceNames()))
			}
			continue
		}
		if !d.Required {
			c.warn(path+".required", "false has no effect: a service that is there is waited for; remove it, or the dependency")
		}
		condition := strings.TrimPrefix(d.Condition, "service_")
		if condition == "completed_successfully" {
			condition = "completed"
		}
		c.task.DependsOn = append(c.task.DependsOn, job.Dependency{Task: name, Condition: condition})
	}
}

func didYouMean(word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

func (c *converter) networks() {
	separate := false
	for _, name := range slices.Sorted(maps.Keys(c.s.Networks)) {
		separate = separate || name != "default"
		if n := c.s.Networks[name]; n != nil {
			c.task.Aliases = append(c.task.Aliases, n.Aliases...)
		}
	}
	if separate {
		c.warn(c.under("networks"), "is not supported and has no effect: the tasks of a job share one network, apart from other jobs; remove it")
	}
}

func (c *converter) deploy() {
	d := c.s.Deploy
	if d == nil {
		return
	}
	switch d.Mode {
	case "", "replicated":
	case "replicated-job":
		c.task.Type = job.Batch
	case "global":
		c.task.Type = job.System
	case "global-job":
		c.refuse(c.under("deploy.mode"), "%s (a batch on every peer) is not supported yet; write global or replicated-job", d.Mode)
	default:
		c.refuse(c.under("deploy.mode"), "%q is not one of replicated, global, replicated-job", d.Mode)
	}
	for _, text := range d.Placement.Constraints {
		c.constraint(c.under("deploy.placement.constraints"), text)
	}
	for i, p := range d.Placement.Preferences {
		c.spread(c.under("deploy.placement.preferences")+index(i)+".spread", p.Spread)
	}
	switch most := d.Placement.MaxReplicas; most {
	case 0:
	case 1:
		c.task.Apart = append(c.task.Apart, job.Affinity{Task: c.task.Name, Required: true})
	default:
		c.refuse(c.under("deploy.placement.max_replicas_per_node"), "%d is not supported: copies are apart or they are not; write 1, or leave it out", most)
	}
	if u := d.UpdateConfig; u != nil {
		c.update(u)
	}
}

// device is one that the container uses, by the grant of the peer's owner.
func (c *converter) device(path, text string) {
	d, err := job.ParseDevice(text)
	if err != nil {
		c.refuse(path, "%v", err)
		return
	}
	c.task.Devices = append(c.task.Devices, d.String())
}

// spread takes one label that the copies are spread over.
func (c *converter) spread(path, text string) {
	label, err := job.ParseSpread(text)
	if err != nil {
		c.refuse(path, "%v", err)
		return
	}
	c.task.Spread = append(c.task.Spread, label)
}

func (c *converter) constraint(path, text string) {
	parsed, err := job.ParseConstraint(text)
	if err != nil {
		c.refuse(path, "%v", err)
		return
	}
	c.task.Constraints = append(c.task.Constraints, parsed.String())
}

func (c *converter) update(u *types.UpdateConfig) {
	out, path := &c.task.Update, c.under("deploy.update_config")
	out.Order, out.FailureAction, out.Monitor = u.Order, u.FailureAction, time.Duration(u.Monitor)
	if u.FailureAction == "continue" {
		c.refuse(path+".failure_action", "continue is not supported: a spec that fails is never spread further; write pause or rollback")
	}
	if u.Parallelism != nil {
		out.Parallelism = int(min(*u.Parallelism, math.MaxInt32))
		if *u.Parallelism == 0 { // all at once
			out.Parallelism = min(max(c.task.Count, 1), job.MaxCount)
		}
	}
}
