// Package pack places the pods of a trace on its nodes, one after the other, none of them
// ever moved: centrally, with full view, by one mind that sees each node as it is; and by
// sales in cells, with the code that ships. The first is the yardstick for the second,
// which has neither that view nor that mind, and decides nothing in a swarm.
//
// What is placed is CPU, memory and GPUs. GPUs are accounted device by device, in
// thousandths: a pod has none, a share of one device, or several whole ones, so what is
// free on a node may be of no use, in shares too small. That is the fragmentation which
// the policy FGD keeps low.
//
//	pods --shuffle, copy or cut--> arrivals --policy--> node and device, or nowhere
//
// The package is pure: the arrivals are a function of the seed, and the placement one of
// the arrivals. All that is compared is a whole number.
package pack

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Whole is one device, in thousandths.
const Whole = 1000

// A Node offers what it has; each of its devices is whole. No number is below 0.
type Node struct {
	CPUMilli, MemMiB int64
	GPUs             int
	Model            string // of its devices, such as "t4"; "": unknown
}

// A Pod is what arrives: what it needs, of one node. No number is below 0.
type Pod struct {
	CPUMilli, MemMiB int64
	GPUs             int    // devices
	GPUMilli         int64  // of each device: Whole, or of a single device 1 to Whole; 0 without one
	Models           string // models that will do, such as "t4|p100"; "": any
}

// gpuMilli is what the pod takes of its devices together.
func (p *Pod) gpuMilli() int64 { return int64(p.GPUs) * p.GPUMilli }

// What a trace may ask for, so that none takes the memory of a machine, or for ever.
const (
	maxDevices  = 1 << 20
	maxOfNode   = 64 // devices
	maxArrivals = 4 << 20
	maxScores   = 8 << 20 // nodes times kinds of pods, 16 bytes each
)

// A Trace is what is placed, and where: the nodes with devices, and the pods in kinds.
type Trace struct {
	nodes   []Node
	models  []int // those of the nodes, numbered
	without int   // nodes left out, for they have no device
	kinds   []kind
	pods    []int // their kinds, in the order of the trace
	total   Node  // all nodes together
	largest Node  // the greatest of each, over all nodes
	mix
}

// A kind is one of the distinct pods.
type kind struct {
	Pod
	models []bool // by number, which will do; nil: any
}

// takes reports whether a device of a model will do.
func (k *kind) takes(model int) bool { return k.models == nil || k.models[model] }

// NewTrace makes a trace of nodes and pods. Nodes without a GPU are left out, as the
// load is counted in GPUs. The error says why nothing could be measured: no node or no
// pod has a GPU, or there is more of something than one placement can hold.
func NewTrace(nodes []Node, pods []Pod) (*Trace, error) {
	t := &Trace{}
	var models []string
	for _, n := range nodes {
		if n.GPUs == 0 {
			t.without++
			continue
		}
		m := slices.Index(models, n.Model)
		if m < 0 {
			m = len(models)
			models = append(models, n.Model)
		}
		t.nodes, t.models = append(t.nodes, n), append(t.models, m)
		t.total.add(n)
		t.largest.CPUMilli, t.largest.GPUs = max(t.largest.CPUMilli, n.CPUMilli), max(t.largest.GPUs, n.GPUs)
	}
	wanted := t.count(pods, models)
	switch {
	case len(t.nodes) == 0:
		return nil, fmt.Errorf("none of %d nodes has a GPU, and the load is counted in GPUs", len(nodes))
	case wanted == 0:
		return nil, fmt.Errorf("none of %d pods asks for a GPU, and the load is counted in GPUs", len(pods))
	case t.largest.GPUs > maxOfNode:
		return nil, fmt.Errorf("a node has %d GPUs: at most %d can be packed", t.largest.GPUs, maxOfNode)
	case t.total.GPUs > maxDevices:
		return nil, fmt.Errorf("%d GPUs are too many: at most %d", t.total.GPUs, maxDevices)
	case len(t.nodes)*len(t.kinds) > maxScores:
		return nil, fmt.Errorf("%d nodes and %d kinds of pods are too many: multiplied they are at most %d",
			len(t.nodes), len(t.kinds), maxScores)
	}
	t.mix = mixOf(t.kinds, t.pods, shapesCover)
	return t, nil
}

// count sorts the pods into kinds and returns what they want of GPUs, in thousandths.
func (t *Trace) count(pods []Pod, models []string) (gpuMilli int64) {
	known := map[Pod]int{}
	for _, p := range pods {
		k, ok := known[p]
		if !ok {
			k = len(t.kinds)
			known[p] = k
			t.kinds = append(t.kinds, kind{p, modelsOf(p.Models, models)})
		}
		t.pods = append(t.pods, k)
		gpuMilli += p.gpuMilli()
	}
	return gpuMilli
}

// modelsOf numbers the models that will do, such as "t4|p100".
func modelsOf(will string, models []string) []bool {
	if will == "" {
		return nil
	}
	do := make([]bool, len(models))
	for name := range strings.SplitSeq(will, "|") {
		if m := slices.Index(models, name); m >= 0 {
			do[m] = true
		}
	}
	return do
}

func (n *Node) add(m Node) {
	n.CPUMilli += m.CPUMilli
	n.MemMiB += m.MemMiB
	n.GPUs += m.GPUs
}

// arrivals are the kinds of the pods that come, in order: all pods of the trace,
// shuffled, and then copies of any until their GPUs are percent of the capacity; or, if
// they are more already, the first of them.
func (t *Trace) arrivals(seed uint64, percent int) ([]int, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	order := slices.Clone(t.pods)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	left := int64(t.total.GPUs) * Whole * int64(percent) / 100
	for i, k := range order {
		if left <= 0 {
			return order[:i], nil
		}
		left -= t.kinds[k].gpuMilli()
	}
	for left > 0 {
		if len(order) >= maxArrivals {
			return nil, fmt.Errorf("%d pods ask for too few GPUs to come to %d %% of %d", len(order), percent, t.total.GPUs)
		}
		k := t.pods[r.IntN(len(t.pods))]
		order = append(order, k)
		left -= t.kinds[k].gpuMilli()
	}
	return order, nil
}
