package gossip

import (
	"bytes"
	"cmp"
	"container/heap"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/clock"
	"shoal/wire"
)

// A world runs many Memberships in virtual time: messages take a while, may be
// lost, and ticks come when asked for.
type world struct {
	t     testing.TB
	rng   *rand.Rand
	now   clock.Instant
	seq   uint64
	queue events
	nodes []*node
	byID  map[wire.PeerID]*node

	lose  func(from, to *node) float64 // chance to lose a message
	trace hash.Hash                    // of everything that came out, if not nil
	sent  map[wire.MessageKind]int
	topic int // messages published

	noStewards bool
	lanes      [][]wire.PeerID // rankings
}

type node struct {
	*Membership
	i         int
	id        wire.PeerID
	born      clock.Instant // its own time starts here
	inc       uint32
	nonce     uint64
	metered   bool
	down      bool
	pausedTo  clock.Instant // stopped until then; what comes meanwhile waits
	backlog   []event
	wake      clock.Instant // the tick that is asked for
	generated uint64        // restarts: ticks of an earlier life are void
	deadAt    map[int]clock.Instant
	changes   []Change
}

type event struct {
	at   clock.Instant
	seq  uint64
	to   *node
	life uint64
	from wire.PeerID
	msg  wire.Message // nil: a tick
	do   func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any     { old := *q; x := old[len(old)-1]; *q = old[:len(old)-1]; return x }

// cheapKey signs by a hash, so that thousands of votes cost little.
type cheapKey wire.PeerID

func (k cheapKey) Sign(msg []byte) []byte {
	s := sha256.Sum256(append(k[:], msg...))
	return s[:]
}

func cheapVerify(by wire.PeerID, msg, sig []byte) bool {
	return bytes.Equal(cheapKey(by).Sign(msg), sig)
}

var testSwarm = wire.HashOf([]byte("test"))

func peerID(i int) wire.PeerID { return wire.PeerID(wire.HashOf(fmt.Appendf(nil, "peer %d", i))) }

// newWorld starts n ready peers that know one another, within the first second.
func newWorld(t testing.TB, seed uint64, n int, isMetered ...func(i int) bool) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), byID: map[wire.PeerID]*node{}, sent: map[wire.MessageKind]int{}}
	for i := range n {
		nd := &node{i: i, id: peerID(i), inc: 1, nonce: w.rng.Uint64(), deadAt: map[int]clock.Instant{}}
		nd.metered = len(isMetered) > 0 && isMetered[0](i)
		w.nodes = append(w.nodes, nd)
		w.byID[nd.id] = nd
	}
	for _, nd := range w.nodes {
		w.boot(nd, clock.Instant(w.rng.Int64N(int64(time.Second))))
	}
	return w
}

// boot gives nd a new Membership that starts at the instant at.
func (w *world) boot(nd *node, at clock.Instant) {
	nd.generated++
	nd.wake = 0
	nd.down = false
	nd.born = at
	nd.Membership = New(Config{
		Self: nd.id, Swarm: testSwarm, Key: cheapKey(nd.id), Verify: cheapVerify, Metered: nd.metered,
		Rand: rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())),
	})
	w.at(at, func() {
		nd.SetPeers(0, w.cards())
		nd.Start(0, nd.inc, nd.nonce)
		nd.SetReady(0, true)
		w.tick(nd)
	})
}

func (w *world) cards() []Peer {
	var peers []Peer
	for _, nd := range w.nodes {
		peers = append(peers, Peer{ID: nd.id, Inc: nd.inc, Nonce: nd.nonce, Ready: true, Metered: nd.metered})
	}
	slices.SortFunc(peers, func(a, b Peer) int { return a.ID.Compare(b.ID) })
	return peers
}

// stewards returns the first two of each of four lanes that nd does not doubt.
func (w *world) stewards(nd *node) (ids []wire.PeerID) {
	if w.lanes == nil {
		for lane := range 4 {
			var ranking []wire.PeerID
			for _, p := range w.nodes {
				ranking = append(ranking, p.id)
			}
			slices.SortFunc(ranking, func(a, b wire.PeerID) int {
				return cmp.Compare(wire.Order(fmt.Sprint("lane", lane), a), wire.Order(fmt.Sprint("lane", lane), b))
			})
			w.lanes = append(w.lanes, ranking)
		}
	}
	for _, ranking := range w.lanes {
		n := 0
		for _, id := range ranking {
			if n < 2 && !nd.Doubted(id) {
				ids = append(ids, id)
				n++
			}
		}
	}
	return ids
}

func (w *world) push(e event) {
	w.seq++
	e.seq = w.seq
	heap.Push(&w.queue, e)
}

func (w *world) at(at clock.Instant, do func()) { w.push(event{at: at, do: do}) }

// local converts world time to the time of nd.
func (w *world) local(nd *node) clock.Instant { return w.now - nd.born }

func (w *world) tick(nd *node) {
	fx := nd.Tick(w.local(nd))
	for _, e := range fx.Send {
		w.note(nd, e)
		if e.Topic != 0 {
			w.topic++
			for _, to := range w.nodes {
				if to != nd { // a mesh brings more than one copy
					w.transmit(nd, to, e.Msg)
					w.transmit(nd, to, e.Msg)
				}
			}
			continue
		}
		if to := w.byID[e.To]; to != nil {
			w.transmit(nd, to, e.Msg)
		}
	}
	if len(fx.Changes) > 0 && !w.noStewards {
		nd.SetStewards(w.stewards(nd))
	}
	for _, c := range fx.Changes {
		nd.changes = append(nd.changes, c)
		i := w.byID[c.Peer].i
		if c.To == Dead {
			nd.deadAt[i] = w.now
		} else {
			delete(nd.deadAt, i)
		}
		if w.trace != nil {
			fmt.Fprintf(w.trace, "%d %v %v\n", nd.i, w.now, c)
		}
	}
	if fx.WakeAt <= w.local(nd) {
		w.t.Fatalf("peer %d at %v asks to be woken at %v: it would spin", nd.i, w.local(nd), fx.WakeAt)
	}
	if at := nd.born + fx.WakeAt; nd.wake <= w.now || at < nd.wake {
		nd.wake = at
		w.push(event{at: at, to: nd, life: nd.generated})
	}
}

func (w *world) note(nd *node, e wire.Envelope) {
	w.sent[e.Msg.Kind()]++
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%d %v %v %d %s\n", nd.i, w.now, e.To, e.Topic, wire.MustMarshal(e.Msg))
	}
}

// transmit delivers msg after 1 to 80 ms, unless it is lost.
func (w *world) transmit(from, to *node, msg wire.Message) {
	delay := time.Millisecond + time.Duration(w.rng.Int64N(int64(79*time.Millisecond)))
	if w.lose != nil && w.rng.Float64() < w.lose(from, to) {
		return
	}
	w.push(event{at: w.now.Add(delay), to: to, from: from.id, msg: msg})
}

// run lets the world go on for d.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		switch {
		case e.do != nil:
			e.do()
		case e.to.down || w.now < e.to.born:
		case w.now < e.to.pausedTo:
			if e.msg != nil {
				e.to.backlog = append(e.to.backlog, e)
			}
		case e.msg != nil:
			e.to.Receive(w.local(e.to), e.from, e.msg)
			w.tick(e.to)
		case e.life == e.to.generated && e.at == e.to.wake:
			w.tick(e.to)
		}
	}
	w.now = end
}

// pause stops nd for d; what arrived meanwhile is received at once on waking.
func (w *world) pause(nd *node, d time.Duration) {
	nd.pausedTo = w.now.Add(d)
	w.at(nd.pausedTo, func() {
		for _, e := range nd.backlog {
			nd.Receive(w.local(nd), e.from, e.msg)
		}
		nd.backlog = nil
		w.tick(nd)
	})
}

func (w *world) crash(nodes ...*node) {
	for _, nd := range nodes {
		nd.down = true
	}
}

// wrong lists "a takes b for dead" for all healthy b.
func (w *world) wrong() (found []string) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if !a.down && !b.down && a != b && a.Dead(b.id) {
				found = append(found, fmt.Sprintf("%d takes %d for dead", a.i, b.i))
			}
		}
	}
	return found
}

// missed counts pairs of a healthy peer and a crashed one it does not hold dead.
func (w *world) missed() (n int) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if !a.down && b.down && !a.Dead(b.id) {
				n++
			}
		}
	}
	return n
}

func loss(p float64) func(from, to *node) float64 {
	return func(_, _ *node) float64 { return p }
}

func percentile(d []time.Duration, p float64) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, int(p*float64(len(d))))]
}
