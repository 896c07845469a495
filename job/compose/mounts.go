package compose

import (
	"fmt"
	"path"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"shoal/job"
)

func (c *converter) mounts() {
	for i, v := range c.s.Volumes {
		at := c.under("volumes") + index(i)
		c.remember(c.under("volumes"), path.Clean(v.Target), at)
		c.remember(c.under("volumes"), v.Source, at)
		m := job.Mount{Type: v.Type, Source: v.Source, Target: path.Clean(v.Target), ReadOnly: v.ReadOnly}
		switch v.Type {
		case types.VolumeTypeBind:
			c.bind(at, v, &m)
		case types.VolumeTypeVolume:
			if _, ok := c.project.Volumes[v.Source]; !ok && v.Source != "" {
				c.refuse(at, "there is no volume %s; add it under volumes: at the top of the file%s", v.Source, didYouMean(v.Source, c.project.VolumeNames()))
			}
		case types.VolumeTypeTmpfs:
			c.task.Tmpfs = append(c.task.Tmpfs, tmpfs(v))
			continue
		default:
			c.refuse(at, "a mount of type %s is not supported; write volume, bind or tmpfs", v.Type)
			continue
		}
		c.task.Mounts = append(c.task.Mounts, m)
	}
}

func (c *converter) bind(at string, v types.ServiceVolumeConfig, m *job.Mount) {
	if c.dir == "" && strings.HasPrefix(c.written(at), ".") {
		c.refuse(at, "a path relative to this file means nothing here; write an absolute path of the peers, or use a volume")
		return
	}
	if m.Source == "" {
		c.refuse(at, "a bind mount needs a source, an absolute path of the peers")
		return
	}
	m.Source = path.Clean(m.Source)
	if what := job.Forbidden(m.Source); what != "" {
		c.refuse(at, "is refused: %s gives the container %s; remove it", m.Source, what)
		return
	}
	if b := v.Bind; b != nil && (b.SELinux != "" || b.Propagation != "") {
		c.warn(at, "the options of this bind mount (%s) have no effect; remove them", strings.Trim(b.SELinux+" "+b.Propagation, " "))
	}
	c.note(at, "is a directory or file of whichever peer runs the task: %s must be there; a volume or the image travels better", m.Source)
}

// written is the source of a mount as the file has it.
func (c *converter) written(at string) string {
	if text, ok := c.scalars[at]; ok {
		return text
	}
	return c.scalars[at+".source"]
}

// tmpfs writes the long form as the short one, which has room for size and mode.
func tmpfs(v types.ServiceVolumeConfig) string {
	var options []string
	if v.ReadOnly {
		options = append(options, "ro")
	}
	if v.Tmpfs != nil && v.Tmpfs.Size > 0 {
		options = append(options, fmt.Sprintf("size=%d", int64(v.Tmpfs.Size)))
	}
	if v.Tmpfs != nil && v.Tmpfs.Mode > 0 {
		options = append(options, fmt.Sprintf("mode=%o", v.Tmpfs.Mode))
	}
	if len(options) == 0 {
		return path.Clean(v.Target)
	}
	return path.Clean(v.Target) + ":" + strings.Join(options, ",")
}
