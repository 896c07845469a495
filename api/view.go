package api

import (
	"cmp"
	"encoding/hex"

	"shoal/auction"
	"shoal/node"
	"shoal/wire"
)

// names turns peer IDs into what people call them.
type names map[wire.PeerID]string

func namesOf(c *node.Core) names {
	n := names{}
	led := c.Ledger()
	for _, p := range led.AllPeers() {
		if card := led.Card(p); card != nil {
			n[p] = node.Brief(card.Name)
		}
	}
	return n
}

// of returns a peer's name, or the end of its ID if it has none here.
func (n names) of(p wire.PeerID) string {
	if p.IsZero() {
		return ""
	}
	return cmp.Or(n[p], p.Short())
}

// ofTag returns the name of the peer that a tag stands for.
func (n names) ofTag(t wire.PeerTag) string {
	for p, name := range n {
		if p.Tag() == t {
			return cmp.Or(name, p.Short())
		}
	}
	return hex.EncodeToString(t[:])
}

// termsOf names the parts of a bid's cost class that are not zero.
func termsOf(t []byte) []Term {
	var out []Term
	for i, n := range t {
		if n > 0 && i < len(termNames) {
			out = append(out, Term{Name: termNames[i], Cost: n})
		}
	}
	return out
}

var termNames = [...]string{
	auction.TermFetch: "fetch", auction.TermLink: "link", auction.TermBattery: "battery", auction.TermLoad: "load",
	auction.TermVolume: "volume", auction.TermFails: "failures", auction.TermFragments: "fragments", auction.TermAffinity: "affinity",
}

// aroundOf are the copies around a bidder, by label.
func aroundOf(t []byte) (out []int) {
	for i := auction.TermSpread; i < len(t) && t[i] > 0; i++ {
		out = append(out, int(t[i])-1)
	}
	return out
}

func (n names) all(ps []wire.PeerID) []string {
	var out []string
	for _, p := range ps {
		out = append(out, n.of(p))
	}
	return out
}

func peerOf(v node.PeerView, n names) Peer {
	return Peer{
		Name: cmp.Or(v.Name, v.ID.Short()), ID: v.ID.String(), Self: v.Self, State: v.State, HeardAgo: Age(v.Heard), SpokeAgo: Age(v.Spoke),
		Incarnation: v.Incarnation, Doubters: n.all(v.Doubters),
		Datacenter: v.Datacenter, Labels: v.Labels, Profile: v.Profile, Version: v.Version, Driver: v.Driver,
		Platform: v.Platform, Addrs: v.Addrs, Capacity: v.Capacity, Claimed: v.Claimed, Slots: v.Slots,
		Draining: v.Draining, Leaving: v.Leaving, TakesNothing: v.No, StewardOf: v.Steward, Observers: v.Observers, Votes: v.Votes,
		Faults: v.Faults, Score: v.Score, Ignored: v.Ignored, RefusedFor: Age(v.RefusedFor),
	}
}

// addLinks tells of each peer how it is reached, and names the relays.
func addLinks(peers []Peer, links map[string]Link) {
	names := map[string]string{}
	for _, p := range peers {
		names[p.ID] = p.Name
	}
	for i := range peers {
		if l, ok := links[peers[i].ID]; ok {
			l.Relay = cmp.Or(names[l.Relay], l.Relay)
			peers[i].Link = &l
		}
	}
}

func statusOf(v node.StatusView) Status {
	return Status{
		Peer: peerOf(v.Self, nil), Swarm: v.Swarm, State: v.State, Why: v.Why, Uptime: Age(v.Uptime),
		Peers: v.Peers, ReadyPeers: v.ReadyPeers, Jobs: v.Jobs, Slots: v.Slots, Records: v.Records,
		Digest: v.Ledger.Hex(), Engine: v.Engine, Free: v.Free, Missing: v.Missing, Faults: v.Faults,
	}
}

func jobOf(v node.JobView, n names) Job {
	j := Job{
		Job: v.ID.String(), Life: v.Life, Revision: v.Revision, State: v.State, Author: n.of(v.Author),
		Conflicts: v.Conflicts, History: v.History, Spec: v.Spec.Hex(), Tasks: []Task{},
	}
	for _, t := range v.Tasks {
		j.Tasks = append(j.Tasks, Task(t))
	}
	return j
}

// slotOf copies a slot; at says where published ports answer.
func slotOf(v node.SlotView, at reachable) Slot {
	s := Slot{
		Slot: v.Slot, Phase: v.Phase, Peer: v.PeerName, Token: uint64(v.Token), Life: v.Life, Current: v.Current,
		Run: v.Run, Exit: v.Exit, Detail: v.Detail, For: Age(v.Since), HeardAgo: Age(v.Heard), Doubted: v.Doubted,
		Container: v.Container, Surplus: v.Surplus, Image: v.Image, InVain: v.InVain,
	}
	if !v.Peer.IsZero() {
		s.PeerID, s.Peer = v.Peer.String(), cmp.Or(v.PeerName, v.Peer.Short())
	}
	if !v.Spec.IsZero() {
		s.Spec = v.Spec.Hex()
	}
	s.Addresses, s.Problems = at.slot(v)
	return s
}

func waitingOf(v node.WaitingView, steward string) Waiting {
	return Waiting{
		Slot: v.Slot, Reason: v.Reason, Refusals: refusalsOf(v.Noes), Closest: v.Closest, Asked: v.Asked,
		Since: Age(v.Since), NextTry: Age(v.NextTry), Next: v.Next, Fails: v.Fails, Steward: steward,
	}
}

func refusalsOf(noes []wire.Reason) []Refusal {
	var out []Refusal
	for _, r := range noes {
		out = append(out, Refusal{Reason: r.Text, Count: r.Count})
	}
	return out
}

func saleOf(v *wire.Summary, n names) *Sale {
	if v == nil || v.Steward == (wire.PeerTag{}) {
		return nil
	}
	s := &Sale{
		Steward: n.ofTag(v.Steward), Standing: v.Standing, Asked: v.Asked, Passed: v.Passed, Refusals: refusalsOf(v.Noes),
		Took: Age(v.Took), Waited: Age(v.Waited),
	}
	for _, b := range v.Bids {
		s.Bids = append(s.Bids, Bid{
			Peer: n.ofTag(b.Peer), Copies: b.Copies, Bucket: b.Bucket, Room: b.Room, Terms: termsOf(b.Terms), Around: aroundOf(b.Terms),
		})
	}
	return s
}

func whyOf(v node.WhyView, n names, at reachable) Why {
	w := Why{Slot: slotOf(v.Slot, at), Sale: saleOf(v.Summary, n), Stewards: n.all(v.Stewards), WaysOut: v.WaysOut}
	if v.Waiting != nil {
		wt := waitingOf(*v.Waiting, "")
		w.Slot.Waits = &wt
	}
	for _, l := range v.Losers {
		w.Surplus = append(w.Surplus, slotOf(l, at))
	}
	return w
}
