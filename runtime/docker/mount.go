package docker

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"shoal/job"
	"shoal/runtime"
)

// mounts turns the task's mounts into the engine's.
func (d *Driver) mounts(a runtime.Action) ([]mount.Mount, error) {
	var out []mount.Mount
	for _, m := range a.Task.Mounts {
		mm := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch m.Type {
		case "volume":
			if m.Source != "" {
				mm.Source = runtime.VolumeName(d.opts.Swarm, a.Ref.Slot.Job, m.Source, a.Ref.Slot.Index)
			}
		case "bind":
			if err := d.checkBind(m.Source); err != nil {
				return nil, err
			}
		case "tmpfs":
			mm.Source = ""
		default:
			return nil, permanent("mount at %s: type %q is not known (volume, bind or tmpfs)", m.Target, m.Type)
		}
		out = append(out, mm)
	}
	return out, nil
}

// systemDirs are the directories of the host whose mount would hand a container
// the machine: an engine's socket, devices, or what the host itself runs.
var systemDirs = []string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr", "/var",
	"/var/run", "/var/lib", "/var/lib/docker", "/var/lib/containerd",
}

// systemTrees are those of them of which nothing below may be mounted either.
var systemTrees = []string{"/boot", "/dev", "/proc", "/sys", "/run", "/var/run", "/var/lib/docker", "/var/lib/containerd"}

// checkBind refuses the engine's socket, every directory it can be reached
// through, and the system's own directories. Links are followed first.
func (d *Driver) checkBind(source string) error {
	if !filepath.IsAbs(source) {
		return permanent("bind mount of %q: the path must be absolute", source)
	}
	given, followed := filepath.Clean(source), filepath.Clean(source)
	if resolved, err := filepath.EvalSymlinks(given); err == nil {
		followed = resolved
	}
	sockets := []string{"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"}
	if s, ok := strings.CutPrefix(d.opts.Host, "unix://"); ok {
		sockets = append(sockets, filepath.Clean(s))
		if resolved, err := filepath.EvalSymlinks(s); err == nil {
			sockets = append(sockets, resolved)
		}
	}
	for _, path := range []string{given, followed} {
		for _, s := range sockets {
			if isWithin(s, path) {
				return permanent("bind mount of %s: it would hand the container the engine's socket %s", source, s)
			}
		}
		for _, dir := range systemDirs {
			if path == dir {
				return permanent("bind mount of %s: it is a system directory; mount a directory of your own", source)
			}
		}
		for _, dir := range systemTrees {
			if isWithin(path, dir) {
				return permanent("bind mount of %s: it lies in the system directory %s; mount a directory of your own", source, dir)
			}
		}
	}
	return nil
}

// isWithin reports whether path is dir or below it. Both are clean.
func isWithin(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// ensureVolumes makes the named volumes of the slot that are not there yet. One
// that another peer or swarm made on this engine is refused, not shared.
func (d *Driver) ensureVolumes(ctx context.Context, a runtime.Action) error {
	for _, name := range a.Task.Volumes() {
		id := a.Ref.Slot.Job
		opts := volume.CreateOptions{
			Name: runtime.VolumeName(d.opts.Swarm, id, name, a.Ref.Slot.Index),
			Labels: map[string]string{
				runtime.LabelSwarm: d.opts.Swarm, runtime.LabelPeer: d.opts.Peer.String(),
				runtime.LabelJob: string(id), runtime.LabelVolume: name, runtime.LabelIndex: fmt.Sprint(a.Ref.Slot.Index),
			},
		}
		err := d.call(ctx, "create volume "+opts.Name, func(ctx context.Context) error {
			v, err := d.api.VolumeCreate(ctx, opts) // returns the present one, with its own labels
			if err == nil && v.Labels[runtime.LabelPeer] != d.opts.Peer.String() {
				return fmt.Errorf("it was made by peer %q: %w", v.Labels[runtime.LabelPeer], cerrdefs.ErrInvalidArgument)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveVolume removes a named volume of one slot; gone already is success. While
// a container, running or not, uses it, it stays and the error says so.
func (d *Driver) RemoveVolume(ctx context.Context, id job.ID, name string, index int) error {
	full := runtime.VolumeName(d.opts.Swarm, id, name, index)
	return d.call(ctx, "remove volume "+full, func(ctx context.Context) error {
		v, err := d.api.VolumeInspect(ctx, full)
		if err != nil {
			return gone(err)
		}
		if v.Labels[runtime.LabelPeer] != d.opts.Peer.String() {
			return fmt.Errorf("it was made by peer %q: %w", v.Labels[runtime.LabelPeer], cerrdefs.ErrInvalidArgument)
		}
		return gone(d.api.VolumeRemove(ctx, full, false))
	})
}
