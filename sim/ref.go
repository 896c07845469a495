package sim

import (
	"fmt"
	"strconv"
	"strings"

	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// A ref names a machine in a scenario: n3, or by what it is at the moment:
// holder(web.0), steward(web), second(web), acceptor(web), any (only where a
// message is meant).
type ref struct {
	kind string // "n", "holder", "steward", "second", "acceptor", "any"
	n    int    // kind "n": its index
	slot job.SlotID
	job  job.ID
}

func parseRef(s string) (ref, error) {
	if s == "any" {
		return ref{kind: "any"}, nil
	}
	if n, ok := strings.CutPrefix(s, "n"); ok {
		if i, err := strconv.Atoi(n); err == nil && i >= 1 && i <= maxPeers {
			return ref{kind: "n", n: i - 1}, nil
		}
	}
	kind, rest, ok := strings.Cut(s, "(")
	arg, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return ref{}, fmt.Errorf("%q is no peer; write n1, holder(web.0), steward(web), second(web) or acceptor(web)", s)
	}
	switch kind {
	case "holder":
		slot, err := parseSlot(arg)
		return ref{kind: kind, slot: slot}, err
	case "steward", "second", "acceptor":
		id, err := job.ParseID(arg)
		return ref{kind: kind, job: id}, err
	}
	return ref{}, fmt.Errorf("%q names no peer; holder, steward, second and acceptor do", kind)
}

// parseSlot reads "shop/web.0", or "web.0" for "web/web.0"; of a system task it reads
// "agent@n2", and At is then that machine's name.
func parseSlot(s string) (job.SlotID, error) {
	if !strings.Contains(s, "/") {
		name := s[:max(0, strings.IndexAny(s, ".@"))]
		s = name + "/" + s
	}
	return job.ParseSlotID(s)
}

// named is a slot as the ledger has it, with the ID of the machine that it names.
func (w *World) named(slot job.SlotID) job.SlotID {
	for _, m := range w.machines {
		if slot.At == m.name {
			slot.At = m.id.String()
		}
	}
	return slot
}

// find returns the machine a ref names now.
func (w *World) find(text string) (*machine, error) {
	r, err := parseRef(text)
	if err != nil {
		return nil, err
	}
	switch r.kind {
	case "n":
		if r.n < len(w.machines) {
			return w.machines[r.n], nil
		}
		return nil, fmt.Errorf("%s: there are only %d machines", text, len(w.machines))
	case "holder":
		if m := w.holder(r.slot); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("%s: nobody holds it", text)
	case "acceptor":
		if o := w.outcomes[string(r.job)]; o != nil {
			return w.machines[o.machine], nil
		}
		return nil, fmt.Errorf("%s: no such job was accepted", text)
	case "steward", "second":
		return w.steward(r, text)
	}
	return nil, fmt.Errorf("%s names no single peer", text)
}

func (w *World) steward(r ref, text string) (*machine, error) {
	m := w.witness()
	if m == nil {
		return nil, fmt.Errorf("%s: no peer is ready", text)
	}
	list := m.core.Lead(r.job)
	rank := 0
	if r.kind == "second" {
		rank = 1
	}
	if rank >= len(list) {
		return nil, fmt.Errorf("%s: there is none", text)
	}
	return w.speaker(m, list[rank]), nil
}

// witness is the peer whose view a scenario asks: the first that is up and ready.
func (w *World) witness() *machine {
	for _, m := range w.machines {
		if m.up() && m.state() == "ready" {
			return m
		}
	}
	return nil
}

// holder is the machine of the winning claim, as the witness sees it.
func (w *World) holder(slot job.SlotID) *machine {
	c := w.winner(slot)
	if c == nil {
		return nil
	}
	return w.speakerOf(c.Peer)
}

func (w *World) speakerOf(p wire.PeerID) *machine { return w.speaker(w.machines[0], p) }

func (w *World) winner(slot job.SlotID) *ledger.Claim {
	m := w.witness()
	if m == nil {
		return nil
	}
	return m.core.Ledger().Winner(w.named(slot))
}
