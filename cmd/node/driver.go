package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/docker"
	"shoal/runtime/pretend"
	"shoal/runtime/process"
)

// A driver is what runs this peer's containers.
type driver interface {
	Do(ctx context.Context, a runtime.Action) error
	List(ctx context.Context) ([]runtime.Observed, error)
	Watch(ctx context.Context) <-chan struct{}
	Logs(ctx context.Context, name string, o runtime.LogOptions) (io.ReadCloser, error)
	EnsureNetwork(ctx context.Context, id job.ID) (runtime.NetworkInfo, error)
	RemoveNetwork(ctx context.Context, id job.ID) error
	Networks(ctx context.Context) ([]runtime.NetworkInfo, error)
	RemoveVolume(ctx context.Context, id job.ID, volume string, index int) error
	Ping(ctx context.Context) error
	Version(ctx context.Context) (string, error)
	Close() error
}

// engineWait is how long an engine may take to answer at the start. One that hangs
// is "silent" for the core, which goes on without it.
const engineWait = 5 * time.Second

// chooseDriver returns the driver, and remembers the choice in the settings: an
// engine that is not up yet after a power cut must not turn a peer into another.
func (p *peer) chooseDriver(ctx context.Context, swarm string) (driver, error) {
	if p.o.Driver == pretend.Name && os.Getenv("SHOAL_PRETEND") == "" {
		return nil, usagef("--driver %s runs nothing and only says that it does: it is for benchmarks, which set SHOAL_PRETEND=1", pretend.Name)
	}
	if p.o.Driver == pretend.Name {
		p.cli.progress("NOTHING RUNS HERE: this peer only says that it runs what it takes (--driver %s, for benchmarks)", pretend.Name)
		return pretend.New(), nil
	}
	host := p.dockerHost()
	if p.o.Driver == "auto" && host == "" {
		return p.processDriver(swarm, "no engine is asked for")
	}
	if p.o.Driver == "process" {
		return p.processDriver(swarm, "as chosen here before, or by --driver")
	}
	d, err := docker.New(p.dockerOptions(docker.Options{Host: host, Swarm: swarm, Peer: p.id.peer(), Log: p.log}))
	if err != nil {
		return nil, err
	}
	ping, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	where := cmp.Or(host, docker.DefaultHost)
	if p.o.Driver == "auto" && p.o.DockerHost == "" && isAbsent(d.Listens(ping)) {
		_ = d.Close()
		return p.processDriver(swarm, "no engine at "+where)
	}
	err = d.Ping(ping)
	switch {
	case ping.Err() != nil:
		p.cli.progress("the engine at %s does not answer within %s: this peer takes no slots until it does", where, engineWait)
	case err != nil:
		p.cli.progress("the engine at %s does not answer (%v): this peer takes no slots until it does", where, err)
	default:
		v, _ := d.Version(ping)
		p.cli.progress("containers run on the engine at %s, version %s", where, v)
	}
	p.o.Driver = "docker"
	return d, nil
}

// dockerHost is the engine's address, empty for none.
func (p *peer) dockerHost() string {
	if p.o.DockerHost != "" || p.o.noEngine {
		return p.o.DockerHost
	}
	if host, set := os.LookupEnv("DOCKER_HOST"); set {
		return host
	}
	return docker.DefaultHost
}

// isAbsent tells "no engine here" from "an engine that does not answer".
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrPermission)
}

func (p *peer) processDriver(swarm, because string) (driver, error) {
	p.cli.progress("tasks run as plain processes of this machine (%s); containers need an engine and --driver docker", because)
	p.o.Driver = "process"
	return process.New(process.Options{Dir: p.o.state.path("process"), Swarm: swarm, Peer: p.id.peer(), Log: p.log})
}

// logger writes what the parts have to say to stderr.
func logger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q: want debug, info, warn or error", level)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})), nil
}
