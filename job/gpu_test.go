package job_test

import (
	"slices"
	"testing"

	"shoal/job"
)

func TestPickGPUs(t *testing.T) {
	free := []uint16{1000, 300, 600, 1000, 600}
	for _, c := range []struct {
		milli int64
		want  []int
		ok    bool
	}{
		{0, nil, true}, {-1, nil, false}, {1, []int{1}, true}, {300, []int{1}, true}, {301, []int{2}, true}, {601, []int{0}, true},
		{1000, []int{0}, true}, {2000, []int{0, 3}, true}, {3000, nil, false}, {1 << 62, nil, false},
	} {
		got, ok := job.PickGPUs(free, c.milli)
		if !slices.Equal(got, c.want) || ok != c.ok || job.FitsGPUs(free, c.milli) != c.ok {
			t.Errorf("%d: %v %v, want %v %v", c.milli, got, ok, c.want, c.ok)
		}
		if ok && !job.AreGPUsFor(got, c.milli) {
			t.Errorf("%d: %v are not right for it", c.milli, got)
		}
		if set := job.GPUSetOf(got).Indices(); !slices.Equal(set, got) {
			t.Errorf("%v as a set is %v", got, set)
		}
		after := slices.Clone(free)
		job.TakeGPUs(after, got, c.milli)
		if want := job.SumGPUs(free) - max(c.milli, 0); ok && job.SumGPUs(after) != want {
			t.Errorf("%d: %v is left", c.milli, after)
		}
		if job.GiveGPUs(after, got, c.milli); !slices.Equal(after, free) {
			t.Errorf("%d: given back %v", c.milli, after)
		}
	}
}

func TestAreGPUsFor(t *testing.T) {
	for _, c := range []struct {
		devices []int
		milli   int64
	}{{[]int{0}, 0}, {nil, 1}, {[]int{0, 1}, 999}, {[]int{0}, 2000}, {[]int{1, 0}, 2000}, {[]int{1, 1}, 2000}, {[]int{-1}, 1000}, {[]int{64}, 1000}, {nil, -1}, {nil, 1 << 62}} {
		if job.AreGPUsFor(c.devices, c.milli) {
			t.Errorf("%v pass for %d", c.devices, c.milli)
		}
	}
	job.TakeGPUs([]uint16{5}, []int{-1, 7, 0}, 1<<40) // no panic
	if len(job.WholeGPUs(1<<50)) != job.MaxGPUs || job.WholeGPUs(-1) != nil {
		t.Error("WholeGPUs has no bound")
	}
}
