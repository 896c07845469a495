package lab

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"
)

// An Image is made from programs of this machine, so that no registry is needed.
type Image struct {
	Name     string            // shoal-test/busybox
	Programs map[string]string // path in the image → program here; shared libraries come along
	Changes  []string          // as in a Dockerfile: CMD, EXPOSE, WORKDIR…
}

// Busybox is the image shoal-test/busybox, with a link for each applet, from the
// package busybox-static.
func Busybox() Image {
	return Image{Name: "shoal-test/busybox", Programs: map[string]string{"/bin/busybox": "busybox"}, Changes: []string{`CMD ["/bin/sh"]`}}
}

// Redis is the image shoal-test/redis, from the package redis-server. It listens on
// 6379 and keeps its data in /data; a shell is in it too.
func Redis() Image {
	return Image{
		Name:     "shoal-test/redis",
		Programs: map[string]string{"/usr/bin/redis-server": "redis-server", "/bin/busybox": "busybox"},
		Changes: []string{
			"WORKDIR /data", "EXPOSE 6379",
			`CMD ["redis-server", "--protected-mode", "no", "--dir", "/data", "--appendonly", "yes"]`,
		},
	}
}

// importImages builds each image and gives it to the peer's engine.
func (p *Peer) importImages(ctx context.Context, images []Image) error {
	for _, img := range images {
		if err := p.Import(ctx, img); err != nil {
			return err
		}
	}
	return nil
}

// Import builds an image and gives it to the peer's engine.
func (p *Peer) Import(ctx context.Context, img Image) error {
	ctx, cancel := context.WithTimeout(ctx, 2*Timeout)
	defer cancel()
	docker, err := p.Docker()
	if err != nil {
		return err
	}
	defer docker.Close()
	pipe, w := io.Pipe()
	go func() { _ = w.CloseWithError(img.Write(w)) }()
	source := image.ImportSource{Source: pipe, SourceName: "-"}
	reply, err := docker.ImageImport(ctx, source, img.Name, image.ImportOptions{Changes: img.Changes})
	if err != nil {
		_ = pipe.CloseWithError(err)
		return fmt.Errorf("peer %s: import %s: %w", p.Name, img.Name, err)
	}
	defer reply.Close()
	text, err := io.ReadAll(reply)
	if err == nil && strings.Contains(string(text), `"error"`) {
		err = errors.New(string(text))
	}
	if err != nil {
		return fmt.Errorf("peer %s: import %s: %w", p.Name, img.Name, err)
	}
	return nil
}

// Write writes the image's file system as a tar archive.
func (img Image) Write(w io.Writer) error {
	t := tar.NewWriter(w)
	for _, dir := range []string{"bin", "data", "etc", "tmp", "usr", "usr/bin"} {
		mode := int64(0o755)
		if dir == "tmp" || dir == "data" {
			mode = 0o1777
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode}); err != nil {
			return err
		}
	}
	files := map[string]string{} // path in the image → file here
	for path, program := range img.Programs {
		if err := addProgram(files, path, program); err != nil {
			return fmt.Errorf("image %s: %w", img.Name, err)
		}
		if filepath.Base(program) == "busybox" {
			if err := linkApplets(t, program, path); err != nil {
				return fmt.Errorf("image %s: %w", img.Name, err)
			}
		}
	}
	if err := writeText(t, "etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"); err != nil {
		return err
	}
	for path, file := range files {
		if err := writeFile(t, path, file); err != nil {
			return fmt.Errorf("image %s: %w", img.Name, err)
		}
	}
	return t.Close()
}

// addProgram adds a program and, as ldd names them, its libraries and their loader.
func addProgram(files map[string]string, path, program string) error {
	file, err := exec.LookPath(program)
	if err != nil {
		return fmt.Errorf("%w: install the package that has it", err)
	}
	files[path] = file
	out, err := exec.Command("ldd", file).CombinedOutput() //nolint:noctx // reads one file
	if err != nil {
		if strings.Contains(string(out), "not a dynamic executable") {
			return nil
		}
		return fmt.Errorf("ldd %s: %w: %s", file, err, out)
	}
	for _, match := range libraryPath.FindAllStringSubmatch(string(out), -1) {
		files[match[1]] = match[1]
	}
	return nil
}

// libraryPath finds "libm.so.6 => /lib/…/libm.so.6 (0x…)" and the loader's
// "/lib64/ld-linux-x86-64.so.2 (0x…)".
var libraryPath = regexp.MustCompile(`(?m)(/\S+) \(0x[0-9a-f]+\)$`)

func linkApplets(t *tar.Writer, busybox, path string) error {
	out, err := exec.Command(busybox, "--list").Output() //nolint:noctx // prints a list
	if err != nil {
		return fmt.Errorf("list the applets of busybox: %w", err)
	}
	for applet := range strings.FieldsSeq(string(out)) {
		if applet == "busybox" {
			continue
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: path, Mode: 0o777}); err != nil {
			return err
		}
	}
	return nil
}

func writeText(t *tar.Writer, name, text string) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err := io.WriteString(t, text)
	return err
}

func writeFile(t *tar.Writer, path, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: 0o755, Size: info.Size()}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// Missing names the programs that the images want and this machine lacks.
func Missing(images ...Image) []string {
	var missing []string
	for _, img := range images {
		for _, program := range img.Programs {
			if _, err := exec.LookPath(program); errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
				missing = append(missing, program)
			}
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}
