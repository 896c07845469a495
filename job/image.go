package job

import "strings"

// ImageName is the one form of an image's name that container engines give to all its
// spellings: "nginx:latest" for "nginx" and "docker.io/library/nginx". Of a name with a
// digest the tag does not count. A text that is no image's name is returned as it is.
func ImageName(name string) string {
	name, digest, pinned := strings.Cut(name, "@")
	if first, rest, ok := strings.Cut(name, "/"); ok && (first == "docker.io" || first == "index.docker.io") {
		name = rest
	}
	name = strings.TrimPrefix(name, "library/")
	colon := strings.LastIndexByte(name, ':')
	tagged := colon > strings.LastIndexByte(name, '/')
	switch {
	case pinned && tagged:
		name = name[:colon]
	case !pinned && !tagged && name != "":
		name += ":latest"
	}
	if pinned {
		name += "@" + digest
	}
	return name
}
