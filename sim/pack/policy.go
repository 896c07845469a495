package pack

import (
	"slices"

	"shoal/auction"
)

// A policy is how much a pod that fits is worth on a host, from 0 on, and on which of
// its devices if it takes one alone.
type policy func(c *cluster, h *host, p *Pod) (worth int64, device int)

// The names of the policies: of one mind with full view, and of sales.
const (
	BestFit = "bestfit"
	FGD     = "fgd"
	Pack    = auction.PolicyPack
	Spread  = auction.PolicySpread
)

// Policies are the names of all, in the order of reports, and Usual those that Run takes
// if none is named.
var (
	Policies = []string{BestFit, FGD, Pack, Spread}
	Usual    = []string{BestFit, FGD, Pack}
)

// policies are the central ones.
var policies = map[string]policy{BestFit: bestFit, FGD: fgd}

// million is what shares of a node are counted in.
const million = 1_000_000

// share is how many millionths of a whole are free; of nothing, nothing.
func share(free, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	return free * million / whole
}

// bestFit prefers the host on which the least would be left: of CPU and of GPUs, each as
// a share of the largest node's. Of its devices the fullest that will do is taken.
func bestFit(c *cluster, h *host, p *Pod) (worth int64, device int) {
	largest := &c.trace.largest
	left := share(h.cpuFree-p.CPUMilli, largest.CPUMilli) + share(h.gpuFree-p.gpuMilli(), int64(largest.GPUs)*Whole)
	if p.GPUs == 1 {
		device = fullest(h, p)
	}
	return 2*million - left, device
}

// fullest is the device with the least left of those that have room for a pod, the
// first of equals.
func fullest(h *host, p *Pod) int {
	best := -1
	for i, free := range h.free {
		if free >= p.GPUMilli && (best < 0 || free < h.free[best]) {
			best = i
		}
	}
	return best
}

// fgd goes down the gradient of fragmentation: it prefers the host, and the device, on
// which the pod leaves the fewest fragments more, in buckets. Those of one bucket are
// equal, and of them the one fullest before the pod came wins: exact fragments would
// spread, over hosts hardly better, what can be packed.
func fgd(c *cluster, h *host, p *Pod) (worth int64, device int) {
	best := -1
	try := func(d int) {
		if b := c.trace.bucket(h.frag - c.fragmentsWith(h, p, d)); b > best || b == best && h.free[d] < h.free[device] {
			best, device = b, d
		}
	}
	if p.GPUs != 1 {
		try(0) // put takes the first whole ones
	} else {
		for d, free := range h.free {
			if free >= p.GPUMilli && slices.Index(h.free, free) == d { // the first of equals
				try(d)
			}
		}
	}
	return int64(best)*(2*million+1) + h.fullness(), device
}

// fullness is how much of a host is taken, from 0 to 2 million: its share of the CPU and
// that of the GPUs.
func (h *host) fullness() int64 {
	return 2*million - share(h.cpuFree, h.CPUMilli) - share(h.gpuFree, int64(h.GPUs)*Whole)
}
