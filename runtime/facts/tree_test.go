package facts

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/job"
)

// plant makes a tree of small files; a name that ends in "@" is a link to its text.
func plant(t *testing.T, files map[string]string) tree {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if link, ok := strings.CutSuffix(p, "@"); ok {
			err = os.Symlink(text, link)
		} else {
			err = os.WriteFile(p, []byte(text+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree(root)
}

func TestOnBattery(t *testing.T) {
	const s = "sys/class/power_supply/"
	for _, tc := range []struct {
		name  string
		files map[string]string
		on    bool
		fails bool
	}{
		{"a machine without", nil, false, false},
		{"on mains", map[string]string{s + "AC/type": "Mains", s + "AC/online": "1", s + "BAT0/type": "Battery", s + "BAT0/status": "Charging"}, false, false},
		{"a battery that tells the wrong thing on mains", map[string]string{s + "AC/type": "Mains", s + "AC/online": "1", s + "BAT0/type": "Battery", s + "BAT0/status": "Discharging"}, false, false},
		{"unplugged", map[string]string{s + "AC/type": "Mains", s + "AC/online": "0", s + "BAT0/type": "Battery", s + "BAT0/status": "Discharging"}, true, false},
		{"two batteries, one idle", map[string]string{s + "BAT0/type": "Battery", s + "BAT0/status": "Not charging", s + "BAT1/type": "Battery", s + "BAT1/status": "Discharging"}, true, false},
		{"full", map[string]string{s + "BAT0/type": "Battery", s + "BAT0/status": "Full"}, false, false},
		{"a mouse", map[string]string{s + "hid/type": "Battery", s + "hid/scope": "Device", s + "hid/status": "Discharging"}, false, false},
		{"fed by USB", map[string]string{s + "usb/type": "USB_C", s + "usb/online": "1", s + "b/type": "Battery", s + "b/status": "Unknown"}, false, false},
		{"it does not say", map[string]string{s + "BAT0/type": "Battery", s + "BAT0/status": "Unknown"}, false, true},
		{"it cannot be read", map[string]string{s + "BAT0/type": "Battery"}, false, true},
	} {
		on, err := plant(t, tc.files).onBattery()
		if on != tc.on || (err != nil) != tc.fails {
			t.Errorf("%s: on battery %v, %v", tc.name, on, err)
		}
	}
}

func TestTemperature(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no sensor", nil, 0},
		{"the hottest zone", map[string]string{"sys/class/thermal/thermal_zone0/temp": "41500", "sys/class/thermal/thermal_zone1/temp": "63999", "sys/class/thermal/cooling_device0/temp": "99000"}, 63},
		{"broken sensors", map[string]string{"sys/class/thermal/thermal_zone0/temp": "-273000", "sys/class/thermal/thermal_zone1/temp": "999000", "sys/class/thermal/thermal_zone2/temp": "x"}, 0},
		{"chips only", map[string]string{"sys/class/hwmon/hwmon3/temp1_input": "52000"}, 52},
	} {
		if got := plant(t, tc.files).temperature(); got != tc.want {
			t.Errorf("%s: %d °C, want %d", tc.name, got, tc.want)
		}
	}
}

func TestLink(t *testing.T) {
	const n = "sys/class/net/"
	wlan := map[string]string{n + "wlan0/operstate": "up", n + "wlan0/device/vendor": "x", n + "wlan0/wireless/status": "0"}
	both := map[string]string{n + "eth0/operstate": "up", n + "eth0/device/vendor": "x", n + "eth0/speed": "2500"}
	for k, v := range wlan {
		both[k] = v
	}
	for _, tc := range []struct {
		name        string
		files       map[string]string
		kind, mbits string
	}{
		{"none", nil, "", ""},
		{"a bridge is none", map[string]string{n + "docker0/operstate": "up", n + "docker0/speed": "10000"}, "", ""},
		{"unplugged", map[string]string{n + "eth0/operstate": "down", n + "eth0/device/vendor": "x"}, "", ""},
		{"wireless", wlan, "wireless", ""},
		{"a cable wins", both, "wired", "2500"},
		{"a cable that does not say", map[string]string{n + "eth0/operstate": "up", n + "eth0/device/vendor": "x", n + "eth0/speed": "-1"}, "wired", ""},
	} {
		if kind, mbits := plant(t, tc.files).link(); kind != tc.kind || mbits != tc.mbits {
			t.Errorf("%s: %q %q, want %q %q", tc.name, kind, mbits, tc.kind, tc.mbits)
		}
	}
}

// stick is a machine with a hub in which a serial stick is, and a bare USB device.
// Links to /dev/null pass for device nodes.
func stick(t *testing.T) tree {
	const bus, hw = "sys/bus/usb/devices/", "sys/devices/pci/usb1/"
	return plant(t, map[string]string{
		bus + "usb1@": "../../../devices/pci/usb1", bus + "1-1@": "../../../devices/pci/usb1/1-1", bus + "1-1.2@": "../../../devices/pci/usb1/1-1/1-1.2",
		bus + "1-1.2:1.0@": "../../../devices/pci/usb1/1-1/1-1.2/1-1.2:1.0", bus + "1-3@": "../../../devices/pci/usb1/1-3",
		hw + "idVendor": "1d6b", hw + "idProduct": "0002", hw + "uevent": "DEVNAME=bus/usb/001/001",
		hw + "1-1/idVendor": "05e3", hw + "1-1/idProduct": "0610", hw + "1-1/uevent": "DEVNAME=bus/usb/001/002",
		hw + "1-1/1-1.2/idVendor": "1a86", hw + "1-1/1-1.2/idProduct": "7523", hw + "1-1/1-1.2/uevent": "DEVNAME=bus/usb/001/003",
		hw + "1-1/1-1.2/1-1.2:1.0/uevent":                     "DRIVER=ch341",
		hw + "1-1/1-1.2/1-1.2:1.0/subsystem@":                 "../../../../../../../bus/usb",
		hw + "1-1/1-1.2/1-1.2:1.0/ttyUSB0/uevent":             "DRIVER=ch341-uart",
		hw + "1-1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0/uevent": "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0",
		hw + "1-3/idVendor":                                   "1050", hw + "1-3/idProduct": "0407", hw + "1-3/uevent": "DEVTYPE=usb_device\nDEVNAME=bus/usb/001/005",
		"dev/ttyUSB0@": "/dev/null", "dev/ttyS0@": "/dev/null", "dev/ttyUSBnotes": "a plain file",
		"dev/bus/usb/001/001@": "/dev/null", "dev/bus/usb/001/002@": "/dev/null", "dev/bus/usb/001/003@": "/dev/null", "dev/bus/usb/001/005@": "/dev/null",
		"dev/serial/by-id/usb-1a86-if00@": "../../ttyUSB0",
	})
}

func TestDevices(t *testing.T) {
	machine := stick(t)
	for _, tc := range []struct {
		grants []string
		want   []string
	}{
		{nil, nil},
		{[]string{"/dev/ttyUSB*"}, []string{"/dev/ttyUSB0"}},
		{[]string{"/dev/ttyUSB0", "/dev/tty*"}, []string{"/dev/ttyS0", "/dev/ttyUSB0"}},
		{[]string{"/dev/serial/by-id/*"}, []string{"/dev/serial/by-id/usb-1a86-if00"}},
		{[]string{"usb=1a86:7523"}, []string{"usb=1a86:7523"}},
		{[]string{"usb=1a86:*", "usb=1050:*", "usb=ffff:0000"}, []string{"usb=1050:0407", "usb=1a86:7523"}},
		{[]string{"/dev/nothing", "/dev/serial"}, nil},
	} {
		if got := machine.devices(tc.grants); !slices.Equal(got, tc.want) {
			t.Errorf("of %v there are %v, want %v", tc.grants, got, tc.want)
		}
	}
}

func TestNodes(t *testing.T) {
	machine := stick(t)
	for device, want := range map[string]string{
		"/dev/ttyUSB0": "/dev/ttyUSB0", "usb=1a86:7523": "/dev/ttyUSB0", "usb=1050:0407": "/dev/bus/usb/001/005",
		"usb=05e3:0610": "/dev/bus/usb/001/002", // a hub is not what is plugged into it
	} {
		if got, err := machine.nodes(device); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s has %v, %v; want %s", device, got, err, want)
		}
	}
	for device, want := range map[string]string{"/dev/ttyUSB1": "is not on this peer", "/dev/ttyUSBnotes": "is not on this peer", "usb=ffff:0000": "is not plugged in"} {
		if got, err := machine.nodes(device); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s has %v, %v; want %q", device, got, err, want)
		}
	}
}

func TestGPUs(t *testing.T) {
	const d = "proc/driver/nvidia/gpus/"
	machine := plant(t, map[string]string{
		d + "0000:3b:00.0/information": "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ:   \t\t 1\nGPU UUID: \t GPU-bb",
		d + "0000:05:00.0/information": "Model: \t\t Tesla T4\nGPU UUID: \t GPU-aa",
		d + "0000:af:00.0/information": "Model: \t\t Tesla T4\nGPU UUID: \t GPU-????????-????-????-????-????????????",
	})
	want := []GPU{{"GPU-aa", "Tesla-T4"}, {"GPU-bb", "A100-SXM4-40GB"}}
	if got := machine.gpus(); !slices.Equal(got, want) {
		t.Errorf("GPUs %+v, want %+v", got, want)
	}
	for _, tc := range []struct {
		o    Options
		want int64
	}{
		{Options{Driver: "process"}, 2000},
		{Options{Driver: "docker", Engine: &Engine{GPUs: true}}, 2000},
		{Options{Driver: "docker", Engine: &Engine{}}, 0},
		{Options{Driver: "process", Most: job.Resources{GPUMilli: 1000}}, 1000},
		{Options{Driver: "process", NoGPUs: true}, 0},
	} {
		if x := machine.extras(tc.o); x.gpuMilli != tc.want || (x.labels["gpu"] != "") != (tc.want > 0) {
			t.Errorf("%+v: %d, label %q; want %d", tc.o, x.gpuMilli, x.labels["gpu"], tc.want)
		}
	}
}

func TestGroupLimits(t *testing.T) {
	const none = math.MaxInt64
	for _, tc := range []struct {
		name  string
		files map[string]string
		own   bool
		want  limits
	}{
		{"none", nil, true, limits{none, none}},
		{"a container, version 2", map[string]string{"sys/fs/cgroup/memory.max": "1073741824", "sys/fs/cgroup/cpu.max": "150000 100000"}, false, limits{1 << 30, 1500}},
		{"no limit", map[string]string{"sys/fs/cgroup/memory.max": "max", "sys/fs/cgroup/cpu.max": "max 100000"}, true, limits{none, none}},
		{"version 1", map[string]string{
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
		}, false, limits{512 << 20, none}},
		{"a unit's group", map[string]string{"proc/self/cgroup": "0::/system.slice/shoal.service", "sys/fs/cgroup/system.slice/memory.max": "2147483648",
			"sys/fs/cgroup/system.slice/shoal.service/memory.max": "1073741824"}, true, limits{1 << 30, none}},
		{"an engine's containers are in no unit of ours", map[string]string{"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/memory.max": "1"}, false, limits{none, none}},
	} {
		if got := plant(t, tc.files).groupLimits(tc.own); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

// An engine has the last word on CPUs and memory, its own disk counts, and of one on
// another machine nothing here does.
func TestEngineHasTheLastWord(t *testing.T) {
	s := good()
	s.disk = func(_ context.Context, dir string) (int64, error) {
		switch dir {
		case "/var/lib/docker":
			return 7e9, nil
		case "/unseen":
			return 0, &fs.PathError{Op: "statfs", Path: dir, Err: fs.ErrNotExist}
		}
		return 100e9, nil
	}
	for _, tc := range []struct {
		name string
		o    Options
		want job.Resources
		arch string
	}{
		{"less", Options{Engine: &Engine{CPUs: 2, MemBytes: 3e9, Root: "/var/lib/docker", OS: "linux", Arch: "x86_64"}}, job.Resources{CPUMilli: 2000, MemBytes: 3e9, DiskBytes: 7e9}, "amd64"},
		{"more", Options{Engine: &Engine{CPUs: 64, MemBytes: 1e15, Root: "/unseen"}}, job.Resources{CPUMilli: 4000, MemBytes: 8e9, DiskBytes: 100e9}, ""},
		{"it does not say", Options{Engine: &Engine{}}, job.Resources{CPUMilli: 4000, MemBytes: 8e9, DiskBytes: 100e9}, ""},
		{"elsewhere", Options{Engine: &Engine{Remote: true, CPUs: 16, MemBytes: 32e9, OS: "linux", Arch: "aarch64"}}, job.Resources{CPUMilli: 16000, MemBytes: 32e9}, "arm64"},
		{"kept back, and at most", Options{Reserve: job.Resources{CPUMilli: 500}, Most: job.Resources{CPUMilli: 3000, MemBytes: 1e9}},
			job.Resources{CPUMilli: 3000, MemBytes: 1e9, DiskBytes: 100e9}, ""},
	} {
		f := s.read(t.Context(), tc.o)
		if f.Capacity != tc.want || len(f.Missing) > 0 || tc.arch != "" && (f.Arch != tc.arch || f.Labels["arch"] != tc.arch) {
			t.Errorf("%s: %+v on %s, missing %v; want %+v on %s", tc.name, f.Capacity, f.Arch, f.Missing, tc.want, tc.arch)
		}
		if f.Minute != 22*60+30 {
			t.Errorf("minute %d of the day", f.Minute)
		}
	}
}

// What a machine need not have keeps it from bidding only where its owner's policy is
// about it.
func TestMissing_OfThePolicy(t *testing.T) {
	s := good()
	s.tree = plant(t, map[string]string{"sys/class/power_supply/BAT0/type": "Battery"})
	if f := s.read(t.Context(), Options{}); len(f.Missing) > 0 {
		t.Errorf("missing %v, of which nobody asked", f.Missing)
	}
	f := s.read(t.Context(), Options{NeedsBattery: true, NeedsHeat: true})
	if len(f.Missing) != 2 || !strings.HasPrefix(f.Missing[0], "battery: ") || !strings.HasPrefix(f.Missing[1], "temperature: ") {
		t.Errorf("missing %q", f.Missing)
	}
}

func TestDiskErrorIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := good()
		s.disk = func(context.Context, string) (int64, error) { return 0, errors.New("input/output error") }
		f := s.read(t.Context(), Options{Engine: &Engine{Root: "/var/lib/docker"}})
		if len(f.Missing) != 1 || f.Missing[0] != "disk: input/output error" {
			t.Errorf("missing %q", f.Missing)
		}
		time.Sleep(time.Second)
	})
}
