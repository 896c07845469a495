package plain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.txt")
	if err := os.WriteFile(file, []byte("peers 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(file, "a scenario", 8); err != nil || string(got) != "peers 3\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, c := range []struct {
		path, want string
		limit      int64
	}{
		{file, "x.txt has more than 0 MiB", 7},
		{filepath.Join(dir, "gone.txt"), "gone.txt: there is no such file; want a scenario", 8},
		{dir, "is a directory; want a scenario", 8},
		{os.DevNull, "is no plain file; want a scenario", 8},
	} {
		if _, err := Read(c.path, "a scenario", c.limit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.path, err, c.want)
		}
	}
}
