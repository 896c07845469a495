package process

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// containerEnv marks every process of a container, and with it those whose shim
// was killed before it could end them.
const containerEnv = "SHOAL_CONTAINER"

// sweep kills every process that carries the container's mark.
func sweep(name string) {
	mark := []byte("\x00" + containerEnv + "=" + name + "\x00")
	for _, pid := range processes() {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, env...), mark) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// children returns the processes whose parent is pid.
func children(pid int) []int {
	var out []int
	for _, p := range processes() {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p), "stat"))
		if err != nil {
			continue
		}
		// "PID (NAME) STATE PPID": the name may hold anything, blanks and ")" too.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			out = append(out, p)
		}
	}
	return out
}

func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// credential reads "user", "uid", "user:group" or "uid:gid"; nil is whoever we are.
func credential(s string) (*syscall.Credential, error) {
	if s == "" {
		return nil, nil
	}
	name, group, _ := strings.Cut(s, ":")
	c := &syscall.Credential{}
	if uid, err := strconv.ParseUint(name, 10, 32); err == nil {
		c.Uid, c.Gid = uint32(uid), uint32(uid)
	} else {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, permanent("user %q is not known on this peer", name)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c.Uid, c.Gid = uint32(uid), uint32(gid)
	}
	if group != "" {
		gid, err := strconv.ParseUint(group, 10, 32)
		if err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return nil, permanent("group %q is not known on this peer", group)
			}
			gid, _ = strconv.ParseUint(g.Gid, 10, 32)
		}
		c.Gid = uint32(gid)
	}
	if os.Geteuid() != 0 {
		if int(c.Uid) != os.Geteuid() {
			return nil, permanent("user %q: this daemon is not root and can run tasks only as itself", s)
		}
		return nil, nil
	}
	return c, nil
}

// give makes a path the user's.
func give(path string, c *syscall.Credential) error {
	if c == nil {
		return nil
	}
	return os.Chown(path, int(c.Uid), int(c.Gid))
}

// signalByName reads "SIGINT", "INT" or "2"; 0 is not known.
func signalByName(s string) syscall.Signal {
	if n, err := strconv.Atoi(s); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n)
	}
	s = strings.ToUpper(s)
	if !strings.HasPrefix(s, "SIG") {
		s = "SIG" + s
	}
	return unix.SignalNum(s)
}

// program finds what to execute as execvp does, with the task's own PATH.
func program(s spec) (string, error) {
	name := s.Args[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, e := range s.Env {
		dirs, ok := strings.CutPrefix(e, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(dirs) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("command %s is not in PATH", name)
}
