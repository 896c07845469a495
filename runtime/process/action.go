package process

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"shoal/job"
	"shoal/runtime"
)

const (
	startDeadline = 10 * time.Second // for the shim to say that the command runs
	killDeadline  = 5 * time.Second  // for a killed process to be gone
)

func (d *Driver) create(a runtime.Action) error {
	if a.Task == nil {
		return permanent("create %s: no task given", a.Container)
	}
	if a.Ref.Swarm != d.opts.Swarm || a.Ref.Peer != d.opts.Peer {
		return permanent("create %s: it is of swarm %s and peer %s, not of this one", a.Container, a.Ref.Swarm, a.Ref.Peer.Short())
	}
	if found, err := d.spec(a.Container); err == nil {
		return checkSame(found, a)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create %s: %w", a.Container, err)
	}
	if err := check(a.Task); err != nil {
		return err
	}
	if err := d.write(a); err != nil {
		return fmt.Errorf("create %s: %w", a.Container, err)
	}
	return nil
}

func checkSame(found spec, a runtime.Action) error {
	if found.Ref != a.Ref {
		return fmt.Errorf("create %s: it is there with spec %s, wanted is %s; remove it first", a.Container, found.Ref.Spec, a.Ref.Spec)
	}
	return nil
}

// check refuses what a plain process cannot have. Needs and limits are not among
// it: the sale has counted the needs, and limits are the one thing not enforced.
func check(t *job.Task) error {
	if t.Image != "" && t.Image != "process" && !strings.HasPrefix(t.Image, "process:") {
		return permanent("no container engine on this peer: image %s needs one", t.Image)
	}
	if len(t.Entrypoint)+len(t.Command) == 0 {
		return permanent("task %s: a plain process needs a command", t.Name)
	}
	for _, f := range []struct {
		name  string
		asked bool
	}{
		{"read_only", t.ReadOnly}, {"cap_drop", len(t.CapDrop) > 0}, {"tmpfs", len(t.Tmpfs) > 0},
		{"extra_hosts", len(t.ExtraHosts) > 0}, {"hostname", t.Hostname != ""}, {"shm_size", t.ShmBytes > 0},
	} {
		if f.asked {
			return permanent("no container engine on this peer: a plain process cannot have %s", f.name)
		}
	}
	for _, m := range t.Mounts {
		if m.Type != "volume" || m.Source == "" {
			return permanent("no container engine on this peer: a plain process cannot have a %s mount at %s, only named volumes", m.Type, m.Target)
		}
	}
	if t.StopSignal != "" && signalByName(t.StopSignal) == 0 {
		return permanent("task %s: stop signal %q is not known", t.Name, t.StopSignal)
	}
	return nil
}

// write makes the container's directory beside its place and moves it there, so
// that it is there whole or not at all.
func (d *Driver) write(a runtime.Action) error {
	fresh, err := os.MkdirTemp(filepath.Join(d.opts.Dir, "tasks"), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh) // nothing there after the rename
	s := spec{
		ID: rand.Text(), Ref: a.Ref, Args: append(append([]string{}, a.Task.Entrypoint...), a.Task.Command...),
		User: a.Task.User, StopSignal: a.Task.StopSignal, Health: a.Task.Health, Dir: a.Task.WorkingDir,
	}
	owner, err := credential(s.User)
	if err != nil {
		return err
	}
	// Others may pass through, so that a task of another user reaches its work/.
	work := filepath.Join(fresh, "work")
	if err := errors.Join(os.Chmod(fresh, 0o711), os.Mkdir(work, 0o700), give(work, owner)); err != nil {
		return err
	}
	if s.Dir == "" {
		s.Dir = filepath.Join(d.taskPath(a.Container), "work")
	}
	extra := map[string]string{"PATH": os.Getenv("PATH"), "HOME": s.Dir}
	for k, v := range a.Task.Env {
		extra[k] = v
	}
	for _, name := range a.Task.Volumes() {
		full := runtime.VolumeName(d.opts.Swarm, a.Ref.Slot.Job, name, a.Ref.Slot.Index)
		switch err := os.Mkdir(d.volumePath(full), 0o700); {
		case err == nil:
			if err := give(d.volumePath(full), owner); err != nil {
				return errors.Join(err, os.Remove(d.volumePath(full)))
			}
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		s.Volumes = append(s.Volumes, full)
		extra["SHOAL_VOLUME_"+envName(name)] = d.volumePath(full)
	}
	if a.GPUs != 0 {
		extra["CUDA_VISIBLE_DEVICES"], extra["CUDA_DEVICE_ORDER"] = gpuList(a.GPUs), "PCI_BUS_ID"
	}
	extra[containerEnv] = a.Container
	s.Env = runtime.Env(a.Ref, extra)
	if err := writeJSON(filepath.Join(fresh, "spec.json"), s); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(fresh, "lock"), nil, 0o600); err != nil {
		return err
	}
	os.Remove(d.statePath(a.Container)) // of an earlier one whose removal was cut short
	return os.Rename(fresh, d.taskPath(a.Container))
}

// gpuList names GPUs as CUDA does: indices in the order of the bus.
func gpuList(set job.GPUSet) string {
	var words []string
	for _, i := range set.Indices() {
		words = append(words, strconv.Itoa(i))
	}
	return strings.Join(words, ",")
}

// start starts a shim and waits for its word that the command runs.
func (d *Driver) start(ctx context.Context, a runtime.Action) error {
	s, err := d.spec(a.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("start %s: there is no such container; create it first", a.Container)
	} else if err != nil {
		return fmt.Errorf("start %s: %w", a.Container, err)
	}
	if err := d.own(a.Container, s); err != nil {
		return err
	}
	now := d.look(a.Container, s)
	var st status
	if readJSON(d.statePath(a.Container), &st) == nil && a.Run != 0 && st.Run == a.Run {
		return nil // this run has been: a repeat must not do it twice
	}
	if now.State == runtime.StateRunning {
		return nil
	}
	// The shim of an ended run holds the lock for a moment yet.
	if !untilTrue(ctx, killDeadline, func() bool { return d.shim(a.Container) == 0 }) {
		return fmt.Errorf("start %s: %w", a.Container, errBusy)
	}
	sweep(a.Container) // of a run whose shim was killed
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	said, err := d.startShim(ctx, a)
	switch {
	case err != nil:
		return fmt.Errorf("start %s: %w", a.Container, err)
	case said == sayRunning:
		return nil
	case strings.HasPrefix(said, sayNever):
		return permanent("start %s: %s", a.Container, strings.TrimPrefix(said, sayNever))
	case said == "":
		return fmt.Errorf("start %s: its shim ended without a word; see %s", a.Container, filepath.Join(d.taskPath(a.Container), "shim.log"))
	}
	return fmt.Errorf("start %s: %s", a.Container, said)
}

// own refuses what is another swarm's or peer's.
func (d *Driver) own(name string, s spec) error {
	if s.Ref.Swarm != d.opts.Swarm || s.Ref.Peer != d.opts.Peer {
		return permanent("container %s is not of this swarm and peer", name)
	}
	return nil
}

// startShim returns what the shim says on its pipe, which ends when it has said it.
func (d *Driver) startShim(ctx context.Context, a runtime.Action) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	diary, err := os.OpenFile(filepath.Join(d.taskPath(a.Container), "shim.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		w.Close()
		return "", err
	}
	defer diary.Close()
	args := append(append([]string{}, d.opts.Shim[1:]...), d.taskPath(a.Container), d.statePath(a.Container), strconv.FormatUint(uint64(a.Run), 10))
	cmd := exec.Command(d.opts.Shim[0], args...) //nolint:noctx // a shim outlives us
	cmd.Args[0] = "shoal"
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=25") // a shim is small and idle
	cmd.Stdout, cmd.Stderr = diary, diary
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", err
	}
	go func() { _ = cmd.Wait() }() // no zombie; a shim that outlives us is init's
	if deadline, ok := ctx.Deadline(); ok {
		r.SetReadDeadline(deadline)
	}
	said, err := io.ReadAll(io.LimitReader(r, 4096))
	if err != nil {
		cmd.Process.Kill()
		return "", fmt.Errorf("its shim does not answer: %w", err)
	}
	return string(bytes.TrimSpace(said)), nil
}

// stop asks, then kills. The shim asks on our behalf: as the parent it cannot
// meet another process of the same number.
func (d *Driver) stop(ctx context.Context, a runtime.Action) error {
	s, err := d.spec(a.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil { // one that cannot be read can still be stopped and removed
		if err := d.own(a.Container, s); err != nil {
			return err
		}
	}
	ended := func() bool { return d.shim(a.Container) == 0 }
	if pid := d.shim(a.Container); pid != 0 && a.Grace > 0 {
		syscall.Kill(pid, syscall.SIGTERM)
		if untilTrue(ctx, a.Grace, ended) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stop %s: %w", a.Container, ctx.Err())
	}
	if pid := d.shim(a.Container); pid != 0 {
		syscall.Kill(pid, syscall.SIGQUIT)
		if untilTrue(ctx, killDeadline, ended) {
			return nil
		}
	}
	if pid := d.shim(a.Container); pid != 0 { // stopped or stuck
		syscall.Kill(pid, syscall.SIGKILL)
		if !untilTrue(ctx, killDeadline, ended) {
			return fmt.Errorf("stop %s: %w", a.Container, errBusy)
		}
	}
	sweep(a.Container)
	return nil
}

// remove kills what still runs and takes away the container's directory, in one
// step for all who look.
func (d *Driver) remove(ctx context.Context, a runtime.Action) error {
	a.Grace = 0
	if err := d.stop(ctx, a); err != nil {
		return err
	}
	dying, err := os.MkdirTemp(filepath.Join(d.opts.Dir, "tasks"), ".gone-")
	if err != nil {
		return fmt.Errorf("remove %s: %w", a.Container, err)
	}
	defer os.RemoveAll(dying)
	err = os.Rename(d.taskPath(a.Container), filepath.Join(dying, "task"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", a.Container, err)
	}
	if err := os.Remove(d.statePath(a.Container)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", a.Container, err)
	}
	return nil
}

// envName makes a volume's name fit for the environment: "my-db" is MY_DB.
func envName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToUpper(s))
}
