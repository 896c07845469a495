package docker

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/strslice"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"shoal/job"
	"shoal/runtime"
)

// A plan is what the engine is asked to create.
type plan struct {
	config   *container.Config
	host     *container.HostConfig
	network  *network.NetworkingConfig
	platform *ocispec.Platform
}

// plan turns a task into the engine's words. Its default is Docker's default
// container or less: no new privileges, Docker's capabilities, a limit on
// processes, an init, no host namespaces, never the engine's socket.
func (d *Driver) plan(ctx context.Context, a runtime.Action, n runtime.NetworkInfo) (plan, error) {
	t := a.Task
	mounts, err := d.mounts(a)
	if err != nil {
		return plan{}, err
	}
	cpus, err := d.processors(ctx)
	if err != nil {
		return plan{}, err
	}
	platform, err := parsePlatform(t.Platform)
	if err != nil {
		return plan{}, err
	}
	limits := resources(t, cpus)
	if limits.Devices, err = d.devices(t); err != nil {
		return plan{}, err
	}
	if limits.DeviceRequests, err = d.gpus(a.GPUs); err != nil {
		return plan{}, err
	}
	yes := true
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode(n.Name),
		DNS:            []string{n.Gateway},
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Init:           &yes,
		SecurityOpt:    []string{"no-new-privileges"},
		CapDrop:        t.CapDrop,
		ReadonlyRootfs: t.ReadOnly,
		ExtraHosts:     t.ExtraHosts,
		Tmpfs:          tmpfs(t.Tmpfs),
		ShmSize:        t.ShmBytes,
		Mounts:         mounts,
		Resources:      limits,
		LogConfig: container.LogConfig{
			Type:   "json-file",
			Config: map[string]string{"max-size": "10m", "max-file": "3"},
		},
	}
	return plan{
		config: config(a), host: host, platform: platform,
		// No aliases: the engine would answer them with this container alone, and
		// before the daemon's own names, which know every copy in the swarm.
		network: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{n.Name: {}}},
	}, nil
}

func config(a runtime.Action) *container.Config {
	t := a.Task
	c := &container.Config{
		Image:      t.Image,
		Entrypoint: strslice.StrSlice(t.Entrypoint),
		Cmd:        strslice.StrSlice(t.Command),
		Env:        runtime.Env(a.Ref, t.Env),
		User:       t.User,
		WorkingDir: t.WorkingDir,
		Hostname:   t.Hostname,
		StopSignal: t.StopSignal,
		Labels:     labels(a),
	}
	if c.Hostname == "" && a.Ref.Slot.At == "" && !strings.ContainsAny(t.Name, "_.") {
		c.Hostname = clip(t.Name, 50) + "-" + strconv.Itoa(a.Ref.Slot.Index)
	}
	if h := t.Health; h != nil { // zero durations and retries mean the same to the engine
		c.Healthcheck = &container.HealthConfig{
			Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries,
		}
	}
	return c
}

// labels are the user's, less those that could pass for ours, and ours.
func labels(a runtime.Action) map[string]string {
	l := maps.Clone(a.Task.Labels)
	maps.DeleteFunc(l, func(k, _ string) bool { return strings.HasPrefix(k, runtime.LabelPrefix) })
	if l == nil {
		l = map[string]string{}
	}
	maps.Copy(l, runtime.Labels(a.Ref))
	l[runtime.LabelRun] = strconv.FormatUint(uint64(a.Run), 10)
	return l
}

// resources are the limits of the file. A limit above what the machine has is no
// limit, but the engine refuses it, so processors are capped.
func resources(t *job.Task, cpus int64) container.Resources {
	pids := t.Pids
	if pids <= 0 {
		pids = job.DefaultPids
	}
	return container.Resources{
		NanoCPUs:   min(t.Limits.CPUMilli, cpus*1000) * 1e6,
		Memory:     t.Limits.MemBytes,
		MemorySwap: t.Limits.MemBytes, // memory and swap together: none beyond the limit
		PidsLimit:  &pids,
	}
}

// processors asks the engine once how many it has.
func (d *Driver) processors(ctx context.Context) (int64, error) {
	if n := d.cpus.Load(); n > 0 {
		return n, nil
	}
	err := d.call(ctx, "ask for processors", func(ctx context.Context) error {
		info, err := d.api.Info(ctx)
		d.cpus.Store(int64(max(info.NCPU, 1)))
		return err
	})
	return d.cpus.Load(), err
}

// tmpfs turns "/run:size=64m" into the engine's map.
func tmpfs(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		path, options, _ := strings.Cut(s, ":")
		m[path] = options
	}
	return m
}

// parsePlatform reads "linux/arm64" or "linux/arm/v7"; empty is none.
func parsePlatform(s string) (*ocispec.Platform, error) {
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return nil, permanent("platform %q: want OS/ARCHITECTURE, such as linux/arm64", s)
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
