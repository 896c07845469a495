package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/auction/owner"
	"shoal/job"
	"shoal/p2p"
	"shoal/p2p/admit"
	"shoal/runtime/pretend"
)

var zeroTime time.Time

// upOptions are the flags of `shoal up`.
type upOptions struct {
	settings
	ticket     *admit.Ticket
	state      stateDir
	labels     []string
	owner      *owner.Config // nil: there is no such file
	ownerFile  string
	founds     bool // --new
	noEngine   bool // --docker-host ''
	detach     bool
	acceptLoss bool
	record     string
	logLevel   string
}

func (c *cli) upCommand() *cobra.Command {
	var o upOptions
	var state string
	cmd := &cobra.Command{
		Use:   "up [TICKET]",
		Short: "Run this machine's peer: the first makes a swarm, others join with a ticket",
		Long: `Run this machine's peer, in the foreground or, with --detach, as a service.

Without a ticket, on a machine that is no member yet, it makes a swarm and prints the line for the next
machine. With a ticket it joins. A machine that is a member resumes, and remembers the flags given before.`,
		Args: wants(0, -1, "at most one ticket"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(state, args); err != nil {
				return err
			}
			given := cmd.Flags().Changed
			if err := o.recall(given); err != nil {
				return err
			}
			if o.detach {
				return c.upDetached(cmd.Context(), &o)
			}
			return c.up(cmd.Context(), &o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "where this peer keeps its keys and ledger (default $SHOAL_STATE, else "+defaultState()+")")
	flags.StringVar(&o.Name, "name", "", "what people call this peer (default: the host's name)")
	flags.StringArrayVar(&o.labels, "label", nil, "KEY=VALUE, for constraints; any number")
	flags.StringVar(&o.Datacenter, "datacenter", "", `where it stands (default "default")`)
	flags.StringVar(&o.Profile, "profile", "", "lan, metered or small (default lan)")
	flags.IntVar(&o.Port, "port", 0, fmt.Sprintf("the one port, UDP and TCP (default %d)", p2p.DefaultPort))
	flags.StringSliceVar(&o.Listen, "listen", nil, "addresses to listen on: IPs, or multiaddrs (default: all)")
	flags.StringSliceVar(&o.Bootstrap, "bootstrap", nil, "members to dial: multiaddrs that end in /p2p/ID")
	flags.StringVar(&o.Driver, "driver", "auto", "what runs containers: docker, process, or auto: docker where an engine answers")
	flags.StringVar(&o.DockerHost, "docker-host", "",
		"the engine's address (default $DOCKER_HOST, empty for no engine; else unix:///var/run/docker.sock)")
	flags.BoolVar(&o.NoMDNS, "no-mdns", false, "neither announce this peer on the local network nor listen there")
	flags.BoolVar(&o.NoRelay, "no-relay", false, "carry no connections between members that cannot reach one another")
	flags.StringVar(&o.Config, "config", "",
		"what this machine keeps for itself and lets others use it for: `FILE` (default: "+ownerFile+" in the state directory, if there)")
	flags.BoolVar(&o.founds, "new", false, "make a swarm even if another is heard on this network")
	flags.BoolVarP(&o.detach, "detach", "d", false, "run in the background; return once the daemon answers")
	flags.BoolVar(&o.acceptLoss, "accept-loss", false, "go on with a damaged store though nobody can refill it")
	flags.StringVar(&o.record, "record", "", "log every input of the core to `FILE`, for shoal sim replay")
	flags.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

// parse reads what is wrong in any case, before anything is touched.
func (o *upOptions) parse(state string, args []string) error {
	var err error
	if o.state, err = stateAt(state); err != nil {
		return err
	}
	if len(args) >= 2 && args[0] == "shoal" && args[1] == "up" {
		args = args[2:] // the whole line was pasted
	}
	if len(args) > 0 {
		t, err := admit.ParseTicket(strings.Join(args, " "))
		if err != nil {
			return err
		}
		o.ticket = &t
	}
	if !slices.Contains([]string{"auto", "docker", "process", pretend.Name}, o.Driver) {
		return usagef("--driver %q: want auto, docker or process", o.Driver)
	}
	if !slices.Contains([]string{"", "lan", "metered", "small"}, o.Profile) {
		return usagef("--profile %q: want lan, metered or small", o.Profile)
	}
	if o.Port < 0 || o.Port > 65535 {
		return usagef("--port %d: want 1 to 65535", o.Port)
	}
	for _, l := range o.Listen {
		if !strings.HasPrefix(l, "/") && net.ParseIP(l) == nil {
			return usagef("--listen %q: want an IP address such as 192.0.2.7, or a multiaddr such as /ip4/192.0.2.7/tcp/%d", l, p2p.DefaultPort)
		}
	}
	if err := p2p.CheckBootstrap(o.Bootstrap); err != nil {
		return usagef("%w", err)
	}
	if o.founds && o.ticket != nil {
		return usagef("--new makes a swarm, a ticket joins one: give one of the two")
	}
	if _, err := logger(io.Discard, o.logLevel); err != nil {
		return err
	}
	o.Labels, err = parseLabels(o.labels)
	return err
}

// recall fills in what an earlier `up` was told and this one was not.
func (o *upOptions) recall(given func(string) bool) error {
	had, err := o.state.recallSettings()
	if err != nil {
		return err
	}
	keep := func(flag string, f func()) {
		if !given(flag) {
			f()
		}
	}
	keep("name", func() { o.Name = had.Name })
	keep("label", func() { o.Labels = had.Labels })
	keep("datacenter", func() { o.Datacenter = had.Datacenter })
	keep("profile", func() { o.Profile = had.Profile })
	keep("port", func() { o.Port = had.Port })
	keep("listen", func() { o.Listen = had.Listen })
	keep("bootstrap", func() { o.Bootstrap = had.Bootstrap })
	keep("driver", func() { o.Driver = cmp.Or(had.Driver, o.Driver) })
	keep("docker-host", func() { o.DockerHost = had.DockerHost })
	keep("no-mdns", func() { o.NoMDNS = had.NoMDNS })
	keep("no-relay", func() { o.NoRelay = had.NoRelay })
	keep("config", func() { o.Config = had.Config })
	if o.Config, err = absolute(o.Config); err != nil {
		return err
	}
	if err := o.readOwner(); err != nil {
		return err
	}
	if given("docker-host") && o.DockerHost == "" {
		if given("driver") && o.Driver == "docker" {
			return usagef("--driver docker needs an engine, --docker-host is empty: give its address, or --driver process")
		}
		o.noEngine, o.Driver = true, "process"
	}
	o.Name = cmp.Or(o.Name, hostName())
	if err := job.CheckName(o.Name); err != nil {
		return usagef("--name %w", err)
	}
	if o.Datacenter == "" {
		return nil
	}
	if err := job.CheckName(o.Datacenter); err != nil { // as what a job's datacenters name
		from := ""
		if !given("datacenter") {
			from = "; an earlier `shoal up` was told so"
		}
		return usagef("--datacenter %w%s", err, from)
	}
	return nil
}

// hostName is the host's name as far as it can be a peer's.
func hostName() string {
	name, _ := os.Hostname()
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, name), "-")
	return cmp.Or(name[:min(len(name), job.MaxName)], "peer")
}

// listenAddrs turns IPs into multiaddrs of the one port; empty: all addresses.
func (o *upOptions) listenAddrs() []string {
	port := cmp.Or(o.Port, p2p.DefaultPort)
	var out []string
	for _, l := range o.Listen {
		ip := net.ParseIP(l)
		if ip == nil {
			out = append(out, l)
			continue
		}
		family := "ip4"
		if ip.To4() == nil {
			family = "ip6"
		}
		out = append(out, fmt.Sprintf("/%s/%s/udp/%d/quic-v1", family, ip, port), fmt.Sprintf("/%s/%s/tcp/%d", family, ip, port))
	}
	return out
}

// mdns reports whether this peer speaks to the local network: not from addresses
// that nobody else there can reach.
func (o *upOptions) mdns() bool {
	reachable := func(l string) bool { ip := net.ParseIP(l); return ip == nil || !ip.IsLoopback() }
	return !o.NoMDNS && (len(o.Listen) == 0 || slices.ContainsFunc(o.Listen, reachable))
}

const listenFor = 2 * time.Second

// checkMembership says no before anything is written: a ticket that does not fit
// what this machine is already, or a swarm nearby that was perhaps meant.
func (c *cli) checkMembership(ctx context.Context, o *upOptions, id *identity) error {
	isMember := id != nil && id.member
	if id != nil && (id.past == wasRemoved || id.past == hasLeft && o.ticket == nil) {
		return id.noMember()
	}
	switch {
	case o.ticket != nil && id != nil && id.past == hasLeft && o.ticket.Swarm != id.cert.Swarm:
		return fmt.Errorf("this machine left swarm %s and keeps its ledger, the ticket is of swarm %s: `shoal leave --purge` first, or give another --state",
			id.cert.Swarm.Short(), o.ticket.Swarm.Short())
	case o.ticket != nil && id != nil && id.past == hasLeft && id.cert.Rights.Has(admit.Deploy) && !o.ticket.Rights.Has(admit.Deploy):
		return fmt.Errorf("the ticket gives only the rights %s: under the key that this machine had, the jobs that it deployed and its removals of peers would end; "+
			"use a ticket with the right deploy, or `shoal leave --purge` first, to join as a new peer", o.ticket.Rights)
	case o.founds && isMember:
		return fmt.Errorf("--new: this machine is a member of swarm %s already: `shoal up` alone resumes it; "+
			"for another swarm `shoal leave --purge` first, or give another --state", id.cert.Swarm.Short())
	case o.ticket != nil && isMember && o.ticket.Swarm != id.cert.Swarm:
		return fmt.Errorf("this machine is a member of swarm %s, the ticket is of swarm %s: `shoal leave --purge` first, or give another --state",
			id.cert.Swarm.Short(), o.ticket.Swarm.Short())
	case o.ticket != nil && isMember:
		c.progress("this machine is a member already; the ticket is not needed")
		return nil
	case o.ticket != nil:
		return o.ticket.Verify(o.ticket.Swarm, time.Now())
	case isMember || o.founds || !o.mdns():
		return nil
	}
	c.progress("listening for %s whether there is a swarm on this network", listenFor)
	heard, err := p2p.Listen(ctx, listenFor)
	if err != nil || len(heard) == 0 {
		return ctx.Err() // a network that cannot be heard has nothing to tell
	}
	where := "an unknown address"
	if peers := heard[0].Peers; len(peers) > 0 && len(peers[0].Addrs) > 0 {
		where = peers[0].Addrs[0]
	}
	return fmt.Errorf("a swarm (%s) is on this network, at %s: run `shoal ticket` there and `shoal up` here with the line it prints, "+
		"or make another swarm with --new", heard[0].Swarm, where)
}

// become makes this machine a member: by a ticket, or of a swarm of its own.
func (c *cli) become(ctx context.Context, o *upOptions, id *identity) (*identity, error) {
	id, err := o.state.ensureKey(id)
	if err != nil || id.member {
		return id, err
	}
	if o.ticket == nil {
		c.progress("making a swarm; its root key is %s: keep a copy", o.state.path("root.key"))
		return id, o.state.found(id)
	}
	for _, p := range o.ticket.Peers {
		c.progress("asking %s at %s to admit this machine", p.Peer.Short(), strings.Join(p.Addrs, ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	joined, err := p2p.Join(ctx, id.key, *o.ticket)
	if err != nil {
		return nil, err
	}
	id.cert = joined.Certificate
	o.Bootstrap = slices.Clone(o.Bootstrap)
	for _, m := range joined.Members {
		for _, a := range m.Addrs {
			o.Bootstrap = append(o.Bootstrap, a+"/p2p/"+m.Peer.String())
		}
	}
	c.progress("admitted to swarm %s with the rights %s", id.cert.Swarm.Short(), id.cert.Rights)
	return id, o.state.join(id)
}

// up runs the daemon until it is told to end.
func (c *cli) up(ctx context.Context, o *upOptions) error {
	if err := c.nobodyAt(ctx); err != nil {
		return err
	}
	id, err := o.state.load()
	if err != nil {
		return err
	}
	if err := c.checkMembership(ctx, o, id); err != nil {
		return err
	}
	if err := c.checkLocal(o, id != nil && id.member); err != nil {
		return err
	}
	if o.owner != nil {
		c.progress("what this machine keeps and grants is read from %s", o.ownerFile)
	}
	if err := o.state.make(); err != nil {
		return err
	}
	p := &peer{cli: c, o: o, detached: os.Getenv(envDetached) != ""}
	_ = os.Unsetenv(envDetached) // it is not for what we start
	defer p.close()
	if err := p.openStore(); err != nil { // it also locks the directory
		return err
	}
	if p.id, err = c.become(ctx, o, id); err != nil {
		return err
	}
	return p.run(ctx)
}

// nobodyAt makes sure that no daemon answers at our socket.
func (c *cli) nobodyAt(ctx context.Context) error {
	d := net.Dialer{Timeout: time.Second}
	conn, _ := d.DialContext(ctx, "unix", c.socket) // any error means that nobody answers
	if conn == nil {
		return nil
	}
	_ = conn.Close()
	return fmt.Errorf("a daemon answers at %s already: `shoal down` ends it; a second peer here needs its own --socket, --state and --port", c.socket)
}
