package ledger

import (
	"fmt"
	"slices"
	"strings"

	"shoal/job"
	"shoal/wire"
)

// A task of type system has one copy on every peer that it suits, each a slot named by
// its peer: "shop/agent@PEER". Which these are follows from cards and membership, so that
// all who hold the same records agree; whether a peer is there just now, ready, or has
// room, is not for the ledger.

// Slots goes over the slots that the task is to have, in order: by number, or of a
// system task by the IDs of the peers whose own they are.
func (w *Wanted) Slots(yield func(job.SlotID) bool) {
	if w.Task.Type == job.System {
		for _, at := range w.At {
			if !yield(w.slotAt(at)) {
				return
			}
		}
		return
	}
	for n := range w.Count {
		if !yield(job.SlotID{Job: w.Job, Task: w.Task.Name, Index: n}) {
			return
		}
	}
}

func (w *Wanted) slotAt(at string) job.SlotID {
	return job.SlotID{Job: w.Job, Task: w.Task.Name, At: at}
}

// SlotOf is the slot of a system task that is a peer's own.
func (w *Wanted) SlotOf(p wire.PeerID) job.SlotID { return w.slotAt(p.String()) }

// OwnerOf returns whose own a slot is; false for a numbered one.
func OwnerOf(slot job.SlotID) (wire.PeerID, bool) {
	if slot.At == "" {
		return wire.PeerID{}, false
	}
	p, err := wire.ParsePeerID(slot.At)
	return p, err == nil
}

// suits are the peers that system tasks suit, remembered: claims come and go far more often
// than cards.
type suits struct {
	of    map[*job.Task][]string // as of at, the PeersVersion
	at    uint64
	pairs map[suit]string        // answers of unsuited
	names map[wire.PeerID]string // texts of IDs
}

// A suit is a task and the card of a peer, as both are held.
type suit struct {
	task *job.Task
	card *Card
}

// maxSuits is far more pairs than there are system tasks times peers.
const maxSuits = 10_000

// suited returns the members that a system task suits, in order, as slots name them.
func (s *State) suited(spec *job.Spec, t *job.Task) []string {
	if t.Type != job.System || t.Count == 0 {
		return nil
	}
	if s.suits.at != s.peers || s.suits.of == nil {
		s.suits.at, s.suits.of = s.peers, map[*job.Task][]string{}
	}
	out, known := s.suits.of[t]
	if known {
		return out
	}
	for _, p := range s.Members() {
		if s.Unsuited(p, spec, t) == "" {
			out = append(out, s.textOf(p))
		}
	}
	s.suits.of[t] = out
	return out
}

func (s *State) textOf(p wire.PeerID) string {
	text, known := s.suits.names[p]
	if !known {
		if s.suits.names == nil || len(s.suits.names) >= maxSuits {
			s.suits.names = map[wire.PeerID]string{}
		}
		text = p.String()
		s.suits.names[p] = text
	}
	return text
}

// Unsuited says for what a system task is not to have a copy on a member, "" if it is. It
// goes by what a peer's owner sets or a machine is, not by what changes while work runs,
// such as free disk or the battery: that keeps a copy from starting and ends none.
func (s *State) Unsuited(p wire.PeerID, spec *job.Spec, t *job.Task) string {
	card := s.Card(p)
	if card == nil || !s.IsMember(p) {
		return "it is no member"
	}
	key := suit{t, card}
	if why, known := s.suits.pairs[key]; known {
		return why
	}
	if s.suits.pairs == nil || len(s.suits.pairs) >= maxSuits {
		s.suits.pairs = map[suit]string{}
	}
	why := unsuited(card, spec, t)
	s.suits.pairs[key] = why
	return why
}

func unsuited(card *Card, spec *job.Spec, t *job.Task) string {
	facts := card.Facts()
	if len(spec.Datacenters) > 0 && !slices.Contains(spec.Datacenters, card.Datacenter) {
		return fmt.Sprintf("the job wants datacenter %s, and it is in %q", strings.Join(spec.Datacenters, " or "), card.Datacenter)
	}
	if !job.SamePlatform(t.Platform, facts.OS, facts.Arch) {
		return fmt.Sprintf("the task wants platform %s, and it is %s", t.Platform, card.Platform)
	}
	if unmet := facts.MeetsLasting(t.Constraints); unmet != "" {
		return fmt.Sprintf("the task wants %s", unmet)
	}
	return ""
}

// IsOwners reports whether a claim may hold its slot by whose it is: a system task's is
// its own peer's alone. What another has written on it counts for nothing, its token
// neither.
func IsOwners(c *Claim) bool {
	p, ok := OwnerOf(c.Slot)
	return !ok || p == c.Peer
}
