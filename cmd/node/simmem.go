package main

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// freeMemory is what the kernel says could be had without swapping, and no more than
// the control groups of this process leave, or its limit of address space; 0 if none of
// these says.
func freeMemory() int64 {
	free := min(available("/proc/meminfo"), groupsLeave("/proc/self/cgroup", "/sys/fs/cgroup"), addressesLeft())
	if free == math.MaxInt64 {
		return 0
	}
	return max(free, 1)
}

func available(meminfo string) int64 {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return math.MaxInt64
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			if n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
				return n << 10
			}
		}
	}
	return math.MaxInt64
}

// groupsLeave is the least that a memory group of this process, or one around it, has
// left, of either version of control groups (cgroups(7)). list is /proc/self/cgroup.
func groupsLeave(list, root string) int64 {
	text, err := os.ReadFile(list)
	if err != nil {
		return math.MaxInt64
	}
	left := int64(math.MaxInt64)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		dir, limit, used := root, "memory.max", "memory.current"
		switch {
		case parts[1] == "memory":
			dir, limit, used = filepath.Join(root, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
		case parts[1] != "":
			continue // of another controller
		}
		for path := filepath.Clean("/" + parts[2]); ; path = filepath.Dir(path) {
			if most, ok := readNumber(filepath.Join(dir, path, limit)); ok {
				have, _ := readNumber(filepath.Join(dir, path, used))
				left = min(left, most-have)
			}
			if path == "/" {
				break
			}
		}
	}
	return left
}

// readNumber reads a file of one number; ok is false if there is none, as for "max".
func readNumber(file string) (n int64, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// addressesLeft is what `ulimit -v` leaves of address space.
func addressesLeft() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur > math.MaxInt64 {
		return math.MaxInt64
	}
	pages := int64(0)
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		pages, _ = strconv.ParseInt(first, 10, 64)
	}
	return int64(limit.Cur) - pages*int64(os.Getpagesize())
}
