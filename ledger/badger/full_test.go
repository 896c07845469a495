//go:build linux

package badger

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/wire"
)

// TestStore_FullDiskIsAnErrorNotTheEnd fills a small file system. Badger would end
// the process there; the store says no before, and afterwards nothing is missing.
func TestStore_FullDiskIsAnErrorNotTheEnd(t *testing.T) {
	for _, c := range []struct {
		name, size string
		opts       Options
	}{{"small", "20m", Options{Small: true}}, {"default", "120m", Options{}}} {
		t.Run(c.name, func(t *testing.T) {
			mount := t.TempDir()
			if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size="+c.size); err != nil {
				t.Skipf("needs a file system of its own: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(mount, syscall.MNT_DETACH) })
			dir := filepath.Join(mount, "state")
			s := open(t, dir, c.opts)
			var want []uint64
			var err error
			for seq := uint64(1); ; seq++ {
				if err = s.Apply([]*wire.Record{record(seq, 60<<10)}, nil, nil, true); err != nil {
					break
				}
				want = append(want, seq)
			}
			if len(want) < 10 || !strings.Contains(err.Error(), "the disk is full: ") {
				t.Fatalf("after %d records: %v", len(want), err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			fillUp(t, filepath.Join(mount, "other"))
			if _, err := Open(dir, c.opts); err == nil || !strings.Contains(err.Error(), "the disk is full: ") {
				t.Fatalf("opening on a full disk: %v", err)
			}
			if err := syscall.Mount("tmpfs", mount, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
				t.Fatal(err)
			}
			holds(t, open(t, dir, c.opts), want, nil)
			if _, err := os.Stat(filepath.Join(dir, "ballast")); (err == nil) == c.opts.Small {
				t.Errorf("ballast after room was made: %v", err)
			}
		})
	}
}

// fillUp takes all room but a page or two, as somebody else's file would.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
}
