package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shoal/job"
	"shoal/runtime"
)

// A spec is what create writes down, once.
type spec struct {
	ID         string      `json:"id"` // differs between two containers of one name
	Ref        runtime.Ref `json:"ref"`
	Args       []string    `json:"args"`
	Env        []string    `json:"env"`
	Dir        string      `json:"dir"`
	User       string      `json:"user,omitempty"`
	StopSignal string      `json:"stopSignal,omitempty"`
	Health     *job.Health `json:"health,omitempty"`
	Volumes    []string    `json:"volumes,omitempty"` // engine names
}

// A status is what the shim writes down of the latest run.
type status struct {
	Run     uint32              `json:"run"`
	Started string              `json:"started"` // RFC 3339 with nanoseconds
	Health  runtime.HealthState `json:"health"`
	Exited  bool                `json:"exited"`
	Code    int                 `json:"code"`
}

func (d *Driver) taskPath(name string) string { return filepath.Join(d.opts.Dir, "tasks", name) }
func (d *Driver) statePath(name string) string {
	return filepath.Join(d.opts.Dir, "state", name+".json")
}
func (d *Driver) volumePath(name string) string { return filepath.Join(d.opts.Dir, "volumes", name) }

// spec reads a container's; fs.ErrNotExist says that there is none.
func (d *Driver) spec(name string) (s spec, err error) {
	err = readJSON(filepath.Join(d.taskPath(name), "spec.json"), &s)
	return s, err
}

// specs reads those of this swarm and peer, by container name. One that cannot be
// read has an empty spec: it is shown, so that it can be removed.
func (d *Driver) specs() (map[string]spec, error) {
	entries, err := os.ReadDir(filepath.Join(d.opts.Dir, "tasks"))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := map[string]spec{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // being made or removed
		}
		s, err := d.spec(e.Name())
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since
		case err != nil:
			d.log.Warn("container cannot be read", "container", e.Name(), "err", err)
			all[e.Name()] = spec{Ref: runtime.Ref{Swarm: d.opts.Swarm, Peer: d.opts.Peer}}
		case s.Ref.Swarm == d.opts.Swarm && s.Ref.Peer == d.opts.Peer:
			all[e.Name()] = s
		}
	}
	return all, nil
}

// look returns what is true of a container now. The lock is read before the
// state file: a shim writes its end before it lets go.
func (d *Driver) look(name string, s spec) runtime.Observed {
	o := runtime.Observed{Container: name, ID: s.ID, Ref: s.Ref, State: runtime.StateCreated}
	for range 2 {
		alive := d.shim(name) != 0
		var st status
		if err := readJSON(d.statePath(name), &st); err != nil {
			return o // never started, or not yet
		}
		o.Starts, o.Health = st.Started, st.Health
		switch {
		case st.Exited:
			o.State, o.ExitCode = runtime.StateExited, st.Code
			return o
		case alive:
			o.State, o.Address = runtime.StateRunning, "127.0.0.1"
			return o
		}
		// No shim and no end: it was killed, or has been started since we looked.
		o.State, o.ExitCode = runtime.StateExited, 137
	}
	return o
}

// shim returns the process ID of the container's living shim, or 0: the kernel
// knows who holds the lock, whatever became of the one that wrote a file.
func (d *Driver) shim(name string) int {
	f, err := os.Open(filepath.Join(d.taskPath(name), "lock"))
	if err != nil {
		return 0
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil || lock.Type == syscall.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// sweepLeftovers removes what a create or remove left that never ended.
func (d *Driver) sweepLeftovers() {
	old, _ := filepath.Glob(filepath.Join(d.opts.Dir, "tasks", ".*"))
	for _, path := range old {
		// Not a young one: another driver may be at work on it.
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(path)
		}
	}
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON writes a file whole or not at all, synced: a power cut must not leave
// half of one.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, as it should
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
