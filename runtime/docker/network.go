package docker

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"shoal/job"
	"shoal/runtime"
)

// The jobs' bridges lie in 10.64.0.0/10, a /24 each. The upper half of a /24 is
// the engine's to give to containers, the lower half ours for services.
const (
	subnetBase  = 10<<24 | 64<<16
	subnetCount = 1 << 14
	subnetTries = 64 // subnets to try before giving up: each is taken only by another job or the host
)

const bridgeOption = "com.docker.network.bridge.name"

// EnsureNetwork returns the job's bridge, making it if it is not there. Its subnet
// follows from swarm, peer and job; where that is taken, by another job or an
// interface of the host, the next free one.
func (d *Driver) EnsureNetwork(ctx context.Context, id job.ID) (runtime.NetworkInfo, error) {
	d.networks.Lock()
	defer d.networks.Unlock()
	name := runtime.NetworkName(d.opts.Swarm, d.opts.Peer, id)
	if found, err := d.network(ctx, name); err != nil || found.Name != "" {
		return found, err
	}
	hash := runtime.NetworkHash(d.opts.Swarm, d.opts.Peer, id)
	first := binary.BigEndian.Uint32(hash[:4])
	taken := hostPrefixes()
	var last error
	for i, tries := uint32(0), 0; i < subnetCount && tries < subnetTries; i++ {
		subnet := subnetAt(first + i)
		if overlapsAny(subnet, taken) {
			continue
		}
		tries++
		last = d.createNetwork(ctx, name, "shoal"+hex.EncodeToString(hash[4:8]), id, subnet)
		switch {
		case last == nil:
			return d.network(ctx, name)
		case !isOverlap(last):
			return runtime.NetworkInfo{}, last
		}
	}
	return runtime.NetworkInfo{}, fmt.Errorf("network of job %s: no free /24 in 10.64.0.0/10: %w", id, last)
}

func (d *Driver) createNetwork(ctx context.Context, name, bridge string, id job.ID, subnet netip.Prefix) error {
	gateway := subnet.Addr().Next()
	opts := network.CreateOptions{
		Driver:  "bridge",
		Options: map[string]string{bridgeOption: bridge},
		Labels: map[string]string{
			runtime.LabelSwarm: d.opts.Swarm, runtime.LabelPeer: d.opts.Peer.String(), runtime.LabelJob: string(id),
		},
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
			Subnet: subnet.String(), Gateway: gateway.String(), IPRange: upperHalf(subnet).String(),
		}}},
	}
	return d.call(ctx, "create network "+name, func(ctx context.Context) error {
		_, err := d.api.NetworkCreate(ctx, name, opts)
		return err
	})
}

// network returns the network of that name, or the zero NetworkInfo.
func (d *Driver) network(ctx context.Context, name string) (info runtime.NetworkInfo, err error) {
	err = d.call(ctx, "inspect network "+name, func(ctx context.Context) error {
		n, err := d.api.NetworkInspect(ctx, name, network.InspectOptions{})
		if err != nil {
			return gone(err)
		}
		info, err = networkInfo(n)
		return err
	})
	return info, err
}

// Networks returns the bridges of this peer's jobs, so that those of jobs long
// gone can be removed.
func (d *Driver) Networks(ctx context.Context) ([]runtime.NetworkInfo, error) {
	var infos []runtime.NetworkInfo
	err := d.call(ctx, "list networks", func(ctx context.Context) error {
		list, err := d.api.NetworkList(ctx, network.ListOptions{Filters: d.ownFilter()})
		for _, n := range list {
			info, err := networkInfo(n)
			if err != nil {
				return err
			}
			infos = append(infos, info)
		}
		return err
	})
	return infos, err
}

// RemoveNetwork removes the job's bridge; gone already is success. While a
// container is connected to it, it stays and the error says so.
func (d *Driver) RemoveNetwork(ctx context.Context, id job.ID) error {
	d.networks.Lock()
	defer d.networks.Unlock()
	name := runtime.NetworkName(d.opts.Swarm, d.opts.Peer, id)
	return d.call(ctx, "remove network "+name, func(ctx context.Context) error {
		return gone(d.api.NetworkRemove(ctx, name))
	})
}

func networkInfo(n network.Inspect) (runtime.NetworkInfo, error) {
	if len(n.IPAM.Config) == 0 {
		return runtime.NetworkInfo{}, fmt.Errorf("network %s has no subnet: remove it by hand: %w", n.Name, cerrdefs.ErrInvalidArgument)
	}
	c := n.IPAM.Config[0]
	subnet, err := netip.ParsePrefix(c.Subnet)
	if err != nil {
		return runtime.NetworkInfo{}, fmt.Errorf("network %s: subnet %q: %w", n.Name, c.Subnet, err)
	}
	gateway := subnet.Addr().Next()
	return runtime.NetworkInfo{
		Job:     job.ID(n.Labels[runtime.LabelJob]),
		Name:    n.Name,
		Bridge:  n.Options[bridgeOption],
		Gateway: c.Gateway,
		Subnet:  c.Subnet,
		First:   gateway.Next().String(),
		Last:    upperHalf(subnet).Addr().Prev().String(),
	}, nil
}

// subnetAt returns the i-th /24 of the pool, counting round.
func subnetAt(i uint32) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], subnetBase+(i%subnetCount)<<8)
	return netip.PrefixFrom(netip.AddrFrom4(b), 24)
}

// upperHalf returns the /25 from which the engine serves containers.
func upperHalf(subnet netip.Prefix) netip.Prefix {
	b := subnet.Addr().As4()
	b[3] = 128
	return netip.PrefixFrom(netip.AddrFrom4(b), 25)
}

// hostPrefixes are the networks of the host's own interfaces. The engine looks
// only at its own ones, and a job's bridge would hide the LAN behind it.
func hostPrefixes() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the engine may still refuse an overlap
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			out = append(out, p.Masked())
		}
	}
	return out
}

func overlapsAny(p netip.Prefix, list []netip.Prefix) bool {
	for _, q := range list {
		if p.Overlaps(q) {
			return true
		}
	}
	return false
}

// isOverlap recognises the engine's refusals of a subnet in use; its kinds of
// error do not tell them from others.
func isOverlap(err error) bool {
	s := err.Error()
	return strings.Contains(s, "overlap") || strings.Contains(s, "conflicts with network")
}

// ownFilter selects what carries our labels.
func (d *Driver) ownFilter() filters.Args {
	return filters.NewArgs(
		filters.Arg("label", runtime.LabelSwarm+"="+d.opts.Swarm),
		filters.Arg("label", runtime.LabelPeer+"="+d.opts.Peer.String()),
	)
}
