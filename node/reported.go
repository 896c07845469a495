package node

import (
	"cmp"
	"fmt"

	"shoal/ledger"
	"shoal/runtime"
	"shoal/wire"
)

// reported writes down how a claim's container is.
func (c *Core) reported(r runtime.Report) {
	rec := c.led.ClaimRecord(r.Ref.Slot, r.Ref.Life, r.Ref.Token, c.cfg.Self)
	if rec == nil {
		return
	}
	cl := rec.Value.(*ledger.Claim)
	if cl.Phase.Ended() || r.Ref.Spec != cl.Spec && r.Phase != runtime.Gone {
		return
	}
	again := *cl
	again.Run = max(cl.Run, r.Run)
	again.Exit, again.Detail = r.ExitCode, clip(r.Err)
	again.NotServing = r.NotServing
	switch r.Phase {
	case runtime.Waiting:
		return
	case runtime.Starting:
		again.Phase = ledger.Starting
		if r.Address != "" {
			again.Phase = ledger.Running
		}
	case runtime.Serving:
		again.Phase = ledger.Serving
	case runtime.Backoff:
		again.Phase = ledger.Backoff
	case runtime.Completed:
		again.Phase = ledger.Completed
	case runtime.Failed:
		c.holding.dirty = true
		if r.OldRuns { // its room is free only when the container of the earlier spec has gone too
			c.reach(BranchSpecBeforeKept)
			c.noteBadSpec(cl, &again, r)
			c.end(cl, ledger.Failed, again.Detail)
			return
		}
		again.Phase = ledger.Failed
	case runtime.Gone:
		e, ok := c.holding.ends[idOf(cl)]
		if !ok {
			return
		}
		again.Phase, again.Detail = e.phase, clip(e.why)
	}
	if again.Run == cl.Run && again.Phase < cl.Phase && !again.Phase.Ended() {
		return
	}
	c.noteBadSpec(cl, &again, r)
	if same(cl, &again) {
		return
	}
	c.write(wire.KindClaim, &again)
	c.sawClaim(&again)
	c.tellPhase(cl, &again)
}

func same(a, b *ledger.Claim) bool {
	return a.Run == b.Run && a.Phase == b.Phase && a.Exit == b.Exit && a.Detail == b.Detail && a.NotServing == b.NotServing
}

func clip(s string) string {
	if len(s) <= ledger.MaxDetail {
		return s
	}
	cut := ledger.MaxDetail - 3
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

// noteBadSpec says that a new spec does not serve, when an earlier one is known:
// nobody else moves to it.
func (c *Core) noteBadSpec(cl, again *ledger.Claim, r runtime.Report) {
	failed := r.Phase == runtime.Failed || r.NotServing && r.Phase != runtime.Serving
	if !failed || c.self.stage == muted {
		return
	}
	h := c.led.Head(cl.Slot.Job)
	w, ok := c.wantedOf(cl)
	if h == nil || !ok || h.Life != cl.Life || h.Previous.IsZero() || w.Spec != cl.Spec || w.Paused {
		return
	}
	if prev, ok := c.led.TaskHash(h.Previous, cl.Slot.Task); !ok || prev == cl.Spec {
		return
	}
	reason := cmp.Or(again.Detail, "it did not serve in time")
	c.write(wire.KindBadSpec, &ledger.BadSpec{
		Job: cl.Slot.Job, Life: cl.Life, Revision: h.Revision, Spec: cl.Spec, Slot: cl.Slot, Reason: clip(reason),
	})
	c.event(Event{Kind: "bad-spec", Job: cl.Slot.Job, Slot: cl.Slot.String(), Peer: c.cfg.Self,
		Text: fmt.Sprintf("revision %d of %s does not serve as %s: %s; no other slot moves to it", h.Revision, cl.Slot.Job, cl.Slot, reason)})
}

func (c *Core) tellPhase(was, is *ledger.Claim) {
	if was.Phase == is.Phase && was.Run == is.Run {
		return
	}
	text := fmt.Sprintf("%s on %s is %s", is.Slot, c.cfg.Name, is.Phase)
	if is.Detail != "" {
		text += ": " + is.Detail
	}
	c.event(Event{Kind: is.Phase.String(), Job: is.Slot.Job, Slot: is.Slot.String(), Peer: c.cfg.Self, Text: text})
}
