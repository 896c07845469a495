// Package facts reads what this machine has: processors, memory, disk and load.
// It decides nothing. What cannot be read is named in Facts.Missing, and a peer
// with a missing part does not bid: a guess would overcommit it.
package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	DataDir string            // the disk that counts is the one this lies on, unless Engine says another
	Reserve job.Resources     // kept back for the machine itself; zero: nothing
	Most    job.Resources     // that slots get in all; a part that is zero: as much as there is
	Driver  string            // "docker" or "process", passed on
	Engine  *Engine           // what the container engine says of itself; nil: there is none, or it has not answered
	Labels  map[string]string // the owner's; they win over those found here
	Devices []string          // that the owner grants: job.CheckGrant

	NoGPUs bool // slots get none

	// NeedsBattery and NeedsHeat make the battery and the temperature metrics without
	// which the peer does not bid: its owner's policy is about them.
	NeedsBattery, NeedsHeat bool
}

// Engine is what a container engine says of itself and of its machine.
type Engine struct {
	Version  string
	CPUs     int64
	MemBytes int64
	OS, Arch string // of its machine, "linux", "amd64"
	Root     string // where it keeps images and containers; empty: on another machine
	Remote   bool   // it is on another machine, whose own parts are not seen from here
	GPUs     bool   // it can give GPUs to containers
}

// A source reads one number of the machine.
type source func(context.Context) (int64, error)

// The sources, in bytes, cores and thousandths of running tasks. Tests replace
// them to see a machine that does not answer.
type sources struct {
	cores, memory, load source
	disk                func(ctx context.Context, dir string) (int64, error)
	kernel              string
	tree                tree
	now                 func() time.Time
}

var machine = sources{
	kernel: kernelVersion(), now: time.Now,
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
// that could not be read are in Missing with the reason. Capacity is what the machine
// and its engine have, whichever is less, less Reserve and at most Most, never below
// zero; of the disk, what is free now. Load is the last minute's mean of running tasks
// for each core: 1000 means that every core had one. Parts that a machine need not have
// (battery, sensors, GPUs) are left out where they are not. Labels arch, os, cores,
// kernel, link, mbits and gpu come with it.
func Read(ctx context.Context, o Options) runtime.Facts { return machine.read(ctx, o) }

func (s sources) read(ctx context.Context, o Options) runtime.Facts {
	f := runtime.Facts{
		OS: goruntime.GOOS, Arch: goruntime.GOARCH, Driver: o.Driver,
		Labels: map[string]string{},
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
	free := get("disk", 0, func(ctx context.Context) (int64, error) { return s.room(ctx, o) })
	running := get("load", 0, s.load)
	has := job.Resources{CPUMilli: cores * 1000, MemBytes: memory, DiskBytes: free}
	if cores > 0 {
		f.Load = running / cores
	}
	has = s.bounded(&f, o, has)
	f.Capacity = capacity(has, o)
	f.Missing = append(f.Missing, reservesAll(has, o.Reserve)...)
	f.Labels["os"], f.Labels["arch"] = f.OS, f.Arch
	if has.CPUMilli >= 1000 {
		f.Labels["cores"] = strconv.FormatInt(has.CPUMilli/1000, 10)
	}
	if !o.isRemote() {
		s.extras(ctx, &f, o)
	}
	f.Minute = s.now().Hour()*60 + s.now().Minute()
	maps.Copy(f.Labels, o.Labels)
	return f
}

func (o *Options) isRemote() bool { return o.Engine != nil && o.Engine.Remote }

// room is what is free where containers write: the engine's directory, if it can be
// seen from here.
func (s sources) room(ctx context.Context, o Options) (int64, error) {
	if o.Engine != nil && o.Engine.Root != "" {
		if free, err := s.disk(ctx, o.Engine.Root); !errors.Is(err, fs.ErrNotExist) {
			return free, err
		}
	}
	return s.disk(ctx, o.DataDir)
}

// bounded is what the machine has as its engine and its control groups leave it. An
// engine elsewhere speaks for its machine alone, of whose disk nothing is known.
func (s sources) bounded(f *runtime.Facts, o Options, has job.Resources) job.Resources {
	if e := o.Engine; e != nil {
		f.Engine = e.Version
		if e.Arch != "" {
			f.OS, f.Arch = e.OS, job.CommonArch(e.Arch)
		}
		if e.Remote {
			f.Load = 0
			return job.Resources{CPUMilli: e.CPUs * 1000, MemBytes: e.MemBytes}
		}
		has.CPUMilli, has.MemBytes = least(has.CPUMilli, e.CPUs*1000), least(has.MemBytes, e.MemBytes)
	}
	l := s.tree.groupLimits(o.Driver == "process")
	has.CPUMilli, has.MemBytes = min(has.CPUMilli, l.cpuMilli), min(has.MemBytes, l.memBytes)
	return has
}

// least is the lesser of two amounts, of which one that is not told does not count.
func least(have, told int64) int64 {
	if told <= 0 {
		return have
	}
	return min(have, told)
}

// reservesAll says of what the owner keeps back all that there is, so that the peer can
// take nothing.
func reservesAll(has, reserve job.Resources) (all []string) {
	if has.CPUMilli > 0 && reserve.CPUMilli >= has.CPUMilli {
		all = append(all, fmt.Sprintf("cpu: reserve.cpus of the owner's file keeps back %g, and there are %g", cpus(reserve), cpus(has)))
	}
	if has.MemBytes > 0 && reserve.MemBytes >= has.MemBytes {
		all = append(all, fmt.Sprintf("memory: reserve.memory of the owner's file keeps back %d MiB, and there are %d MiB", reserve.MemBytes>>20, has.MemBytes>>20))
	}
	return all
}

func cpus(r job.Resources) float64 { return float64(r.CPUMilli) / 1000 }

// capacity is what slots get of it.
func capacity(has job.Resources, o Options) job.Resources {
	c := has.Minus(o.Reserve)
	part := func(have, most int64) int64 { return least(max(have, 0), most) }
	return job.Resources{
		CPUMilli: part(c.CPUMilli, o.Most.CPUMilli), MemBytes: part(c.MemBytes, o.Most.MemBytes), DiskBytes: part(c.DiskBytes, o.Most.DiskBytes),
	}
}

// extras adds what a machine need not have. Where the kernel does not answer that is as
// if it had none of it, but for what the owner's policy is about.
func (s sources) extras(ctx context.Context, f *runtime.Facts, o Options) {
	x, err := within(ctx, func(context.Context) (extras, error) { return s.tree.extras(o), nil })
	if err != nil {
		x.noBattery = err
	}
	maps.Copy(f.Labels, x.labels)
	if s.kernel != "" {
		f.Labels["kernel"] = s.kernel
	}
	f.Battery, f.TempC, f.Devices = x.battery, x.tempC, x.devices
	f.Capacity.GPUMilli = x.gpuMilli
	if o.NeedsBattery && x.noBattery != nil {
		f.Missing = append(f.Missing, "battery: "+x.noBattery.Error()+", and the owner's policy is about it")
	}
	if o.NeedsHeat && x.tempC == 0 {
		f.Missing = append(f.Missing, "temperature: no sensor tells it, and the owner's policy is about it")
	}
}

// An extras is what a machine need not have.
type extras struct {
	labels    map[string]string
	battery   bool
	noBattery error // why it is not known
	tempC     int
	devices   []string
	gpuMilli  int64
}

func (t tree) extras(o Options) extras {
	x := extras{labels: map[string]string{}, tempC: t.temperature(), devices: t.devices(o.Devices)}
	x.battery, x.noBattery = t.onBattery()
	kind, mbits := t.link()
	if kind != "" {
		x.labels["link"] = kind
	}
	if mbits != "" {
		x.labels["mbits"] = mbits
	}
	if gpus := t.gpus(); len(gpus) > 0 && !o.NoGPUs && (o.Driver == "process" || o.Engine != nil && o.Engine.GPUs) {
		x.gpuMilli = least(int64(min(len(gpus), job.MaxGPUs))*job.WholeGPU, o.Most.GPUMilli)
		x.labels["gpu"] = gpus[0].Model
	}
	return x
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
func within[T any](ctx context.Context, from func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errHangs)
	defer cancel()
	type answer struct {
		is  T
		err error
	}
	got := make(chan answer, 1)
	go func() {
		is, err := from(ctx)
		got <- answer{is, err}
	}()
	select {
	case a := <-got:
		return a.is, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
