package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"shoal/internal/doctor"
	"shoal/ledger/badger"
	"shoal/node"
	"shoal/p2p"
	"shoal/runtime/docker"
	"shoal/runtime/pretend"
)

// machineWait is how long doctor waits for what the kernel may hang in.
const machineWait = 3 * time.Second

var errHangs = errors.New("it hangs: no answer within some seconds")

// bounded runs f and gives up after d: what hangs in the kernel cannot be ended, and is
// left behind with its answer.
func bounded[A any](ctx context.Context, d time.Duration, f func(context.Context) (A, error)) (A, error) {
	type answer struct {
		a   A
		err error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, errHangs)
	defer cancel()
	got := make(chan answer, 1)
	go func() {
		a, err := f(ctx)
		got <- answer{a, err}
	}()
	select {
	case r := <-got:
		return r.a, r.err
	case <-ctx.Done():
		var none A
		return none, context.Cause(ctx)
	}
}

// A looker looks at this machine for doctor, each part with a deadline of its own.
type looker struct {
	o    *upOptions
	p    *peer // nil: no daemon runs in this process
	busy bool  // another process has the port
}

func (l looker) look(ctx context.Context) doctor.Machine {
	var m doctor.Machine
	var parts sync.WaitGroup
	parts.Go(func() { m.Engine = l.engine(ctx) })
	parts.Go(func() { m.Disk = l.disk(ctx) })
	parts.Go(func() { m.Port = l.port(ctx) })
	parts.Go(func() { m.Files = l.files() })
	m.Aside, _ = bounded(ctx, machineWait, func(context.Context) (string, error) { return l.o.state.setAside(), nil })
	m.Synced = clockSynced()
	parts.Wait()
	return m
}

// engine asks the daemon's engine or, without a daemon, the one that it would use.
func (l looker) engine(ctx context.Context) doctor.Engine {
	if l.o.Driver == "process" || l.o.Driver == pretend.Name {
		return doctor.Engine{Driver: "process"}
	}
	host := (&peer{o: l.o}).dockerHost()
	if l.o.Driver == "auto" && host == "" {
		return doctor.Engine{Driver: "process"}
	}
	e := doctor.Engine{Driver: "docker", Host: cmp.Or(host, docker.DefaultHost)}
	opts := docker.Options{Host: host, CallDeadline: engineWait}
	if l.p != nil {
		opts.Swarm, opts.Peer = l.p.id.cert.Swarm.Short(), l.p.id.peer()
	}
	d, err := docker.New(opts)
	if err != nil {
		e.Err = err.Error()
		return e
	}
	defer d.Close()
	_, err = bounded(ctx, time.Second, func(ctx context.Context) (none struct{}, err error) { return none, d.Listens(ctx) })
	if l.o.Driver == "auto" && l.o.DockerHost == "" && isAbsent(err) {
		return doctor.Engine{Driver: "process", Host: e.Host}
	}
	info, err := bounded(ctx, engineWait, d.Info)
	if err != nil {
		e.Err = err.Error()
		return e
	}
	e.Version, e.Cgroup, e.NoLimits = info.Version, info.Cgroup, info.NoLimits
	e.LiveRestore, e.Restarts, e.Root = info.LiveRestore, info.Restarts, info.Root
	if room, err := roomAt(ctx, info.Root); err == nil && info.Root != "" {
		e.FreeBytes, e.TotalBytes = room.free, room.total
	}
	return e
}

type room struct{ free, total int64 }

// roomAt is how much of a directory's disk is free.
func roomAt(ctx context.Context, dir string) (room, error) {
	return bounded(ctx, machineWait, func(context.Context) (r room, err error) {
		r.free, r.total, err = badger.Free(dir)
		return r, err
	})
}

func (l looker) disk(ctx context.Context) doctor.Disk {
	dir := string(l.o.state)
	r, err := roomAt(ctx, dir)
	for errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) { // where it would be made
		dir = filepath.Dir(dir)
		r, err = roomAt(ctx, dir)
	}
	d := doctor.Disk{Dir: dir, FreeBytes: r.free, TotalBytes: r.total, BidBytes: node.LeastFree(r.total)}
	d.NeedBytes = badger.Options{Small: l.o.Profile == "small"}.Least()
	if l.p != nil {
		d.NeedBytes = l.p.store.Need()
	}
	if err != nil {
		d.Err = err.Error()
	}
	return d
}

func (l looker) files() doctor.Files {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return doctor.Files{}
	}
	f := doctor.Files{Limit: int64(min(limit.Cur, 1<<40))}
	if l.p == nil {
		return f
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.Open = int64(len(open))
	}
	return f
}

func (l looker) port(ctx context.Context) doctor.Port {
	p := doctor.Port{Number: cmp.Or(l.o.Port, p2p.DefaultPort), Busy: l.busy}
	var err error
	switch {
	case l.p != nil:
		p.Bound, err = l.p.host.Bound(), l.p.host.Answers(ctx)
	case !l.busy:
		err = p2p.CheckListen(l.o.Port, l.o.listenAddrs())
	}
	if err != nil {
		p.Err = err.Error()
	}
	return p
}

// vitals is what doctor is told of the running daemon, with peer IDs for names.
func (p *peer) vitals(ctx context.Context) (doctor.Peer, doctor.Machine) {
	m := looker{o: p.o, p: p}.look(ctx)
	v := doctor.Peer{Expires: p.id.cert.NotAfter, Now: time.Now(), Conns: doctor.Conns(p.host.Conns())}
	v.Store.Held, v.Store.AcceptLoss = p.daemon.Held(), p.o.acceptLoss
	v.Store.Damage, _ = bounded(ctx, machineWait, func(context.Context) (string, error) { return p.store.Damage(), nil })
	twin := p.daemon.Twin()
	v.Copied, v.SteppedBack = twin.Copied, twin.SteppedBack
	r := p.host.Reach()
	v.Reach = doctor.Reach{
		Tries: r.Tries, Asked: r.Asked, Reached: r.Reached, Hidden: r.Hidden, NAT: r.NAT, External: r.External, Carries: r.Carries,
		Seen: r.Seen, Dialled: r.Dialled, Profile: p.o.Profile,
	}
	v.Speaks = p2p.Hello
	for _, id := range r.Relays {
		v.Reach.Relays = append(v.Reach.Relays, id.String())
	}
	for id, protos := range p.host.Lacks() {
		v.Protocol = append(v.Protocol, doctor.Lack{Peer: id.String(), Protos: protos})
	}
	return v, m
}
