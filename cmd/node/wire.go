package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"shoal/daemon"
	"shoal/p2p"
)

// newDaemon joins store, network and driver to a core.
func (p *peer) newDaemon(ctx context.Context) (*daemon.Daemon, error) {
	cfg := daemon.Config{
		Core: p.coreConfig(), Store: p.store, Transport: p.host, Heard: heard(ctx, p.host.Events()), Driver: p.driver,
		Facts: p.facts, Disk: p.disk, Crash: p.keepCrash, Mute: p.host.Mute, Logger: p.log,
	}
	cfg.Reach = p.newReach()
	if p.o.record != "" {
		f, err := os.OpenFile(p.o.record, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("--record: %w", err)
		}
		p.recording, cfg.Record = f, f
	}
	d, err := daemon.New(cfg)
	if err != nil {
		return nil, err
	}
	p.host.SetKnown(d.IsKnown)
	p.host.SetRevoked(d.IsRevoked, d.NoticeOf)
	return d, nil
}

func (p *peer) disk() (free, total int64, err error) { return p.store.Room() }

// keepCrash writes a report of a bug of ours beside the ledger.
func (p *peer) keepCrash(text string) {
	name := "crash-" + time.Now().UTC().Format("20060102T150405") + ".txt"
	if err := p.o.state.write(name, []byte(text)); err != nil {
		p.log.Warn("crash report not written", "err", err)
		return
	}
	p.cli.progress("this is a bug in shoal; %s has the report", p.o.state.path(name))
}

// heard gives the daemon what the network tells, in the daemon's own words.
func heard(ctx context.Context, events <-chan p2p.Event) <-chan daemon.Heard {
	out := make(chan daemon.Heard)
	go func() {
		for {
			select {
			case e := <-events:
				select {
				case out <- heardOf(e):
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func heardOf(e p2p.Event) daemon.Heard {
	switch e := e.(type) {
	case p2p.Message:
		return daemon.Heard{Kind: daemon.HeardMessage, Peer: e.From, Topic: e.Topic, Bytes: e.Bytes}
	case p2p.Connected:
		return daemon.Heard{Kind: daemon.HeardUp, Peer: e.Peer}
	case p2p.Disconnected:
		return daemon.Heard{Kind: daemon.HeardDown, Peer: e.Peer}
	case p2p.Unreachable:
		return daemon.Heard{Kind: daemon.HeardDown, Peer: e.Peer}
	case p2p.Refused:
		return daemon.Heard{Kind: daemon.HeardRefused, Peer: e.Peer, Fault: e.Fault, Count: e.Count}
	}
	return daemon.Heard{}
}
