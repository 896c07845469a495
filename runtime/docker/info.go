package docker

import (
	"context"
	"os/exec"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"
)

// Info is what an engine says of itself.
type Info struct {
	Version     string   // "20.10.24"
	Cgroup      string   // "1" or "2"; empty: not told
	NoLimits    []string // what containers cannot be limited in: "memory", "pids", "cpu"
	LiveRestore bool     // containers outlive a restart of the engine
	Root        string   // its data directory; empty if the engine is on another machine
	Restarts    []string // containers of ours that it restarts by itself, at most maxRestarts looked at
}

// maxRestarts bounds the containers that Info looks at.
const maxRestarts = 64

// Info asks the engine what it is. Its errors are those of Ping.
func (d *Driver) Info(ctx context.Context) (Info, error) {
	var info system.Info
	err := d.call(ctx, "ask what it is", func(ctx context.Context) (err error) {
		info, err = d.api.Info(ctx)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	out := Info{Version: info.ServerVersion, Cgroup: info.CgroupVersion, LiveRestore: info.LiveRestoreEnabled}
	for _, l := range []struct {
		has  bool
		what string
	}{{info.MemoryLimit, "memory"}, {info.CPUCfsQuota, "cpu"}, {info.PidsLimit, "pids"}} {
		if !l.has {
			out.NoLimits = append(out.NoLimits, l.what)
		}
	}
	if strings.HasPrefix(d.opts.Host, "unix://") {
		out.Root = info.DockerRootDir
	}
	out.Restarts, err = d.restarts(ctx)
	return out, err
}

// A Machine is what an engine says of what it runs on.
type Machine struct {
	Version  string
	CPUs     int64
	MemBytes int64
	OS, Arch string // "linux", "x86_64": in the words of the engine
	Root     string // where it keeps images and containers; empty: on another machine
	Remote   bool   // it is asked over the network
	GPUs     bool   // it has what gives GPUs to containers
}

// Machine asks the engine what it runs on. Its errors are those of Ping.
func (d *Driver) Machine(ctx context.Context) (Machine, error) {
	var info system.Info
	err := d.call(ctx, "ask what it runs on", func(ctx context.Context) (err error) {
		info, err = d.api.Info(ctx)
		return err
	})
	if err != nil {
		return Machine{}, err
	}
	m := Machine{
		Version: info.ServerVersion, CPUs: int64(info.NCPU), MemBytes: info.MemTotal, OS: info.OSType, Arch: info.Architecture,
		Root: info.DockerRootDir, Remote: !strings.HasPrefix(d.opts.Host, "unix://"),
	}
	if m.Remote {
		m.Root = ""
	}
	_, named := info.Runtimes["nvidia"]
	_, err = exec.LookPath("nvidia-container-runtime-hook")
	m.GPUs = named || err == nil && !m.Remote
	return m, nil
}

// restarts lists containers of ours that have a restart policy: somebody gave it to
// them, for we give none.
func (d *Driver) restarts(ctx context.Context) (names []string, err error) {
	err = d.call(ctx, "look at restart policies", func(ctx context.Context) error {
		list, err := d.api.ContainerList(ctx, container.ListOptions{All: true, Filters: d.ownFilter(), Limit: maxRestarts})
		if err != nil {
			return err
		}
		for _, c := range list {
			full, err := d.api.ContainerInspect(ctx, c.ID)
			if err != nil || full.HostConfig == nil {
				continue // it has gone meanwhile
			}
			if !full.HostConfig.RestartPolicy.IsNone() {
				names = append(names, strings.TrimPrefix(full.Name, "/"))
			}
		}
		return nil
	})
	return names, err
}
