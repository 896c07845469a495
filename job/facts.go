package job

import (
	"strconv"
	"strings"
)

// Facts are what constraints can ask of a peer by name, beside its labels:
//
//	id, name, datacenter    "name in (kitchen, attic)"
//	os, arch, driver        "arch == arm64", under any name of it
//	cores, memory, disk     "memory >= 4GiB": what it has for slots
//	gpus                    "gpus >= 2": whole ones
//	metered, battery        "battery == no": it runs on its battery
//
// A label of the same name hides the fact. Everything in it is known to who has the
// peer's card.
type Facts struct {
	ID, Name, Datacenter string
	OS, Arch, Driver     string
	Capacity             Resources // for slots, in all
	Metered, Battery     bool
	Labels               map[string]string
}

// Value returns what a peer's label or fact says, and whether it has it.
func (f *Facts) Value(name string) (value string, has bool) {
	if v, ok := f.Labels[name]; ok {
		return v, true
	}
	switch name {
	case "id":
		value = f.ID
	case "name":
		value = f.Name
	case "datacenter":
		value = f.Datacenter
	case "os":
		value = f.OS
	case "arch":
		value = f.Arch
	case "driver":
		value = f.Driver
	case "cores":
		value = amountOf(f.Capacity.CPUMilli / 1000)
	case "memory":
		value = amountOf(f.Capacity.MemBytes)
	case "disk":
		value = amountOf(f.Capacity.DiskBytes)
	case "gpus":
		value = strconv.FormatInt(f.Capacity.GPUMilli/1000, 10)
	case "metered":
		value = yesOrNo(f.Metered)
	case "battery":
		value = yesOrNo(f.Battery)
	}
	return value, value != ""
}

// amountOf prints an amount; none that is not known.
func amountOf(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Meets returns the first of the constraints that a peer does not meet, "" if it
// meets them all. One that cannot be read is not met.
func (f *Facts) Meets(constraints []string) (unmet string) {
	for _, text := range constraints {
		if c, err := ParseConstraint(text); err != nil || !c.MatchFunc(f.Value) {
			return text
		}
	}
	return ""
}

// MeetsLasting is Meets for the constraints that ask of a peer what does not change while
// work runs there: its labels, and facts but memory, disk, gpus and battery.
func (f *Facts) MeetsLasting(constraints []string) (unmet string) {
	for _, text := range constraints {
		c, err := ParseConstraint(text)
		if err == nil && f.isPassing(c.Label) {
			continue
		}
		if err != nil || !c.MatchFunc(f.Value) {
			return text
		}
	}
	return ""
}

// isPassing reports whether a name is that of a fact that changes by itself.
func (f *Facts) isPassing(name string) bool {
	switch name {
	case "memory", "disk", "gpus", "battery":
		_, isLabel := f.Labels[name]
		return !isLabel
	}
	return false
}

// SamePlatform reports whether a machine of an OS and architecture, under any of their
// names, is of a platform, "linux/arm64" or one of the two alone. Without a platform any
// is; a variant ("arm64/v8") is left to the engine.
func SamePlatform(want, os, arch string) bool {
	if want == "" {
		return true
	}
	parts := strings.Split(strings.ToLower(want), "/")
	if len(parts) == 1 {
		return parts[0] == os || CommonArch(parts[0]) == CommonArch(arch)
	}
	return parts[0] == os && CommonArch(parts[1]) == CommonArch(arch)
}

// CommonArch is the name under which Go and container engines know an architecture,
// whatever a kernel or Swarm calls it: "amd64" for "x86_64".
func CommonArch(arch string) string {
	switch arch {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armhf", "armv7l", "armv7":
		return "arm"
	}
	return arch
}
