package docker

import (
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	dockerimage "github.com/docker/docker/api/types/image"

	"shoal/internal/enginetest"
	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
	"shoal/wire"
)

// One engine serves all cases that need a real one: it takes two seconds to start.
func TestEngine(t *testing.T) {
	e := enginetest.Start(t)
	image := enginetest.BusyboxImage(t, e)
	open := func(t *testing.T, swarm string, peer wire.PeerID) *Driver {
		d, err := New(Options{Host: e.Host(), Swarm: swarm, Peer: peer, CallDeadline: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Run("Conformance", func(t *testing.T) {
		runtimetest.Run(t, runtimetest.Harness{
			New: func(t *testing.T, swarm string, peer wire.PeerID) runtimetest.Driver {
				return open(t, swarm, peer)
			},
			Image: image, Missing: "127.0.0.1:1/nobody/nothing:v1", Volume: "/data",
			Hang: e.Pause, Resume: e.Resume, Isolates: true,
		})
	})
	t.Run("WatchOutlivesEngine", func(t *testing.T) { testWatchOutlives(t, e, open(t, "w8ch", runtimetest.Peer), image) })
	t.Run("Pull", func(t *testing.T) { testPull(t, e) })
	t.Run("Info", func(t *testing.T) { testInfo(t, open(t, "1nf0", runtimetest.Peer), e, image) })
	t.Run("Images", func(t *testing.T) { testImages(t, open(t, "1mg5", runtimetest.Peer), image) })
	t.Run("Devices", func(t *testing.T) { testDevices(t, e, image) })
	t.Run("Networks", func(t *testing.T) { testNetworks(t, open(t, "n3ts", runtimetest.Peer)) })
}

// After the engine has been killed and is back, the watch goes on, the container
// still runs, and what happens next is signalled.
func testWatchOutlives(t *testing.T, e *enginetest.Engine, d *Driver, image string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer d.Close()
	ref := runtime.Ref{Swarm: "w8ch", Peer: runtimetest.Peer, Slot: job.SlotID{Job: "default/shop", Task: "web"}, Life: 1, Token: 1}
	act := func(op runtime.Op, task *job.Task) {
		t.Helper()
		if err := d.Do(ctx, runtime.Action{Op: op, Container: runtime.Name(ref), Ref: ref, Task: task}); err != nil {
			t.Fatal(err)
		}
	}
	act(runtime.OpCreate, &job.Task{Name: "web", Image: image, Command: []string{"sleep", "1000"}})
	act(runtime.OpStart, nil)
	before, err := d.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	changed := d.Watch(ctx)
	e.Kill()
	if _, err := d.List(ctx); !errors.Is(err, runtime.ErrSilent) {
		t.Fatalf("list without engine: %v", err)
	}
	e.Restart()
	after, err := d.List(ctx)
	if err != nil || len(after) != 1 || after[0] != before[0] {
		t.Fatalf("before %+v, after %+v, %v", before, after, err)
	}
	act(runtime.OpRemove, nil)
	for {
		select {
		case <-changed:
			if list, err := d.List(ctx); err == nil && len(list) == 0 {
				return
			}
		case <-ctx.Done():
			t.Fatal("no signal after the engine came back")
		}
	}
}

// What is there is told of under the name that tasks give it, with its platform.
func testImages(t *testing.T, d *Driver, image string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer d.Close()
	if _, err := d.Images(ctx); err != nil { // the engine and we agree on a version with the first call
		t.Fatal(err)
	}
	if err := d.api.ImageTag(ctx, image, "shop/tool"); err != nil {
		t.Fatal(err)
	}
	defer d.api.ImageRemove(ctx, "shop/tool", dockerimage.RemoveOptions{})
	for range 2 { // the second from memory
		list, err := d.Images(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{image, "docker.io/shop/tool"} {
			i := slices.IndexFunc(list, func(i runtime.Image) bool { return i.Name == job.ImageName(name) })
			if i < 0 || list[i].OS != "linux" || list[i].Arch != goruntime.GOARCH || list[i].Bytes <= 0 {
				t.Errorf("%s is not told of in %+v", name, list)
			}
		}
	}
}

// A container has the device that its task names, at the place that it names, if the
// owner grants it.
func testDevices(t *testing.T, e *enginetest.Engine, image string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	d, err := New(Options{Host: e.Host(), Swarm: "d3v5", Peer: runtimetest.Peer, CallDeadline: 5 * time.Second, Devices: func(host string) ([]string, error) {
		if host != "usb=1a86:7523" {
			return nil, errors.New(host + ": the owner of this peer does not grant it")
		}
		return []string{"/dev/full"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m, err := d.Machine(ctx)
	if err != nil || m.CPUs <= 0 || m.MemBytes <= 0 || m.Root == "" || m.Remote || job.CommonArch(m.Arch) != goruntime.GOARCH || m.OS != "linux" {
		t.Errorf("machine %+v, %v", m, err)
	}
	ref := runtime.Ref{Swarm: "d3v5", Peer: runtimetest.Peer, Slot: job.SlotID{Job: "default/home", Task: "zigbee"}, Life: 1, Token: 1}
	task := &job.Task{Name: "zigbee", Image: image, Devices: []string{"usb=1a86:7523:/dev/zigbee:rw"}, Command: []string{"sh", "-c", "test -c /dev/zigbee && sleep 1000"}}
	create := func(task *job.Task) error {
		return d.Do(ctx, runtime.Action{Op: runtime.OpCreate, Container: runtime.Name(ref), Ref: ref, Task: task})
	}
	refused := *task
	refused.Devices = []string{"/dev/kmsg"}
	if err := create(&refused); !errors.Is(err, runtime.ErrPermanent) || !strings.Contains(err.Error(), "/dev/kmsg: the owner of this peer does not grant it") {
		t.Errorf("without a grant: %v", err)
	}
	if err := create(task); err != nil {
		t.Fatal(err)
	}
	defer d.Do(ctx, runtime.Action{Op: runtime.OpRemove, Container: runtime.Name(ref), Ref: ref})
	full, err := d.api.ContainerInspect(ctx, runtime.Name(ref))
	if err != nil {
		t.Fatal(err)
	}
	want := container.DeviceMapping{PathOnHost: "/dev/full", PathInContainer: "/dev/zigbee", CgroupPermissions: "rw"}
	if got := full.HostConfig.Devices; len(got) != 1 || got[0] != want {
		t.Errorf("devices %+v, want %+v", got, want)
	}
	if err := d.Do(ctx, runtime.Action{Op: runtime.OpStart, Container: runtime.Name(ref), Ref: ref, Run: 1}); err != nil {
		t.Fatal(err)
	}
	if list, err := d.List(ctx); err != nil || len(list) != 1 || list[0].State != runtime.StateRunning {
		t.Errorf("it does not see its device: %+v, %v", list, err)
	}
}

func testNetworks(t *testing.T, d *Driver) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer d.Close()
	a, err := d.EnsureNetwork(ctx, "default/a")
	if err != nil {
		t.Fatal(err)
	}
	defer d.RemoveNetwork(ctx, "default/a")
	if !strings.HasPrefix(a.Bridge, "shoal") || len(a.Bridge) > 15 || !strings.HasPrefix(a.Subnet, "10.") || a.Gateway == "" {
		t.Errorf("network %+v", a)
	}
	// The subnet a job would get is taken by the time it asks: it gets another.
	hash := runtime.NetworkHash("n3ts", runtimetest.Peer, "default/b")
	wanted := subnetAt(uint32(hash[0])<<24 | uint32(hash[1])<<16 | uint32(hash[2])<<8 | uint32(hash[3]))
	if err := d.createNetwork(ctx, "squatter", "shoalsquat", "default/squatter", wanted); err != nil {
		t.Fatal(err)
	}
	defer d.api.NetworkRemove(ctx, "squatter")
	b, err := d.EnsureNetwork(ctx, "default/b")
	if err != nil {
		t.Fatal(err)
	}
	defer d.RemoveNetwork(ctx, "default/b")
	if b.Subnet == wanted.String() {
		t.Errorf("two networks in %s", b.Subnet)
	}
	all, err := d.Networks(ctx)
	if err != nil || len(all) != 3 {
		t.Errorf("networks %v, %v", all, err)
	}
}
