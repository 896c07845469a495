// Package labtest starts labs for tests.
package labtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"shoal/internal/lab"
)

// Need skips the test, with the reason, where no lab can be made. Start and Binary do so
// themselves: only what comes before them needs it.
func Need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: labs start real engines")
	}
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
}

// Start builds a lab that ends with the test. It skips the test, with the reason,
// where no lab can be made or a program that an image wants is missing. If the test
// fails, the ends of the daemons' logs are shown.
func Start(t testing.TB, cfg lab.Config) *lab.Lab {
	t.Helper()
	Need(t)
	if missing := lab.Missing(cfg.Images...); len(missing) > 0 {
		t.Skipf("no %s: install the packages that have them", strings.Join(missing, ", "))
	}
	l, err := lab.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range l.Peers {
				t.Logf("peer %s: shoal.log ends:\n%s", p.Name, p.Log("shoal"))
			}
		}
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return l
}

var binary struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// Binary builds shoal, once in a test run, and returns its path. The go command's
// cache makes the next run quick. Where no lab can be made it skips the test, so that
// nothing is built for it.
func Binary(t testing.TB) string {
	t.Helper()
	Need(t)
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "shoal-bin-")
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "shoal")
		cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary.path, "shoal/cmd/node")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		binary.out, binary.err = cmd.CombinedOutput()
	})
	if binary.err != nil {
		t.Fatalf("build shoal: %v\n%s", binary.err, binary.out)
	}
	return binary.path
}

// Programs builds packages without cgo into a directory that ends with the test.
func Programs(t testing.TB, packages ...string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-trimpath", "-o", dir + "/"}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", strings.Join(packages, ", "), err, out)
	}
	return dir
}

// RemoveBinary removes what Binary has built; call it at the end of TestMain.
func RemoveBinary() {
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
}
