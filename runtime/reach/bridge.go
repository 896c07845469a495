package reach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"

	"shoal/job"
	"shoal/runtime"
)

// A bridge is one job's network here: the addresses of its services on the
// host's end of it, and the names that resolve to them.
type bridge struct {
	job   job.ID
	info  runtime.NetworkInfo
	first netip.Addr
	count uint32
	addrs map[string]netip.Addr // by task
	dns   *dnsServer
}

func (r *Reach) newBridge(id job.ID, info runtime.NetworkInfo) (*bridge, error) {
	first, err := netip.ParseAddr(info.First)
	if err != nil {
		return nil, fmt.Errorf("first service address %q: %w", info.First, err)
	}
	last, err := netip.ParseAddr(info.Last)
	if err != nil || !first.Is4() || !last.Is4() || last.Less(first) {
		return nil, fmt.Errorf("service addresses %q to %q are no range", info.First, info.Last)
	}
	b := &bridge{job: id, info: info, first: first, count: number(last) - number(first) + 1, addrs: map[string]netip.Addr{}}
	if info.Bridge != "lo" {
		if b.dns, err = r.serveNames(b, info.Gateway); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func number(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

func (b *bridge) nth(n uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], number(b.first)+n%b.count)
	return netip.AddrFrom4(a)
}

// follow gives every task an address. It follows from the task's name, so that a
// restarted daemon gives the same ones and what containers remember stays true;
// where two names fall on one, the later in the alphabet takes the next.
func (b *bridge) follow(tasks []string) error {
	for t, a := range b.addrs {
		if !slices.Contains(tasks, t) {
			delete(b.addrs, t)
			_ = b.setAddress(a, false)
		}
	}
	var errs []error
	for _, t := range tasks {
		if _, ok := b.addrs[t]; ok {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(t))
		for i := range b.count {
			a := b.nth(h.Sum32()%b.count + i)
			if !b.taken(a) {
				if err := b.setAddress(a, true); err != nil {
					errs = append(errs, fmt.Errorf("address of service %s: %w", t, err))
				} else {
					b.addrs[t] = a
				}
				break
			}
		}
	}
	if b.dns != nil {
		b.dns.set(b.addrs)
	}
	return errors.Join(errs...)
}

func (b *bridge) taken(a netip.Addr) bool {
	for _, x := range b.addrs {
		if x == a {
			return true
		}
	}
	return false
}

func (b *bridge) address(task string) string {
	if a, ok := b.addrs[task]; ok {
		return a.String()
	}
	return ""
}

// setAddress puts an address on the bridge's interface or takes it off. The
// loopback interface has all of 127/8 already.
func (b *bridge) setAddress(a netip.Addr, on bool) error {
	if b.info.Bridge == "lo" {
		return nil
	}
	link, err := netlink.LinkByName(b.info.Bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", b.info.Bridge, err)
	}
	addr, err := netlink.ParseAddr(a.String() + "/32")
	if err != nil {
		return err
	}
	if !on {
		return netlink.AddrDel(link, addr)
	}
	if err := netlink.AddrAdd(link, addr); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// close ends the names; addresses stay with the bridge, since containers may
// still know them and a restarted daemon wants the same.
func (b *bridge) close() {
	if b.dns != nil {
		b.dns.close()
	}
}
