package pack

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"shoal/job"
)

// TestSale_RanksAsCentral: of the peers of one cell a sale takes one that the central
// scheduler, by the same mix, would have graded as high.
func TestSale_RanksAsCentral(t *testing.T) {
	trace := drawn(t)
	trace.mix = mixOf(trace.kinds, trace.pods, 99)
	m := trace.market(Pack, 1, MaxCell) // all nodes in one cell
	if len(m.cells) != 1 {
		t.Fatalf("%d cells", len(m.cells))
	}
	for _, k := range trace.pods { // the mix of the trace from the first
		m.wanted[k]++
	}
	r, placed := rand.New(rand.NewPCG(4, 4)), 0
	for range 250 {
		k := trace.pods[r.IntN(len(trace.pods))]
		pod := &trace.kinds[k]
		best, grades := -1, make([]int, len(m.hosts))
		for n := range m.hosts {
			grades[n] = m.gradeAt(n, pod)
			best = max(best, grades[n])
		}
		was := make([]uint32, len(m.hosts))
		for n := range m.hosts {
			was[n] = m.hosts[n].changes
		}
		ok, err := m.place(k)
		if err != nil || ok != (best >= 0) {
			t.Fatalf("%+v: placed %v, best grade %d, %v", pod.Pod, ok, best, err)
		}
		for n := range m.hosts {
			if m.hosts[n].changes != was[n] {
				placed++
				if grades[n] < best {
					t.Errorf("%+v went to a node of grade %d, another has %d", pod.Pod, grades[n], best)
				}
			}
		}
	}
	if placed < 100 {
		t.Errorf("only %d pods were placed", placed)
	}
}

// gradeAt is how the central scheduler grades a pod on a node, -1 if it does not fit. The
// device is the fullest that will do, as peers pick it.
func (m *market) gradeAt(n int, pod *kind) int {
	h := &m.hosts[n]
	if !h.fits(pod) {
		return -1
	}
	device := 0
	if pod.GPUs == 1 {
		device = fullest(h, &pod.Pod)
	}
	return m.trace.bucket(h.frag - m.fragmentsWith(h, &pod.Pod, device))
}

// TestRun_SaleNearCentral: what cells and sales cost of packing is little, and a spread
// policy packs worse than either.
func TestRun_SaleNearCentral(t *testing.T) {
	trace := drawn(t)
	o := Options{Policies: []string{FGD, Pack, Spread}, First: 1, Seeds: 2, Percent: 130, Cell: 30}
	r, err := trace.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	fgd, pack, spread := r.Policies[0], r.Policies[1], r.Policies[2]
	if pack.Mean.GPU < fgd.Mean.GPU-2 || spread.Mean.GPU > pack.Mean.GPU-2 {
		t.Errorf("placed centrally %v %%, by sales %v %%, spread %v %%", fgd.Mean.GPU, pack.Mean.GPU, spread.Mean.GPU)
	}
	s := pack.Sale
	if fgd.Sale != nil || s == nil || s.Cells != 2 || s.Cell != 30 || s.Awards != 1 || s.Messages < 2 || s.Bids < 1 || s.Bytes < 100 || s.Total.Declines != 0 {
		t.Errorf("the sales: %+v", s)
	}
	again, err := trace.Run(o)
	if err != nil || !reflect.DeepEqual(r, again) {
		t.Errorf("the same seeds give something else, %v", err)
	}
}

// TestMarket_Models sells a pod only to nodes with a model that it takes.
func TestMarket_Models(t *testing.T) {
	old := half
	old.Models = "t4|p100"
	trace := newTrace(t, []Node{{CPUMilli: 8000, MemMiB: 9, GPUs: 2, Model: "v100"}, {CPUMilli: 8000, MemMiB: 9, GPUs: 1, Model: "p100"}}, old)
	m := trace.market(Pack, 1, MaxCell)
	for i, want := range []bool{true, true, false} {
		if placed, err := m.place(0); placed != want || err != nil {
			t.Errorf("pod %d: placed %v, %v", i, placed, err)
		}
	}
	if m.hosts[0].gpuFree != 2*Whole || m.hosts[1].gpuFree != 0 {
		t.Errorf("free: %v %v", m.hosts[0].free, m.hosts[1].free)
	}
	if task := specOf(&old, Pack, 1).Tasks[0]; len(task.Constraints) != 1 {
		t.Errorf("constraints %v", task.Constraints)
	} else if _, err := job.ParseConstraint(task.Constraints[0]); err != nil {
		t.Error(err)
	}
}

// TestMarket_Books: a peer that takes what the books have no room for stops the run.
func TestMarket_Books(t *testing.T) {
	trace := newTrace(t, []Node{{CPUMilli: 8000, MemMiB: 9, GPUs: 1}}, half)
	m := trace.market(Pack, 1, 1)
	m.peers[0].Free.GPUMilli, m.peers[0].Total.GPUMilli, m.peers[0].GPUs = 3000, 3000, []uint16{1000, 1000, 1000}
	var err error
	for i := 0; i < 6 && err == nil; i++ {
		_, err = m.place(0)
	}
	if err == nil {
		t.Error("three devices were sold where there is one")
	}
}
