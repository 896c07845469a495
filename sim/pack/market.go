package pack

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A market places pods by sales, with the code that ships: the nodes are peers in cells
// of at most Options.Cell, each pod is a job of one slot, and its steward holds a sale in
// one cell and, if nobody there takes it, in a second. All standing bids are at hand and
// up to date, nothing is lost, no time passes between a message and its answer, and one
// sale follows the other: it shows what sales decide and say, not how long that takes.
type market struct {
	*cluster // what the peers hold, as the figures count it
	policy   string
	rng      *rand.Rand
	now      clock.Instant
	peers    []auction.Self // by node
	cells    []cell
	mix      *auction.Mix
	wanted   []int64 // pods arrived, by kind
	arrived  int
	talk     Talk   // of all sales
	placing  Talk   // of those that sold their pod
	sales    uint64 // opened so far
}

// A cell is some of the nodes.
type cell struct {
	name  string
	asked []wire.PeerID
	nodes map[wire.PeerID]int
}

// Talk is what sales have said. Standing bids are at the stewards, and cost here nothing
// but the reply to an award, which carries one.
type Talk struct {
	Sales    int   `json:"sales"`
	Calls    int   `json:"calls"`    // sales that called for bids
	Bids     int   `json:"bids"`     // standing and called ones that passed when a slot was awarded
	Awards   int   `json:"awards"`   // slots
	Declines int   `json:"declines"` // of them
	Messages int   `json:"messages"` // a call on a topic is one
	Bytes    int64 `json:"bytes"`
}

// MaxCell is the greatest number of peers that one sale asks.
const MaxCell = auction.MaxBidders

const (
	tries     = 2   // cells in which a pod is offered
	mixEvery  = 256 // arrivals after which stewards make a mix anew, once it is of as many
	marketJob = "pods"
)

func (t *Trace) market(policy string, seed uint64, size int) *market {
	m := &market{cluster: t.cluster(nil), policy: policy, rng: rand.New(rand.NewPCG(seed, 1)), now: 1,
		wanted: make([]int64, len(t.kinds))}
	order := m.rng.Perm(len(t.nodes))
	many := (len(order) + size - 1) / size
	m.cells = make([]cell, many)
	for i := range m.cells {
		m.cells[i] = cell{name: fmt.Sprintf("cell/%d", i), nodes: make(map[wire.PeerID]int)}
	}
	m.peers = make([]auction.Self, len(t.nodes))
	for i, n := range order {
		m.peers[n] = peerOf(n, &t.nodes[n])
		c := &m.cells[i%many]
		c.asked = append(c.asked, m.peers[n].ID)
		c.nodes[m.peers[n].ID] = n
	}
	return m
}

// peerOf is a node as a peer that is empty and ready.
func peerOf(n int, node *Node) auction.Self {
	var id wire.PeerID
	id[0] = 1
	binary.BigEndian.PutUint32(id[1:], uint32(n))
	has := job.Resources{CPUMilli: node.CPUMilli, MemBytes: max(node.MemMiB, 1) << 20, GPUMilli: int64(node.GPUs) * Whole}
	self := auction.Self{ID: id, Free: has, Total: has, GPUs: job.WholeGPUs(int64(node.GPUs)),
		OS: "linux", Arch: "amd64", Driver: "docker", Ready: true,
		HasImage: func(string) (bool, int64) { return true, 0 }}
	if node.Model != "" {
		self.Labels = map[string]string{"gpu": node.Model}
	}
	return self
}

// place offers a pod of a kind in one cell, then in another, and reports whether a peer
// took it. The error says which of its own books a sale contradicted.
func (m *market) place(kind int) (bool, error) {
	m.arrive(kind)
	first := m.rng.IntN(len(m.cells))
	for i := range min(tries, len(m.cells)) {
		at := first
		if i > 0 {
			at = (first + 1 + m.rng.IntN(len(m.cells)-1)) % len(m.cells)
		}
		if sold, err := m.sell(kind, &m.cells[at]); sold || err != nil {
			return sold, err
		}
	}
	return false, nil
}

// arrive counts a pod, and makes the mix anew at times: from what is wanted so far, placed
// or waiting, which is what a steward finds in its ledger.
func (m *market) arrive(kind int) {
	m.wanted[kind]++
	m.arrived++
	if n := m.arrived; n%mixEvery != 0 && (n > mixEvery || n&(n-1) != 0) {
		return
	}
	var shapes []auction.Shape
	for k, n := range m.wanted {
		p := &m.trace.kinds[k].Pod
		shapes = append(shapes, auction.Shape{CPUMilli: p.CPUMilli, GPUMilli: p.gpuMilli(), Weight: n})
	}
	m.mix = auction.NewMix(shapes)
}

// A deal is the sale of one pod in one cell, on standing bids and, if these do not do,
// on called ones.
type deal struct {
	*market
	cell *cell
	sale *auction.Sale
	spec job.Spec
	kind int
	sold bool
	said Talk
}

func (m *market) sell(kind int, c *cell) (bool, error) {
	d := &deal{market: m, cell: c, kind: kind, said: Talk{Sales: 1}}
	d.spec = specOf(&m.trace.kinds[kind].Pod, m.policy, m.arrived)
	m.now = m.now.Add(time.Second)
	var out []wire.Envelope
	if d.sale, _ = auction.Direct(m.now, d.config()); d.sale == nil {
		d.sale, out = auction.Open(m.now, d.config())
		d.said.Calls++
	}
	err := d.run(out)
	m.talk.add(&d.said)
	if d.sold {
		m.placing.add(&d.said)
	}
	return d.sold, err
}

func (d *deal) config() auction.Config {
	d.sales++
	task := &d.spec.Tasks[0]
	return auction.Config{
		ID: d.sales * auction.IDSpan, Self: d.cell.asked[0], Cell: d.cell.name, Mix: d.mix, Asked: d.cell.asked,
		Known: d.peer, Find: d.find,
		Lots: []auction.Lot{{Job: d.spec.ID(), Life: 1, Task: task.Name, Needs: task.Needs, Policy: task.Policy,
			Records: recordsOf(&d.spec), Slots: []auction.Want{{Slot: job.SlotID{Job: d.spec.ID(), Task: task.Name}, Token: 1}}}},
	}
}

// run sends the messages of the sale until it is over.
func (d *deal) run(out []wire.Envelope) error {
	for {
		if err := d.carry(out); err != nil {
			return err
		}
		if out = d.sale.Tick(d.now); len(out) > 0 {
			continue
		}
		if d.sale.Over() {
			return nil
		}
		d.now = max(d.now, d.sale.WakeAt())
	}
}

// carry delivers messages and brings back the answers, each in one piece.
func (d *deal) carry(out []wire.Envelope) error {
	for _, e := range out {
		d.weigh(e.Msg)
		switch msg := e.Msg.(type) {
		case *wire.Call:
			for _, id := range d.cell.asked {
				if e.To != id && (!e.To.IsZero() || id == d.cell.asked[0]) { // no topic reaches its sender
					continue
				}
				if bid := auction.Answer(d.peer(id), msg, d.find); bid != nil {
					d.weigh(bid)
					d.sale.Bid(d.now, id, bid)
				}
			}
		case *wire.Award:
			if err := d.award(e.To, msg); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *deal) peer(id wire.PeerID) *auction.Self { return &d.peers[d.cell.nodes[id]] }

func (d *deal) find(id job.ID, life uint64, task string, _ wire.Hash) (*job.Spec, *job.Task, bool) {
	return &d.spec, &d.spec.Tasks[0], id == d.spec.ID() && life == 1 && task == d.spec.Tasks[0].Name
}

// award is the winner's side. What it takes is entered into the books, which must have
// room for it.
func (d *deal) award(to wire.PeerID, msg *wire.Award) error {
	reply := &wire.Reply{Award: msg.ID}
	for i := range msg.Slots {
		a := &msg.Slots[i]
		d.said.Awards++
		d.said.Bids += int(a.Summary.Passed)
		gpus, no := auction.CheckAward(d.peer(to), a, d.find)
		if no != "" {
			d.said.Declines++
		} else if err := d.enter(d.cell.nodes[to], gpus); err != nil {
			return err
		}
		reply.Decisions = append(reply.Decisions, wire.Decision{Slot: a.Slot, Token: a.Token, Decline: no})
	}
	self := d.peer(to)
	reply.Bid = wire.Standing{Inc: 1, Seq: d.sales, Free: self.Free, GPUs: self.GPUs}
	d.weigh(reply)
	d.sale.Reply(d.now, to, reply)
	return nil
}

// enter puts the pod on a node in the books.
func (d *deal) enter(node int, gpus []int) error {
	h, pod := &d.hosts[node], &d.trace.kinds[d.kind]
	if d.sold || !h.fits(pod) || len(gpus) != pod.GPUs {
		return fmt.Errorf("pod %d was sold to node %d with GPUs %v, against the books", d.arrived, node, gpus)
	}
	d.sold = true
	device := 0
	if len(gpus) > 0 {
		device = gpus[0]
	}
	h.put(&pod.Pod, device)
	d.frag -= h.frag
	h.frag = d.trace.fragments(h)
	d.frag += h.frag
	if h.gpuFree != d.peers[node].Free.GPUMilli {
		return fmt.Errorf("node %d has %d thousandths of GPUs free, and said %d", node, h.gpuFree, d.peers[node].Free.GPUMilli)
	}
	return nil
}

func (d *deal) weigh(m wire.Message) {
	d.said.Messages++
	if b, err := wire.Encode(m); err == nil {
		d.said.Bytes += int64(len(b))
	}
}

// specOf is a pod as a job of one slot.
func specOf(p *Pod, policy string, n int) job.Spec {
	t := job.Task{Name: "pod", Type: job.Batch, Count: 1, Image: "trace/pod", Policy: policy,
		Needs: job.Resources{CPUMilli: max(p.CPUMilli, 1), MemBytes: max(p.MemMiB<<20, 1), GPUMilli: p.gpuMilli()}}
	if p.Models != "" {
		t.Constraints = []string{"gpu in (" + strings.ReplaceAll(p.Models, "|", ", ") + ")"}
	}
	s := job.Spec{Name: fmt.Sprintf("%s-%d", marketJob, n), Tasks: []job.Task{t}}
	s.Defaults()
	return s
}

// recordsOf are the records of a job as a call carries them, with a signature's bytes.
func recordsOf(s *job.Spec) []*wire.Record {
	return []*wire.Record{{Num: wire.Number{Issuer: wire.PeerID{1}, Inc: 1, Nonce: 1 << 60, Seq: 1 << 20}, Kind: wire.KindSpec,
		Body: wire.MustMarshal(s), Sig: make([]byte, 64)}}
}
