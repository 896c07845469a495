package auction

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

// half wants half a device, two want two whole ones, bare wants none.
var (
	half = Shape{CPUMilli: 1000, GPUMilli: 500, Weight: 1}
	two  = Shape{CPUMilli: 4000, GPUMilli: 2000, Weight: 1}
	bare = Shape{CPUMilli: 1000, Weight: 1}
)

func weighing(s Shape, n int64) Shape { s.Weight = n; return s }

func TestMix_Fragments(t *testing.T) {
	for _, c := range []struct {
		name   string
		shapes []Shape
		cpu    int64
		free   []uint16
		want   int64 // thousandths times the weight
	}{
		{"all whole", []Shape{half, half, half, two}, 8000, []uint16{1000, 1000}, 0},
		{"one too full for half, and none for two", []Shape{half, half, half, two}, 8000, []uint16{400, 1000}, 3*400 + 1400},
		{"just enough", []Shape{half, half, half, two}, 8000, []uint16{500, 1000}, 1500},
		{"CPU for the small alone", []Shape{half, half, half, two}, 3999, []uint16{1000, 1000}, 2000},
		{"CPU for none", []Shape{half, half, half, two}, 999, []uint16{400, 1000}, 4 * 1400},
		{"less CPU than nothing", []Shape{half}, math.MinInt64, []uint16{1000}, 1000},
		{"nothing free is no fragment", []Shape{half, two}, 0, []uint16{0, 0}, 0},
		{"no devices", []Shape{half, two}, 8000, nil, 0},
		{"what needs no device uses none", []Shape{half, bare}, 8000, []uint16{1000, 1000}, 2000},
		{"more than there are", []Shape{weighing(two, 3)}, 8000, []uint16{1000}, 3000},
		{"by their CPU", []Shape{half, {CPUMilli: 9000, GPUMilli: 500, Weight: 2}}, 8000, []uint16{1000}, 2000},
	} {
		if got := NewMix(c.shapes).fragments(c.cpu, c.free); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestNewMix_IsBounded keeps the frequent shapes, few of many, and weights that cannot
// overflow.
func TestNewMix_IsBounded(t *testing.T) {
	one := NewMix([]Shape{two, weighing(half, 99), weighing(bare, 0), weighing(bare, -5)})
	if len(one.groups) != 1 || one.weight != 99 || one.groups[0].milli != 500 {
		t.Errorf("of 99 halves and one of two: %+v", one)
	}
	var many []Shape
	for n := range int64(200_000) {
		many = append(many, Shape{CPUMilli: n % 5000, GPUMilli: n % 1000, Weight: math.MaxInt64})
	}
	m, kinds := NewMix(many), 0
	for _, g := range m.groups {
		kinds += len(g.cpu)
	}
	if kinds > maxShapes || m.weight > maxWeight+maxShapes || m.weight <= 0 {
		t.Errorf("%d shapes of weight %d", kinds, m.weight)
	}
	for _, empty := range []*Mix{nil, {}, NewMix(nil)} {
		if got := empty.class(space{gpus: []uint16{1000}}, job.Resources{GPUMilli: 500}); got != fragNeutral {
			t.Errorf("without shapes a slot is of class %d", got)
		}
	}
	rand.Shuffle(len(many), func(i, j int) { many[i], many[j] = many[j], many[i] })
	if again := NewMix(many); again.weight != m.weight || again.fragments(3000, []uint16{700, 1000}) != m.fragments(3000, []uint16{700, 1000}) {
		t.Error("the order of the shapes matters")
	}
}

// TestFragSteps compares the table with the logarithm that it is of.
func TestFragSteps(t *testing.T) {
	for i, got := range fragSteps {
		b := float64(i + 1)
		if want := math.Ceil(math.Log(b/(fragClasses-b)) * 1e6); math.Abs(float64(got)-want) > 1 {
			t.Errorf("class %v begins at %d, want %v", fragClasses-b, got, want)
		}
	}
	m := NewMix([]Shape{half, half, two}) // of weight 3
	for _, c := range []struct {
		fewer int64
		want  uint32
	}{{0, 50}, {-1, 51}, {3000, 27}, {-3000, 74}, {30_000, 1}, {-30_000, 100}, {math.MaxInt64 / fragUnit, 1}, {math.MinInt64 / fragUnit, 100},
		{121, 49}, {120, 50}} { // 49 begins at 3 * 1000 * ln(51/49) = 120.01
		if got := m.grade(c.fewer); got != c.want {
			t.Errorf("%d fewer: class %d, want %d", c.fewer, got, c.want)
		}
	}
}

// TestMix_AnyState: whatever a peer says of itself, the class of a slot is one.
func TestMix_AnyState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(-5, 5000), rapid.Int64())
		var shapes []Shape
		for range rapid.IntRange(0, 80).Draw(t, "shapes") {
			shapes = append(shapes, Shape{amount.Draw(t, "cpu"), amount.Draw(t, "gpu"), amount.Draw(t, "weight")})
		}
		total := clampTo(job.Resources{CPUMilli: amount.Draw(t, "total"), GPUMilli: amount.Draw(t, "devices")}, mostReported)
		s := space{free: clampTo(job.Resources{CPUMilli: amount.Draw(t, "free")}, total), total: total,
			gpus: clampGPUs(rapid.SliceOfN(rapid.Uint16(), 0, 100).Draw(t, "gpus"), total)}
		if got := NewMix(shapes).class(s, clampNeeds(job.Resources{CPUMilli: amount.Draw(t, "needs"), GPUMilli: amount.Draw(t, "share")})); got > fragClasses {
			t.Fatalf("class %d", got)
		}
	})
}

// gpuPeer is one of a sale's bidders.
type gpuPeer struct {
	cpuFree int64
	gpus    []uint16
}

// sellTo holds a sale of one slot among peers of 8 CPUs and says who wins.
func sellTo(mix *Mix, policy string, needs job.Resources, peers []gpuPeer) wire.PeerID {
	lot := webLot(1, needs)
	lot.Policy = policy
	c := Config{ID: 1, Self: peer(0), Cell: "lab/0", Lots: []Lot{lot}, Mix: mix}
	for n := range peers {
		c.Asked = append(c.Asked, peer(n))
	}
	s, _ := Open(opened, c)
	for n, p := range peers {
		total := job.Resources{CPUMilli: 8000, MemBytes: 8000, GPUMilli: int64(len(p.gpus)) * job.WholeGPU}
		free := job.Resources{CPUMilli: p.cpuFree, MemBytes: 8000, GPUMilli: job.SumGPUs(p.gpus)}
		s.Bid(opened, peer(n), &wire.Bid{Call: 1, Free: free, Total: total, GPUs: p.gpus, Offers: []wire.Offer{{}}})
	}
	for _, e := range s.Tick(opened) {
		return e.To
	}
	return wire.PeerID{}
}

func TestSale_PackKeepsDevicesOfUse(t *testing.T) {
	share, pair := job.Resources{CPUMilli: 1000, GPUMilli: 500}, job.Resources{CPUMilli: 1000, GPUMilli: 2000}
	plain := job.Resources{CPUMilli: 3000}
	for _, c := range []struct {
		name   string
		policy string
		shapes []Shape
		needs  job.Resources
		peers  []gpuPeer
		want   int // of peers; -1: nobody
	}{
		{"no fragment rather than the fullest", PolicyPack, []Shape{half}, share, []gpuPeer{{8000, []uint16{750, 0}}, {8000, []uint16{1000, 1000}}}, 1},
		{"the fullest where nothing is measured", PolicyPack, nil, share, []gpuPeer{{8000, []uint16{750, 0}}, {8000, []uint16{1000, 1000}}}, 0},
		{"the pair stays whole", PolicyPack, []Shape{half, weighing(two, 3)}, share, []gpuPeer{{8000, []uint16{1000, 1000}}, {8000, []uint16{0, 1000}}}, 1},
		{"of equals the fullest", PolicyPack, []Shape{{CPUMilli: 1000, GPUMilli: 250, Weight: 1}}, share, []gpuPeer{{8000, []uint16{1000, 1000}}, {8000, []uint16{750, 1000}}}, 1},
		{"CPUs that GPUs need stay there", PolicyPack, []Shape{two}, plain, []gpuPeer{{6000, []uint16{1000, 1000}}, {8000, []uint16{1000, 1000}}}, 1},
		{"what needs no GPU goes where they are taken", PolicyPack, nil, plain, []gpuPeer{{8000, []uint16{1000, 1000}}, {8000, []uint16{0, 0}}}, 1},
		{"spread takes the emptiest", PolicySpread, []Shape{half}, share, []gpuPeer{{8000, []uint16{500, 0}}, {8000, []uint16{1000, 1000}}}, 1},
		{"two halves are no whole", PolicyPack, []Shape{half}, pair, []gpuPeer{{8000, []uint16{1000, 500, 500}}, {8000, []uint16{1000, 999}}}, -1},
	} {
		want := wire.PeerID{}
		if c.want >= 0 {
			want = peer(c.want)
		}
		if got := sellTo(NewMix(c.shapes), c.policy, c.needs, c.peers); got != want {
			t.Errorf("%s: it went to %v", c.name, got.Short())
		}
	}
}

// TestSale_AwardsCountDeviceByDevice: of one sale, no peer is awarded shares that its
// devices have no room for, though their sum has.
func TestSale_AwardsCountDeviceByDevice(t *testing.T) {
	lot := webLot(5, job.Resources{CPUMilli: 1, GPUMilli: 600})
	s, _ := Open(opened, Config{ID: 1, Self: peer(0), Cell: "lab/0", Lots: []Lot{lot}, Asked: []wire.PeerID{peer(0), peer(1)}})
	has := job.Resources{CPUMilli: 8000, MemBytes: 8000, GPUMilli: 2000}
	for n := range 2 {
		s.Bid(opened, peer(n), &wire.Bid{Call: 1, Free: has, Total: has, GPUs: []uint16{1000, 1000, 1000}, Offers: []wire.Offer{{}}})
	}
	awarded := 0
	for _, e := range s.Tick(opened) {
		slots := e.Msg.(*wire.Award).Slots
		awarded += len(slots)
		if len(slots) != 2 { // the third device of two is none
			t.Errorf("%v was awarded %d slots", e.To.Short(), len(slots))
		}
		r := &wire.Reply{Award: e.Msg.(*wire.Award).ID, Bid: wire.Standing{Free: has, GPUs: []uint16{400, 1000}}}
		for _, a := range slots {
			r.Decisions = append(r.Decisions, wire.Decision{Slot: a.Slot, Token: a.Token})
		}
		s.Reply(opened, e.To, r)
	}
	more := s.Tick(opened)
	if awarded != 4 || len(more) != 1 || len(more[0].Msg.(*wire.Award).Slots) != 1 {
		t.Errorf("%d slots were awarded, then %v", awarded, more)
	}
}

// TestCosts_LastingForPack: what passes does not overrule packing; what remains does.
func TestCosts_LastingForPack(t *testing.T) {
	passing := Costs{LoadMilli: 5000}.lasting() // and an image of unknown size
	if got := Bucket(passing); got != 0 {
		t.Errorf("a fetch and a load cost %d", got)
	}
	for name, c := range map[string]Costs{"battery": {Battery: true}, "metered": {Metered: true, ImagePresent: true}, "volume": {VolumeAway: true}, "failure": {Fails: 1}} {
		worst := Score(Terms{Policy: PolicyPack, Bucket: Bucket(passing), Frags: fragClasses, Free: res(9, 9), Total: res(9, 9)})
		if dear := Score(Terms{Policy: PolicyPack, Bucket: Bucket(c.lasting()), Frags: 1}); Compare(worst, dear) >= 0 {
			t.Errorf("%s: fragments weigh more", name)
		}
	}
	if a, b := Bucket(Costs{Metered: true, ImagePresent: true}.lasting()), Bucket(Costs{Metered: true}.lasting()); a >= b {
		t.Errorf("a fetch over a metered link costs %d, as much as none (%d)", b, a)
	}
}

// BenchmarkMix_Choose ranks 128 bids of peers with 8 devices by a mix of 64 shapes.
func BenchmarkMix_Choose(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var shapes []Shape
	for range 300 {
		s := Shape{CPUMilli: 1000 * (1 + r.Int64N(16)), GPUMilli: 1000, Weight: 1 + r.Int64N(50)}
		if r.IntN(2) == 0 {
			s.GPUMilli = 10 * (1 + r.Int64N(99))
		}
		shapes = append(shapes, s)
	}
	mix := NewMix(shapes)
	peers := make([]space, 128)
	for i := range peers {
		p := &peers[i]
		p.total = job.Resources{CPUMilli: 96_000, MemBytes: 384 << 30, GPUMilli: 8000}
		p.free = job.Resources{CPUMilli: r.Int64N(96_000), MemBytes: r.Int64N(384 << 30)}
		for range 8 {
			p.gpus = append(p.gpus, uint16(r.IntN(3)*500))
		}
		p.free.GPUMilli = job.SumGPUs(p.gpus)
	}
	needs := job.Resources{CPUMilli: 4000, MemBytes: 16 << 30, GPUMilli: 460}
	order := slices.Repeat([]uint64{7}, len(peers))
	b.ReportAllocs()
	for b.Loop() {
		var best wire.Score
		for i := range peers {
			p := &peers[i]
			s := Score(Terms{Policy: PolicyPack, Free: p.free, Total: p.total, Needs: needs, Frags: mix.class(*p, needs), Order: order[i]})
			if i == 0 || Compare(s, best) < 0 {
				best = s
			}
		}
	}
}
