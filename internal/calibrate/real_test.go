package calibrate

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"shoal/p2p"
	"shoal/p2p/admit"
	"shoal/wire"
)

const (
	// lineRate is of every peer, up and down, in bits a second: an announcement takes
	// 60 µs, so that the latency shows and not the queue.
	lineRate = 100 * simnet.Mibps
	// never is the latency of a packet that is lost.
	never = 24 * time.Hour
)

// A realRun is a scenario on package p2p over a network inside the process.
type realRun struct {
	s       scenario
	net     *simnet.Simnet
	hosts   []*p2p.Host
	index   map[wire.PeerID]int
	readers sync.WaitGroup
	done    chan struct{} // closed: readers end

	mu     sync.Mutex
	sent   map[uint64]time.Time // publications and frames, by their number
	result result
}

// onRealStack runs a scenario. It also returns who was connected to whom, since the
// hosts may dial more than they are told to.
func onRealStack(t *testing.T, s scenario) (result, [][]bool) {
	t.Helper()
	r := &realRun{s: s, index: map[wire.PeerID]int{}, sent: map[uint64]time.Time{}}
	var graph [][]bool
	synctest.Test(t, func(t *testing.T) {
		r.done = make(chan struct{})
		r.net = &simnet.Simnet{LatencyFunc: r.latency(), Logger: slog.New(slog.DiscardHandler)}
		defer r.end()
		r.begin(t)
		r.connect(t)
		r.say(s.introductions())
		graph = r.connections()
		r.say(s.speech())
		r.say(s.firsts(graph))
	})
	return r.result, graph
}

func (r *realRun) begin(t *testing.T) {
	r.net.Start()
	root := newKey(t)
	for i := range r.s.peers {
		key := newKey(t)
		cert, err := admit.Signer{Key: root}.Issue(wire.PeerID(key.Public().(ed25519.PublicKey)), admit.Member, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		h, err := p2p.New(context.Background(), p2p.Config{
			Key: key, Swarm: admit.SwarmIDOf(root), Certificate: cert, Sockets: r.socket, Flat: true,
			Listen: []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", simnet.IntToPublicIPv4(i), p2p.DefaultPort)},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.hosts = append(r.hosts, h)
		r.index[h.ID()] = i
		r.readers.Go(func() { r.read(h) })
		time.Sleep(time.Second / time.Duration(r.s.peers)) // or all have their heartbeats at once
	}
}

func (r *realRun) end() {
	for _, h := range r.hosts {
		h.Close()
	}
	r.net.Close()
	close(r.done)
	r.readers.Wait()
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (r *realRun) socket(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
	line := simnet.LinkSettings{BitsPerSecond: lineRate}
	return r.net.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Downlink: line, Uplink: line}), nil
}

// latency returns how long a packet takes. The nanoseconds differ from packet to
// packet: things of the same instant happen in an order that nobody chose.
func (r *realRun) latency() func(*simnet.Packet) time.Duration {
	m, chance := r.s.latency(), r.s.chance(drawPackets)
	index := map[string]int{}
	for i := range r.s.peers {
		index[simnet.IntToPublicIPv4(i).String()] = i
	}
	peer := func(a net.Addr) int { return index[a.(*net.UDPAddr).IP.String()] }
	var apart time.Duration
	return func(p *simnet.Packet) time.Duration { // called by one goroutine
		if chance.Float64() < r.s.loss {
			return never
		}
		apart = (apart + 1) % (5 * time.Microsecond)
		return m[peer(p.From)][peer(p.To)] + apart
	}
}

// connect makes the graph, opens the streams that will be used, and waits for the mesh.
func (r *realRun) connect(t *testing.T) {
	t.Helper()
	dials := r.s.graph()
	for a := range dials {
		for _, b := range dials[a] {
			r.hosts[a].AddAddrs(r.hosts[b].ID(), r.hosts[b].Addrs())
			r.hosts[a].Redial(r.hosts[b].ID())
		}
	}
	time.Sleep(settling)
	for _, h := range r.hosts { // not before: a mesh made meanwhile prefers who is near, since it is there first
		if err := h.Join("jobs"); err != nil {
			t.Fatal(err)
		}
	}
	for a := range dials {
		for _, b := range dials[a] {
			r.hosts[a].Send(r.hosts[b].ID(), payload(mark, 0, frameSize))
			r.hosts[b].Send(r.hosts[a].ID(), payload(mark, 0, frameSize))
		}
	}
	time.Sleep(settling)
}

// connections returns who is connected to whom by now.
func (r *realRun) connections() [][]bool {
	graph := make([][]bool, r.s.peers)
	for i, h := range r.hosts {
		graph[i] = make([]bool, r.s.peers)
		for _, p := range h.Peers() {
			graph[i][r.index[p.ID]] = true
		}
	}
	return graph
}

// say does all of it at its time, and waits until it has arrived.
func (r *realRun) say(all []saying) {
	var speakers sync.WaitGroup
	for _, x := range all {
		speakers.Go(func() {
			time.Sleep(x.at)
			h, kind := r.hosts[x.from], x.kind()
			if x.to < 0 {
				h.Publish("jobs", payload(kind, r.number(), announcement))
				return
			}
			to := r.hosts[x.to]
			h.AddAddrs(to.ID(), to.Addrs())
			h.Send(to.ID(), payload(kind, r.number(), frameSize))
		})
	}
	speakers.Wait()
	time.Sleep(draining)
}

// number notes the time of a sending and names it.
func (r *realRun) number() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := uint64(len(r.sent) + 1)
	r.sent[n] = time.Now()
	return n
}

func payload(kind byte, number uint64, size int) []byte {
	b := make([]byte, size)
	b[0] = kind
	binary.BigEndian.PutUint64(b[1:], number)
	return b
}

// read notes what one host hears, and answers questions.
func (r *realRun) read(h *p2p.Host) {
	for {
		select {
		case e := <-h.Events():
			if m, ok := e.(p2p.Message); ok {
				r.hear(h, m)
			}
		case <-r.done:
			return
		}
	}
}

func (r *realRun) hear(h *p2p.Host, m p2p.Message) {
	kind, number := m.Bytes[0], binary.BigEndian.Uint64(m.Bytes[1:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.add(kind, time.Since(r.sent[number]))
	if kind == question {
		h.Send(m.From, payload(answer, number, frameSize))
	}
}
