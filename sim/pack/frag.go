package pack

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// How fragmented a node is, after Weng, Yang, Yu, Wang, Tang, Yang and Zhang, "Beware of
// Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent",
// USENIX ATC 2023: draw a pod of the usual mix; what it could not use of the node's free
// devices is a fragment. The measure is the fragment to be expected.

// A mix is the pods that a trace usually brings.
type mix struct {
	shapes []shape
	weight int64 // of all shapes
	steps  [buckets - 1]int64
}

// A shape is a pod of the mix, whatever its memory, and how often it comes.
type shape struct {
	kind
	weight int64
}

const (
	// shapesCover is the part of all pods that the mix keeps, in percent: rare shapes
	// cost time and change little.
	shapesCover = 95
	// maxShapes bounds the mix of a trace in which no shape is frequent.
	maxShapes = 1000
	// buckets is how many grades a change of the fragments has.
	buckets = 100
)

// mixOf returns the most frequent shapes of a trace that make up cover percent of it, at
// most maxShapes.
func mixOf(kinds []kind, pods []int, cover int64) mix {
	known := map[Pod]int{}
	var all []shape
	for _, k := range pods {
		s := shape{kind: kinds[k]}
		s.MemMiB = 0
		i, ok := known[s.Pod]
		if !ok {
			i = len(all)
			known[s.Pod] = i
			all = append(all, s)
		}
		all[i].weight++
	}
	slices.SortStableFunc(all, func(a, b shape) int { return cmp.Compare(b.weight, a.weight) })
	var m mix
	for m.weight*100 < int64(len(pods))*cover && len(m.shapes) < maxShapes {
		m.weight += all[len(m.shapes)].weight
		m.shapes = all[:len(m.shapes)+1]
	}
	for i := range m.steps {
		b := float64(i + 1)
		m.steps[i] = int64(math.Ceil(math.Log(b/(buckets-b)) * Whole * float64(m.weight)))
	}
	return m
}

// bucket grades a placement by how many fragments fewer there are after it: 50 where
// nothing changes, more for fewer, on a sigmoid whose unit is one device. Where the
// grades begin is rounded to whole numbers once, so that all machines agree.
func (m *mix) bucket(fewer int64) int {
	return sort.Search(len(m.steps), func(i int) bool { return m.steps[i] > fewer })
}

// stranded is how many thousandths of the free devices a pod of this shape could not
// use: all, if it finds no place or asks for no device, else the devices too full for it.
func (s *shape) stranded(h *host) int64 {
	if s.GPUs == 0 || s.CPUMilli > h.cpuFree || !s.takes(h.model) {
		return h.gpuFree
	}
	fit, small := 0, int64(0)
	for _, free := range h.free {
		if free >= s.GPUMilli {
			fit++
		} else {
			small += free
		}
	}
	if fit < s.GPUs {
		return h.gpuFree
	}
	return small
}

// fragments is the fragment to be expected on a host, in thousandths of a device times
// the weight of the mix.
func (m *mix) fragments(h *host) int64 {
	if h.gpuFree == 0 {
		return 0
	}
	var sum int64
	for i := range m.shapes {
		sum += m.shapes[i].weight * m.shapes[i].stranded(h)
	}
	return sum
}
