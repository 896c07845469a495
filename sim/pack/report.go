package pack

import (
	"errors"
	"math"
)

// ErrStopped is returned by Run when Options.Watch asked for it.
var ErrStopped = errors.New("stopped")

// Options say what Run does.
type Options struct {
	Policies []string // of Policies; none: all
	First    uint64   // the first seed
	Seeds    int      // how many, one after the other; at least 1
	Percent  int      // GPUs asked for by all that arrives, of the capacity; at least 1

	Watch func(At) (stop bool) // told every so many pods how far Run is; nil: nobody
}

// At is how far Run is.
type At struct {
	Policy   string
	Seed     uint64
	Pods, Of int // of this policy and seed, placed or not
	Done     int // policies times seeds that are done
}

// A Report is what several policies placed of the same arrivals.
type Report struct {
	Nodes    int      `json:"nodes"`
	Without  int      `json:"nodesWithoutGPU"` // left out, and counted in nothing
	GPUs     int      `json:"gpus"`
	CPUMilli int64    `json:"cpuMilli"`
	MemMiB   int64    `json:"memMiB"`
	Pods     int      `json:"pods"`
	Shapes   int      `json:"shapes"` // that the fragments are measured by
	Percent  int      `json:"arrivalsPercent"`
	Policies []Placed `json:"policies"`
}

// Placed is what one policy placed.
type Placed struct {
	Policy string  `json:"policy"`
	Mean   Figures `json:"mean"` // of the seeds
	Seeds  []Seed  `json:"seeds"`
}

// A Seed is one placement.
type Seed struct {
	Seed     uint64 `json:"seed"`
	Arrived  int    `json:"podsArrived"`
	Pods     int    `json:"podsPlaced"`
	GPUMilli int64  `json:"gpuMilliPlaced"`
	Figures
}

// Figures are percentages, to three decimals: of the nodes' GPUs, CPUs and memory what
// was placed; of the GPUs what is free and an average pod of the mix could not use; and
// the same of what is free.
type Figures struct {
	GPU           float64 `json:"gpuPercent"`
	CPU           float64 `json:"cpuPercent"`
	Mem           float64 `json:"memPercent"`
	Fragments     float64 `json:"fragmentsPercent"`
	Fragmentation float64 `json:"fragmentationPercent"`
}

// Run places the trace, once for each policy and seed. The error is ErrStopped, or says
// why there are no such arrivals.
func (t *Trace) Run(o Options) (*Report, error) {
	names := o.Policies
	if len(names) == 0 {
		names = Policies
	}
	r := &Report{
		Nodes: len(t.nodes), Without: t.without, GPUs: t.total.GPUs, CPUMilli: t.total.CPUMilli, MemMiB: t.total.MemMiB,
		Pods: len(t.pods), Shapes: len(t.shapes), Percent: o.Percent,
	}
	for _, name := range names {
		p := Placed{Policy: name}
		for i := range o.Seeds {
			at := At{Policy: name, Seed: o.First + uint64(i), Done: len(r.Policies)*o.Seeds + i}
			s, err := t.placeAll(&o, at)
			if err != nil {
				return nil, err
			}
			p.Seeds = append(p.Seeds, s)
		}
		p.Mean = mean(p.Seeds)
		r.Policies = append(r.Policies, p)
	}
	return r, nil
}

// watchEvery is after how many pods Watch is called.
const watchEvery = 256

// placeAll places what arrives for one policy and seed.
func (t *Trace) placeAll(o *Options, at At) (Seed, error) {
	order, err := t.arrivals(at.Seed, o.Percent)
	if err != nil {
		return Seed{}, err
	}
	c := t.cluster(policies[at.Policy])
	s := Seed{Seed: at.Seed, Arrived: len(order)}
	for i, k := range order {
		if at.Pods, at.Of = i, len(order); i%watchEvery == 0 && o.Watch != nil && o.Watch(at) {
			return Seed{}, ErrStopped
		}
		if c.place(k) {
			s.Pods++
			s.GPUMilli += t.kinds[k].gpuMilli()
		}
	}
	s.Figures = c.figures()
	return s, nil
}

// figures sums up what is left.
func (c *cluster) figures() Figures {
	var cpu, mem, gpu int64 // free
	for i := range c.hosts {
		h := &c.hosts[i]
		cpu, mem, gpu = cpu+h.cpuFree, mem+h.memFree, gpu+h.gpuFree
	}
	all := c.trace.total
	fragments := float64(c.frag) / float64(c.trace.weight)
	return Figures{
		GPU:           percent(float64(int64(all.GPUs)*Whole-gpu), float64(all.GPUs)*Whole),
		CPU:           percent(float64(all.CPUMilli-cpu), float64(all.CPUMilli)),
		Mem:           percent(float64(all.MemMiB-mem), float64(all.MemMiB)),
		Fragments:     percent(fragments, float64(all.GPUs)*Whole),
		Fragmentation: percent(fragments, float64(gpu)),
	}
}

// percent is part of whole; of nothing, 0.
func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return rounded(100 * part / whole)
}

func rounded(f float64) float64 { return math.Round(f*1000) / 1000 }

func mean(seeds []Seed) Figures {
	var m Figures
	for _, s := range seeds {
		m.GPU += s.GPU
		m.CPU += s.CPU
		m.Mem += s.Mem
		m.Fragments += s.Fragments
		m.Fragmentation += s.Fragmentation
	}
	n := float64(len(seeds))
	return Figures{rounded(m.GPU / n), rounded(m.CPU / n), rounded(m.Mem / n), rounded(m.Fragments / n), rounded(m.Fragmentation / n)}
}
