package auction

import (
	"cmp"
	"slices"
	"sort"

	"shoal/job"
)

// How fragmented the GPUs of a peer are, after Weng, Yang, Yu, Wang, Tang, Yang and
// Zhang, "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
// Gradient Descent", USENIX ATC 2023: draw a task of the usual mix; what it could not use
// of the free devices is a fragment, and the measure is the fragment to be expected.
// Slots that are packed go where they leave the fewest fragments more, in classes.

// A Shape is what tasks need of what fragments are measured by, and how many copies of
// such tasks are wanted.
type Shape struct {
	CPUMilli, GPUMilli int64
	Weight             int64
}

// A Mix is the shapes that are usually wanted: what stewards measure fragments by. Two
// stewards need not have the same one. The zero value, and nil, know of no shape. It
// never changes.
type Mix struct {
	groups []shapeGroup
	weight int64 // of all shapes, those that need no GPU included
}

// A shapeGroup is the shapes of one need of GPUs, by their CPU.
type shapeGroup struct {
	milli int64
	cpu   []int64 // ascending
	upTo  []int64 // weight of the shapes with at most that CPU
}

const (
	// maxShapes bounds a mix, and with it the time that one bid takes.
	maxShapes = 64
	// mixCovers is the part of all copies that the shapes of a mix make up if they can, in
	// percent. Which shapes are rare changes from day to day, and what is left out of a
	// mix is left out of mind: with 95 a mix of what is wanted so far packs 0.1 % less.
	mixCovers = 99
	// maxWeight keeps sums of fragments far from overflow.
	maxWeight = 1 << 20
)

// NewMix makes a mix of shapes, of which some may be alike: the most frequent ones.
// Their order does not matter.
func NewMix(shapes []Shape) *Mix {
	shapes = frequent(shapes)
	slices.SortFunc(shapes, byNeeds)
	m := &Mix{}
	for _, s := range shapes {
		m.weight += s.Weight
		if s.GPUMilli <= 0 {
			continue
		}
		if n := len(m.groups); n == 0 || m.groups[n-1].milli != s.GPUMilli {
			m.groups = append(m.groups, shapeGroup{milli: s.GPUMilli})
		}
		g := &m.groups[len(m.groups)-1]
		sum := s.Weight
		if n := len(g.upTo); n > 0 {
			sum += g.upTo[n-1]
		}
		g.cpu, g.upTo = append(g.cpu, s.CPUMilli), append(g.upTo, sum)
	}
	return m
}

func byNeeds(a, b Shape) int {
	return cmp.Or(cmp.Compare(a.GPUMilli, b.GPUMilli), cmp.Compare(a.CPUMilli, b.CPUMilli))
}

// frequent returns the most frequent shapes, each once, their weights within maxWeight.
func frequent(shapes []Shape) []Shape {
	shapes = slices.Clone(shapes)
	slices.SortFunc(shapes, byNeeds)
	kinds := shapes[:0]
	total := int64(0)
	for _, s := range shapes {
		if s.Weight = min(s.Weight, job.MaxCount); s.Weight <= 0 {
			continue
		}
		total += s.Weight
		if n := len(kinds); n > 0 && byNeeds(kinds[n-1], s) == 0 {
			kinds[n-1].Weight += s.Weight
		} else {
			kinds = append(kinds, s)
		}
	}
	slices.SortStableFunc(kinds, func(a, b Shape) int { return cmp.Compare(b.Weight, a.Weight) })
	for i, sum := 0, int64(0); i < len(kinds); i++ {
		if i == maxShapes || sum*100 >= total*mixCovers {
			kinds = kinds[:i]
			break
		}
		sum += kinds[i].Weight
	}
	if total > maxWeight {
		for i := range kinds {
			kinds[i].Weight = max(kinds[i].Weight*maxWeight/total, 1)
		}
	}
	return kinds
}

// fragments is the fragment to be expected of devices, in thousandths of one times the
// weight of the mix. A task uses no part of them if it needs none, or finds neither the
// CPUs nor the devices; else all but the devices too full for it.
func (m *Mix) fragments(cpuFree int64, gpus []uint16) int64 {
	var buffer [job.MaxGPUs]uint16
	sorted := append(buffer[:0], gpus...)
	useful, whole := int64(0), int64(0) // of what is free: all at first, and what is left of whole devices
	for i, f := range sorted {
		useful += int64(f)
		if f >= job.WholeGPU {
			whole++
		}
		for ; i > 0 && sorted[i-1] > f; i-- {
			sorted[i] = sorted[i-1]
		}
		sorted[i] = f
	}
	if useful == 0 {
		return 0
	}
	sum, next := m.weight*useful, 0
	for i := range m.groups { // which need more and more
		g := &m.groups[i]
		for each := min(g.milli, job.WholeGPU); next < len(sorted) && int64(sorted[next]) < each; next++ {
			useful -= int64(sorted[next])
		}
		if next == len(sorted) || g.milli/job.WholeGPU > whole {
			break
		}
		sum -= useful * g.within(cpuFree)
	}
	return sum
}

// within is the weight of the shapes that so many CPUs are enough for.
func (g *shapeGroup) within(cpuFree int64) int64 {
	n := len(g.cpu)
	for n > 0 && g.cpu[n-1] > cpuFree {
		n--
	}
	if n == 0 {
		return 0
	}
	return g.upTo[n-1]
}

// fragClasses is how many classes there are, and fragNeutral the one of a slot that
// leaves as many fragments as there were.
const (
	fragClasses = 100
	fragNeutral = fragClasses / 2
)

// class grades what a slot would leave of a peer's devices: fragNeutral if no more
// fragments than before, less for fewer, on a sigmoid whose unit is one device. Exact
// fragments would tell peers apart that are as good, and spread over them what fullness
// packs. The devices are those that the peer will pick.
func (m *Mix) class(s space, needs job.Resources) uint32 {
	if m == nil || m.weight == 0 || len(s.gpus) == 0 {
		return fragNeutral
	}
	var buffer [job.MaxGPUs]uint16
	after := append(buffer[:0], s.gpus...)
	takeGPUs(after, needs.GPUMilli)
	return m.grade(m.fragments(s.free.CPUMilli, s.gpus) - m.fragments(s.free.CPUMilli-needs.CPUMilli, after))
}

// grade is the class of so many fragments fewer, in the unit of fragments.
func (m *Mix) grade(fewer int64) uint32 {
	passed := sort.Search(len(fragSteps), func(i int) bool { return fragSteps[i]*m.weight > fewer*fragUnit })
	return uint32(fragClasses - passed)
}

// takeGPUs takes from what is free of devices what a need is met by, as their peer picks
// them. What finds none takes nothing: its peer will decline it.
func takeGPUs(free []uint16, milli int64) {
	if milli > 0 && milli < job.WholeGPU {
		if d := job.PickShare(free, milli); d >= 0 {
			free[d] -= uint16(milli)
		}
		return
	}
	devices, _ := job.PickGPUs(free, milli)
	job.TakeGPUs(free, devices, milli)
}

// fragUnit is the unit of fragSteps: millionths of a device in a thousandth.
const fragUnit = 1000

// fragSteps says at how many fragments fewer the classes begin, in millionths of a device:
// class fragClasses-b at ln(b/(fragClasses-b)), rounded up. It is written out, so that no
// machine's logarithm matters.
var fragSteps = [fragClasses - 1]int64{
	-4595119, -3891820, -3476098, -3178053, -2944438, -2751535, -2586689, -2442347, -2313634,
	-2197224, -2090741, -1992430, -1900958, -1815289, -1734601, -1658228, -1585627, -1516347,
	-1450010, -1386294, -1324925, -1265666, -1208311, -1152679, -1098612, -1045968, -994622,
	-944461, -895384, -847297, -800119, -753771, -708185, -663294, -619039, -575364,
	-532216, -489548, -447312, -405465, -363965, -322773, -281851, -241162, -200670,
	-160342, -120144, -80042, -40005, 0, 40006, 80043, 120145, 160343,
	200671, 241163, 281852, 322774, 363966, 405466, 447313, 489549, 532217,
	575365, 619040, 663295, 708186, 753772, 800120, 847298, 895385, 944462,
	994623, 1045969, 1098613, 1152680, 1208312, 1265667, 1324926, 1386295, 1450011,
	1516348, 1585628, 1658229, 1734602, 1815290, 1900959, 1992431, 2090742, 2197225,
	2313635, 2442348, 2586690, 2751536, 2944439, 3178054, 3476099, 3891821, 4595120,
}
