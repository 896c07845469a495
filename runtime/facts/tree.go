package facts

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A tree is where /sys, /proc and /dev are looked for: "" on a machine, a directory
// with such files in tests.
type tree string

func (t tree) path(elem ...string) string {
	return filepath.Join(string(t), "/", filepath.Join(elem...))
}

// text is what a small file of the kernel says, trimmed; "" if it cannot be read, as
// when a device went while it was looked at.
func (t tree) text(elem ...string) string {
	b, err := os.ReadFile(t.path(elem...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number is text as a number.
func (t tree) number(elem ...string) (int64, bool) {
	n, err := strconv.ParseInt(t.text(elem...), 10, 64)
	return n, err == nil
}

// maxEntries bounds what is looked at in one directory of the kernel.
const maxEntries = 4096

// list is what is in a directory, in order; nothing if it cannot be read.
func (t tree) list(elem ...string) []string {
	dir, err := os.Open(t.path(elem...))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxEntries)
	slices.Sort(names)
	return names
}
