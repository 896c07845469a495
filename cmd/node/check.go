package main

import (
	"fmt"
	"os"

	"shoal/p2p"
	"shoal/runtime/docker"
)

// checkLocal says what on this machine will keep the peer from starting, before
// anything is made or a ticket's use is spent: the port, the socket, the engine's
// address, the file of --record. A member's port is not tried: its store is locked
// first, since a second daemon is the better reason.
func (c *cli) checkLocal(o *upOptions, isMember bool) error {
	if !isMember {
		if err := p2p.CheckListen(o.Port, o.listenAddrs()); err != nil {
			return err
		}
	}
	if host := (&peer{o: o}).dockerHost(); o.Driver != "process" && host != "" {
		d, err := docker.New(docker.Options{Host: host})
		if err != nil {
			return err
		}
		_ = d.Close() // it has not been used
	}
	l, err := listenUnix(c.socket)
	if err != nil {
		return err
	}
	_ = l.Close() // which removes it
	if o.record == "" {
		return nil
	}
	f, err := os.OpenFile(o.record, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	return f.Close()
}
