package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"shoal/auction"
	"shoal/auction/owner"
	"shoal/runtime"
	"shoal/runtime/docker"
	"shoal/runtime/facts"
)

// ownerFile is where a peer's configuration is looked for in its state directory.
const ownerFile = "peer.yaml"

// readOwner reads the peer's configuration: of --config, else peer.yaml in the state
// directory, if there is one.
func (o *upOptions) readOwner() error {
	o.ownerFile = o.Config
	if o.Config == "" {
		o.ownerFile = o.state.path(ownerFile)
		if _, err := os.Stat(o.ownerFile); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	var err error
	o.owner, err = owner.Read(o.ownerFile)
	return err
}

// absolute is a path that means the same to a later start elsewhere.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// policy is what the owner lets others use this peer for; nil if nothing is said.
func (o *upOptions) policy() *auction.Policy {
	if o.owner == nil {
		return nil
	}
	return &o.owner.Policy
}

// facts reads what this machine has.
func (p *peer) facts(ctx context.Context) runtime.Facts {
	o := facts.Options{DataDir: string(p.o.state), Driver: p.o.Driver, Labels: p.o.Labels}
	if c := p.o.owner; c != nil {
		o.Reserve, o.Most, o.NoGPUs, o.Devices = c.Reserve, c.Most, c.NoGPUs, c.Policy.Devices
		o.NeedsBattery, o.NeedsHeat = c.Policy.OnMains, c.Policy.MaxTempC > 0
	}
	o.Engine = p.engine(ctx)
	f := facts.Read(ctx, o)
	if o.Driver == "docker" && o.Engine == nil {
		f.Missing = append(f.Missing, "engine: it has not said yet what it has")
	}
	return f
}

// engineEvery is how often an engine is asked what it has: a machine's memory does not
// grow, but engines are given limits and GPUs.
const engineEvery = time.Minute

// A described is what an engine said of itself, and when.
type described struct {
	engine facts.Engine
	at     time.Time
}

// engine returns what the engine has said of itself; nil before it has. It never waits
// long: what else the machine has must be told even if the engine hangs, and its
// client queues calls behind one that does, whatever their deadlines.
func (p *peer) engine(ctx context.Context) *facts.Engine {
	d, ok := p.driver.(*docker.Driver)
	if !ok {
		return nil // plain processes have none
	}
	last := p.described.Load()
	if (last == nil || time.Since(last.at) >= engineEvery) && p.asking.CompareAndSwap(false, true) {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			defer p.asking.Store(false)
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), engineWait)
			defer cancel()
			if m, err := d.Machine(limited); err == nil {
				p.described.Store(&described{facts.Engine(m), time.Now()})
			}
		}()
		select {
		case <-answered:
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	if last = p.described.Load(); last == nil {
		return nil
	}
	return &last.engine
}

// dockerOptions add to an engine's driver what the owner of the peer allows.
func (p *peer) dockerOptions(o docker.Options) docker.Options {
	o.GPUs = func() (names []string) {
		for _, g := range facts.GPUs() {
			names = append(names, g.UUID)
		}
		return names
	}
	policy := p.o.policy()
	o.Devices = func(host string) ([]string, error) {
		if !policy.Grants(host) {
			return nil, fmt.Errorf("%s: the owner of this peer does not grant it", host)
		}
		return facts.Nodes(host)
	}
	if policy != nil && policy.LimitsFetch && p.o.Profile == "metered" {
		o.MaxFetch = max(policy.MaxFetch, 1)
	}
	return o
}
