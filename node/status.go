package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/clock"
	"shoal/gossip"
	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// State is this peer's stage in a word: StatusView.State without the rest.
func (c *Core) State() string { return c.self.stage.String() }

// Status tells how this peer is.
func (c *Core) Status() StatusView {
	v := StatusView{
		Self: c.peerView(c.cfg.Self), Swarm: c.cfg.Swarm.Hex(), State: c.State(), Uptime: time.Duration(c.now),
		Peers: len(c.led.Members()), ReadyPeers: len(c.ranking(0)), Records: c.led.Len(), Ledger: c.led.Hash(), Faults: c.faults.all.Map(),
	}
	if c.self.stage != ready || c.led.IsRevoked(c.cfg.Self) {
		v.Why = c.waitsFor()
	}
	for _, id := range c.led.Jobs() {
		if !c.led.Head(id).Deleted {
			v.Jobs++
		}
	}
	for _, cl := range c.ownClaims() {
		if !cl.Phase.Ended() {
			v.Slots++
		}
	}
	if f := c.facts; f != nil {
		v.Engine = strings.TrimSpace(f.Driver + " " + f.Engine)
		v.Free = f.Capacity.Minus(c.led.Claimed(c.cfg.Self))
	}
	v.Missing = c.missing()
	if c.rec.Silent(c.now) {
		v.Engine += " (does not answer)"
	}
	return v
}

// Peer tells of one member as Peers does; false if there is none of that name.
func (c *Core) Peer(id wire.PeerID) (PeerView, bool) {
	if id != c.cfg.Self && c.led.CardRecord(id) == nil {
		return PeerView{}, false
	}
	return c.peerView(id), true
}

// Peers lists the members this peer knows, itself among them, by name; those that
// left or were removed come last.
func (c *Core) Peers() []PeerView {
	ids := c.led.AllPeers()
	if !slices.Contains(ids, c.cfg.Self) {
		ids = append(ids, c.cfg.Self)
	}
	var out []PeerView
	for _, id := range ids {
		out = append(out, c.peerView(id))
	}
	slices.SortFunc(out, func(a, b PeerView) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.ID.Compare(b.ID)) })
	return out
}

func (c *Core) peerView(id wire.PeerID) PeerView {
	v := PeerView{ID: id, Name: c.nameOf(id), Self: id == c.cfg.Self, State: c.peerState(id)}
	if !c.wentWithPeer(id) {
		v.Claimed = c.led.Claimed(id)
	}
	if r := c.led.CardRecord(id); r != nil {
		card := r.Value.(*ledger.Card)
		v.Incarnation, v.Datacenter, v.Labels, v.Profile = r.Num.Inc, Brief(card.Datacenter), card.Labels, Brief(cmp.Or(card.Profile, "lan"))
		v.Version, v.Driver, v.Platform = Brief(card.Version), Brief(card.Driver), Brief(card.Platform)
		v.Addrs, v.Capacity, v.Draining, v.No = card.Addrs, card.Capacity, card.Draining, Brief(card.No)
	}
	for _, cl := range c.led.ClaimsBy(id) {
		if !cl.Phase.Ended() && !c.led.IsLost(cl) {
			v.Slots++
		}
	}
	for i := range Lanes {
		if s, ok := c.steward(i); ok && s == id {
			v.Steward = append(v.Steward, i)
		}
	}
	c.standingView(&v)
	if v.Self {
		v.Incarnation, v.Leaving = c.self.inc, c.self.leaving
		v.Labels, v.Datacenter, v.No = c.labels(), c.cfg.Datacenter, c.takesNothing()
		return v
	}
	info, _ := c.mem.Info(id)
	v.Observers, v.Votes = len(info.Observers), len(info.Votes)
	for _, p := range info.Votes {
		if slices.Contains(info.Observers, p) {
			v.Doubters = append(v.Doubters, p)
		}
	}
	v.Heard, v.Spoke = c.ago(info.LastHeard), c.ago(info.LastSpoke)
	return v
}

// Brief cuts what a card says of its peer in words: no peer that keeps to the rules says
// more, and a card is valid all the same.
func Brief(s string) string {
	const most = 2 * job.MaxName
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Observers lists who observes this peer, in its own view.
func (c *Core) Observers() []wire.PeerID {
	info, _ := c.mem.Info(c.cfg.Self)
	return info.Observers
}

// ago is how long ago something was; -1: never since this peer's start.
func (c *Core) ago(at clock.Instant) time.Duration {
	if at == 0 {
		return -1
	}
	return c.now.Sub(at)
}

func (c *Core) peerState(id wire.PeerID) string {
	if m := c.led.Member(id); m != nil && m.Revoked {
		return "removed"
	} else if m != nil && m.Left {
		return "left"
	}
	if id == c.cfg.Self {
		return c.self.stage.String()
	}
	switch c.mem.State(id) {
	case gossip.Dead:
		return "dead"
	case gossip.Suspect:
		return "suspect"
	case gossip.Unheard:
		return "unheard"
	default: // alive
	}
	if slices.Contains(c.mem.ReadyPeers(), id) {
		return "ready"
	}
	return "joining"
}

// Jobs lists jobs, by ID; removed ones only when asked for.
func (c *Core) Jobs(removed bool) []JobView {
	var out []JobView
	for _, id := range c.led.Jobs() {
		if h := c.led.Head(id); removed || !h.Deleted {
			out = append(out, c.jobView(id, h))
		}
	}
	return out
}

func (c *Core) jobView(id job.ID, h *ledger.Head) JobView {
	v := JobView{ID: id, Life: h.Life, Revision: h.Revision, Deleted: h.Deleted, Spec: h.Spec, Author: h.Author}
	for _, r := range c.led.Heads(id) {
		if old := r.Value.(*ledger.Head); old != h && old.Life == h.Life && !old.Deleted {
			v.History = append(v.History, old.Revision)
		}
	}
	for _, lost := range c.led.Conflicts(id) {
		v.Conflicts = append(v.Conflicts, fmt.Sprintf("revision %d by %s lost to this one", lost.Revision, c.nameOf(lost.Author)))
	}
	for _, w := range c.led.Wanted(id) {
		v.Tasks = append(v.Tasks, c.taskView(w))
	}
	v.State = c.jobState(id, v)
	return v
}

func (c *Core) taskView(w ledger.Wanted) TaskView {
	slots := c.slotsOf(w)
	t := TaskView{Name: w.Task.Name, Type: w.Task.Type.String(), Image: w.Task.Image, Wanted: len(slots), Ports: w.Task.Ports}
	for _, slot := range slots {
		cl := c.shown(slot, w.Life)
		if cl == nil {
			continue
		}
		t.Claimed++
		if cl.Phase == ledger.Serving && !c.mem.Dead(cl.Peer) {
			t.Serving++
		}
		if cl.Phase == ledger.Completed {
			t.Completed++
		}
		if cl.Spec == w.Spec {
			t.Current++
		}
	}
	return t
}

// failedForGood reports whether a slot of the job has failed and is not to be
// repeated.
func (c *Core) failedForGood(id job.ID) bool {
	for _, w := range c.led.Wanted(id) {
		for slot := range w.Slots {
			if cl := c.shown(slot, w.Life); cl != nil && cl.Phase == ledger.Failed {
				return true
			}
		}
	}
	return false
}

// shown is the claim that stands for a slot: its winner, or the one that ran it
// to its end.
func (c *Core) shown(slot job.SlotID, life uint64) *ledger.Claim {
	if w := c.led.Winner(slot); w != nil {
		return w
	}
	var last *ledger.Claim
	for _, cl := range c.led.ClaimsOf(slot) {
		if w, ok := c.wantedOf(cl); ok && cl.Life == life && isFinal(w.Task, cl) {
			last = cl
		}
	}
	return last
}

func (c *Core) jobState(id job.ID, v JobView) string {
	wanted, serving, completed, current, claimed := 0, 0, 0, 0, 0
	for _, t := range v.Tasks {
		wanted += t.Wanted
		serving += t.Serving
		completed += t.Completed
		current += t.Current
		claimed += t.Claimed
	}
	bad := c.anyBad(c.led.Head(id))
	switch {
	case v.Deleted:
		return "removed"
	case bad:
		return "paused: bad spec"
	case len(v.Tasks) == 0:
		return "waiting" // its spec has not come, or says what only a later version knows
	case wanted == 0 && c.isStopped(id):
		return "stopped"
	case wanted == 0:
		return "waiting" // for a peer that its system tasks suit
	case c.failedForGood(id):
		return "failed"
	case claimed == wanted && slices.ContainsFunc(c.led.Wanted(id), c.isNowhere):
		return "waiting"
	case completed == wanted:
		return "completed"
	case serving+completed == wanted && current == wanted:
		return "running"
	case claimed < wanted:
		return "waiting"
	default:
		return "deploying"
	}
}

// isStopped reports whether a job is to have no copy of any task.
func (c *Core) isStopped(id job.ID) bool {
	return !slices.ContainsFunc(c.led.Wanted(id), func(w ledger.Wanted) bool { return w.Count > 0 })
}

// shows reports whether a slot is listed: that of a peer that is gone as long as a claim
// tells what it ran there.
func (c *Core) shows(slot job.SlotID, w ledger.Wanted) bool {
	p, ok := ledger.OwnerOf(slot)
	return !ok || c.led.Winner(slot) != nil || c.isToHave(p, slot, w)
}

// Slots lists the wanted slots of a job, and claims on them that lose; an empty
// job means all. The job is named as SlotID prints it.
func (c *Core) Slots(of string) []SlotView {
	var out []SlotView
	for _, id := range c.led.Jobs() {
		if of != "" && id.String() != of && string(id) != of {
			continue
		}
		for _, w := range c.led.Wanted(id) {
			for slot := range w.Slots {
				if c.shows(slot, w) {
					out = append(out, c.slotViews(w, slot)...)
				}
			}
			if c.isNowhere(w) {
				out = append(out, c.nowhereView(w))
			}
		}
		out = append(out, c.unwantedViews(id)...)
	}
	return out
}

func (c *Core) slotViews(w ledger.Wanted, slot job.SlotID) []SlotView {
	var out []SlotView
	top := c.shown(slot, w.Life)
	if top == nil {
		out = append(out, c.waitingView(w, slot))
	} else {
		out = append(out, c.slotView(top, w, false))
	}
	for _, cl := range c.led.ClaimsOf(slot) {
		if cl != top && !cl.Phase.Ended() && cl.Life == w.Life && ledger.IsOwners(cl) {
			out = append(out, c.slotView(cl, w, true))
		}
	}
	return out
}

func (c *Core) waitingView(w ledger.Wanted, slot job.SlotID) SlotView {
	v := SlotView{Slot: c.SlotName(slot), ID: slot, Phase: "waiting", Current: true, Life: w.Life, Ports: w.Task.Ports, Image: w.Task.Image}
	if wt := c.waitFor(slot); wt != nil {
		v.Detail, v.Since = wt.reason, c.now.Sub(wt.since)
	}
	if vain := c.waitsInVain(slot); vain != "" {
		v.Detail, v.InVain = vain, true
	}
	for _, cl := range c.led.ClaimsOf(slot) {
		if cl.Life == w.Life && cl.Phase == ledger.Failed {
			v.Detail = cmp.Or(v.Detail, fmt.Sprintf("failed on %s: %s", c.nameOf(cl.Peer), cl.Detail))
			v.Peer, v.PeerName, v.Token, v.Exit = cl.Peer, c.nameOf(cl.Peer), cl.Token, cl.Exit
			v.Container = c.containerOf(cl) // its output is still there
		}
	}
	return v
}

// unwantedViews are claims on slots that the head no longer wants and whose
// containers are still to end.
func (c *Core) unwantedViews(id job.ID) []SlotView {
	var out []SlotView
	for _, slot := range c.led.ClaimedSlots() {
		if slot.Job != id {
			continue
		}
		for _, cl := range c.led.ClaimsOf(slot) {
			if !cl.Phase.Ended() && !c.led.WantsSlot(slot, cl.Life) {
				v := c.slotView(cl, ledger.Wanted{}, true)
				if v.Phase != phaseRemoved {
					v.Detail = "the job does not want it any more"
				}
				out = append(out, v)
			}
		}
	}
	return out
}

func (c *Core) slotView(cl *ledger.Claim, w ledger.Wanted, surplus bool) SlotView {
	v := SlotView{
		Slot: c.SlotName(cl.Slot), ID: cl.Slot, Phase: cl.Phase.String(), Peer: cl.Peer, PeerName: c.nameOf(cl.Peer),
		Token: cl.Token, Life: cl.Life, Spec: cl.Spec, Current: cl.Spec == w.Spec, Run: cl.Run, Exit: cl.Exit,
		Detail: cl.Detail, Surplus: surplus, Container: c.containerOf(cl),
	}
	if w.Task != nil {
		v.Ports, v.Image = w.Task.Ports, w.Task.Image
	}
	if cl.Peer != c.cfg.Self {
		info, _ := c.mem.Info(cl.Peer)
		v.Heard = c.ago(info.LastSpoke)
		v.Doubted = c.mem.Doubted(cl.Peer) || c.mem.Dead(cl.Peer)
	}
	switch {
	case !cl.Phase.Ended() && c.wentWithPeer(cl.Peer):
		v.Phase, v.Detail = phaseRemoved, "removed with its peer"
	case c.led.IsLost(cl):
		v.Detail = "declared lost"
	case v.Doubted && w.Task != nil && w.Task.Failover.InIsland == "wait" && c.AwaitsMany(cl.Peer):
		v.Detail = "waits for " + v.PeerName + ", which went together with many others: failover.inIsland is wait"
	case w.Task != nil && w.Task.MaxStarts() > 1 && cl.Phase == ledger.Failed && isFinal(w.Task, cl):
		v.Detail = fmt.Sprintf("failed for good, started %s: %s", times(ledger.StartsWith(cl)), cl.Detail)
	case w.Paused && cl.Spec != w.Spec:
		v.Detail = c.whyPaused(cl.Slot.Job, w.Spec)
	}
	v.Since = c.since(cl)
	return v
}

// phaseRemoved is shown of a claim whose holder was removed: nobody will ever end it.
const phaseRemoved = "removed"

// wentWithPeer reports whether what a peer's claims say went with it when it was
// removed. This peer knows better of its own.
func (c *Core) wentWithPeer(p wire.PeerID) bool { return p != c.cfg.Self && c.led.IsRevoked(p) }

func (c *Core) containerOf(cl *ledger.Claim) string {
	r := c.ref(cl)
	r.Peer = cl.Peer
	return runtime.Name(r)
}

// whyPaused says why nobody moves to a spec.
func (c *Core) whyPaused(id job.ID, spec wire.Hash) string {
	for _, b := range c.led.BadSpecs(id) {
		if b.Spec == spec {
			return fmt.Sprintf("stays on its spec: revision %d does not serve as %s: %s", b.Revision, b.Slot, b.Reason)
		}
	}
	return ""
}

// since is how long this peer has seen a claim in its present phase; -1 if it was so
// already when this daemon started, which does not know since when.
func (c *Core) since(cl *ledger.Claim) time.Duration {
	since := c.led.SeenSince(cl)
	if since == 0 {
		return -1
	}
	return c.now.Sub(since)
}

// Why explains a slot, as far as this peer knows; if it is not a steward of the
// slot's lane, WhyView.Stewards says whom to ask what it waits for.
func (c *Core) Why(text string) (WhyView, error) {
	if v, ok := c.whyNowhere(text); ok {
		return v, nil
	}
	slot, err := c.FindSlot(text)
	if err != nil {
		return WhyView{}, err
	}
	h := c.led.Head(slot.Job)
	if h == nil || h.Deleted {
		return WhyView{}, c.noJob(slot.Job)
	}
	v := WhyView{Names: map[string]string{}, Stewards: c.stewards(laneOf(slot.Job))}
	for _, w := range c.led.Wanted(slot.Job) {
		if w.Task.Name != slot.Task {
			continue
		}
		if !c.led.WantsSlot(slot, w.Life) || !c.shows(slot, w) {
			return WhyView{}, fmt.Errorf("slot %s is not wanted: %s", c.SlotName(slot), c.whyNotWanted(slot, w))
		}
		views := c.slotViews(w, slot)
		v.Slot, v.Losers = views[0], views[1:]
		if cl := c.shown(slot, w.Life); slot.At != "" {
			v.Stewards = nil // it is not for sale
		} else if cl != nil {
			v.Summary = &cl.Summary
		}
		if wt := c.waitFor(slot); wt != nil {
			wv := c.waitView(slot, wt, map[nearKey]string{})
			v.Waiting = &wv
		}
		if v.Slot.Phase == "waiting" || c.mem.Dead(v.Slot.Peer) {
			v.WaysOut = c.waysOut(w, slot)
		}
		for _, p := range c.led.AllPeers() {
			v.Names[p.String()] = c.nameOf(p)
		}
		return v, nil
	}
	var names []string
	if spec := c.led.Spec(h.Spec); spec != nil {
		if _, err := spec.Judge(); err != nil {
			return WhyView{}, fmt.Errorf("job %s: this peer can do nothing for revision %d, which perhaps a later version of shoal wrote: %w", slot.Job, h.Revision, err)
		}
		names = taskNames(spec)
	}
	return WhyView{}, fmt.Errorf("job %s has no task %q: it has %s", slot.Job, slot.Task, strings.Join(names, ", "))
}

// Waiting is what this peer, as steward, remembers of slots it could not sell.
func (c *Core) Waiting() []WaitingView {
	var out []WaitingView
	near := map[nearKey]string{}
	for _, slot := range slices.SortedFunc(keys(c.waits), job.SlotID.Compare) {
		out = append(out, c.waitView(slot, c.waits[slot], near))
	}
	for _, slot := range slices.SortedFunc(keys(c.system.waits), job.SlotID.Compare) {
		out = append(out, c.waitView(slot, c.system.waits[slot], near))
	}
	return out
}

// waitsInVain says of a slot that was never sold on which other one it waits that has
// failed for good; "": none.
func (c *Core) waitsInVain(slot job.SlotID) string {
	tasks := c.led.Wanted(slot.Job)
	at := slices.IndexFunc(tasks, func(w ledger.Wanted) bool { return w.Task.Name == slot.Task })
	if at < 0 || c.led.MaxToken(slot, tasks[at].Life) > 0 {
		return ""
	}
	for _, d := range tasks[at].Task.DependsOn {
		for _, w := range tasks {
			if w.Task.Name != d.Task {
				continue
			}
			if cl := c.failedOf(w); cl != nil && !c.reached(w, d.Condition) {
				return fmt.Sprintf("waits for %s to be %s, which it never will be: %s failed for good on %s%s: %s; `shoal restart %s/%s` runs it again",
					d.Task, cmp.Or(d.Condition, "started"), cl.Slot, c.nameOf(cl.Peer), lastOf(w.Task, cl), cl.Detail, slot.Job, d.Task)
			}
		}
	}
	return ""
}

// lastOf says which of several starts a claim's last was.
func lastOf(t *job.Task, cl *ledger.Claim) string {
	if t.MaxStarts() < 2 {
		return ""
	}
	return ", started " + times(ledger.StartsWith(cl))
}

// failedOf is the first claim of a task that has failed and is not to be repeated; nil:
// there is none.
func (c *Core) failedOf(w ledger.Wanted) *ledger.Claim {
	for slot := range w.Slots {
		if cl := c.shown(slot, w.Life); cl != nil && cl.Phase == ledger.Failed && cl.Spec == w.Spec {
			return cl
		}
	}
	return nil
}

// Services lists who answers for each task of each job, for reach.
func (c *Core) Services() []Service {
	local := map[job.ID]bool{}
	for _, cl := range c.ownClaims() {
		local[cl.Slot.Job] = local[cl.Slot.Job] || !cl.Phase.Ended()
	}
	var out []Service
	for _, id := range c.led.Jobs() {
		for _, w := range c.led.Wanted(id) {
			s := Service{Job: id, Task: w.Task.Name, Aliases: w.Task.Aliases, Ports: slices.Clone(w.Task.Ports), Local: local[id]}
			for _, p := range w.Task.Expose {
				if !slices.ContainsFunc(s.Ports, func(q job.Port) bool { return q.Target == p }) {
					s.Ports = append(s.Ports, job.Port{Target: p, Protocol: "tcp"})
				}
			}
			for slot := range w.Slots {
				for _, cl := range c.led.LiveClaims(slot) {
					if e, ok := c.endpoint(cl); ok {
						s.Endpoints = append(s.Endpoints, e)
					}
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// endpoint is where a claim's container answers; a doubted holder's is left out. One
// that is beaten answers as long as it runs: its winner may still be starting.
func (c *Core) endpoint(cl *ledger.Claim) (Endpoint, bool) {
	if cl.Phase != ledger.Running && cl.Phase != ledger.Serving {
		return Endpoint{}, false
	}
	e := Endpoint{Slot: cl.Slot, Peer: cl.Peer, Serving: cl.Phase == ledger.Serving}
	if cl.Peer == c.cfg.Self {
		if st, ok := c.rec.Status(c.ref(cl)); ok {
			e.Address = st.Address
		}
		return e, e.Address != ""
	}
	return e, !c.mem.Doubted(cl.Peer) && !c.mem.Dead(cl.Peer)
}

// Inspect returns the spec that a job's head wants, and its head as a view.
func (c *Core) Inspect(id job.ID) (*job.Spec, JobView, error) {
	h := c.led.Head(id)
	if h == nil || h.Deleted {
		return nil, JobView{}, c.noJob(id)
	}
	spec := c.led.Spec(h.Spec)
	if spec == nil {
		return nil, JobView{}, fmt.Errorf("the spec of job %s has not reached this peer yet", id)
	}
	return spec, c.jobView(id, h), nil
}

// Ledger gives read access to the merged state, for checkers and dumps. Nothing
// may be changed through it.
func (c *Core) Ledger() *ledger.State { return c.led }

// Lead returns the stewards of a job's lane that are not doubted here, the one in
// charge first.
func (c *Core) Lead(id job.ID) []wire.PeerID { return c.stewards(laneOf(id)) }

// Now is the instant of the last input.
func (c *Core) Now() clock.Instant { return c.now }

// IsMember reports whether a peer is known here as a member that was not removed.
func (c *Core) IsMember(p wire.PeerID) bool { return c.led.Card(p) != nil && !c.led.IsRevoked(p) }
