package facts

import (
	"errors"
	"fmt"
	"strings"
)

var errNoBattery = errors.New("no power supply says whether this machine runs on a battery")

// onBattery reports whether the machine runs on a battery of its own, as
// /sys/class/power_supply has it (Documentation/ABI/testing/sysfs-class-power); a
// machine without one does not. It is an error if there is one that does not say.
func (t tree) onBattery() (bool, error) {
	const dir = "sys/class/power_supply"
	draining, mute := false, false
	for _, name := range t.list(dir) {
		switch kind := t.text(dir, name, "type"); {
		case t.text(dir, name, "scope") == "Device": // of a mouse, say
		case kind == "Mains" || strings.HasPrefix(kind, "USB"):
			if t.text(dir, name, "online") == "1" {
				return false, nil
			}
		case kind == "Battery":
			switch t.text(dir, name, "status") {
			case "Discharging":
				draining = true
			case "Charging", "Full", "Not charging":
			default:
				mute = true
			}
		}
	}
	if mute && !draining {
		return false, errNoBattery
	}
	return draining, nil
}

// temperature is that of the hottest part, in °C, of the thermal zones and else the
// sensors of /sys/class; 0 if the machine tells of none.
func (t tree) temperature() int {
	hottest := t.hottest("sys/class/thermal", "thermal_zone", "temp")
	if hottest == 0 {
		hottest = t.hottest("sys/class/hwmon", "hwmon", "temp1_input")
	}
	return hottest
}

// Readings beyond these are a broken sensor's, in °C.
const (
	coldestC = 1
	hottestC = 150
)

func (t tree) hottest(dir, prefix, file string) (most int) {
	for _, name := range t.list(dir) {
		if milli, ok := t.number(dir, name, file); ok && strings.HasPrefix(name, prefix) {
			if c := int(milli / 1000); c >= coldestC && c <= hottestC {
				most = max(most, c)
			}
		}
	}
	return most
}

// link says how the machine is connected: "wired" if any cable is in, else "wireless"
// if there is a link of that kind, else "". With it goes the speed of the fastest
// cable, such as "1000", in Mbit/s; "" if it is not told.
func (t tree) link() (kind, mbits string) {
	const dir = "sys/class/net"
	var best int64
	for _, name := range t.list(dir) {
		if len(t.list(dir, name, "device")) == 0 || t.text(dir, name, "operstate") != "up" {
			continue // a bridge, a tunnel, or down
		}
		if len(t.list(dir, name, "wireless")) > 0 || len(t.list(dir, name, "phy80211")) > 0 {
			if kind == "" {
				kind = "wireless"
			}
			continue
		}
		kind = "wired"
		if speed, ok := t.number(dir, name, "speed"); ok {
			best = max(best, speed)
		}
	}
	if best > 0 && kind == "wired" {
		mbits = fmt.Sprint(best)
	}
	return kind, mbits
}
