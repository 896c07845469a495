package sim

import (
	"cmp"
	"math/rand/v2"
	"time"
)

// A link is what one direction between two machines is like.
type link struct {
	latency
	measured  bool // the matrix, if there is one, gives the delay instead
	loss      float64
	topicLoss float64
	dup       float64
	reorder   float64
	bits      int64 // a second; 0: without bound
}

// A linkClass is what some lines have changed of the links they speak of: all its
// parent is, with opts on top.
type linkClass struct {
	link   // as it is now, with the weather of the moment
	parent uint16
	opts   map[string]string
}

// links finds the link between two machines. Class 0 is the weather: every link
// that nobody has changed.
type links struct {
	classes []linkClass
	of      [][]uint16 // by sender and receiver; rows are nil, or short, where all is class 0
}

// maxLinkClasses bounds how finely links may differ.
const maxLinkClasses = 4096

// between returns the link from a to b.
func (l *links) between(a, b int) *link {
	if l.of != nil && a < len(l.of) && b < len(l.of[a]) {
		return &l.classes[l.of[a][b]].link
	}
	return &l.classes[0].link
}

// reset makes every link what the spec says it is.
func (l *links) reset(s *NetSpec) {
	l.of, l.classes = nil, append(l.classes[:0], linkClass{})
	l.weather(s)
}

// weather sets class 0 and works out anew what rests on it.
func (l *links) weather(s *NetSpec) {
	w := link{
		latency: latency{span: s.Delay, jitter: s.Jitter}, measured: s.Matrix != nil,
		loss: s.Loss, topicLoss: s.Loss, dup: s.Dup, reorder: s.Reorder, bits: s.Bandwidth,
	}
	if s.TopicLoss != nil {
		w.topicLoss = *s.TopicLoss
	}
	if s.Lognormal {
		w.curve = lognormal(s.Delay.from, s.Delay.to)
	}
	l.classes[0].link = w
	for i := 1; i < len(l.classes); i++ {
		c := &l.classes[i]
		c.link = l.classes[c.parent].with(c.opts)
	}
}

// change lays opts over the links from each of a to each of b. It reports false if
// there are too many kinds of link already.
func (l *links) change(a, b []*machine, opts map[string]string, machines int) bool {
	made := map[uint16]uint16{} // class by what it was before
	for _, x := range a {
		for _, y := range b {
			if x == y {
				continue
			}
			l.room(x.index, machines)
			was := l.of[x.index][y.index]
			now, ok := made[was]
			if !ok {
				if len(l.classes) >= maxLinkClasses {
					return false
				}
				now = uint16(len(l.classes))
				made[was] = now
				l.classes = append(l.classes, linkClass{link: l.classes[was].with(opts), parent: was, opts: opts})
			}
			l.of[x.index][y.index] = now
		}
	}
	return true
}

func (l *links) room(sender, machines int) {
	if len(l.of) <= sender {
		l.of = append(l.of, make([][]uint16, max(machines, sender+1)-len(l.of))...)
	}
	if len(l.of[sender]) < machines {
		l.of[sender] = append(l.of[sender], make([]uint16, machines-len(l.of[sender]))...)
	}
}

// with returns the link with options, which parsing has checked, laid over it.
func (l link) with(opts map[string]string) link {
	var s NetSpec
	for _, k := range sortedKeys(opts) {
		_ = s.option(k, opts[k], "") // checked when the scenario was read
		switch k {
		case "delay":
			l.span, l.curve, l.measured = s.Delay, nil, false
			if s.Lognormal {
				l.curve = lognormal(s.Delay.from, s.Delay.to)
			}
		case "jitter":
			l.jitter = s.Jitter
		case "loss":
			l.loss = s.Loss
			if opts["topicloss"] == "" {
				l.topicLoss = s.Loss
			}
		case "topicloss":
			l.topicLoss = *s.TopicLoss
		case "dup":
			l.dup = s.Dup
		case "reorder":
			l.reorder = s.Reorder
		case "bandwidth":
			l.bits = s.Bandwidth
		}
	}
	return l
}

// travel draws how long a message is on its way from m to another machine.
func (n *network) travel(m, to *machine) time.Duration {
	l := n.links.between(m.index, to.index)
	if n.matrix == nil || !l.measured {
		return l.draw(m.net)
	}
	d := n.matrix.oneWay[m.nic.site][to.nic.site]
	if l.jitter > 0 {
		d += time.Duration(m.net.Int64N(int64(l.jitter) + 1))
	}
	return d
}

// QUIC's recovery from a loss (RFC 9002), as measured on the real stack (see
// internal/calibrate): with round trips of 10, 50 and 160 ms a lost packet came one
// round trip and 25 ms late, the time the other side may hold back its acknowledgement.
// One in three came up to 35 ms later still, since delayed acknowledgements make the
// round trips that a sender sees uneven.
const (
	ackDelay   = 25 * time.Millisecond
	ackUneven  = 35 * time.Millisecond
	resendMost = 10 * time.Second // by then a packet gets through
)

// resends draws how much later a message arrives because packets of it are lost. What
// the sender sends after its first wait are two probes: if the one that carries the
// message is lost again but the other is not, the acknowledgement of that one shows it
// after 9/8 of a round trip; if both are, the wait is doubled.
func (l *link) resends(luck *rand.Rand, rtt time.Duration) (late time.Duration) {
	timeout := rtt + ackDelay
	for wait := timeout; chance(luck, l.loss) && late <= resendMost; {
		if late += wait; luck.IntN(3) == 0 {
			late += span{0, ackUneven}.draw(luck)
		}
		timeout *= 2
		if wait = timeout; !chance(luck, l.loss) {
			wait = rtt * 9 / 8
		}
	}
	return late
}

// A dial takes three round trips before the first frame goes, as measured on the real
// stack: one of QUIC, two of the hello in which both show their certificates. About
// two packets go each way in each; before the first answer, when the sender knows no
// round trip, it waits firstTimeout for one.
const (
	dialTrips    = 3
	dialPackets  = 2
	firstTimeout = 200 * time.Millisecond
)

// dialling draws how long m takes to connect to another machine.
func (n *network) dialling(m, to *machine, rtt time.Duration) time.Duration {
	there, back := n.links.between(m.index, to.index), n.links.between(to.index, m.index)
	took, known := dialTrips*rtt, firstTimeout-ackDelay
	for range dialTrips {
		for range dialPackets {
			took += there.resends(m.nic.luck, known) + back.resends(m.nic.luck, known)
		}
		known = rtt
	}
	return took
}

// Bounds of what waits to be sent.
const (
	// streamPatience is how long a frame may wait before its stream is given up, and
	// what waits there with it. p2p gives the writing of one 10 s, whatever is before it.
	streamPatience = 5 * time.Second

	// gossipQueue is p2p's bound of messages to one neighbour; pubsub's own is 32.
	gossipQueue = 4096
)

// copyCost is what it costs a peer to write one copy of a topic's message to one
// neighbour, where bandwidth does not bound it: encoding and encryption.
const copyCost = 20 * time.Microsecond

// An outbox is what a machine has yet to send. Copies leave in the order they came.
type outbox struct {
	free    time.Duration   // the uplink is busy until then
	link    []time.Duration // by receiver: the link to it is, if that has a bandwidth of its own
	waiting []uint32        // by receiver: copies of topics' messages not yet gone
	queue   []waitingCopy   // those copies
	head    int             // of queue: the first that counts
}

type waitingCopy struct {
	gone time.Duration
	to   int32
}

// depart says when a message of so many bytes, ready at a time, has left m for
// another: it waits for what m sends before it, and for what the link carries. ok
// is false if too much waits already.
func (n *network) depart(m, to *machine, bytes int, ready time.Duration, gossip bool) (at time.Duration, ok bool) {
	o := &m.nic.out
	o.grow(len(n.w.machines))
	o.let(n.w.now)
	bits, linkBits := cmp.Or(m.nic.uplink, n.uplink), n.links.between(m.index, to.index).bits
	cost, own := transmission(bytes, bits), transmission(bytes, linkBits)
	if gossip {
		cost = max(cost, copyCost)
	}
	up := ready
	if cost > 0 {
		up = max(ready, o.free) + cost
	}
	at = max(up, o.link[to.index]) + own
	switch {
	case !gossip && at-ready > streamPatience,
		gossip && own > 0 && o.link[to.index]-ready > time.Duration(n.gossipCap)*own,
		gossip && own == 0 && int(o.waiting[to.index]) >= n.gossipCap:
		return 0, false
	}
	if cost > 0 {
		o.free = up
	}
	if own > 0 {
		o.link[to.index] = at
	} else if gossip {
		o.waiting[to.index]++
		o.queue = append(o.queue, waitingCopy{at, int32(to.index)})
	}
	return at, true
}

// transmission is how long bytes take at so many bits a second; 0 bits: no time.
func transmission(bytes int, bits int64) time.Duration {
	if bits <= 0 {
		return 0
	}
	return time.Duration(int64(bytes) * 8 * int64(time.Second) / bits)
}

func (o *outbox) grow(machines int) {
	if len(o.waiting) < machines {
		o.waiting = append(o.waiting, make([]uint32, machines-len(o.waiting))...)
		o.link = append(o.link, make([]time.Duration, machines-len(o.link))...)
	}
}

// let forgets the copies that have left by now.
func (o *outbox) let(now time.Duration) {
	for o.head < len(o.queue) && o.queue[o.head].gone <= now {
		o.waiting[o.queue[o.head].to]--
		o.head++
	}
	if o.head > len(o.queue)/2 {
		o.queue = o.queue[:copy(o.queue, o.queue[o.head:])]
		o.head = 0
	}
}
