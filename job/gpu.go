package job

import "slices"

const (
	// WholeGPU is one device, in thousandths.
	WholeGPU = 1000
	// MaxGPUs is how many devices of one peer are counted, and how many a slot may need.
	MaxGPUs = 64
)

// WholeGPUs is what a peer with n devices has free while nothing holds any: a list of
// what is free of each, by its index. At most MaxGPUs are counted.
func WholeGPUs(n int64) []uint16 {
	if n <= 0 {
		return nil
	}
	return slices.Repeat([]uint16{WholeGPU}, int(min(n, MaxGPUs)))
}

// SumGPUs is what is free of all devices together, in thousandths.
func SumGPUs(free []uint16) (milli int64) {
	for _, f := range free {
		milli += int64(f)
	}
	return milli
}

// PickGPUs returns the indices, ascending, of the devices that a need is met by: a share
// by the device with the least free that has room for it, whole devices by the first that
// nothing holds. All who know what is free pick the same. False if there are none; a need
// of 0 is met by no device.
func PickGPUs(free []uint16, milli int64) (devices []int, ok bool) {
	if milli <= 0 {
		return nil, milli == 0
	}
	if milli < WholeGPU {
		d := PickShare(free, milli)
		if d < 0 {
			return nil, false
		}
		return []int{d}, true
	}
	want := milli / WholeGPU
	for i, f := range free {
		if f >= WholeGPU && int64(len(devices)) < want {
			devices = append(devices, i)
		}
	}
	if int64(len(devices)) < want {
		return nil, false
	}
	return devices, true
}

// PickShare returns the device that PickGPUs finds for a share of one, -1 if there is none.
func PickShare(free []uint16, milli int64) int {
	best := -1
	for i, f := range free {
		if int64(f) >= milli && (best < 0 || f < free[best]) {
			best = i
		}
	}
	return best
}

// FitsGPUs reports whether PickGPUs finds devices.
func FitsGPUs(free []uint16, milli int64) bool {
	switch {
	case milli <= 0:
		return milli == 0
	case milli < WholeGPU:
		return slices.ContainsFunc(free, func(f uint16) bool { return int64(f) >= milli })
	}
	want := milli / WholeGPU
	for _, f := range free {
		if f >= WholeGPU {
			want--
		}
	}
	return want <= 0
}

// TakeGPUs deducts a need from what is free of the devices that meet it, which are
// indices into free. It never goes below nothing; of a device that is not there it takes
// nothing.
func TakeGPUs(free []uint16, devices []int, milli int64) {
	each := min(max(milli, 0), WholeGPU)
	for _, d := range devices {
		if d >= 0 && d < len(free) {
			free[d] -= uint16(min(each, int64(free[d])))
		}
	}
}

// GiveGPUs is the reverse of TakeGPUs; no device becomes more than whole.
func GiveGPUs(free []uint16, devices []int, milli int64) {
	each := min(max(milli, 0), WholeGPU)
	for _, d := range devices {
		if d >= 0 && d < len(free) {
			free[d] = uint16(min(int64(free[d])+each, WholeGPU))
		}
	}
}

// A GPUSet is some of a peer's devices: bit i is the device of index i.
type GPUSet uint64

// GPUSetOf returns the set of a list of indices, of which those beyond MaxGPUs are left out.
func GPUSetOf(devices []int) (s GPUSet) {
	for _, d := range devices {
		if d >= 0 && d < MaxGPUs {
			s |= 1 << d
		}
	}
	return s
}

// Indices lists the devices of the set, ascending.
func (s GPUSet) Indices() (devices []int) {
	for d := range MaxGPUs {
		if s>>d&1 == 1 {
			devices = append(devices, d)
		}
	}
	return devices
}

// AreGPUsFor reports whether a list of devices can meet a need: as many as it takes,
// ascending, each one that can be counted.
func AreGPUsFor(devices []int, milli int64) bool {
	want := 0
	switch {
	case milli < 0 || milli > MaxGPUs*WholeGPU:
		return false
	case milli >= WholeGPU:
		want = int(milli / WholeGPU)
	case milli > 0:
		want = 1
	}
	for i, d := range devices {
		if d < 0 || d >= MaxGPUs || i > 0 && d <= devices[i-1] {
			return false
		}
	}
	return len(devices) == want
}
