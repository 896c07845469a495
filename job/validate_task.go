package job

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// inTask checks one task by itself.
func (c *checker) inTask(t *Task) {
	c.task = t.Name
	c.name("name", t.Name)
	switch {
	case t.Type == Cron:
		c.unknown("type", t.Type.String(), "%s is not supported yet; use service, batch or system", t.Type)
	case t.Type > Cron:
		c.unknown("type", strconv.Itoa(int(t.Type)), "%d is none of service, batch, system", uint8(t.Type))
	}
	if t.Type == System {
		c.system(t)
	} else {
		c.inRange("count", int64(t.Count), 0, MaxCount)
	}
	c.container(t)
	c.amounts(t)
	c.lifecycle(t)
	c.ports(t)
	c.mounts(t)
	c.health(t.Health)
	c.devices(t)
	c.affinities(t, "near", t.Near)
	c.affinities(t, "apart", t.Apart)
	c.spread(t)
	if n := len(t.Constraints); n > MaxConstraints {
		c.add("constraints", "%d are too many, at most %d are allowed", n, MaxConstraints)
	}
	for i, text := range t.Constraints[:min(len(t.Constraints), MaxConstraints)] {
		if _, err := ParseConstraint(text); err != nil {
			c.unknown(fmt.Sprintf("constraints[%d]", i), quote(text), "%v", err)
		}
	}
}

// system checks what is of no meaning where each peer has its own copy.
func (c *checker) system(t *Task) {
	if t.Count < 0 || t.Count > 1 {
		c.add("count", "%d is not 0 or 1: a system task has one copy on each peer, or none", t.Count)
	}
	if f := t.Failover; f.After != 0 || f.Never || f.Volume != "" || f.InIsland == "wait" || f.OnReturn == "newest" {
		c.add("failover", "a system task has none: each copy is its peer's own, and runs nowhere else")
	}
}

// container checks what says how the process is made.
func (c *checker) container(t *Task) {
	if wrong := checkImage(t.Image); wrong != "" {
		c.add("image", "%s", wrong)
	}
	if parts := strings.Split(t.Platform, "/"); t.Platform != "" &&
		(len(parts) < 2 || len(parts) > 3 || len(t.Platform) > MaxName || !onlyBytes(t.Platform, "/._-")) {
		c.add("platform", "%s is no platform; write one such as linux/arm64", quote(t.Platform))
	}
	c.plain("entrypoint", t.Entrypoint...)
	c.plain("command", t.Command...)
	c.pairs("env", t.Env)
	c.pairs("labels", t.Labels)
	if !isVisible(t.User) || len(t.User) > 128 {
		c.add("user", "%s is no user; write NAME, UID or UID:GID", quote(t.User))
	}
	if t.WorkingDir != "" && !isAbsolute(t.WorkingDir) {
		c.add("workingDir", "%s is not an absolute path", quote(t.WorkingDir))
	}
	if t.Hostname != "" && !isHostname(t.Hostname) {
		c.add("hostname", "%s is no host name", quote(t.Hostname))
	}
	for i, alias := range t.Aliases {
		if !isHostname(alias) {
			c.add(fmt.Sprintf("aliases[%d]", i), "%s is no host name", quote(alias))
		}
	}
	for i, name := range t.CapDrop {
		if name == "" || len(name) > MaxName || !onlyBytes(name, "_") {
			c.add(fmt.Sprintf("capDrop[%d]", i), "%s is no capability; write one such as NET_RAW, or ALL", quote(name))
		}
	}
	for i, entry := range t.ExtraHosts {
		host, address, ok := strings.Cut(entry, ":")
		if !ok || !isHostname(host) || !isAddress(address) {
			c.add(fmt.Sprintf("extraHosts[%d]", i), "%s is not NAME:ADDRESS", quote(entry))
		}
	}
}

// isAddress accepts the shape of an IP address, and Docker's word for the machine's own.
func isAddress(s string) bool {
	return s == "host-gateway" || len(s) >= 2 && len(s) <= 45 && strings.ContainsAny(s, ".:") &&
		strings.Trim(s, "0123456789abcdefABCDEF.:") == ""
}

func (c *checker) amounts(t *Task) {
	for _, part := range []struct {
		field string
		Resources
		least int64
	}{{"needs", t.Needs, 1}, {"limits", t.Limits, 0}} {
		c.inRange(part.field+".cpuMilli", part.CPUMilli, part.least, maxCPUMilli)
		c.inRange(part.field+".memBytes", part.MemBytes, part.least, MaxBytes)
		c.inRange(part.field+".diskBytes", part.DiskBytes, 0, MaxBytes)
	}
	c.gpus(t)
	c.notAbove("cpuMilli", t.Needs.CPUMilli, t.Limits.CPUMilli, showCPUs)
	c.notAbove("memBytes", t.Needs.MemBytes, t.Limits.MemBytes, showBytes)
	c.inRange("pids", t.Pids, 1, maxPids)
	c.inRange("shmBytes", t.ShmBytes, 0, MaxBytes)
}

// gpus refuses what no devices can meet: a share of more than one.
func (c *checker) gpus(t *Task) {
	const field = "needs.gpuMilli"
	switch n := t.Needs.GPUMilli; {
	case n < 0 || n > MaxGPUs*WholeGPU:
		c.inRange(field, n, 0, MaxGPUs*WholeGPU)
	case n > WholeGPU && n%WholeGPU != 0:
		c.add(field, "%d is neither a share of one GPU (below %d) nor so many whole ones; write %d or %d", n, WholeGPU,
			n/WholeGPU*WholeGPU, (n/WholeGPU+1)*WholeGPU)
	}
	if t.Limits.GPUMilli != 0 {
		c.add("limits.gpuMilli", "%d: a GPU is reserved, not limited; write it in needs", t.Limits.GPUMilli)
	}
}

// notAbove refuses a need that its own limit keeps the task from ever using.
func (c *checker) notAbove(field string, need, limit int64, show func(int64) string) {
	if limit > 0 && need > limit {
		c.add("needs."+field, "%s is more than the limit of %s; lower the reservation or raise the limit", show(need), show(limit))
	}
}

func (c *checker) lifecycle(t *Task) {
	c.oneOf("pull", t.Pull, "missing", "always", "never")
	c.oneOf("policy", t.Policy, "spread", "pack")
	c.oneOf("restart.policy", t.Restart.Policy, "always", "on-failure", "no")
	c.inRange("restart.maxAttempts", int64(t.Restart.MaxAttempts), 0, MaxAttempts)
	c.wait("restart.delay", t.Restart.Delay)
	if t.Priority != 0 { // the default
		c.inRange("priority", int64(t.Priority), 1, MaxPriority)
	}
	c.inRange("attempts", int64(t.Attempts), 0, MaxAttempts)
	switch {
	case t.Attempts > 0 && t.Type != Batch:
		c.add("attempts", "only a batch has them; a %s is started again for as long as it is wanted", t.Type)
	case t.Attempts > 1 && t.Restart.Policy == "no":
		c.add("attempts", "%d contradicts the restart policy no, which starts it once; write on-failure", t.Attempts)
	}
	if t.Type == Batch && t.Restart.Policy == "always" {
		c.add("restart.policy", "a batch task that always restarts never ends; write on-failure or no")
	}

	c.inRange("update.parallelism", int64(t.Update.Parallelism), 0, MaxCount)
	c.oneOf("update.order", t.Update.Order, "stop-first", "start-first")
	c.oneOf("update.failureAction", t.Update.FailureAction, "pause", "rollback")
	c.wait("update.monitor", t.Update.Monitor)

	if t.Failover.After > maxWait {
		c.add("failover.after", "%v is more than %v; write never", t.Failover.After, maxWait)
	}
	if t.Failover.Never && t.Failover.After != 0 {
		c.add("failover.never", "contradicts after: %v; write one of the two", t.Failover.After)
	}
	c.oneOf("failover.inIsland", t.Failover.InIsland, "heal", "wait")
	c.oneOf("failover.onReturn", t.Failover.OnReturn, "incumbent", "newest")
	c.oneOf("failover.volume", t.Failover.Volume, "", "empty")

	c.wait("stopGrace", t.StopGrace)
	if s := t.StopSignal; s != "" && (len(s) > 16 || !onlyBytes(s, "+-")) {
		c.add("stopSignal", "%s is no signal; write one such as SIGINT", quote(s))
	}
}

func (c *checker) ports(t *Task) {
	type end struct {
		target, published uint16
	}
	seen := map[end]bool{}
	for i, p := range t.Ports {
		field := fmt.Sprintf("ports[%d]", i)
		switch p.Protocol {
		case "tcp":
		case "udp":
			c.unknown(field+".protocol", "udp", "udp is not supported yet; only tcp ports are forwarded")
		default:
			c.unknown(field+".protocol", quote(p.Protocol), "%s is not one of tcp", quote(p.Protocol))
		}
		if p.Target == 0 {
			c.add(field+".target", "0 is not between 1 and 65535")
		}
		if key := (end{p.Target, p.Published}); seen[key] && p.Published == 0 {
			c.add(field, "port %d is named twice", p.Target)
		} else {
			seen[key] = true
		}
	}
	for i, port := range t.Expose {
		if port == 0 {
			c.add(fmt.Sprintf("expose[%d]", i), "0 is not between 1 and 65535")
		}
	}
}

func (c *checker) mounts(t *Task) {
	seen := map[string]bool{}
	target := func(field, dir string) {
		switch {
		case !isAbsolute(dir) || dir == "/":
			c.add(field, "%s is not an absolute path inside the container, such as /data", quote(dir))
		case seen[dir]:
			c.add(field, "%s is mounted twice", quote(dir))
		}
		seen[dir] = true
	}
	for i, m := range t.Mounts {
		field := fmt.Sprintf("mounts[%d]", i)
		target(field+".target", m.Target)
		switch m.Type {
		case "volume":
			if m.Source != "" { // an empty one is the container's own and goes with it
				c.name(field+".source", m.Source)
			}
		case "bind":
			c.bind(field+".source", m.Source)
		case "tmpfs":
			if m.Source != "" {
				c.add(field+".source", "a tmpfs has none")
			}
		default:
			c.oneOf(field+".type", m.Type, "volume", "bind", "tmpfs")
		}
	}
	for i, entry := range t.Tmpfs {
		dir, options, _ := strings.Cut(entry, ":")
		target(fmt.Sprintf("tmpfs[%d]", i), dir)
		if !isVisible(options) {
			c.add(fmt.Sprintf("tmpfs[%d]", i), "%s are no mount options", quote(options))
		}
	}
}

func (c *checker) devices(t *Task) {
	if n := len(t.Devices); n > MaxDevices {
		c.add("devices", "%d are too many, at most %d are allowed", n, MaxDevices)
		return
	}
	targets := map[string]bool{}
	for i, text := range t.Devices {
		d, err := ParseDevice(text)
		target := cmp.Or(d.Target, d.Host)
		switch {
		case err != nil:
			c.unknown(fmt.Sprintf("devices[%d]", i), quote(text), "%v", err)
		case targets[target]:
			c.add(fmt.Sprintf("devices[%d]", i), "%s is given twice", target)
		}
		targets[target] = true
	}
}

func (c *checker) bind(field, source string) {
	if !isAbsolute(source) {
		c.add(field, "%s is not an absolute path of the peer", quote(source))
	} else if what := Forbidden(source); what != "" {
		c.add(field, "%s gives the container %s; a job cannot have it", quote(source), what)
	}
}

// Forbidden says why a path of a peer cannot be mounted into a container, or
// nothing if it can. The engine's socket is the machine's root account, and so is
// any directory that holds it. It judges the path as written: a driver asks again
// after it has resolved symbolic links.
func Forbidden(source string) string {
	p := path.Clean(source)
	base := path.Base(p)
	for _, name := range []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock", "cri-dockerd.sock"} {
		if base == name {
			return "the engine's socket"
		}
	}
	for _, dir := range []string{"/", "/run", "/var", "/var/run", "/var/lib"} {
		if p == dir {
			return "the directory of the engine's socket or state"
		}
	}
	for _, dir := range []string{
		"/run/docker", "/run/containerd", "/run/podman", "/run/crio", "/run/shoal",
		"/var/lib/docker", "/var/lib/containerd", "/var/lib/shoal",
	} {
		for _, root := range []string{dir, "/var" + dir} {
			if p == root || strings.HasPrefix(p, root+"/") {
				return "the directory of the engine's socket or state"
			}
		}
	}
	return ""
}

func (c *checker) health(h *Health) {
	if h == nil {
		return
	}
	switch {
	case len(h.Test) == 1 && h.Test[0] == "NONE":
	case len(h.Test) >= 2 && (h.Test[0] == "CMD" || h.Test[0] == "CMD-SHELL"):
		c.plain("health.test", h.Test...)
	default:
		c.add("health.test", `begins with none of "CMD", "CMD-SHELL" followed by a command, and is not just "NONE"`)
	}
	c.pause("health.interval", h.Interval)
	c.pause("health.timeout", h.Timeout)
	c.wait("health.startPeriod", h.StartPeriod)
	c.inRange("health.retries", int64(h.Retries), 0, MaxAttempts)
}

// pause checks a time that engines refuse below a millisecond; 0 is their default.
func (c *checker) pause(field string, value time.Duration) {
	c.wait(field, value)
	if value > 0 && value < time.Millisecond {
		c.add(field, "%v is less than 1ms", value)
	}
}
