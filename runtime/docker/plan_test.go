package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

func offline(t *testing.T, host string) *Driver {
	t.Helper()
	d, err := New(Options{Host: host, Swarm: "k7m2", Peer: wire.PeerID{1}, CallDeadline: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestNew_BadHost(t *testing.T) {
	if _, err := New(Options{Host: "what is this"}); err == nil || !strings.Contains(err.Error(), "what is this") {
		t.Errorf("got %v", err)
	}
}

func TestNoEngineIsSilence(t *testing.T) {
	d := offline(t, "unix:///nowhere/docker.sock")
	err := d.Ping(t.Context())
	if !errors.Is(err, runtime.ErrSilent) || !strings.Contains(err.Error(), "/nowhere/docker.sock") {
		t.Errorf("got %v", err)
	}
}

func TestListens_TellsAbsentFromHung(t *testing.T) {
	if err := offline(t, "unix:///nowhere/docker.sock").Listens(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	host, _ := hungEngine(t)
	if err := offline(t, host).Listens(t.Context()); err != nil {
		t.Errorf("an engine that hangs: %v", err)
	}
}

// hungEngine takes connections and answers none of them, until it is released:
// then it speaks as an engine of API version 1.41.
func hungEngine(t *testing.T) (host string, release func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Api-Version", "1.41")
		_, _ = fmt.Fprintf(w, `{"Version":%q}`, r.URL.Path)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return "unix://" + path, func() { close(released) }
}

// Many calls to an engine that hangs each end at their own deadline, not one after
// the other; once it answers, its version of the API is spoken.
func TestHungEngine_HoldsNoCallBeyondItsDeadline(t *testing.T) {
	host, release := hungEngine(t)
	d := offline(t, host)
	begun := time.Now()
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			if _, err := d.List(t.Context()); !errors.Is(err, runtime.ErrSilent) {
				t.Errorf("list: %v", err)
			}
		})
	}
	calls.Wait()
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("8 calls of at most 1 s each took %v together", took)
	}
	release()
	if v, err := d.Version(t.Context()); err != nil || v != "/v1.41/version" {
		t.Errorf("asked %q, %v; want version 1.41 of the API", v, err)
	}
}

// The engine tells of a container and then hangs: the logs' own deadline is silence
// of the engine, not a call that somebody gave up.
func TestHungEngine_LogsAreSilenceToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/logs"):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/json"):
			_, _ = fmt.Fprintf(w, `{"Id":"c0","Config":{"Labels":{%q:"k7m2",%q:%q}}}`,
				runtime.LabelSwarm, runtime.LabelPeer, wire.PeerID{1}.String())
		}
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	_, err = offline(t, "unix://"+path).Logs(t.Context(), "c0", runtime.LogOptions{})
	if !errors.Is(err, runtime.ErrSilent) {
		t.Errorf("logs: %v", err)
	}
}

func TestCheckBind(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "engine", "docker.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link, own := filepath.Join(dir, "link"), filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	d := offline(t, "unix://"+socket)
	for _, c := range []struct {
		source string
		ok     bool
	}{
		{own, true},
		{filepath.Join(own, "not", "there"), true},
		{"/srv/data", true},
		{"/etc/localtime", true},
		{"/var/lib/shop", true},
		{socket, false},
		{filepath.Dir(socket), false},
		{dir, false},
		{link, false},
		{own + "/../engine", false},
		{"/var/run/docker.sock", false},
		{"/", false},
		{"/etc", false},
		{"/proc/1", false},
		{"/dev/sda", false},
		{"/run/containerd", false},
		{"relative", false},
		{"", false},
	} {
		err := d.checkBind(c.source)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, runtime.ErrPermanent) {
			t.Errorf("bind of %q: %v, want ok %v", c.source, err, c.ok)
		}
	}
}

// A user's label cannot make a container look like another claim's.
func TestLabels_OursWin(t *testing.T) {
	ref := runtime.Ref{Swarm: "k7m2", Peer: wire.PeerID{1}, Slot: job.SlotID{Job: "default/shop", Task: "web"}, Token: 1}
	l := labels(runtime.Action{Ref: ref, Run: 4, Task: &job.Task{Labels: map[string]string{
		runtime.LabelToken: "9", runtime.LabelAt: "elsewhere", "team": "blue",
	}}})
	if got, err := runtime.ParseLabels(l); err != nil || got != ref || l["team"] != "blue" || l[runtime.LabelRun] != "4" {
		t.Errorf("got %+v, %v from %v", got, err, l)
	}
}

func TestResources(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits job.Resources
		want   int64 // nano-CPU
	}{
		{"none", job.Resources{}, 0},
		{"half", job.Resources{CPUMilli: 500}, 5e8},
		{"all", job.Resources{CPUMilli: 2000}, 2e9},
		{"more than there is", job.Resources{CPUMilli: 2001}, 2e9},
	} {
		if got := resources(&job.Task{Limits: c.limits}, 2); got.NanoCPUs != c.want || *got.PidsLimit != job.DefaultPids {
			t.Errorf("%s: %d nano-CPU, %d processes", c.name, got.NanoCPUs, *got.PidsLimit)
		}
	}
}

// Claims name GPUs by their index, the engine's runtime by their names.
func TestGPUs(t *testing.T) {
	d := offline(t, "unix:///nowhere/docker.sock")
	d.opts.GPUs = func() []string { return []string{"GPU-a", "GPU-b", "GPU-c"} }
	got, err := d.gpus(job.GPUSetOf([]int{0, 2}))
	if err != nil || len(got) != 1 || !slices.Equal(got[0].DeviceIDs, []string{"GPU-a", "GPU-c"}) || got[0].Capabilities[0][0] != "gpu" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := d.gpus(0); got != nil || err != nil {
		t.Errorf("none: %+v, %v", got, err)
	}
	if _, err := d.gpus(job.GPUSetOf([]int{3})); !errors.Is(err, runtime.ErrPermanent) || err.Error() != "GPU 3: this peer has 3" {
		t.Errorf("one that has gone: %v", err)
	}
}

// One node may go to another place, several keep theirs.
func TestDevices(t *testing.T) {
	d := offline(t, "unix:///nowhere/docker.sock")
	for _, tc := range []struct {
		device string
		nodes  []string
		want   string
	}{
		{"/dev/a", []string{"/dev/a"}, "/dev/a:/dev/a:rwm"},
		{"/dev/a:/dev/b:r", []string{"/dev/a"}, "/dev/a:/dev/b:r"},
		{"usb=1a86:7523", []string{"/dev/video0", "/dev/video1"}, "/dev/video0:/dev/video0:rwm /dev/video1:/dev/video1:rwm"},
		{"usb=1a86:7523:/dev/b", []string{"/dev/video0", "/dev/video1"}, "device usb=1a86:7523 is /dev/video0, /dev/video1 on this peer: leave out /dev/b, they get places of their own"},
		{"nonsense", nil, `"nonsense" is no device; write one such as /dev/ttyUSB0:/dev/ttyUSB0 or usb=1a86:7523`},
	} {
		d.opts.Devices = func(string) ([]string, error) { return tc.nodes, nil }
		list, err := d.devices(&job.Task{Devices: []string{tc.device}})
		var got []string
		for _, m := range list {
			got = append(got, m.PathOnHost+":"+m.PathInContainer+":"+m.CgroupPermissions)
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s: %s, want %s", tc.device, text, tc.want)
		}
	}
	d.opts.Devices = nil
	if _, err := d.devices(&job.Task{Devices: []string{"/dev/a"}}); !errors.Is(err, runtime.ErrPermanent) {
		t.Errorf("of a driver without devices: %v", err)
	}
}

func TestParsePlatform(t *testing.T) {
	if p, err := parsePlatform("linux/arm/v7"); err != nil || p.OS != "linux" || p.Architecture != "arm" || p.Variant != "v7" {
		t.Errorf("got %v, %v", p, err)
	}
	for _, bad := range []string{"linux", "linux/", "a/b/c/d"} {
		if _, err := parsePlatform(bad); !errors.Is(err, runtime.ErrPermanent) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSubnetAt(t *testing.T) {
	for i, want := range map[uint32]string{0: "10.64.0.0/24", 1: "10.64.1.0/24", subnetCount - 1: "10.127.255.0/24", subnetCount: "10.64.0.0/24"} {
		if got := subnetAt(i); got.String() != want {
			t.Errorf("subnet %d is %s, want %s", i, got, want)
		}
	}
}

func TestTally(t *testing.T) {
	var sum tally
	add := func(id, status string, current, total int64) {
		m := pullMessage{ID: id, Status: status}
		m.Detail.Current, m.Detail.Total = current, total
		sum.add(m)
	}
	add("", "Pulling from library/redis", 0, 0)
	if sum.begun() {
		t.Error("a download has begun before any layer")
	}
	add("a", "Downloading", 10, 100)
	add("b", "Downloading", 5, 50)
	add("a", "Download complete", 0, 0)
	pr, news := sum.sum()
	if !news || pr.Current != 105 || pr.Total != 150 || pr.Status != "Download complete" {
		t.Errorf("news %v, %+v", news, pr)
	}
	if _, news := sum.sum(); news {
		t.Error("the same news twice")
	}
	for i := range 2 * maxLayers {
		add(strconv.Itoa(i), "Downloading", 1, 1)
	}
	if len(sum.layers) != maxLayers {
		t.Errorf("%d layers are kept", len(sum.layers))
	}
}

// Whatever frames an engine sends, demux neither panics nor holds more than a
// frame and a line, and every line it gives can be read.
func FuzzDemux(f *testing.F) {
	f.Add(frame(1, "2026-11-21T09:30:00Z one\n"))
	f.Add(append(frame(1, "t part"), frame(1, "t ial\n")...))
	f.Add(frame(2, "t "+strings.Repeat("x", 40000)))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		if err := demux(&out, bytes.NewReader(b)); err != nil {
			return
		}
		for line := range strings.Lines(out.String()) {
			if l, err := runtime.ParseLogLine(line); err != nil || len(l.Text) > runtime.MaxLogLine {
				t.Fatalf("line %.60q of %d bytes: %v", line, len(line), err)
			}
		}
	})
}

func frame(stream byte, text string) []byte {
	b := []byte{stream, 0, 0, 0}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}
