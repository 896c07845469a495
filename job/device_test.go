package job_test

import (
	"strings"
	"testing"

	"shoal/job"
)

func TestParseDevice(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"/dev/ttyUSB0", "/dev/ttyUSB0"},
		{"/dev/ttyUSB0:/dev/ttyUSB0", "/dev/ttyUSB0"},
		{"/dev/ttyUSB0:/dev/ttyUSB0:rwm", "/dev/ttyUSB0"},
		{"/dev/ttyUSB0:/dev/ttyUSB0:rw", "/dev/ttyUSB0:/dev/ttyUSB0:rw"},
		{"/dev/ttyUSB0:/dev/zigbee:mwr", "/dev/ttyUSB0:/dev/zigbee"},
		{"/dev/serial/by-id/usb-1a86_x-if00-port0:/dev/ttyACM0", "/dev/serial/by-id/usb-1a86_x-if00-port0:/dev/ttyACM0"},
		{"usb=1A86:7523", "usb=1a86:7523"},
		{"usb=1a86:7523:/dev/zigbee:r", "usb=1a86:7523:/dev/zigbee:r"},
	} {
		d, err := job.ParseDevice(tt.text)
		if err != nil || d.String() != tt.want {
			t.Errorf("%q reads as %q, %v; want %q", tt.text, d, err, tt.want)
		}
		if again, err := job.ParseDevice(d.String()); err != nil || again != d {
			t.Errorf("%q does not read back: %+v, %v", d, again, err)
		}
	}
	for text, want := range map[string]string{
		"": "is no device; write one such as /dev/ttyUSB0", "ttyUSB0": "is no device", "/dev/../etc": "is no device", "/dev": "is no device",
		"/dev/tty*": "is no device", "/dev/a b": "is no device", "vendor.com/class=x": "is no device",
		"usb=1a86": "is no USB device; write its vendor and product", "usb=1a86:75231": "is no USB device", "usb=1a86:zzzz": "is no USB device",
		"/dev/a:/etc/x": "is no place for a device", "/dev/a:/dev/b:rx": "says not how it is used", "/dev/a:/dev/b:rr": "says not how",
		"/dev/" + strings.Repeat("x", 300): "is no device",
	} {
		if d, err := job.ParseDevice(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q reads as %+v, %v; want %q", text, d, err, want)
		}
	}
}

func TestCheckGrant(t *testing.T) {
	for _, ok := range []string{"/dev/ttyUSB0", "/dev/ttyUSB*", "/dev/serial/by-id/*", "usb=1a86:7523", "usb=1a86:*", "usb=*:*"} {
		if wrong := job.CheckGrant(ok); wrong != "" {
			t.Errorf("%q: %s", ok, wrong)
		}
	}
	for _, bad := range []string{"", "*", "/dev/", "/etc/passwd", "/dev/../etc/*", "/dev/[", "usb=1a86", "usb=1A86:7523", "gpu", "/dev/a:/dev/b"} {
		if wrong := job.CheckGrant(bad); !strings.Contains(wrong, "is no device") {
			t.Errorf("%q is granted: %q", bad, wrong)
		}
	}
}

// FuzzDevice: what is read prints as something that reads as the same, and a grant
// without wildcards that is taken grants itself.
func FuzzDevice(f *testing.F) {
	for _, s := range []string{"/dev/ttyUSB0:/dev/zigbee:rw", "usb=1a86:7523", "usb=*:*", "/dev/tty[A-", "/dev/a::r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := job.ParseDevice(s); err == nil {
			if again, err := job.ParseDevice(d.String()); err != nil || again != d {
				t.Errorf("%q reads as %+v, then as %+v, %v", s, d, again, err)
			}
			if wrong := job.CheckGrant(d.Host); wrong != "" {
				t.Errorf("%q is a device that nobody can grant: %s", d.Host, wrong)
			}
		}
		_ = job.CheckGrant(s)
	})
}
