package lab

import (
	"context"
	"fmt"
)

const (
	maxNATs    = 8
	daemonPort = "7462"
)

// A NAT is a router on the bridge with peers behind it. They reach out and have its
// one address there; from outside nothing gets in but answers.
//
//	bridge sl7 ──── 10.99.7.201 sl7-nat0 192.168.0.254 ──┬── sl7-d: eth0 192.168.0.4
//	                                                     └── sl7-e: eth0 192.168.0.5
type NAT struct {
	// Peers is how many stand behind it.
	Peers int
	// Strict gives each flow a port by chance, so that nobody can tell through which
	// port another flow would come: no hole can be made. Otherwise it keeps the port.
	Strict bool
	// Forward leads the daemon's port, UDP and TCP, to the first peer behind it.
	Forward bool
}

// hidden counts the peers behind NATs.
func (c Config) hidden() int {
	n := 0
	for _, r := range c.NATs {
		n += r.Peers
	}
	return n
}

// natOf returns the index of the NAT a peer stands behind, -1 for none.
func (c Config) natOf(peer int) int {
	at := c.Peers - c.hidden()
	for i, r := range c.NATs {
		if peer >= at && peer < at+r.Peers {
			return i
		}
		at += r.Peers
	}
	return -1
}

func (l *Lab) router(i int) string { return fmt.Sprintf("sl%d-nat%d", l.Number, i) }

// makeRouter makes the namespace of a NAT: eth0 on the bridge, br0 for who is behind.
func (l *Lab) makeRouter(ctx context.Context, i int) error {
	ns := l.router(i)
	masquerade := []string{"nsenter", "--net=/run/netns/" + ns, "iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE"}
	if l.cfg.NATs[i].Strict {
		masquerade = append(masquerade, "--random-fully")
	}
	steps := [][]string{
		{"ip", "netns", "add", ns},
		{"ip", "link", "add", ns, "type", "veth", "peer", "name", "eth0", "netns", ns},
		{"ip", "link", "set", ns, "master", l.bridge()},
		{"ip", "link", "set", ns, "up"},
		{"ip", "-n", ns, "link", "add", "br0", "type", "bridge"},
		{"ip", "-n", ns, "addr", "add", fmt.Sprintf("10.99.%d.%d/24", l.Number, 201+i), "dev", "eth0"},
		{"ip", "-n", ns, "addr", "add", fmt.Sprintf("192.168.%d.254/24", i), "dev", "br0"},
		{"ip", "-n", ns, "link", "set", "eth0", "up"},
		{"ip", "-n", ns, "link", "set", "br0", "up"},
		{"nsenter", "--net=/run/netns/" + ns, "bash", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"},
		masquerade,
		{"nsenter", "--net=/run/netns/" + ns, "iptables", "-w", "-A", "FORWARD", "-i", "eth0", "-m", "conntrack",
			"!", "--ctstate", "ESTABLISHED,RELATED,DNAT", "-j", "DROP"},
		// A packet that nobody asked for vanishes, as with most routers: no reset, no answer.
		{"nsenter", "--net=/run/netns/" + ns, "iptables", "-w", "-A", "INPUT", "-i", "eth0", "-m", "conntrack",
			"!", "--ctstate", "ESTABLISHED,RELATED", "-j", "DROP"},
	}
	for _, args := range append(steps, l.forward(i)...) {
		if _, err := run(ctx, args[0], args[1:]...); err != nil {
			return fmt.Errorf("make a NAT: %w", err)
		}
	}
	return nil
}

// forward leads the daemon's port of a NAT to the first peer behind it.
func (l *Lab) forward(i int) [][]string {
	var steps [][]string
	for peer := 0; l.cfg.NATs[i].Forward && peer < l.cfg.Peers; peer++ {
		if l.cfg.natOf(peer) != i {
			continue
		}
		for _, proto := range []string{"udp", "tcp"} {
			steps = append(steps, []string{"nsenter", "--net=/run/netns/" + l.router(i), "iptables", "-w", "-t", "nat", "-A", "PREROUTING",
				"-i", "eth0", "-p", proto, "--dport", daemonPort, "-j", "DNAT", "--to-destination", addrBehind(i, peer)})
		}
		break
	}
	return steps
}

// addrBehind is the address of a peer behind a NAT.
func addrBehind(nat, peer int) string { return fmt.Sprintf("192.168.%d.%d", nat, peer+1) }

// plug is how the other end of the peer's cable gets to the bridge, or to its router.
func (p *Peer) plug(cable string) [][]string {
	link := p.Namespace
	if p.nat < 0 {
		return [][]string{
			{"ip", "link", "set", link, "master", p.lab.bridge()},
			{"ip", "link", "set", link, cable},
		}
	}
	router := p.lab.router(p.nat)
	return [][]string{
		{"ip", "link", "set", link, "netns", router},
		{"ip", "-n", router, "link", "set", link, "master", "br0"},
		{"ip", "-n", router, "link", "set", link, cable},
		{"ip", "-n", p.Namespace, "route", "add", "default", "via", fmt.Sprintf("192.168.%d.254", p.nat)},
	}
}
