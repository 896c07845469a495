package pack

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// half wants half a device, two want two whole ones.
var (
	half = Pod{CPUMilli: 1000, MemMiB: 1, GPUs: 1, GPUMilli: 500}
	two  = Pod{CPUMilli: 4000, MemMiB: 1, GPUs: 2, GPUMilli: Whole}
	bare = Pod{CPUMilli: 1000, MemMiB: 1}
)

func newTrace(t *testing.T, nodes []Node, pods ...Pod) *Trace {
	t.Helper()
	trace, err := NewTrace(nodes, pods)
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// withFree is a cluster of which some devices are in use.
func withFree(trace *Trace, name string, free ...[]int64) *cluster {
	c := trace.cluster(policies[name])
	for i := range free {
		h := &c.hosts[i]
		c.frag -= h.frag
		h.gpuFree = 0
		for d, f := range free[i] {
			h.free[d] = f
			h.gpuFree += f
		}
		h.frag = trace.fragments(h)
		c.frag += h.frag
	}
	return c
}

func frees(c *cluster) [][]int64 {
	var all [][]int64
	for i := range c.hosts {
		all = append(all, c.hosts[i].free)
	}
	return all
}

func TestFragments(t *testing.T) {
	t4 := half
	t4.Models = "t4|p4"
	node := Node{CPUMilli: 8000, MemMiB: 8, GPUs: 2, Model: "p100"}
	for _, c := range []struct {
		name string
		pods []Pod
		cpu  int64
		free []int64
		want int64 // thousandths times the number of pods
	}{
		{"all whole", []Pod{half, half, half, two}, 8000, []int64{1000, 1000}, 0},
		{"one too full for half, and none for two", []Pod{half, half, half, two}, 8000, []int64{400, 1000}, 3*400 + 1400},
		{"just enough", []Pod{half, half, half, two}, 8000, []int64{500, 1000}, 1500},
		{"CPU for the small alone", []Pod{half, half, half, two}, 3999, []int64{1000, 1000}, 2000},
		{"CPU for none", []Pod{half, half, half, two}, 999, []int64{400, 1000}, 4 * 1400},
		{"nothing free is no fragment", []Pod{half, two}, 0, []int64{0, 0}, 0},
		{"whoever asks for no device uses none", []Pod{half, bare}, 8000, []int64{1000, 1000}, 2000},
		{"another model", []Pod{half, t4}, 8000, []int64{1000, 100}, 100 + 1100},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace := newTrace(t, []Node{node}, c.pods...)
			cl := withFree(trace, FGD, c.free)
			h := &cl.hosts[0]
			h.cpuFree = c.cpu
			if got := trace.fragments(h); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// TestMix_KeepsTheFrequent leaves out what is rarer than one in twenty, and memory.
func TestMix_KeepsTheFrequent(t *testing.T) {
	pods := []Pod{two}
	for i := range 19 {
		p := half
		p.MemMiB = int64(i)
		pods = append(pods, p)
	}
	trace := newTrace(t, []Node{{CPUMilli: 1, MemMiB: 1, GPUs: 1}}, pods...)
	if len(trace.shapes) != 1 || trace.weight != 19 || trace.shapes[0].GPUMilli != 500 || len(trace.kinds) != 20 {
		t.Errorf("%d kinds, %+v", len(trace.kinds), trace.shapes)
	}
}

func TestBucket(t *testing.T) {
	trace := newTrace(t, []Node{{CPUMilli: 1, MemMiB: 1, GPUs: 1}}, half, half, two) // of weight 3
	for _, c := range []struct {
		fewer int64
		want  int
	}{
		{0, 50}, {-1, 49}, {3 * Whole, 73}, {-3 * Whole, 26}, {30 * Whole, 99}, {-30 * Whole, 0},
		{121, 51}, {120, 50}, // 51 begins at 3 * 1000 * ln(51/49) = 120.01
	} {
		if got := trace.bucket(c.fewer); got != c.want {
			t.Errorf("%d: got %d, want %d", c.fewer, got, c.want)
		}
	}
}

func TestPolicies(t *testing.T) {
	two8 := []Node{{CPUMilli: 8000, MemMiB: 100, GPUs: 2}, {CPUMilli: 8000, MemMiB: 100, GPUs: 2}}
	quarter := half
	quarter.GPUMilli = 250
	t4 := half
	t4.Models = "t4"
	for _, c := range []struct {
		name, policy string
		nodes        []Node
		mix          []Pod
		free         [][]int64
		pod          Pod
		want         [][]int64 // nil: it finds no place
	}{
		{"best fit takes what leaves least", BestFit, two8, nil,
			[][]int64{{1000, 1000}, {600, 1000}}, half, [][]int64{{1000, 1000}, {100, 1000}}},
		{"best fit takes the fullest device", BestFit, two8, nil,
			[][]int64{{1000, 600}, {1000, 1000}}, half, [][]int64{{1000, 100}, {1000, 1000}}},
		{"best fit splits a host that others need whole", BestFit, two8, []Pod{two, two, two},
			[][]int64{{1000, 1000}, {1000, 1000}}, half, [][]int64{{500, 1000}, {1000, 1000}}},
		{"of equals the first", BestFit, two8, nil, [][]int64{{700, 0}, {700, 0}}, half, [][]int64{{200, 0}, {700, 0}}},
		// Half on the first leaves 250 where 500 were of use; on the second a device goes
		// from 1000 to 500, of use still. Best fit would take the first.
		{"fgd leaves no fragment", FGD, two8, []Pod{half},
			[][]int64{{750, 0}, {1000, 1000}}, half, [][]int64{{750, 0}, {500, 1000}}},
		{"best fit leaves one", BestFit, two8, []Pod{half},
			[][]int64{{750, 0}, {1000, 1000}}, half, [][]int64{{250, 0}, {1000, 1000}}},
		{"fgd keeps the pair whole", FGD, two8, []Pod{two, two, two, half},
			[][]int64{{1000, 1000}, {0, 1000}}, half, [][]int64{{1000, 1000}, {0, 500}}},
		{"fgd takes the fullest of equals", FGD, two8, []Pod{quarter},
			[][]int64{{1000, 1000}, {750, 1000}}, quarter, [][]int64{{1000, 1000}, {500, 1000}}},
		{"fgd takes the fullest device of equals", FGD, two8, []Pod{quarter},
			[][]int64{{1000, 750}, {1000, 1000}}, quarter, [][]int64{{1000, 500}, {1000, 1000}}},
		{"two want whole ones", FGD, two8, nil, [][]int64{{1000, 999}, {1000, 1000}}, two, [][]int64{{1000, 999}, {0, 0}}},
		{"two halves are no whole", BestFit, two8, nil, [][]int64{{500, 500}, {1000, 999}}, two, nil},
		{"no such model", FGD, two8, nil, [][]int64{{1000, 1000}, {1000, 1000}}, t4, nil},
		{"the one with the model", BestFit, []Node{two8[0], {CPUMilli: 8000, MemMiB: 9, GPUs: 1, Model: "t4"}}, nil,
			[][]int64{{500, 0}, {1000}}, t4, [][]int64{{500, 0}, {500}}},
		{"no memory", BestFit, two8, nil, [][]int64{{1000, 1000}, {1000, 1000}}, Pod{MemMiB: 101, GPUs: 1, GPUMilli: 1}, nil},
		{"no CPU", FGD, two8, nil, [][]int64{{1000, 1000}, {1000, 1000}}, Pod{CPUMilli: 8001, GPUs: 1, GPUMilli: 1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			pods := append(slices.Clone(c.mix), c.pod)
			trace := newTrace(t, c.nodes, pods...)
			cl := withFree(trace, c.policy, c.free...)
			placed := cl.place(slices.IndexFunc(trace.kinds, func(k kind) bool { return k.Pod == c.pod }))
			if want := c.want; placed != (want != nil) || placed && !reflect.DeepEqual(frees(cl), want) {
				t.Errorf("%v: %v, want %v", placed, frees(cl), want)
			}
		})
	}
}

func TestNewTrace_Refusals(t *testing.T) {
	node := Node{CPUMilli: 1, MemMiB: 1, GPUs: 1}
	for _, c := range []struct {
		nodes []Node
		pods  []Pod
		want  string
	}{
		{[]Node{{CPUMilli: 1}}, []Pod{half}, "none of 1 nodes has a GPU"},
		{[]Node{node}, []Pod{bare, bare}, "none of 2 pods asks for a GPU"},
		{[]Node{node, {GPUs: 65}}, []Pod{half}, "a node has 65 GPUs: at most 64 can be packed"},
		{slices.Repeat([]Node{{GPUs: 64}}, 16385), []Pod{half}, "1048640 GPUs are too many: at most 1048576"},
	} {
		if _, err := NewTrace(c.nodes, c.pods); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	var many []Pod
	for i := range 9000 {
		many = append(many, Pod{CPUMilli: int64(i), GPUs: 1, GPUMilli: Whole})
	}
	if _, err := NewTrace(slices.Repeat([]Node{node}, 1000), many); err == nil || !strings.HasPrefix(err.Error(), "1000 nodes and 9000 kinds of pods") {
		t.Error(err)
	}
	if trace := newTrace(t, []Node{node}, many...); len(trace.shapes) != maxShapes || trace.weight != maxShapes {
		t.Errorf("%d shapes of weight %d", len(trace.shapes), trace.weight)
	}
	trace := newTrace(t, slices.Repeat([]Node{{GPUs: 64}}, 1600), Pod{GPUs: 1, GPUMilli: 1})
	if _, err := trace.Run(Options{Seeds: 1, Percent: 100}); err == nil || !strings.Contains(err.Error(), "ask for too few GPUs to come to 100 % of 102400") {
		t.Error(err)
	}
}

func TestArrivals(t *testing.T) {
	pods := append(slices.Repeat([]Pod{half}, 30), slices.Repeat([]Pod{bare}, 10)...)
	trace := newTrace(t, slices.Repeat([]Node{{GPUs: 4}}, 5), pods...) // 15 of 20 devices are asked for
	most, err := trace.arrivals(1, 130)
	if err != nil {
		t.Fatal(err)
	}
	var wanted int64
	for _, k := range most {
		wanted += trace.kinds[k].gpuMilli()
	}
	if wanted != 26*Whole {
		t.Errorf("%d thousandths are asked for, not 26000", wanted)
	}
	first := slices.Sorted(slices.Values(most[:len(pods)]))
	if !slices.Equal(first, slices.Sorted(slices.Values(trace.pods))) {
		t.Error("what comes first is not each pod once")
	}
	for _, percent := range []int{10, 100} { // fewer are the first of more
		fewer, err := trace.arrivals(1, percent)
		if err != nil || len(fewer) >= len(most) || !slices.Equal(fewer, most[:len(fewer)]) {
			t.Errorf("%d %%: %d pods, %v", percent, len(fewer), err)
		}
	}
	if other, _ := trace.arrivals(2, 130); slices.Equal(other, most) {
		t.Error("another seed gives the same order")
	}
}

// drawn is a trace of 60 nodes in the manner of a real cluster: shares, single devices,
// and the odd pod that wants a whole node.
func drawn(t *testing.T) *Trace {
	r := rand.New(rand.NewPCG(7, 7))
	nodes := append(slices.Repeat([]Node{{96000, 393216, 8, "g2"}}, 40), slices.Repeat([]Node{{64000, 262144, 2, "t4"}}, 20)...)
	var pods []Pod
	for range 300 {
		p := Pod{CPUMilli: 2000 * (1 + r.Int64N(6)), MemMiB: 4096 * (1 + r.Int64N(8)), GPUs: 1, GPUMilli: Whole}
		switch n := r.IntN(100); {
		case n < 10:
			p.GPUs, p.GPUMilli = 0, 0
		case n < 50:
			p.GPUMilli = []int64{160, 220, 320, 470, 590, 650, 810}[r.IntN(7)]
		case n < 55:
			p.GPUs, p.CPUMilli = 8, 64000
		case n < 60:
			p.Models = "t4|p100"
		}
		pods = append(pods, p)
	}
	return newTrace(t, nodes, pods...)
}

// TestRun_BooksBalance sums up afresh what was kept up to date step by step.
func TestRun_BooksBalance(t *testing.T) {
	trace := drawn(t)
	for _, name := range Policies {
		order, err := trace.arrivals(3, 130)
		if err != nil {
			t.Fatal(err)
		}
		c, place := trace.placer(name, 3, 32)
		var cpu, gpu int64
		for _, k := range order {
			if placed, err := place(k); err != nil {
				t.Fatalf("%s: %v", name, err)
			} else if placed {
				cpu += trace.kinds[k].CPUMilli
				gpu += trace.kinds[k].gpuMilli()
			}
		}
		var frag int64
		for i := range c.hosts {
			h := &c.hosts[i]
			frag += trace.fragments(h)
			cpu += h.cpuFree
			if h.cpuFree < 0 || h.memFree < 0 {
				t.Errorf("%s: host %d has %d CPU and %d memory left", name, i, h.cpuFree, h.memFree)
			}
			for _, free := range h.free {
				gpu += free
				if free < 0 || free > Whole {
					t.Errorf("%s: a device of host %d has %d left", name, i, free)
				}
			}
		}
		if frag != c.frag || cpu != trace.total.CPUMilli || gpu != int64(trace.total.GPUs)*Whole {
			t.Errorf("%s: fragments %d, kept as %d; CPU %d of %d; GPU %d of %d", name, frag, c.frag, cpu, trace.total.CPUMilli, gpu, trace.total.GPUs)
		}
	}
}

func TestRun_FewerFragmentsPlaceMore(t *testing.T) {
	run := func(o Options) *Report {
		r, err := drawn(t).Run(o)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	o := Options{Policies: []string{BestFit, FGD}, First: 1, Seeds: 5, Percent: 130}
	r := run(o)
	best, fgd := r.Policies[0].Mean, r.Policies[1].Mean
	if fgd.GPU <= best.GPU || fgd.Fragments >= best.Fragments {
		t.Errorf("fgd %+v, best fit %+v", fgd, best)
	}
	if again := run(o); !reflect.DeepEqual(r, again) {
		t.Errorf("the same seeds give\n%+v\n%+v", r, again)
	}
	one := run(Options{Policies: []string{FGD}, First: 4, Seeds: 1, Percent: 130})
	if got, want := one.Policies[0].Seeds[0], r.Policies[1].Seeds[3]; got != want {
		t.Errorf("seed 4 alone %+v, among others %+v", got, want)
	}
}

func TestRun_Stops(t *testing.T) {
	var last At
	_, err := drawn(t).Run(Options{Seeds: 2, First: 5, Percent: 130, Watch: func(at At) bool {
		last = at
		return at.Done == 3 && at.Pods > 0 // the second of fgd
	}})
	if !errors.Is(err, ErrStopped) || last.Policy != FGD || last.Seed != 6 || last.Pods != watchEvery || last.Of <= watchEvery {
		t.Errorf("%v at %+v", err, last)
	}
}
