package facts

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDevices bounds the devices that are told of.
const maxDevices = 64

// devices are those that are there of what an owner grants: paths in /dev, and what is
// plugged in as "usb=vendor:product". In order, each once.
func (t tree) devices(grants []string) []string {
	var found []string
	add := func(d string) {
		if !slices.Contains(found, d) && len(found) < maxDevices && utf8.ValidString(d) {
			found = append(found, d)
		}
	}
	for _, g := range grants {
		if strings.HasPrefix(g, "usb=") {
			for _, name := range t.list(usbDevices) {
				if id := t.usbID(name); id != "" && matches(g, "usb="+id) {
					add("usb=" + id)
				}
			}
			continue
		}
		paths, _ := filepath.Glob(t.path(g))
		for _, p := range paths[:min(len(paths), maxEntries)] {
			if isDevice(p) {
				add("/" + strings.TrimPrefix(strings.TrimPrefix(p, string(t)), "/"))
			}
		}
	}
	slices.Sort(found)
	return found
}

const usbDevices = "sys/bus/usb/devices"

// usbID is "1a86:7523" of a device, "" of an interface.
func (t tree) usbID(name string) string {
	vendor, product := t.text(usbDevices, name, "idVendor"), t.text(usbDevices, name, "idProduct")
	if vendor == "" || product == "" {
		return ""
	}
	return vendor + ":" + product
}

func matches(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return ok && err == nil
}

func isDevice(p string) bool {
	info, err := os.Stat(p) // by-id names are links
	return err == nil && info.Mode()&fs.ModeDevice != 0
}

// Nodes are the paths in /dev of a device as tasks name it, "/dev/ttyUSB0" or
// "usb=1a86:7523": of the latter what the kernel's drivers made for it, such as a
// serial port, or its bare node on the bus. The error is one sentence.
func Nodes(device string) ([]string, error) { return tree("").nodes(device) }

func (t tree) nodes(device string) ([]string, error) {
	id, isUSB := strings.CutPrefix(device, "usb=")
	if !isUSB {
		if !isDevice(t.path(device)) {
			return nil, fmt.Errorf("%s is not on this peer", device)
		}
		return []string{device}, nil
	}
	for _, name := range t.list(usbDevices) {
		if t.usbID(name) != id {
			continue
		}
		nodes := t.madeFor(filepath.Join(usbDevices, name), 0)
		if len(nodes) == 0 {
			nodes = t.deviceName(filepath.Join(usbDevices, name))
		}
		if len(nodes) > 0 {
			return nodes[:min(len(nodes), maxDevices)], nil
		}
	}
	return nil, fmt.Errorf("%s is not plugged in on this peer", device)
}

// maxDepth is how far below a USB device the kernel's drivers make nodes, amply.
const maxDepth = 8

// madeFor finds the nodes that drivers made below a device, but not those of devices
// plugged into it.
func (t tree) madeFor(dir string, depth int) (nodes []string) {
	if depth > maxDepth {
		return nil
	}
	entries, _ := os.ReadDir(t.path(t.resolved(dir)))
	for _, e := range entries[:min(len(entries), maxEntries)] {
		below := filepath.Join(t.resolved(dir), e.Name())
		if !e.IsDir() || t.text(below, "idVendor") != "" { // links lead out of the device
			continue
		}
		nodes = append(nodes, t.deviceName(below)...)
		nodes = append(nodes, t.madeFor(below, depth+1)...)
	}
	return nodes
}

// resolved is where a directory really is: what lies in a class or a bus are links.
func (t tree) resolved(dir string) string {
	at, err := filepath.EvalSymlinks(t.path(dir))
	if err != nil {
		return dir
	}
	return strings.TrimPrefix(at, string(t))
}

// deviceName is the path of a directory's node, if it has one.
func (t tree) deviceName(dir string) []string {
	for line := range strings.Lines(t.text(dir, "uevent")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			if p := "/dev/" + strings.TrimPrefix(name, "/dev/"); isDevice(t.path(p)) {
				return []string{p}
			}
		}
	}
	return nil
}

// A GPU is one that containers can be given.
type GPU struct {
	UUID  string // as the NVIDIA driver names it, "GPU-6f2a…"
	Model string // "Tesla-T4": fit for a label
}

// GPUs lists the NVIDIA GPUs of this machine in the order of their places on the bus,
// which is that of nvidia-smi: the index of each is its place here.
func GPUs() []GPU { return tree("").gpus() }

func (t tree) gpus() (found []GPU) {
	const dir = "proc/driver/nvidia/gpus"
	for _, bus := range t.list(dir) {
		g := GPU{}
		for line := range strings.Lines(t.text(dir, bus, "information")) {
			key, value, _ := strings.Cut(line, ":")
			switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
			case "Model":
				g.Model = labelText(strings.TrimPrefix(value, "NVIDIA "))
			case "GPU UUID":
				g.UUID = value
			}
		}
		if strings.HasPrefix(g.UUID, "GPU-") && !strings.Contains(g.UUID, "?") { // else the driver has not yet met it
			found = append(found, g)
		}
	}
	return found
}

// labelText makes a text fit for a label's value.
func labelText(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-' || r == '_')
	}), "-")
}
