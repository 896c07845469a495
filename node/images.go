package node

import (
	"fmt"
	"slices"

	"shoal/job"
	"shoal/runtime"
)

// setImages takes in what the engine has.
func (c *Core) setImages(list []runtime.Image) {
	c.book.marks = nil
	c.images = make(map[string][]runtime.Image, len(list))
	for _, i := range list[:min(len(list), runtime.MaxImages)] {
		c.images[i.Name] = append(c.images[i.Name], i)
	}
}

// hasImage reports whether an image is here for this peer's platform. How much there
// would be to fetch is known to its registry alone.
func (c *Core) hasImage(name string) (present bool, fetchBytes int64) {
	if c.facts.Driver == "process" {
		return true, 0 // there is nothing to fetch
	}
	return slices.ContainsFunc(c.images[job.ImageName(name)], c.isOurs), 0
}

// isOurs reports whether an image is for this peer's platform.
func (c *Core) isOurs(i runtime.Image) bool {
	return i.OS == c.facts.OS && job.CommonArch(i.Arch) == job.CommonArch(c.facts.Arch)
}

// foreignImage says for which platform a task's image is here, if that is not this
// peer's and the engine would take it all the same; else "".
func (c *Core) foreignImage(t *job.Task) string {
	here := c.images[job.ImageName(t.Image)]
	if t.Platform != "" || t.Pull == "always" || len(here) == 0 || slices.ContainsFunc(here, c.isOurs) {
		return ""
	}
	return fmt.Sprintf("%s/%s", here[0].OS, here[0].Arch)
}
