package sim

import (
	"math/bits"
	"strings"
	"time"

	"shoal/node"
	"shoal/wire"
)

// A Probe is the simulated network alone, with nobody's core on it: what one sends
// through it comes out after the time it takes. It is for holding that time against
// the real network's; see internal/calibrate.
type Probe struct {
	w     *World
	heard func(Heard)
}

// Heard is a message of a Probe that has arrived.
type Heard struct {
	From, To int // of a topic's message: its author, and who hears it
	ID       uint64
	OnTopic  bool
}

// A probeMessage is of no kind that a core knows.
type probeMessage struct{ id uint64 }

// Kind returns a number that no message has.
func (probeMessage) Kind() wire.MessageKind { return wire.MessageKind(bits.UintSize - 1) }

// NewProbe makes the machines and the network that the header of a scenario speaks
// of, for instance "peers 5 cpu=1000m mem=1GiB net delay=25ms..25ms loss=5%". Nobody
// is connected to anybody. heard is called at each arrival. The error is about the text.
func NewProbe(header string, seed uint64, heard func(Heard)) (*Probe, error) {
	s, err := Parse(strings.NewReader(header), "probe")
	if err != nil {
		return nil, err
	}
	r := newRun(s, seed, Options{})
	p := &Probe{w: r.w, heard: heard}
	p.w.probe = p
	for _, g := range s.Groups {
		for range g.Count {
			if err := p.on(p.w.add(g.MachineSpec)); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// on switches a machine on: its core is never stepped, but knows of nobody removed.
func (p *Probe) on(m *machine) (err error) {
	m.core, err = node.New(node.Config{Self: m.id, Swarm: p.w.swarm, Key: signer(m.id), Verify: verify, Nonce: 1, Name: m.name}, m.disk.stored())
	return err
}

// Connect makes a connection between two machines, as it is after both have met.
func (p *Probe) Connect(a, b int) {
	for _, x := range [][2]int{{a, b}, {b, a}} {
		m, to := p.w.machines[x[0]], p.w.machines[x[1]]
		m.setLinked(to, true)
		m.told[to.index] = true
	}
}

// Now is the time since the probe began.
func (p *Probe) Now() time.Duration { return p.w.now }

// At calls f at a time that is not past.
func (p *Probe) At(at time.Duration, f func()) { p.w.later(at-p.w.now, f) }

// Run handles what happens until a time.
func (p *Probe) Run(until time.Duration) { p.w.runUntil(until) }

// Publish sends to all, as a core does on a topic.
func (p *Probe) Publish(from int, id uint64) {
	m := p.w.machines[from]
	p.w.network.publish(m, wire.TopicMembers, probeMessage{id})
}

// Send sends a frame to one, over a stream.
func (p *Probe) Send(from, to int, id uint64) {
	p.w.network.stream(p.w.machines[from], p.w.machines[to], probeMessage{id})
}

func (p *Probe) receive(e *event) {
	if m, ok := e.msg.(probeMessage); ok {
		p.heard(Heard{From: int(e.from), To: int(e.machine), ID: m.id, OnTopic: e.topic != 0})
	}
}
