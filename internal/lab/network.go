package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// splitChain holds the rules of a split, in each peer's namespace. It sits before
// routing, so that it cuts the daemon, the engine and published ports alike, and
// multicast too.
const splitChain = "SHOAL-LAB"

func (l *Lab) bridge() string { return fmt.Sprintf("sl%d", l.Number) }

// HostAddr is this machine's own address on the bridge.
func (l *Lab) HostAddr() string { return fmt.Sprintf("10.99.%d.254", l.Number) }

func (l *Lab) makeBridge(ctx context.Context) error {
	for _, args := range [][]string{
		{"ip", "link", "add", l.bridge(), "type", "bridge"},
		{"ip", "addr", "add", l.HostAddr() + "/24", "dev", l.bridge()},
		{"ip", "link", "set", l.bridge(), "up"},
		// An engine of this machine sets the policy to DROP, and where bridged
		// packets pass iptables too, that would cut our peers apart.
		{"iptables", "-w", "-I", "FORWARD", "-i", l.bridge(), "-o", l.bridge(), "-j", "ACCEPT"},
	} {
		if _, err := run(ctx, args[0], args[1:]...); err != nil {
			return fmt.Errorf("make the bridge: %w", err)
		}
	}
	return nil
}

// makeNamespace gives the peer a network: namespace, cable, address.
func (p *Peer) makeNamespace(ctx context.Context) error {
	ns, link := p.Namespace, p.Namespace
	cable := "up"
	if p.cableOut {
		cable = "down"
	}
	steps := [][]string{
		{"ip", "netns", "add", ns},
		{"ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", ns},
		{"ip", "-n", ns, "link", "set", "lo", "up"},
		{"ip", "-n", ns, "addr", "add", p.Addr + "/24", "dev", "eth0"},
		{"ip", "-n", ns, "link", "set", "eth0", "up"},
		{"ip", "-n", ns, "route", "add", "224.0.0.0/4", "dev", "eth0"},
		{"nsenter", "--net=/run/netns/" + ns, "iptables", "-w", "-t", "mangle", "-N", splitChain},
		{"nsenter", "--net=/run/netns/" + ns, "iptables", "-w", "-t", "mangle", "-I", "PREROUTING", "-j", splitChain},
	}
	for _, args := range append(steps, p.plug(cable)...) {
		if _, err := run(ctx, args[0], args[1:]...); err != nil {
			return fmt.Errorf("peer %s: make its network: %w", p.Name, err)
		}
	}
	return nil
}

// CutCable takes the peer off the bridge; its other links stay. It holds over a
// power cut.
func (p *Peer) CutCable(ctx context.Context) error { return p.cable(ctx, "down") }

// PlugCable undoes CutCable.
func (p *Peer) PlugCable(ctx context.Context) error { return p.cable(ctx, "up") }

func (p *Peer) cable(ctx context.Context, state string) error {
	p.cableOut = state == "down"
	if !p.powered {
		return nil
	}
	args := []string{"link", "set", p.Namespace, state}
	if p.nat >= 0 {
		args = append([]string{"-n", p.lab.router(p.nat)}, args...)
	}
	_, err := run(ctx, "ip", args...)
	return err
}

// Partition splits the network: peers in different groups no longer hear one
// another. Peers in no group stay with all. It replaces an earlier split, and ends
// for a peer with a power cut.
func (l *Lab) Partition(ctx context.Context, groups ...[]*Peer) error {
	if err := l.Heal(ctx); err != nil {
		return err
	}
	for i, group := range groups {
		for _, p := range group {
			for _, deaf := range slices.Concat(slices.Delete(slices.Clone(groups), i, i+1)...) {
				if err := p.dropFrom(ctx, deaf); err != nil {
					return errors.Join(err, l.Heal(ctx))
				}
			}
		}
	}
	return nil
}

// DropFrom makes p deaf to q, one way only.
func (p *Peer) DropFrom(ctx context.Context, q *Peer) error { return p.dropFrom(ctx, q) }

func (p *Peer) dropFrom(ctx context.Context, q *Peer) error {
	return p.splitRule(ctx, "-A", splitChain, "-s", q.Addr, "-j", "DROP")
}

// Heal ends every split. Cut cables stay cut.
func (l *Lab) Heal(ctx context.Context) error {
	var errs []error
	for _, p := range l.Peers {
		if p.powered {
			errs = append(errs, p.splitRule(ctx, "-F", splitChain))
		}
	}
	return errors.Join(errs...)
}

func (p *Peer) splitRule(ctx context.Context, args ...string) error {
	_, err := p.Run(ctx, "iptables", append([]string{"-w", "-t", "mangle"}, args...)...)
	return err
}

// Dial connects from the peer's network to an address of numbers, such as
// 10.99.1.2:80.
func (p *Peer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() {
		conn, err := dialIn(ctx, "/run/netns/"+p.Namespace, network, addr)
		done <- dialled{conn, err}
	}()
	d := <-done
	return d.conn, d.err
}

// dialIn moves the calling goroutine's thread to another network namespace, where
// the sockets it makes then belong, and back. A thread that cannot go back stays
// locked and ends with its goroutine.
func dialIn(ctx context.Context, namespace, network, addr string) (net.Conn, error) {
	there, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer home.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter %s: %w", namespace, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	// Were it the process's first thread, ip would count the whole process as one
	// of the namespace's, and a power cut would kill us.
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err == nil {
		runtime.UnlockOSThread()
	}
	return conn, err
}

// Get fetches a page from the peer's network and returns its body. Any status but
// 200 is an error.
func (p *Peer) Get(ctx context.Context, url string) (string, error) {
	transport := &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	reply, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s: %s", url, reply.Status, body)
	}
	return string(body), err
}
