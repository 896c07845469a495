package job

import (
	"fmt"
	"path"
	"strings"
)

// A Device is one of a peer that a container may use.
type Device struct {
	Host   string // "/dev/ttyUSB0", or by what is plugged in, "usb=1a86:7523" (vendor:product)
	Target string // its path in the container; empty: as on the peer
	Access string // of "rwm": read, write, make nodes; empty: all three
}

// MaxDevices is the greatest number of devices of one task.
const MaxDevices = 32

// String prints the device as ParseDevice reads it.
func (d Device) String() string {
	switch {
	case d.Access != "":
		return d.Host + ":" + d.Target + ":" + d.Access
	case d.Target != "":
		return d.Host + ":" + d.Target
	}
	return d.Host
}

// ParseDevice reads "/dev/ttyUSB0", "/dev/ttyUSB0:/dev/zigbee:rw" and
// "usb=1a86:7523:/dev/zigbee", as Compose's devices and x-shoal's. What means the same
// reads as equal.
func ParseDevice(text string) (Device, error) {
	var d Device
	var rest string
	if usb, ok := strings.CutPrefix(text, "usb="); ok {
		if len(usb) < 9 || !isUSB(usb[:9]) || len(usb) > 9 && usb[9] != ':' {
			return Device{}, fmt.Errorf("%s is no USB device; write its vendor and product as lsusb shows them: usb=1a86:7523", quote(text))
		}
		d.Host, rest = "usb="+strings.ToLower(usb[:9]), strings.TrimPrefix(usb[9:], ":")
	} else {
		d.Host, rest, _ = strings.Cut(text, ":")
		if !isDevicePath(d.Host) {
			return Device{}, fmt.Errorf("%s is no device; write one such as /dev/ttyUSB0:/dev/ttyUSB0 or usb=1a86:7523", quote(text))
		}
	}
	d.Target, d.Access, _ = strings.Cut(rest, ":")
	if d.Target == "" && d.Access != "" {
		d.Target = d.Host
	}
	if d.Target != "" && !isDevicePath(d.Target) {
		return Device{}, fmt.Errorf("%s: %s is no place for a device; write one such as /dev/zigbee", quote(text), quote(d.Target))
	}
	if !isAccess(d.Access) {
		return Device{}, fmt.Errorf("%s: %s says not how it is used; write letters of rwm", quote(text), quote(d.Access))
	}
	return d.short(), nil
}

// short leaves out what is so anyway.
func (d Device) short() Device {
	if len(d.Access) == 3 {
		d.Access = ""
	}
	if d.Target == d.Host && d.Access == "" {
		d.Target = ""
	}
	return d
}

// isUSB accepts "1a86:7523".
func isUSB(s string) bool {
	return len(s) == 9 && s[4] == ':' && strings.Trim(s[:4]+s[5:], "0123456789abcdefABCDEF") == ""
}

func isDevicePath(s string) bool {
	return len(s) <= 255 && strings.HasPrefix(s, "/dev/") && path.Clean(s) == s && isVisible(s) && !strings.ContainsAny(s, ":*?[]\\")
}

func isAccess(s string) bool {
	return len(s) <= 3 && strings.Trim(s, "rwm") == "" &&
		strings.Count(s, "r") <= 1 && strings.Count(s, "w") <= 1 && strings.Count(s, "m") <= 1
}

// CheckGrant says what is wrong with what an owner grants: a device as in ParseDevice,
// without target, in which * and ? stand for any characters but a slash; "" if nothing.
func CheckGrant(pattern string) string {
	_, err := path.Match(pattern, "")
	id, isUSB := strings.CutPrefix(pattern, "usb=")
	switch {
	case err != nil || len(pattern) > 255 || !isVisible(pattern):
	case isUSB && len(id) <= 9 && strings.Count(id, ":") == 1 && strings.Trim(id, "0123456789abcdef:*?") == "":
		return ""
	case strings.HasPrefix(pattern, "/dev/") && len(pattern) > len("/dev/") && path.Clean(pattern) == pattern && !strings.Contains(pattern, ":"):
		return ""
	}
	return quote(pattern) + " is no device; write one such as /dev/ttyUSB*, usb=1a86:7523 or usb=1a86:*"
}
