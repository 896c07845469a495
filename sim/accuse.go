package sim

import (
	"fmt"
	"time"

	"shoal/gossip"
	"shoal/wire"
)

// addAccusations fills in what members say of others against the rules.
func addAccusations() {
	verbs["accuse"] = verb{args: 1, usage: "PEER [for=1m]: each second all that do not observe it vote that it is gone, to everybody",
		opts: []string{"for"}, check: refArgs, do: (*run).accuse}
}

// accuse sends signed votes on a peer that lives, by all that are not its observers.
// They are what honest observers would send, down to the incarnation.
func (r *run) accuse(op *Op) error {
	of, err := r.w.find(op.Args[0])
	if err != nil {
		return err
	}
	r.accuseUntil(of, r.w.now+op.duration("for"))
	return nil
}

func (r *run) accuseUntil(of *machine, end time.Duration) {
	for _, by := range r.w.strangersTo(of) {
		r.w.vote(by, of)
	}
	if r.w.now+time.Second <= end {
		r.w.later(time.Second, func() { r.accuseUntil(of, end) })
	}
}

// vote sends one machine's vote on another to everybody.
func (w *World) vote(by, of *machine) {
	if of.core == nil {
		return
	}
	v := wire.Vote{Of: of.id, Inc: of.core.Status().Self.Incarnation, By: by.id}
	v.Sig = signer(by.id).Sign(v.SignedBytes(w.swarm))
	for _, to := range w.machines {
		if to != by && to.core != nil {
			w.network.stream(by, to, &wire.Votes{Votes: []wire.Vote{v}})
		}
	}
}

// strangersTo returns the running machines that are not the next one after m on any ring.
func (w *World) strangersTo(m *machine) (out []*machine) {
	observers := map[*machine]bool{m: true}
	for i := range gossip.DefaultRings {
		ring := fmt.Sprintf("shoal/ring/%d", i)
		var next *machine
		var gap uint64
		for _, x := range w.machines {
			if g := wire.Order(ring, x.id) - wire.Order(ring, m.id); x != m && x.core != nil && (next == nil || g < gap) { // round the ring
				next, gap = x, g
			}
		}
		observers[next] = true
	}
	for _, x := range w.machines {
		if x.core != nil && !observers[x] {
			out = append(out, x)
		}
	}
	return out
}
