package calibrate

import (
	"math/rand/v2"
	"time"
)

// A scenario is what both levels run: peers in a random graph, each of which
// publishes at a steady pace and sends frames to its neighbours; then frames go
// between pairs that were never connected.
type scenario struct {
	name     string
	peers    int
	degree   int           // connections of each peer at least, about
	from, to time.Duration // one-way latency, drawn once per pair
	loss     float64       // of every packet
	length   time.Duration // of publishing
	pace     time.Duration // between two publications of a peer
	dials    int           // frames between pairs that are not connected, at most
}

// Sizes in bytes: a publication, and a frame and its answer.
const (
	announcement = 512
	frameSize    = 200
)

const (
	settling = 15 * time.Second // for connections and the mesh, before anything is measured
	draining = 15 * time.Second // for the last of what was sent to arrive
	dialPace = time.Second      // between two first frames
)

// What is said, and what a payload begins with.
const (
	mark byte = iota // opens a stream; not measured
	introduction
	publication
	question
	answer
	first
)

// What a scenario draws by chance.
const (
	drawLatency uint64 = iota
	drawGraph
	drawPackets
	drawDials
	drawPeer // and its number
)

func (s *scenario) chance(purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(s.peers), purpose))
}

// latency returns the one-way latency of every pair, alike in both directions.
func (s *scenario) latency() [][]time.Duration {
	r := s.chance(drawLatency)
	m := make([][]time.Duration, s.peers)
	for a := range m {
		m[a] = make([]time.Duration, s.peers)
		for b := range a {
			d := s.from + time.Duration(r.Int64N(int64(s.to-s.from)+1))
			m[a][b], m[b][a] = d, d
		}
	}
	return m
}

// graph returns whom each peer dials: the next one, and others by chance.
func (s *scenario) graph() [][]int {
	r := s.chance(drawGraph)
	linked := map[[2]int]bool{}
	dials := make([][]int, s.peers)
	dial := func(a, b int) {
		if a != b && !linked[[2]int{a, b}] {
			linked[[2]int{a, b}], linked[[2]int{b, a}] = true, true
			dials[a] = append(dials[a], b)
		}
	}
	for a := range s.peers {
		dial(a, (a+1)%s.peers)
	}
	for a := range s.peers {
		for tries := 0; len(dials[a]) < s.degree/2 && tries < 1000; tries++ {
			dial(a, r.IntN(s.peers))
		}
	}
	return dials
}

// A saying is one thing that a peer does.
type saying struct {
	at      time.Duration // since the peers have settled
	from    int
	to      int  // of a frame; -1: a publication
	isFirst bool // of its author, or between the two
}

func (x *saying) kind() byte {
	switch {
	case x.to < 0 && x.isFirst:
		return introduction
	case x.to < 0:
		return publication
	case x.isFirst:
		return first
	}
	return question
}

// introductions returns the first publication of each peer: whoever hears an author it
// never met asks for its certificate before it passes the publication on.
func (s *scenario) introductions() (all []saying) {
	for a := range s.peers {
		all = append(all, saying{at: s.pace * time.Duration(a) / time.Duration(s.peers), from: a, to: -1, isFirst: true})
	}
	return all
}

// framesPerPace is how many frames a peer sends between two publications.
const framesPerPace = 4

// speech returns what the peers say once they have settled: each publishes and, in
// between, sends frames to some that it dialled, at moments of its own.
func (s *scenario) speech() (all []saying) {
	dials := s.graph()
	for a := range s.peers {
		r := s.chance(drawPeer + uint64(a))
		for at := time.Duration(r.Int64N(int64(s.pace))); at < s.length; at += s.pace {
			all = append(all, saying{at: at, from: a, to: -1})
			for k := range framesPerPace {
				after := s.pace * time.Duration(2*k+1) / (2 * framesPerPace)
				all = append(all, saying{at: at + after, from: a, to: dials[a][r.IntN(len(dials[a]))]})
			}
		}
	}
	return all
}

// firsts returns the first frames between pairs that are not connected.
func (s *scenario) firsts(graph [][]bool) (all []saying) {
	r := s.chance(drawDials)
	met := map[[2]int]bool{}
	for range 50 * s.dials {
		a, b := r.IntN(s.peers), r.IntN(s.peers)
		if len(all) < s.dials && a != b && !graph[a][b] && !graph[b][a] && !met[[2]int{a, b}] {
			met[[2]int{a, b}], met[[2]int{b, a}] = true, true
			all = append(all, saying{at: time.Duration(len(all)) * dialPace, from: a, to: b, isFirst: true})
		}
	}
	return all
}
