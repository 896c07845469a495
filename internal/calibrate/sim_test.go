package calibrate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/sim"
)

// A simRun is a scenario in the simulator's network.
type simRun struct {
	s      scenario
	probe  *sim.Probe
	sent   map[uint64]time.Duration
	kinds  map[uint64]byte
	result result
}

// simSeeds is how often the simulator runs a scenario: each time draws its own mesh.
const simSeeds = 5

// inSimulator runs a scenario over the connections that the real stack had.
func inSimulator(t *testing.T, s scenario, graph [][]bool) result {
	t.Helper()
	r := &simRun{s: s}
	header := r.header(t)
	for seed := range uint64(simSeeds) {
		r.sent, r.kinds = map[uint64]time.Duration{}, map[uint64]byte{}
		var err error
		if r.probe, err = sim.NewProbe(header, seed, r.hear); err != nil {
			t.Fatal(err)
		}
		r.run(graph)
	}
	return r.result
}

func (r *simRun) run(graph [][]bool) {
	for a := range graph {
		for b := range a {
			if graph[a][b] || graph[b][a] {
				r.probe.Connect(a, b)
			}
		}
	}
	r.probe.Run(settling)
	r.say(r.s.introductions())
	r.say(r.s.speech())
	r.say(r.s.firsts(graph))
}

// header writes the scenario's peers and network as the simulator reads them.
func (r *simRun) header(t *testing.T) string {
	t.Helper()
	var rtts strings.Builder
	for _, row := range r.s.latency() {
		for _, d := range row {
			fmt.Fprintf(&rtts, "%.3f ", 2*float64(d)/float64(time.Millisecond))
		}
		rtts.WriteByte('\n')
	}
	file := filepath.Join(t.TempDir(), "rtt")
	if err := os.WriteFile(file, []byte(rtts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("peers %d cpu=1000m mem=1GiB net matrix=%s rows=index uplink=%dbit loss=%g%% topicloss=0%%", r.s.peers, file, lineRate, r.s.loss*100)
}

func (r *simRun) say(all []saying) {
	begun, last := r.probe.Now(), time.Duration(0)
	for _, x := range all {
		last = max(last, x.at)
		r.probe.At(begun+x.at, func() {
			if n := r.number(x.kind()); x.to < 0 {
				r.probe.Publish(x.from, n)
			} else {
				r.probe.Send(x.from, x.to, n)
			}
		})
	}
	r.probe.Run(begun + last + draining)
}

func (r *simRun) number(kind byte) uint64 {
	n := uint64(len(r.sent) + 1)
	r.sent[n], r.kinds[n] = r.probe.Now(), kind
	return n
}

func (r *simRun) hear(m sim.Heard) {
	kind := r.kinds[m.ID]
	r.result.add(kind, r.probe.Now()-r.sent[m.ID])
	if kind == question {
		n := r.number(answer)
		r.sent[n] = r.sent[m.ID]
		r.probe.Send(m.To, m.From, n)
	}
}
