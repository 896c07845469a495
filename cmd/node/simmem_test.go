package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestGroupsLeave(t *testing.T) {
	for _, tc := range []struct {
		name, list string
		files      map[string]string
		want       int64
	}{
		{"no groups", "", nil, math.MaxInt64},
		{"the first version", "9:name=systemd:/\n4:memory:/a/b\n2:cpu:/a\n", map[string]string{
			"memory/a/b/memory.limit_in_bytes": "1000", "memory/a/b/memory.usage_in_bytes": "300",
			"memory/memory.limit_in_bytes": "9223372036854771712", "cpu/a/memory.max": "1",
		}, 700},
		{"the second: a group around it is the tightest", "0::/user.slice/app\n", map[string]string{
			"user.slice/app/memory.max": "max", "user.slice/app/memory.current": "50",
			"user.slice/memory.max": "600", "user.slice/memory.current": "100",
		}, 500},
		{"no limit", "0::/\n", map[string]string{"memory.max": "max"}, math.MaxInt64},
	} {
		root := t.TempDir()
		for name, text := range tc.files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list := filepath.Join(root, "list")
		if err := os.WriteFile(list, []byte(tc.list), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := groupsLeave(list, root); got != tc.want {
			t.Errorf("%s: %d bytes are left, want %d", tc.name, got, tc.want)
		}
	}
}
