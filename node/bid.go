package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/internal/mutant"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// bidder is this peer's true state, which nobody else has.
func (c *Core) bidder() *auction.Self {
	s := c.condition()
	s.Labels = c.labels()
	s.Beside = c.beside(c.cfg.Self, s.Facts(), nil)
	return s
}

// condition is bidder but for the labels.
func (c *Core) condition() *auction.Self {
	s := &auction.Self{
		ID: c.cfg.Self, Name: c.cfg.Name, Datacenter: c.cfg.Datacenter,
		Ready: c.mayAct() && c.self.settled, Silent: c.rec.Silent(c.now),
		Draining: c.givesWay() || c.self.wait > 0, Metered: c.prof.Metered,
		CopiesOf: c.copiesHere, FailsOf: c.failsHere, VolumePlace: c.volumePlace,
	}
	f := c.facts
	if f == nil {
		s.Missing = c.missing()
		return s
	}
	s.Missing = f.Missing
	if c.noRoomOnDisk() {
		s.FullDisk = fmt.Sprintf("%d MiB free beyond the ledger's need, %d wanted", c.disk.FreeBytes>>20, LeastFree(c.disk.TotalBytes)>>20)
	}
	s.OS, s.Arch, s.Driver, s.LoadMilli = f.OS, f.Arch, f.Driver, f.Load
	s.Total = f.Capacity
	s.Free = f.Capacity.Minus(c.led.Claimed(c.cfg.Self))
	s.GPUs = c.led.FreeGPUs(c.cfg.Self, f.Capacity.GPUMilli/job.WholeGPU)
	if mutant.Is(mutant.IgnoreReserved) {
		s.Free = f.Capacity
	}
	s.LoadMilli = max(s.LoadMilli, heatLoad(f.TempC))
	s.Battery = c.battery.told
	c.setPolicy(s)
	s.CanRun = func(t *job.Task) string { return canRun(f.Driver, t) }
	if c.images != nil || f.Driver == "process" {
		s.HasImage, s.ForeignImage = c.hasImage, c.foreignImage
	}
	s.Later = c.later
	return s
}

// canRun says why a driver cannot run a task's image, or "".
func canRun(driver string, t *job.Task) string {
	plain := t.Image == "process" || strings.HasPrefix(t.Image, "process:")
	switch {
	case driver == "process" && !plain:
		return fmt.Sprintf("no container engine: image %s needs one", t.Image)
	case driver == "docker" && plain:
		return "no plain processes: this peer runs containers"
	}
	return ""
}

func (c *Core) copiesHere(id job.ID, task string) int {
	n := 0
	for _, cl := range c.led.ClaimsBy(c.cfg.Self) {
		if cl.Slot.Job == id && cl.Slot.Task == task && !cl.Phase.Ended() {
			n++
		}
	}
	return n
}

func (c *Core) failsHere(id job.ID, task string, spec wire.Hash) int {
	n := 0
	for _, cl := range c.led.ClaimsBy(c.cfg.Self) {
		if cl.Slot.Job == id && cl.Slot.Task == task && cl.Spec == spec && cl.Phase == ledger.Failed {
			n++
		}
	}
	return n
}

func (c *Core) volumePlace(id job.ID, volume string, slot int) (wire.PeerID, string, bool) {
	for _, w := range c.led.Wanted(id) {
		if w.Task.Failover.Volume == "empty" && slices.Contains(w.Task.Volumes(), volume) {
			return wire.PeerID{}, "", false
		}
		if !slices.Contains(w.Task.Volumes(), volume) {
			continue
		}
		if w.Task.Type == job.System {
			continue // each copy has its own
		}
		if p := c.led.PlaceOf(id, volume, job.SlotID{Job: id, Task: w.Task.Name, Index: slot}); p != nil {
			return p.Peer, c.nameOf(p.Peer), true
		}
	}
	return wire.PeerID{}, "", false
}

// lookup finds what a call or award names, if the head still wants it.
func (c *Core) lookup(id job.ID, life uint64, task string, spec wire.Hash) (*job.Spec, *job.Task, bool) {
	for _, w := range c.led.Wanted(id) {
		if w.Life != life || w.Task.Name != task {
			continue
		}
		if w.Spec == spec {
			return c.led.Spec(w.JobSpec), w.Task, true
		}
		if w.Fallback != nil && w.Fallback.Spec == spec {
			return c.led.Spec(w.Fallback.JobSpec), w.Fallback.Task, true
		}
	}
	return nil, nil, false
}

func (c *Core) jobSpecOf(id job.ID, task string, spec wire.Hash) wire.Hash {
	for _, w := range c.led.Wanted(id) {
		if w.Task.Name != task {
			continue
		}
		if w.Spec != spec && w.Fallback != nil {
			return w.Fallback.JobSpec
		}
		return w.JobSpec
	}
	return wire.Hash{}
}

// onCall answers a steward's call, if only why not, so that the steward need not wait;
// but one with a threshold only if a bid is within it.
func (c *Core) onCall(from wire.PeerID, m *wire.Call) error {
	if from != m.Steward || m.Steward.IsZero() {
		return fmt.Errorf("call in the name of %s from %s: %w", m.Steward.Short(), from.Short(), wire.ErrInvalid)
	}
	if err := c.mergeAll(m.Records, from, 1); err != nil {
		return err
	}
	if c.self.stage == starting || c.self.stage == muted {
		return nil
	}
	self := c.bidder()
	if bid := auction.Answer(self, m, c.lookup); auction.Qualifies(self, m, bid, c.lookup) {
		c.send(from, bid)
	}
	return nil
}

func (c *Core) onBid(from wire.PeerID, m *wire.Bid) {
	if from != c.cfg.Self && !c.mem.Ready(from) {
		return
	}
	for i := range c.lanes {
		for _, s := range c.lanes[i].sales {
			if s.Owns(m.Call) {
				s.Bid(c.now, from, m)
			}
		}
	}
}

const (
	parkFor   = 150 * time.Millisecond // well within auction.ReplyAfter
	maxParked = 64
)

// A parkedAward is one of a job that has not reached this peer yet: who sells on standing
// bids does not send it along, since it comes by itself, by topic and push.
type parkedAward struct {
	from  wire.PeerID
	award *wire.Award
	until clock.Instant
}

// parks keeps an award that is ahead of its job for a moment.
func (c *Core) parks(from wire.PeerID, m *wire.Award) bool {
	if from == c.cfg.Self || len(c.parked) >= maxParked || !c.isAhead(m) {
		return false
	}
	c.parked = append(c.parked, parkedAward{from, m, c.now.Add(parkFor)})
	c.wake(c.now.Add(parkFor))
	return true
}

// isAhead reports whether an award is of what the ledger here may yet hear of.
func (c *Core) isAhead(m *wire.Award) bool {
	return slices.ContainsFunc(m.Slots, func(a wire.AwardedSlot) bool {
		_, _, known := c.lookup(a.Slot.Job, a.Life, a.Slot.Task, a.Spec)
		if known && c.led.WantsSlot(a.Slot, a.Life) || a.Life <= c.led.RemovedLife(a.Slot.Job) {
			return false // else the job may have been scaled up meanwhile
		}
		h := c.led.Head(a.Slot.Job)
		return h == nil || a.Life > h.Life || a.Life == h.Life && !h.Deleted
	})
}

// settleParked judges the awards whose job has come, or will not in time.
func (c *Core) settleParked() {
	c.parked = slices.DeleteFunc(c.parked, func(p parkedAward) bool {
		if !c.due(p.until) && c.isAhead(p.award) {
			return false
		}
		c.judge(p.from, p.award)
		return true
	})
}

// onAward judges each awarded slot against this peer's true state. What it takes
// is on disk before the reply leaves.
func (c *Core) onAward(from wire.PeerID, m *wire.Award) error {
	if len(m.Slots) > auction.MaxAwardSize {
		return fmt.Errorf("award of %d slots from %s: %w", len(m.Slots), from.Short(), wire.FaultOversized)
	}
	if err := c.mergeAll(m.Rests, from, 1); err != nil {
		return err
	}
	if !c.parks(from, m) {
		c.judge(from, m)
	}
	return nil
}

func (c *Core) judge(from wire.PeerID, m *wire.Award) {
	c.standingNow() // notices room that has just appeared
	self := c.bidder()
	reply := &wire.Reply{Award: m.ID}
	for i := range m.Slots {
		a := &m.Slots[i]
		d, claim := wire.Decision{Slot: a.Slot, Token: a.Token, Decline: ownSlot}, (*wire.Record)(nil)
		if a.Slot.At == "" {
			d, claim = c.judgeAward(self, a)
		}
		reply.Decisions = append(reply.Decisions, d)
		if claim != nil {
			reply.Records = append(reply.Records, claim)
		}
	}
	reply.Bid = c.standingNow()
	c.hasTold(from, &reply.Bid)
	c.send(from, reply)
	c.holding.dirty = true
}

// ownSlot is why an award of a system task's slot is declined.
const ownSlot = "stale: it is a peer's own, and not for sale"

func (c *Core) judgeAward(self *auction.Self, a *wire.AwardedSlot) (wire.Decision, *wire.Record) {
	d := wire.Decision{Slot: a.Slot, Token: a.Token}
	if r := c.led.ClaimRecord(a.Slot, a.Life, a.Token, c.cfg.Self); r != nil {
		if !r.Value.(*ledger.Claim).Phase.Ended() {
			return d, r // the same award again: its claim stands
		}
		d.Decline, d.Known = "that token has ended here already", []*wire.Record{r}
		return d, nil
	}
	if d.Decline, d.Known = c.standsAgainst(a); d.Decline != "" {
		return d, nil
	}
	if d.Decline = c.yieldsTo(self, a); d.Decline != "" {
		return d, nil
	}
	gpus, no := auction.CheckAward(self, a, c.lookup)
	if no != "" {
		d.Decline = no
		return d, nil
	}
	_, task, _ := c.lookup(a.Slot.Job, a.Life, a.Slot.Task, a.Spec)
	for _, v := range task.Volumes() {
		c.claimVolume(a.Slot, v, a.Life)
	}
	r := c.write(wire.KindClaim, &ledger.Claim{
		Slot: a.Slot, Life: a.Life, Token: a.Token, Peer: c.cfg.Self, Spec: a.Spec,
		JobSpec: c.jobSpecOf(a.Slot.Job, a.Slot.Task, a.Spec), Needs: task.Needs, GPUs: gpus,
		Phase: ledger.Accepted, Fails: a.Fails, Starts: a.Starts, Summary: a.Summary,
	})
	c.event(Event{Kind: "claimed", Job: a.Slot.Job, Slot: a.Slot.String(), Peer: c.cfg.Self,
		Text: fmt.Sprintf("%s is held by %s with token %d", a.Slot, c.cfg.Name, a.Token)})
	return d, r
}

// standsAgainst looks for what forbids taking a slot, whatever room there is: a
// claim of our own on it that has not ended, a live claim of a peer nobody here
// doubts, a token at or above the award's.
func (c *Core) standsAgainst(a *wire.AwardedSlot) (string, []*wire.Record) {
	record := func(cl *ledger.Claim) []*wire.Record {
		return []*wire.Record{c.led.ClaimRecord(cl.Slot, cl.Life, cl.Token, cl.Peer)}
	}
	if !c.led.WantsSlot(a.Slot, a.Life) {
		if r := c.led.HeadRecord(a.Slot.Job); r != nil {
			return "stale: the slot is not wanted", []*wire.Record{r}
		}
		return "stale: the job is not known here", nil
	}
	for _, p := range c.led.PlacesAt(c.cfg.Self) {
		if p.Job == a.Slot.Job && p.Slot == a.Slot.Index && c.led.IsReleased(p) {
			return "busy: the volume of a removed life is still being deleted here", nil
		}
	}
	for _, cl := range c.led.ClaimsOf(a.Slot) {
		switch {
		case !ledger.IsOwners(cl):
		case cl.Peer == c.cfg.Self && !cl.Phase.Ended() && !mutant.Is(mutant.SecondClaim):
			return fmt.Sprintf("held here still: token %d has not ended", cl.Token), record(cl)
		case c.led.IsLive(cl) && !cl.Leaving && !c.mem.Doubted(cl.Peer):
			return fmt.Sprintf("taken: %s holds it with token %d", c.nameOf(cl.Peer), cl.Token), record(cl)
		case cl.Life == a.Life && cl.Token >= a.Token && !mutant.Is(mutant.AcceptStale):
			return fmt.Sprintf("stale: token %d is known", cl.Token), record(cl)
		}
	}
	return "", nil
}

func (c *Core) claimVolume(slot job.SlotID, volume string, life uint64) {
	if p := c.led.PlaceOf(slot.Job, volume, slot); p != nil && p.Peer == c.cfg.Self {
		return
	}
	c.write(wire.KindVolumePlace, &ledger.VolumePlace{Job: slot.Job, Volume: volume, Slot: slot.Index, Peer: c.cfg.Self, Life: life})
}

// onReply merges the claims of a reply before the sale hears of it, so that the
// sale sees what a decline rests on.
func (c *Core) onReply(from wire.PeerID, m *wire.Reply) error {
	recs := slices.Clone(m.Records)
	for _, d := range m.Decisions {
		recs = append(recs, d.Known...)
	}
	err := c.mergeAll(recs, from, 1)
	if from != c.cfg.Self && c.led.IsMember(from) && c.book.Hear(c.now, from, &m.Bid) {
		c.improved()
	}
	for i := range c.lanes {
		for _, s := range c.lanes[i].sales {
			if m.Award-s.id >= auction.IDSpan {
				continue
			}
			for _, d := range m.Decisions {
				if d.Decline != "" {
					c.tellSale(s.Sale, []job.SlotID{d.Slot})
				}
			}
			s.Reply(c.now, from, m)
		}
	}
	if slices.ContainsFunc(m.Decisions, func(d wire.Decision) bool { return isYield(d.Decline) }) {
		c.improved() // our own award hid the room from those for whom it is kept
	}
	return err
}

// DiskNearlyFull is in StatusView.Missing while there is too little room for work.
const DiskNearlyFull = "disk: nearly full"

// missing is what keeps this peer from bidding on anything: metrics that cannot be
// read, and a disk with no room for what a claim brings with it.
func (c *Core) missing() []string {
	if c.facts == nil {
		return []string{"this machine's facts have not been read yet"}
	}
	if c.noRoomOnDisk() {
		return append(slices.Clone(c.facts.Missing), DiskNearlyFull)
	}
	return c.facts.Missing
}

func (c *Core) noRoomOnDisk() bool {
	d := c.disk
	return d.TotalBytes > 0 && d.FreeBytes < LeastFree(d.TotalBytes)
}

// LeastFree is how much of a disk of so many bytes must be free, beyond what the store
// itself needs, for a peer to take work.
func LeastFree(totalBytes int64) int64 { return min(256<<20, totalBytes/20) }

// waitsFor says what a peer that is not ready waits for.
func (c *Core) waitsFor() string {
	switch {
	case c.led.IsRevoked(c.cfg.Self):
		return fmt.Sprintf("it was removed from swarm %s by its members; it ends when its slots have", c.cfg.Swarm)
	case c.self.stage == muted:
		return "its key runs elsewhere"
	case c.cfg.Damaged && !c.cfg.AcceptLoss && len(c.self.linked) == 0:
		return "its store is damaged and nobody is there to refill it; `shoal up --accept-loss` goes on with what is left"
	case c.self.stage == starting && c.cfg.AcceptLoss:
		return fmt.Sprintf("its store is lost; it goes on with what is left once no member has told it of its earlier starts for %s", aloneAfter)
	case c.self.stage == starting:
		return "it has no store and waits for a member to give it the ledger"
	case len(c.self.linked) == 0:
		return "it hears no other peer"
	default:
		names := make([]string, 0, len(c.self.linked))
		for _, p := range c.reachable() {
			names = append(names, c.nameOf(p))
		}
		return "it is exchanging ledgers with " + strings.Join(names[:min(len(names), 5)], ", ")
	}
}
