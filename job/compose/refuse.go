package compose

import (
	"slices"
	"strings"
)

// grants is how a job could come to more than the default container.
const grants = "it would let the container act on its peer; remove it"

// dangers refuses what would give the container a hold on its peer, and what it could
// not work without.
func (c *converter) dangers() {
	s := &c.s
	for _, d := range []struct {
		key string
		bad bool
	}{
		{"privileged", s.Privileged},
		{"use_api_socket", s.UseAPISocket},
		{"cap_add", len(s.CapAdd) > 0},
		{"device_cgroup_rules", len(s.DeviceCgroupRules) > 0},
	} {
		if d.bad {
			c.refuse(c.under(d.key), "is refused: "+grants)
		}
	}
	for _, d := range []struct {
		key string
		bad bool
	}{
		{"volumes_from", len(s.VolumesFrom) > 0},
		{"provider", s.Provider != nil},
	} {
		if d.bad {
			c.refuse(c.under(d.key), "is not supported, and the container would not work without it; remove it")
		}
	}
	c.namespaces()
	for i, opt := range s.SecurityOpt {
		if name, value, _ := strings.Cut(strings.ReplaceAll(opt, "=", ":"), ":"); name == "no-new-privileges" && (value == "" || value == "true") {
			continue // every container has it
		}
		c.refuse(c.under("security_opt")+index(i), "%q is refused: containers run under the engine's own profiles; remove it", opt)
	}
}

// namespaces refuses sharing with the peer or with another container.
func (c *converter) namespaces() {
	s := &c.s
	for _, n := range []struct {
		key, value string
		own        []string // values that mean what is done anyway
	}{
		{"network_mode", s.NetworkMode, []string{"", "bridge", "default"}},
		{"pid", s.Pid, []string{""}},
		{"ipc", s.Ipc, []string{"", "private"}},
		{"uts", s.Uts, []string{""}},
		{"userns_mode", s.UserNSMode, []string{""}},
		{"cgroup", s.Cgroup, []string{"", "private"}},
	} {
		switch {
		case slices.Contains(n.own, n.value):
		case n.value == "host":
			c.refuse(c.under(n.key), "host is refused: "+grants)
		default:
			c.refuse(c.under(n.key), "%s is not supported; every container has its own; remove it", n.value)
		}
	}
}
