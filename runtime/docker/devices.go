package docker

import (
	"strings"

	"github.com/docker/docker/api/types/container"

	"shoal/job"
)

// devices are the nodes of the machine that the task's container gets. What the owner
// of the peer does not grant, or is not plugged in, is an error.
func (d *Driver) devices(t *job.Task) ([]container.DeviceMapping, error) {
	var out []container.DeviceMapping
	for _, text := range t.Devices {
		dev, err := job.ParseDevice(text)
		if err != nil {
			return nil, permanent("%v", err)
		}
		if d.opts.Devices == nil {
			return nil, permanent("device %s: this peer gives none to tasks", dev.Host)
		}
		nodes, err := d.opts.Devices(dev.Host)
		if err != nil {
			return nil, permanent("device %v", err)
		}
		if dev.Target != "" && dev.Target != dev.Host && len(nodes) > 1 {
			return nil, permanent("device %s is %s on this peer: leave out %s, they get places of their own", dev.Host, strings.Join(nodes, ", "), dev.Target)
		}
		for _, node := range nodes {
			m := container.DeviceMapping{PathOnHost: node, PathInContainer: node, CgroupPermissions: "rwm"}
			if dev.Target != "" && len(nodes) == 1 && strings.HasPrefix(dev.Target, "/dev/") {
				m.PathInContainer = dev.Target
			}
			if dev.Access != "" {
				m.CgroupPermissions = dev.Access
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// gpus asks the engine for the devices that the claim holds. One that has gone since,
// so that the indices mean others, is an error.
func (d *Driver) gpus(set job.GPUSet) ([]container.DeviceRequest, error) {
	if set == 0 {
		return nil, nil
	}
	var names []string
	if d.opts.GPUs != nil {
		names = d.opts.GPUs()
	}
	var ids []string
	for _, i := range set.Indices() {
		if i >= len(names) {
			return nil, permanent("GPU %d: this peer has %d", i, len(names))
		}
		ids = append(ids, names[i])
	}
	return []container.DeviceRequest{{DeviceIDs: ids, Capabilities: [][]string{{"gpu"}}}}, nil
}
