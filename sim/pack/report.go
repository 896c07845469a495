package pack

import (
	"errors"
	"math"
)

// ErrStopped is returned by Run when Options.Watch asked for it.
var ErrStopped = errors.New("stopped")

// Options say what Run does.
type Options struct {
	Policies []string // of Policies; none: Usual
	First    uint64   // the first seed
	Seeds    int      // how many, one after the other; at least 1
	Cell     int      // peers of a cell in which a sale is held, 1 to MaxCell
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
	Sale   *Sale   `json:"sale,omitempty"` // nil: it was placed centrally
	Mean   Figures `json:"mean"`           // of the seeds
	Seeds  []Seed  `json:"seeds"`
}

// A Seed is one placement.
type Seed struct {
	Seed     uint64 `json:"seed"`
	Arrived  int    `json:"podsArrived"`
	Pods     int    `json:"podsPlaced"`
	GPUMilli int64  `json:"gpuMilliPlaced"`
	Figures
	talk, placing Talk
}

// A Sale is how pods were sold, and what the sales in which a pod was placed took on
// average. Total has those in which it was not, too.
type Sale struct {
	Cells    int     `json:"cells"`
	Cell     int     `json:"cell"` // peers of the largest
	Bids     float64 `json:"bidsPerPlacement"`
	Awards   float64 `json:"awardsPerPlacement"`
	Messages float64 `json:"messagesPerPlacement"`
	Bytes    float64 `json:"bytesPerPlacement"`
	Total    Talk    `json:"total"` // of all seeds
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
		names = Usual
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
		if policies[name] == nil {
			p.Sale = t.saleOf(p.Seeds, o.Cell)
		}
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
	c, place := t.placer(at.Policy, at.Seed, o.Cell)
	s := Seed{Seed: at.Seed, Arrived: len(order)}
	for i, k := range order {
		if at.Pods, at.Of = i, len(order); i%watchEvery == 0 && o.Watch != nil && o.Watch(at) {
			return Seed{}, ErrStopped
		}
		placed, err := place(k)
		if err != nil {
			return Seed{}, err
		}
		if placed {
			s.Pods++
			s.GPUMilli += t.kinds[k].gpuMilli()
		}
	}
	if c.market != nil {
		s.talk, s.placing = c.market.talk, c.market.placing
	}
	s.Figures = c.figures()
	return s, nil
}

// placer is an empty cluster, and what places a pod of a kind on it by a policy.
func (t *Trace) placer(policy string, seed uint64, cell int) (*cluster, func(kind int) (bool, error)) {
	if central := policies[policy]; central != nil {
		c := t.cluster(central)
		return c, func(kind int) (bool, error) { return c.place(kind), nil }
	}
	m := t.market(policy, seed, cell)
	m.cluster.market = m
	return m.cluster, m.place
}

// saleOf sums up what was said in the sales of several seeds.
func (t *Trace) saleOf(seeds []Seed, size int) *Sale {
	s := &Sale{Cells: (len(t.nodes) + size - 1) / size}
	s.Cell = (len(t.nodes) + s.Cells - 1) / s.Cells
	placed, p := 0, Talk{}
	for i := range seeds {
		placed += seeds[i].Pods
		s.Total.add(&seeds[i].talk)
		p.add(&seeds[i].placing)
	}
	per := func(n int64) float64 { return rounded(float64(n) / float64(max(placed, 1))) }
	s.Bids, s.Awards = per(int64(p.Bids)), per(int64(p.Awards))
	s.Messages, s.Bytes = per(int64(p.Messages)), per(p.Bytes)
	return s
}

func (t *Talk) add(o *Talk) {
	t.Sales += o.Sales
	t.Calls += o.Calls
	t.Bids += o.Bids
	t.Awards += o.Awards
	t.Declines += o.Declines
	t.Messages += o.Messages
	t.Bytes += o.Bytes
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
