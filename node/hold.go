package node

import (
	"fmt"
	"slices"
	"time"

	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// How a holder treats its claims.
const (
	beatenGrace = 15 * time.Second // a beaten claim ends at the latest so long after, even if the winner does not run yet
	holdEvery   = time.Second      // claims are looked at again, changed or not
	restEvery   = 10 * time.Second // the same, while all of them just run
)

// holding is what this peer does with its own claims.
type holding struct {
	dirty     bool
	version   uint64 // the ledger's OwnVersion of the last look
	views     uint64 // and gossip's Views
	looked    clock.Instant
	every     time.Duration // how long it is good for
	leaves    bool          // this peer was draining or leaving then
	ends      map[claimID]ending
	beaten    map[claimID]clock.Instant
	lost      map[claimID]clock.Instant // since when a verdict is known here
	unstarted map[claimID]clock.Instant // since when nothing runs of a task that this version does not wholly know
	deleted   map[job.ID]deletedAt
	gone      map[wire.PeerID]time.Duration // since when, in this keeper's own running time, a peer is known to have left or been removed
	away      []wire.PeerID                 // those, as of awayAt, the ledger's PeersVersion
	awayAt    uint64
	silenced  bool
	stopFirst map[*job.Task]*job.Task // tasks whose start-first has no room here
}

type claimID struct {
	slot  job.SlotID
	life  uint64
	token wire.Token
}

// ending is why a claim is to end; its container is stopped first.
type ending struct {
	phase ledger.Phase
	why   string
}

// deletedAt is when, in this keeper's own running time, a deleted head came.
type deletedAt struct {
	_    struct{} `cbor:",toarray"`
	Life uint64
	Ran  time.Duration
}

func newHolding() holding {
	return holding{
		ends: map[claimID]ending{}, beaten: map[claimID]clock.Instant{}, lost: map[claimID]clock.Instant{},
		unstarted: map[claimID]clock.Instant{}, deleted: map[job.ID]deletedAt{},
		gone: map[wire.PeerID]time.Duration{}, stopFirst: map[*job.Task]*job.Task{},
	}
}

func idOf(cl *ledger.Claim) claimID { return claimID{cl.Slot, cl.Life, cl.Token} }

func (c *Core) ownClaims() []*ledger.Claim { return c.led.ClaimsBy(c.cfg.Self) }

// settleHolding decides for each own claim what becomes of it, tells the
// reconciler, and writes down what that reports.
func (c *Core) settleHolding() {
	if !c.self.settled {
		return
	}
	h := &c.holding
	c.endDisowned()
	if c.mustLook() {
		h.dirty, h.version, h.views, h.looked = false, c.led.OwnVersion(), c.mem.Views(), c.now
		h.leaves = c.givesWay()
		c.judgeSilence()
		for _, cl := range c.ownClaims() {
			c.judgeOwn(cl)
		}
		c.rec.Set(c.now, c.wants())
		h.every = c.lookEvery()
	}
	c.wake(h.looked.Add(h.every))
	actions, reports, at := c.rec.Tick(c.now)
	c.out.Actions = append(c.out.Actions, actions...)
	c.wake(at)
	for _, r := range reports {
		c.reported(r)
	}
	if len(reports) > 0 {
		h.dirty = true
		c.wake(c.now.Add(time.Millisecond))
	}
}

// endDisowned ends own claims that only this store takes for open: it is damaged, or
// was put back from an old image, which own records that come from others show. It
// returns them.
func (c *Core) endDisowned() []*ledger.Claim {
	if !c.cfg.Damaged && !c.self.forgot {
		c.led.Disowned()
		return nil
	}
	disowned := c.led.Disowned()
	for _, cl := range disowned {
		c.end(cl, ledger.Stopped, "it had ended before: this peer's store had forgotten that")
	}
	return disowned
}

// mustLook reports whether something may have changed for the own claims, or they
// are due for another look.
func (c *Core) mustLook() bool {
	h := &c.holding
	return h.dirty || h.version != c.led.OwnVersion() || h.views != c.mem.Views() ||
		h.silenced != c.rec.Silent(c.now) || h.leaves != c.givesWay() || c.due(h.looked.Add(h.every))
}

// lookEvery is how soon own claims are looked at again if nothing changes: soon,
// unless all of them simply run what is wanted.
func (c *Core) lookEvery() time.Duration {
	h := &c.holding
	if len(h.ends)+len(h.beaten)+len(h.lost)+len(h.unstarted) > 0 || h.silenced || c.self.stage != ready || c.givesWay() {
		return holdEvery
	}
	for _, cl := range c.ownClaims() {
		if cl.Phase.Ended() {
			continue
		}
		if w, ok := c.wantedOf(cl); !ok || cl.Phase != ledger.Serving || cl.Spec != w.Spec && !w.Paused || cl.Leaving {
			return holdEvery
		}
	}
	return restEvery
}

// judgeOwn decides what becomes of one own claim.
func (c *Core) judgeOwn(cl *ledger.Claim) {
	id := idOf(cl)
	if cl.Phase.Ended() {
		delete(c.holding.ends, id)
		delete(c.holding.beaten, id)
		delete(c.holding.lost, id)
		delete(c.holding.unstarted, id)
		return
	}
	if c.self.stage == muted {
		c.end(cl, ledger.Superseded, "this peer's key runs elsewhere")
		return
	}
	if c.led.IsRevoked(c.cfg.Self) { // nobody exchanges with it any more: there is nothing to wait for
		c.end(cl, ledger.Stopped, "this peer was removed from the swarm")
		return
	}
	if c.drainOver() {
		c.end(cl, ledger.Stopped, c.whyEnds()+", and the deadline is over")
		return
	}
	if !c.led.WantsSlot(cl.Slot, cl.Life) {
		if !c.trusts() {
			return
		}
		c.end(cl, ledger.Stopped, c.unwanted(cl))
		return
	}
	if c.led.IsLost(cl) {
		c.judgeLost(cl)
		return
	}
	delete(c.holding.lost, id)
	live := c.led.LiveClaims(cl.Slot)
	if w := c.firstRival(live, cl); w != nil {
		c.judgeBeaten(cl, w)
		return
	}
	if len(live) > 0 && live[0] != cl {
		return // it is to replace one that is leaving, and that one still holds the slot
	}
	delete(c.holding.beaten, id)
	if e, ok := c.holding.ends[id]; ok && e.phase == ledger.Superseded {
		delete(c.holding.ends, id) // what beat it is gone again
	}
	c.judgeHolder(cl)
}

// firstRival returns the claim that beats cl, or nil: of several the first whose holder is
// not doubted. The winner's may be gone for good and never declared so, and of those
// whom it beats one is enough. One that is leaving beats no other: the other is there to
// replace it.
func (c *Core) firstRival(live []*ledger.Claim, cl *ledger.Claim) *ledger.Claim {
	var first *ledger.Claim
	for _, o := range live {
		switch {
		case o == cl:
			return first
		case o.Leaving && !cl.Leaving:
		case !c.mem.Doubted(o.Peer) && !c.mem.Dead(o.Peer):
			return o
		case first == nil:
			first = o
		}
	}
	return first
}

func (c *Core) unwanted(cl *ledger.Claim) string {
	h := c.led.Head(cl.Slot.Job)
	if h == nil || h.Deleted || h.Life != cl.Life {
		return "the job was removed"
	}
	for _, w := range c.led.Wanted(cl.Slot.Job) {
		if w.Task.Name == cl.Slot.Task && cl.Slot.At != "" {
			return c.whyNotWanted(cl.Slot, w)
		}
	}
	return "the job wants fewer copies"
}

// judgeLost refutes a verdict or yields to it: the holder decides after a
// complete exchange that followed the news, never on a pushed record alone.
func (c *Core) judgeLost(cl *ledger.Claim) {
	id := idOf(cl)
	since, ok := c.holding.lost[id]
	if !ok {
		c.holding.lost[id] = max(c.now, 1)
		for _, p := range c.reachable() {
			c.open(p)
		}
		return
	}
	if c.rec.Silent(c.now) || !c.exchangedSince(since) {
		return
	}
	others := slices.DeleteFunc(c.led.LiveClaims(cl.Slot), func(o *ledger.Claim) bool { return o.Peer == c.cfg.Self })
	if o := c.finished(cl); o != nil && !mutant.Is(mutant.RefuteAlways) {
		c.end(cl, ledger.Superseded, fmt.Sprintf("it was declared lost, and %s has run it to its end", c.nameOf(o.Peer)))
		return
	}
	if c.waitsUnstarted(cl) {
		return
	}
	_, ending := c.holding.ends[id] // decided before: its container is on its way out, whatever the engine last said
	if len(others) > 0 && (ending || !c.runs(cl)) && !mutant.Is(mutant.RefuteAlways) {
		c.end(cl, ledger.Superseded, fmt.Sprintf("it was declared lost and sold again to %s", c.nameOf(others[0].Peer)))
		return
	}
	v := c.led.VerdictOn(cl)
	again := *cl
	again.Refuted, again.Beat = v.Refuted+1, c.mem.Beats()+1 // the next: the last may be the one that the votes know of
	c.write(wire.KindClaim, &again)
	delete(c.holding.lost, id)
	c.holding.dirty = true
	c.event(Event{Kind: "refuted", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: c.cfg.Self,
		Text: fmt.Sprintf("%s was declared lost by %s, but %s still holds it", cl.Slot, c.nameOf(v.By), c.cfg.Name)})
}

// finished returns the claim with which another peer has run a claim's slot to its
// end, on the same spec, or nil.
func (c *Core) finished(cl *ledger.Claim) *ledger.Claim {
	w, ok := c.wantedOf(cl)
	if !ok {
		return nil
	}
	for _, o := range c.led.ClaimsOf(cl.Slot) {
		if o.Peer != cl.Peer && o.Life == cl.Life && o.Spec == cl.Spec && isFinal(w.Task, o) {
			return o
		}
	}
	return nil
}

func (c *Core) exchangedSince(since clock.Instant) bool {
	for _, at := range c.ex.done {
		if at >= since {
			return true
		}
	}
	return len(c.self.linked) == 0
}

// runs reports whether the claim's container runs, as far as the engine has said,
// and is not being stopped by us, as for a restart: an engine may be slow to say
// that it has gone.
func (c *Core) runs(cl *ledger.Claim) bool {
	st, ok := c.rec.Status(c.ref(cl))
	return ok && st.Address != "" && (st.Phase == runtime.Starting || st.Phase == runtime.Serving) &&
		st.Busy != runtime.OpStop && st.Busy != runtime.OpRemove
}

// judgeBeaten ends a claim that another one beats, once that one runs or has had
// its time; while its holder is doubted nothing is stopped for it.
func (c *Core) judgeBeaten(cl, winner *ledger.Claim) {
	id := idOf(cl)
	since, ok := c.holding.beaten[id]
	if !ok {
		since = max(c.now, 1)
		c.holding.beaten[id] = since
	}
	if c.mem.Doubted(winner.Peer) || c.mem.Dead(winner.Peer) {
		c.holding.beaten[id] = max(c.now, 1)
		return
	}
	if mutant.Is(mutant.KeepSurplus) {
		return
	}
	runs := winner.Phase == ledger.Running || winner.Phase == ledger.Serving
	if !runs && !c.due(since.Add(beatenGrace)) {
		return
	}
	c.end(cl, ledger.Superseded, fmt.Sprintf("%s won with token %d: %s", c.nameOf(winner.Peer), winner.Token, c.rule(cl, winner)))
}

// rule names the rule by which winner beat cl.
func (c *Core) rule(cl, winner *ledger.Claim) string {
	spec := ledger.Wanted{}
	for _, w := range c.led.Wanted(cl.Slot.Job) {
		if w.Task.Name == cl.Slot.Task {
			spec = w
		}
	}
	switch {
	case cl.Leaving && !winner.Leaving:
		return "this one was leaving"
	case winner.Spec == spec.Spec && cl.Spec != spec.Spec:
		return "it runs the wanted spec"
	case winner.Token < cl.Token:
		return "the lower token stays (onReturn: incumbent)"
	case winner.Token > cl.Token:
		return "the higher token stays (onReturn: newest)"
	default:
		return "equal tokens, the hash decides"
	}
}

// judgeHolder is for the winner of a slot: leaving, moving to a new spec.
func (c *Core) judgeHolder(cl *ledger.Claim) {
	w, ok := c.wantedOf(cl)
	if !ok {
		return
	}
	if c.givesWay() && !cl.Leaving && cl.Slot.At == "" && !c.neverMoves(w, cl) {
		again := *cl
		again.Leaving = true
		c.write(wire.KindClaim, &again)
		c.holding.dirty = true
		cl = &again
	}
	if c.self.leaving && c.neverMoves(w, cl) {
		c.end(cl, ledger.Stopped, c.whyEnds())
		return
	}
	if cl.Leaving {
		if _, ends := c.holding.ends[idOf(cl)]; ends {
			return // its container is being stopped: whoever takes the slot next need not share it
		}
		if !c.givesWay() {
			again := *cl
			again.Leaving = false
			c.write(wire.KindClaim, &again)
			c.holding.dirty = true
			return
		}
		if w.Task.Update.Order != "start-first" || c.led.IsRevoked(c.cfg.Self) { // who is removed does not hear of a successor
			c.end(cl, ledger.Stopped, c.whyEnds())
		}
		return
	}
	if cl.Spec != w.Spec && !w.Paused && c.mayMove(cl, w) && !mutant.Is(mutant.NeverMove) {
		c.move(cl, w)
		return
	}
	c.judgeLater(cl)
}

func (c *Core) wantedOf(cl *ledger.Claim) (ledger.Wanted, bool) {
	for _, w := range c.led.Wanted(cl.Slot.Job) {
		if w.Task.Name == cl.Slot.Task {
			return w, true
		}
	}
	return ledger.Wanted{}, false
}

// mayMove reports whether fewer than the task's parallelism of lower slots are
// still on their way to the new spec.
func (c *Core) mayMove(cl *ledger.Claim, w ledger.Wanted) bool {
	moving := 0
	for slot := range w.Slots {
		if slot == cl.Slot {
			break
		}
		lower := c.staying(slot)
		if lower == nil || c.mem.Doubted(lower.Peer) || lower.Phase == ledger.Completed {
			continue
		}
		if lower.Spec != w.Spec || lower.Phase != ledger.Serving {
			moving++
		}
	}
	return moving < max(1, w.Task.Update.Parallelism) || mutant.Is(mutant.MoveAllAtOnce)
}

// staying is the first live claim on a slot that is not leaving, which is there to
// replace those that are, and whose holder is not in doubt; else the winner.
func (c *Core) staying(slot job.SlotID) *ledger.Claim {
	for _, cl := range c.led.LiveClaims(slot) {
		if !cl.Leaving && !c.mem.Doubted(cl.Peer) {
			return cl
		}
	}
	return c.led.Winner(slot)
}

// move takes a claim to the wanted spec in place, or, if its needs no longer fit
// here, marks it leaving so that it is sold elsewhere.
func (c *Core) move(cl *ledger.Claim, w ledger.Wanted) {
	again := *cl
	gpus, fits := c.roomInstead(cl, w.Task.Needs)
	if !fits {
		c.end(cl, ledger.Stopped, "the new revision's needs do not fit on this peer")
		return
	}
	if field := c.laterOf(w.JobSpec, w.Task.Name); field != "" {
		c.end(cl, ledger.Stopped, laterText(field))
		return
	}
	again.Spec, again.JobSpec, again.Needs, again.GPUs = w.Spec, w.JobSpec, w.Task.Needs, gpus
	again.NotServing, again.Fails, again.Starts = false, 0, 0
	again.Phase, again.Run = ledger.Accepted, cl.Run+1
	for _, v := range w.Task.Volumes() {
		c.claimVolume(cl.Slot, v, cl.Life)
	}
	c.write(wire.KindClaim, &again)
	c.holding.dirty = true
	c.event(Event{Kind: "updating", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: c.cfg.Self,
		Text: fmt.Sprintf("%s moves from spec %s to %s", cl.Slot, cl.Spec, w.Spec)})
}

// roomInstead reports whether needs fit here once an own claim's are gone, and on which
// GPUs: on those that it has, if it needs as much of them as before.
func (c *Core) roomInstead(cl *ledger.Claim, needs job.Resources) (gpus []int, fits bool) {
	if needs.GPUMilli == cl.Needs.GPUMilli {
		gpus, fits = cl.GPUs, true
	}
	if c.facts == nil {
		return gpus, fits
	}
	have := c.facts.Capacity
	if !fits {
		free := c.led.FreeGPUs(c.cfg.Self, have.GPUMilli/job.WholeGPU)
		job.GiveGPUs(free, cl.GPUs, cl.Needs.GPUMilli)
		gpus, fits = job.PickGPUs(free, needs.GPUMilli)
	}
	return gpus, fits && needs.Fits(have.Minus(c.led.Claimed(c.cfg.Self)).Plus(cl.Needs))
}

// end marks a claim to be ended: its container is stopped, and only when that is
// known gone the claim becomes terminal.
func (c *Core) end(cl *ledger.Claim, p ledger.Phase, why string) {
	id := idOf(cl)
	if _, ok := c.holding.ends[id]; !ok {
		c.event(Event{Kind: "ending", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: c.cfg.Self,
			Text: fmt.Sprintf("%s ends on %s (token %d): %s", cl.Slot, c.cfg.Name, cl.Token, why)})
		c.holding.dirty = true
	}
	c.holding.ends[id] = ending{p, why}
	if mutant.Is(mutant.EndFirst) {
		again := *cl
		again.Phase = p
		c.write(wire.KindClaim, &again)
	}
}

func (c *Core) ref(cl *ledger.Claim) runtime.Ref {
	return runtime.Ref{Swarm: c.cfg.Swarm.String(), Peer: c.cfg.Self, Slot: cl.Slot, Life: cl.Life, Token: cl.Token, Spec: cl.Spec}
}

// wants is what the reconciler is to bring about.
func (c *Core) wants() []runtime.Want {
	var out []runtime.Want
	for _, cl := range c.ownClaims() {
		w := runtime.Want{Ref: c.ref(cl), Run: cl.Run, Phase: phaseOf(cl.Phase), GPUs: job.GPUSetOf(cl.GPUs)}
		if spec := c.led.Spec(cl.JobSpec); spec != nil {
			w.Task = spec.Task(cl.Slot.Task)
		}
		_, ending := c.holding.ends[idOf(cl)]
		switch {
		case cl.Phase == ledger.Completed || cl.Phase == ledger.Failed:
			w.Keep = true
		case cl.Phase.Ended():
			continue
		case ending:
			w.Stop = true
		}
		if cl.Phase == ledger.Accepted && w.Run > 0 {
			w.Run-- // the run that a moved claim announces is still to begin
		}
		if w.Task == nil && !w.Stop && !w.Keep {
			w.Hold = true // its spec is still to come: what runs goes on, nothing is started
		}
		if !w.Stop && !w.Keep && c.laterOf(cl.JobSpec, cl.Slot.Task) != "" {
			w.Hold = true // who knows all of it is to start it
		}
		if c.led.IsLost(cl) && !w.Stop && !w.Keep && !c.mayStillBegin(cl) {
			w.Hold = true // refuted or ended first: it may run elsewhere by now
		}
		if w.Task != nil {
			w.MaxRun = uint32(w.Task.StartsHere(int(cl.Starts)))
		}
		w.Task = c.fitting(cl, w.Task)
		out = append(out, w)
	}
	return out
}

// fitting turns start-first into stop-first where there is no room for the old and
// the new container at once, or where both would hold the same GPUs.
func (c *Core) fitting(cl *ledger.Claim, t *job.Task) *job.Task {
	if t == nil || t.Update.Order != "start-first" || c.facts == nil {
		return t
	}
	if len(cl.GPUs) == 0 && cl.Needs.Fits(c.facts.Capacity.Minus(c.led.Claimed(c.cfg.Self))) {
		return t
	}
	c.reach(BranchStopFirst)
	other := c.holding.stopFirst[t]
	if other == nil {
		if len(c.holding.stopFirst) > 1000 {
			clear(c.holding.stopFirst)
		}
		stopFirst := *t
		stopFirst.Update.Order = "stop-first"
		other = &stopFirst
		c.holding.stopFirst[t] = other // one copy, so that an unchanged Want stays unchanged
	}
	return other
}

func phaseOf(p ledger.Phase) runtime.Phase {
	switch p {
	case ledger.Starting, ledger.Running:
		return runtime.Starting
	case ledger.Serving:
		return runtime.Serving
	case ledger.Backoff:
		return runtime.Backoff
	default:
		return 0
	}
}

// judgeSilence declares this peer's own claims lost when its engine has not
// answered for too long, so that they are sold elsewhere.
func (c *Core) judgeSilence() {
	silent := c.rec.Silent(c.now)
	if !silent || c.self.inc == 0 || c.self.stage == muted {
		if c.holding.silenced && !silent {
			c.event(Event{Kind: "engine-back", Peer: c.cfg.Self, Text: "the engine of " + c.cfg.Name + " answers again"})
		}
		c.holding.silenced = silent
		return
	}
	if !c.holding.silenced {
		c.holding.silenced = true
		c.event(Event{Kind: "engine-silent", Peer: c.cfg.Self, Text: "the engine of " + c.cfg.Name + " does not answer: its slots are given up for sale"})
	}
	for _, cl := range c.ownClaims() {
		w, ok := c.wantedOf(cl)
		if cl.Phase.Ended() || c.led.IsLost(cl) || !ok || c.neverMoves(w, cl) {
			continue
		}
		r := c.write(wire.KindVerdict, &ledger.Verdict{
			Slot: cl.Slot, Life: cl.Life, Token: cl.Token, Peer: c.cfg.Self, Run: cl.Run, Refuted: cl.Refuted, By: c.cfg.Self, Why: "its engine is silent",
		})
		c.publishHead([]*wire.Record{r})
	}
}
