package compose

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"shoal/job"
)

func index(i int) string { return fmt.Sprintf("[%d]", i) }

// ports maps ports: and expose:. compose-go has already turned ranges into single
// ports, so a port's line is found by its numbers, not by its place in the list.
func (c *converter) ports() {
	c.rememberPorts()
	for _, p := range c.s.Ports {
		path := c.portPath(p)
		if port, ok := c.port(path, p); ok {
			c.task.Ports = append(c.task.Ports, port)
		}
	}
	for i, text := range c.s.Expose {
		c.expose(c.under("expose")+index(i), text)
	}
}

func (c *converter) port(path string, p types.ServicePortConfig) (job.Port, bool) {
	if p.Protocol != "" && p.Protocol != "tcp" {
		c.refuse(path, "%s is not supported yet; only tcp ports are forwarded; remove it", p.Protocol)
		return job.Port{}, false
	}
	if p.HostIP != "" && p.HostIP != "0.0.0.0" && p.HostIP != "::" {
		c.refuse(path, "the address %s is not supported: a published port answers on every peer; remove the address, or the published port to keep it inside the job", p.HostIP)
		return job.Port{}, false
	}
	if p.Mode == "host" {
		c.warn(path, "mode host has no effect: a published port answers on every peer")
	}
	if p.Target == 0 || p.Target > 65535 {
		c.refuse(path, "%d is not between 1 and 65535", p.Target)
		return job.Port{}, false
	}
	if p.Published == "" {
		c.warn(path, "names no published port, and is reached inside the job only; write PUBLISHED:%d to publish it", p.Target)
		return job.Port{Target: uint16(p.Target)}, true
	}
	published, err := strconv.ParseUint(p.Published, 10, 16)
	if err != nil || published == 0 {
		c.refuse(path, "%q is no port to publish; write one number between 1 and 65535", p.Published)
		return job.Port{}, false
	}
	if slices.Contains(c.opts.Reserved, uint16(published)) {
		c.refuse(path, "%d is the swarm's own port on this peer; publish another, such as %s:%d", published, otherPort(published), p.Target)
		return job.Port{}, false
	}
	return job.Port{Target: uint16(p.Target), Published: uint16(published)}, true
}

// otherPort is one that a message can propose instead of a port.
func otherPort(port uint64) string {
	if port == 8080 {
		return "8081"
	}
	return "8080"
}

// rememberPorts notes, for each number in the list as it was written, where it stands.
func (c *converter) rememberPorts() {
	list := c.under("ports")
	for i := range len(c.s.Ports) { // at least as many as were written
		path := list + index(i)
		text, ok := c.scalars[path]
		if !ok {
			continue
		}
		ports, err := types.ParsePortConfig(text)
		if err != nil {
			continue
		}
		for _, p := range ports {
			c.remember(list, strconv.Itoa(int(p.Target)), path)
			c.remember(list, p.Published, path)
			c.remember(list, cmp.Or(p.Published, strconv.Itoa(int(p.Target)))+"/"+p.Protocol, path)
		}
	}
	for i := range len(c.s.Ports) {
		for _, key := range []string{"target", "published"} {
			c.remember(list, c.scalars[list+index(i)+"."+key], list+index(i))
		}
	}
}

// portPath finds the line of a port: by its published number, else by its target,
// and by its protocol if that is told apart.
func (c *converter) portPath(p types.ServicePortConfig) string {
	list := c.under("ports")
	number := cmp.Or(p.Published, strconv.Itoa(int(p.Target)))
	for _, entry := range []string{number + "/" + p.Protocol, number} {
		if path, ok := c.items[list+" "+entry]; ok {
			return path
		}
	}
	return list
}

// remember keeps the first place of an entry of a list.
func (l *load) remember(list, entry, path string) {
	if _, ok := l.items[list+" "+entry]; entry != "" && !ok {
		l.items[list+" "+entry] = path
	}
}

// expose reads "3000", "3000-3005" and "3000/tcp".
func (c *converter) expose(path, text string) {
	ports, protocol, _ := strings.Cut(text, "/")
	if protocol != "" && protocol != "tcp" {
		c.refuse(path, "%s is not supported yet; only tcp ports are forwarded; remove it", protocol)
		return
	}
	from, to, isRange := strings.Cut(ports, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first == 0 || last < first {
		c.refuse(path, "%q is no port; write one such as 3000 or 3000-3005", text)
		return
	}
	for p := first; p <= last; p++ {
		c.task.Expose = append(c.task.Expose, uint16(p))
	}
}
