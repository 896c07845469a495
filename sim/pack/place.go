package pack

// A host is a node with what is left of it.
type host struct {
	Node
	model            int // its number
	cpuFree, memFree int64
	gpuFree          int64   // thousandths, all devices together
	free             []int64 // the same of each device
	frag             int64   // fragments, kept up to date
	changes          uint32
}

// fits reports whether the host has room for a pod.
func (h *host) fits(p *kind) bool {
	if p.CPUMilli > h.cpuFree || p.MemMiB > h.memFree || p.gpuMilli() > h.gpuFree {
		return false
	}
	if p.GPUs == 0 {
		return true
	}
	n := 0
	for _, free := range h.free {
		if free >= p.GPUMilli {
			n++
		}
	}
	return n >= p.GPUs && p.takes(h.model)
}

// put takes what a pod needs; a single device is the given one, of several the first
// that are whole. It leaves frag as it is.
func (h *host) put(p *Pod, device int) {
	h.cpuFree -= p.CPUMilli
	h.memFree -= p.MemMiB
	h.gpuFree -= p.gpuMilli()
	h.changes++
	if p.GPUs == 1 {
		h.free[device] -= p.GPUMilli
		return
	}
	for i, left := 0, p.GPUs; left > 0; i++ {
		if h.free[i] == Whole {
			h.free[i] = 0
			left--
		}
	}
}

// A score is what a pod of one kind is worth on one host, and on which device; the
// greatest wins. It holds as long as the host has not changed.
type score struct {
	worth   int64 // -1: it does not fit
	changes uint32
	device  int32
}

// A cluster is the state of one placement.
type cluster struct {
	trace  *Trace
	policy policy
	hosts  []host
	scores [][]score // by kind, then host; nil until one comes
	frag   int64     // of all hosts together
	free   []int64   // scratch of fragmentsWith
	market *market   // that places; nil: policy does
}

func (t *Trace) cluster(p policy) *cluster {
	c := &cluster{trace: t, policy: p, hosts: make([]host, len(t.nodes)), scores: make([][]score, len(t.kinds))}
	for i, n := range t.nodes {
		h := &c.hosts[i]
		*h = host{Node: n, model: t.models[i], cpuFree: n.CPUMilli, memFree: n.MemMiB, gpuFree: int64(n.GPUs) * Whole, changes: 1}
		h.free = make([]int64, n.GPUs)
		for d := range h.free {
			h.free[d] = Whole
		}
		h.frag = t.fragments(h)
		c.frag += h.frag
	}
	return c
}

// place puts a pod of a kind on the best host and reports whether there was one. Of
// equals the first in the order of the nodes wins. Only hosts that changed since the
// last pod of this kind are looked at anew.
func (c *cluster) place(kind int) bool {
	scores := c.scores[kind]
	if scores == nil {
		scores = make([]score, len(c.hosts))
		c.scores[kind] = scores
	}
	pod := &c.trace.kinds[kind]
	best, at := int64(-1), 0
	for i := range scores {
		s := &scores[i]
		if h := &c.hosts[i]; s.changes != h.changes {
			s.changes, s.worth, s.device = h.changes, -1, 0
			if h.fits(pod) {
				worth, device := c.policy(c, h, &pod.Pod)
				s.worth, s.device = worth, int32(device)
			}
		}
		if s.worth > best {
			best, at = s.worth, i
		}
	}
	if best < 0 {
		return false
	}
	h := &c.hosts[at]
	h.put(&pod.Pod, int(scores[at].device))
	c.frag -= h.frag
	h.frag = c.trace.fragments(h)
	c.frag += h.frag
	return true
}

// fragmentsWith is what the fragments of a host would be with a pod on it.
func (c *cluster) fragmentsWith(h *host, p *Pod, device int) int64 {
	c.free = append(c.free[:0], h.free...)
	with := *h
	with.free = c.free
	with.put(p, device)
	return c.trace.fragments(&with)
}
