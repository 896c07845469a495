package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
)

// Busybox is the name BusyboxImage gives its image.
const Busybox = "shoal/busybox:test"

// BusyboxImage makes an image of Debian's static busybox on the engine, without a
// registry, and returns its name. The test is skipped if there is no busybox.
func BusyboxImage(t testing.TB, e *Engine) string {
	t.Helper()
	layer, err := busyboxLayer()
	if err != nil {
		t.Skipf("no test image: %v (apt-get install busybox-static)", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startDeadline)
	defer cancel()
	answer, err := e.Client().ImageImport(ctx,
		image.ImportSource{Source: bytes.NewReader(layer), SourceName: "-"}, Busybox,
		image.ImportOptions{Changes: []string{`CMD ["/bin/sh"]`, "ENV PATH=/bin"}})
	if err != nil {
		t.Fatalf("import %s: %v", Busybox, err)
	}
	defer answer.Close()
	if _, err := io.Copy(io.Discard, answer); err != nil {
		t.Fatalf("import %s: %v", Busybox, err)
	}
	return Busybox
}

// busyboxLayer returns a tar of /bin/busybox, a link for each of its commands, and
// the few files programs expect.
func busyboxLayer() ([]byte, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, err
	}
	commands, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h tar.Header, body string) {
		h.Size = int64(len(body))
		if err == nil {
			err = w.WriteHeader(&h)
		}
		if err == nil {
			_, err = w.Write([]byte(body))
		}
	}
	for _, dir := range []string{"bin/", "etc/", "tmp/", "data/"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o777}, "")
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\nnogroup:x:65534:\n")
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(program))
	for _, name := range strings.Fields(string(commands)) {
		if name != "busybox" {
			add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, "")
		}
	}
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
