package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"

	"shoal/job"
	"shoal/runtime"
)

// Images tells which images the engine has, by each of their names, in the order of
// these; of more than runtime.MaxImages the newest. Its errors are those of Ping.
func (d *Driver) Images(ctx context.Context) ([]runtime.Image, error) {
	var list []image.Summary
	err := d.call(ctx, "list images", func(ctx context.Context) (err error) {
		list, err = d.api.ImageList(ctx, image.ListOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b image.Summary) int { return cmp.Compare(b.Created, a.Created) })
	d.looking.Lock()
	defer d.looking.Unlock()
	known := map[string]platform{}
	var out []runtime.Image
	for _, s := range list {
		names := imageNames(s)
		if len(names) == 0 || len(out)+len(names) > runtime.MaxImages {
			continue
		}
		p, err := d.platformOf(ctx, s.ID)
		if err != nil {
			return nil, err
		}
		known[s.ID] = p
		for _, name := range names {
			out = append(out, runtime.Image{Name: name, OS: p.os, Arch: p.arch, Bytes: max(s.Size, 0)})
		}
	}
	d.platforms = known
	slices.SortFunc(out, func(a, b runtime.Image) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// A platform is what an image was built for; both are empty if it has gone meanwhile.
type platform struct{ os, arch string }

// platformOf asks for the platform of an image once: it never changes. The caller
// holds looking.
func (d *Driver) platformOf(ctx context.Context, id string) (p platform, err error) {
	if p, ok := d.platforms[id]; ok {
		return p, nil
	}
	err = d.call(ctx, "look at image "+id, func(ctx context.Context) error {
		img, err := d.api.ImageInspect(ctx, id)
		if err != nil {
			return gone(err)
		}
		p = platform{img.Os, img.Architecture}
		return nil
	})
	return p, err
}

// imageNames are the names that tasks can give an image.
func imageNames(s image.Summary) []string {
	var names []string
	for _, ref := range slices.Concat(s.RepoTags, s.RepoDigests) {
		if name := job.ImageName(ref); len(name) <= maxImageName && !strings.Contains(ref, "<none>") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// maxImageName is the longest name that a task can give an image, in bytes.
const maxImageName = 512
