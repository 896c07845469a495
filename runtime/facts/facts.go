// Package facts reads what this machine has: processors, memory, disk and load.
// It decides nothing. What cannot be read is named in Facts.Missing, and a peer
// with a missing part does not bid: a guess would overcommit it.
package facts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	goruntime "runtime"
	"strconv"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"

	"shoal/job"
	"shoal/runtime"
)

// deadline bounds each reading: a data directory on a dead network mount hangs.
const deadline = 3 * time.Second

// Options say what is read and what the owner keeps.
type Options struct {
	DataDir string            // the disk that counts is the one this lies on
	Reserve job.Resources     // kept back for the machine itself; zero: nothing
	Driver  string            // "docker" or "process", passed on
	Engine  string            // its version, passed on
	Labels  map[string]string // the owner's; they win over those found here
}

// A source reads one number of the machine.
type source func(context.Context) (int64, error)

// The sources, in bytes, cores and thousandths of running tasks. Tests replace
// them to see a machine that does not answer.
type sources struct {
	cores, memory, load source
	disk                func(ctx context.Context, dir string) (int64, error)
}

var machine = sources{
	cores: func(ctx context.Context) (int64, error) {
		n, err := cpu.CountsWithContext(ctx, true)
		return int64(n), err
	},
	memory: func(ctx context.Context) (int64, error) {
		m, err := mem.VirtualMemoryWithContext(ctx)
		if err != nil {
			return 0, err
		}
		return int64(m.Total), nil
	},
	load: func(ctx context.Context) (int64, error) {
		l, err := load.AvgWithContext(ctx)
		if err != nil {
			return 0, err
		}
		return int64(l.Load1 * 1000), nil
	},
	disk: func(ctx context.Context, dir string) (int64, error) {
		free, _, err := Disk(ctx, dir)
		return free, err
	},
}

// Read returns the machine's facts, within a few seconds whatever hangs; parts
// that could not be read are in Missing with the reason. Capacity is what the
// machine has less Reserve, never below zero; of the disk, what is free now. Load
// is the last minute's mean of running tasks for each core: 1000 means that every
// core had one. Labels arch, os and cores come with it.
func Read(ctx context.Context, o Options) runtime.Facts { return machine.read(ctx, o) }

func (s sources) read(ctx context.Context, o Options) runtime.Facts {
	f := runtime.Facts{
		OS: goruntime.GOOS, Arch: goruntime.GOARCH, Driver: o.Driver, Engine: o.Engine,
		Labels: map[string]string{"os": goruntime.GOOS, "arch": goruntime.GOARCH},
	}
	get := func(what string, least int64, from source) int64 {
		n, err := within(ctx, from)
		if err == nil && n < least {
			err = fmt.Errorf("%d is not believable", n)
		}
		if err != nil {
			f.Missing = append(f.Missing, what+": "+err.Error())
			return 0
		}
		return n
	}
	cores := get("cpu", 1, s.cores)
	memory := get("memory", 1, s.memory)
	free := get("disk", 0, func(ctx context.Context) (int64, error) { return s.disk(ctx, o.DataDir) })
	running := get("load", 0, s.load)
	if cores > 0 {
		f.Load = running / cores
		f.Labels["cores"] = strconv.FormatInt(cores, 10)
	}
	c := job.Resources{CPUMilli: cores * 1000, MemBytes: memory, DiskBytes: free}.Minus(o.Reserve)
	f.Capacity = job.Resources{CPUMilli: max(c.CPUMilli, 0), MemBytes: max(c.MemBytes, 0), DiskBytes: max(c.DiskBytes, 0)}
	maps.Copy(f.Labels, o.Labels)
	return f
}

// Disk returns the bytes that an ordinary user can still write where dir lies, and
// the size of that disk. Under 5 % or 256 MB free a peer stops bidding.
func Disk(ctx context.Context, dir string) (free, total int64, err error) {
	u, err := disk.UsageWithContext(ctx, dir)
	if err != nil {
		return 0, 0, fmt.Errorf("disk of %s: %w", dir, err)
	}
	return int64(u.Free), int64(u.Total), nil
}

var errHangs = errors.New("no answer in " + deadline.String())

// within runs one reading under the deadline. One that hangs in the kernel cannot
// be ended; it is left behind, and its answer with it.
func within(ctx context.Context, from source) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errHangs)
	defer cancel()
	type answer struct {
		n   int64
		err error
	}
	got := make(chan answer, 1)
	go func() {
		n, err := from(ctx)
		got <- answer{n, err}
	}()
	select {
	case a := <-got:
		return a.n, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
