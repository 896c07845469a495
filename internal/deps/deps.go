// Package deps holds the modules that packages being written will import.
package deps

import (
	_ "github.com/cenkalti/backoff/v5"
	_ "github.com/compose-spec/compose-go/v2/cli"
	_ "github.com/coreos/go-systemd/v22/daemon"
	_ "github.com/dgraph-io/badger/v4"
	_ "github.com/docker/docker/client"
	_ "github.com/docker/go-connections/nat"
	_ "github.com/docker/go-units"
	_ "github.com/fxamacker/cbor/v2"
	_ "github.com/jedib0t/go-pretty/v6/table"
	_ "github.com/libp2p/go-libp2p"
	_ "github.com/libp2p/go-libp2p-kad-dht"
	_ "github.com/libp2p/go-libp2p-pubsub"
	_ "github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	_ "github.com/miekg/dns"
	_ "github.com/mr-tron/base58"
	_ "github.com/shirou/gopsutil/v3/mem"
	_ "github.com/spf13/cobra"
	_ "github.com/vbauerster/mpb/v8"
	_ "go.yaml.in/yaml/v4"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
)
