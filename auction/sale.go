// Package auction sells slots. A steward sells on the standing bids that the peers
// have left with it (Book, Direct); where these do not do it calls for bids and waits
// until it has enough of them (Open). It awards each slot to the best bidder and, if
// that one declines or stays silent, to the next with a higher token. A bidder answers
// calls and checks awards against its true state (Answer, CheckAward). Both kinds of
// bid come from one pure function (Answer) and are ranked by another (Score).
//
// The package decides who is offered a slot, never who has it: only the bidder
// accepts, and the ledger says which of two claims wins. So two sales of the same
// slots by two stewards at once are harmless.
//
//	slot:  open ──award──► awarded ──accept──► sold
//	        ▲  ▲              │ decline, no reply in 300 ms, bidder doubted
//	        │  └──────────────┘ (next bidder, next token; at most 5 awards)
//	        └─ nobody left ──► unsold            someone's live claim ──► taken
//
// Held in every state: at most one award of a slot is unanswered and not given
// up; its tokens only grow; the awards a bidder has not answered never need more
// than it last reported free.
package auction

import (
	"cmp"
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// How long a sale waits, and how much it takes on.
const (
	CloseAfter   = 250 * time.Millisecond // for bids, from the call: then what can be awarded is
	EndAfter     = time.Second            // for late bids on what nobody could take so far
	ReplyAfter   = 300 * time.Millisecond // for the reply to an award
	SlowReply    = time.Second            // and to one of a bidder on a metered link
	EnoughBids   = 8                      // passing bids of a lot; more buy nothing
	MaxAttempts  = 5                      // awards of one slot
	MaxSlots     = 4096                   // of one sale; slots beyond are unsold, "sale is full"
	MaxBidders   = 256                    // heard in one sale; bids of others are dropped
	DirectUpTo   = 32                     // peers asked one by one on streams, not on the topic
	MaxAwardSize = 1024                   // slots of one award message

	// IDSpan is how many message IDs one sale may use, from Config.ID upwards.
	IDSpan = 1 << 20
)

// A Lot is some slots of one task, to be sold in one sale.
type Lot struct {
	Job     job.ID
	Life    uint64
	Task    string
	Spec    wire.Hash
	Needs   job.Resources
	Policy  string // PolicySpread (or ""), PolicyPack
	Slots   []Want
	Records []*wire.Record // the head and spec, for bidders that have not heard of them
	Spread  *Spread        // over labels, before all else that is scored; nil: over peers alone

	// What Direct says of a lot that it gives back.
	Hopeless bool        // the bids of all are at hand, and none passes
	Most     *wire.Score // a score within which enough bids are; nil: any may be needed
}

// A Want is one slot to be sold.
type Want struct {
	Slot    job.SlotID
	Token   wire.Token     // of the first award: one above the greatest known
	Fails   uint32         // failed tokens since the spec changed; the claim keeps it
	Starts  uint32         // of a batch: its starts in vain since then; the claim keeps it
	Since   clock.Instant  // when it was first seen missing; 0: unknown
	Exclude []wire.PeerID  // asked last only, for instance because it just failed there
	Rests   []*wire.Record // the verdicts the award rests on
	Call    bool           // not to be sold on standing bids: those did not do
}

// A Config says what a sale sells, and whom it asks.
type Config struct {
	ID    uint64 // of the first call; no other sale of Self uses ID to ID+IDSpan-1
	Self  wire.PeerID
	Lane  uint8
	Cell  string        // context of the tie-break
	Lots  []Lot         // placed in this order: by priority and age
	Mix   *Mix          // what fragments are measured by; nil: by nothing
	Asked []wire.PeerID // the ready peers that nobody here doubts, Self included

	Own func(wire.PeerID) bool // of the lane's own quarter, preferred among equals; nil: nobody is

	// Blame counts the tasks that a peer took of late and did not run: its bids rank lower. A
	// peer that is not there has none.
	Blame map[wire.PeerID]uint32

	// Known is what the steward knows of a peer without asking it; nil: its standing bid is
	// not at hand, or does not tell all. With Find it serves Direct alone.
	Known func(wire.PeerID) *Self
	Find  Lookup
	Book  *Book // from which awards are deducted while their reply is awaited; may be nil
}

// A Sale is the steward's side of one auction of many slots.
type Sale struct {
	cfg    Config
	opened clock.Instant
	closes clock.Instant // the sale decides on the bids it has
	ends   clock.Instant // slots still open are unsold
	calls  [][]*lot      // the lots of each call, in its order
	lots   []*lot
	slots  []*slot
	byID   map[job.SlotID]*slot

	spreads map[int][]*Spread // of the lots, by group

	asked      []wire.PeerID // without repetition
	bidders    map[wire.PeerID]*bidder
	ranked     []*bidder // all bidders in a fixed order
	unanswered int       // asked peers, not gone, that owe an answer to some call
	answered   int       // bidders, asked or not, that answered some call
	shortLots  int       // lots with fewer than EnoughBids passing bids

	awards   []award // in order of their deadlines
	flying   int     // awarded slots whose reply is awaited
	open     int     // slots in state open
	nextID   uint64  // of the next award
	standing bool    // on standing bids: nobody is called
	bounded  bool    // its calls have thresholds: silence is an answer
	decided  bool    // the first awards were made
	dirty    bool    // something changed since slots were last placed
	phase    phase   // as the last Tick saw it
	told     bool    // Outcomes has returned the unsold ones

	excess []Outcome // slots beyond MaxSlots
	news   []*slot   // sold or taken, not yet returned by Outcomes
}

// A phase is how far a sale's time has run.
type phase uint8

const (
	gathering phase = iota // before closes
	closing                // late bids still count for what is open
	ended                  // no further bid counts
)

// A lot is the part of a Lot that one call offers.
type lot struct {
	wire    wire.Lot
	from    *Lot
	policy  string
	mix     *Mix
	records []*wire.Record
	group   int // lots of one job and task share it
	call    int // the call that offers it
	place   int // in that call
	slots   []*slot
	passing int  // bidders whose offer passes
	bound   bool // some offer is for part of the slots only
	near    bool // enough of the lane's own quarter can take its slots
	full    bool // in this round of placing: nobody can take an ordinary slot
}

type slotState uint8

const (
	open slotState = iota
	awarded
	sold
	taken
	unsold
)

// A slot is one to be sold, and what became of it so far.
type slot struct {
	want  Want
	lot   *lot
	state slotState
	next  wire.Token // of the next award; 0: the counter is used up
	tries []try      // at most MaxAttempts
	won   int        // in tries, when sold
	told  Result     // by Outcomes; 0: nothing yet
}

// A try is one award of a slot.
type try struct {
	to    *bidder
	token wire.Token
	state tryState
	why   string // of a decline
}

type tryState uint8

const (
	flying   tryState = iota // the reply is awaited
	lost                     // no reply in time; it may have been accepted
	declined                 //
	accepted                 //
	void                     // the bidder became doubted
)

// mayCount reports whether the bidder has a copy by that award, or may have one.
func (t tryState) mayCount() bool { return t != declined && t != void }

// An award is a message sent whose reply is awaited until deadline.
type award struct {
	to       *bidder
	deadline clock.Instant
	slots    []*slot
	tokens   []wire.Token
}

// A bidder is a peer that was asked or that bid.
type bidder struct {
	id    wire.PeerID
	order uint64
	own   bool   // of the lane's own quarter
	blame uint32 // added to the bucket of what it bids
	asked bool
	owes  int // calls not yet answered

	answers []*answer // by call; nil: none yet
	free    job.Resources
	total   job.Resources
	away    job.Resources // needs of awards that free does not account for yet
	gpus    []uint16      // free of each device, as it said, less what it took since
	given   map[int]int   // copies given in this sale, by group
	awarded bool          // its state now changes with our awards: only replies refresh it
	slow    bool          // on a metered link
	silent  bool          // owes a reply past its time: no more awards
	gone    bool          // doubted
	replied uint64        // the latest award whose reply was read

	presumed []*answer // by call, in its place; nil: its standing bid is not at hand
	awayGPUs []int64   // away, of those that need a GPU, in order of the awards
	leftGPUs []uint16  // gpus less awayGPUs

	scored *lot // of which cached is the score; nil: none
	cached wire.Score
}

// An answer is a bid on one call, checked and cut to size.
type answer struct {
	no     string // on every lot
	offers []wire.Offer
}

// Open begins a sale and returns the calls to send. Up to DirectUpTo peers are
// asked one by one on their streams, which is sure and cheap; more are asked on
// the cell's topic, and Self, which a topic does not reach, directly; there a threshold
// keeps all silent but about sixteen.
func Open(now clock.Instant, c Config) (*Sale, []wire.Envelope) {
	s := prepare(now, c, false)
	if s.bounded = len(s.asked) > DirectUpTo; s.bounded {
		s.presume()
	}
	all := make([]int, len(s.calls))
	for i := range all {
		all[i] = i
	}
	return s, s.envelopes(all)
}

// prepare makes a sale whose bids are still to come.
func prepare(now clock.Instant, c Config, standing bool) *Sale {
	s := &Sale{
		cfg: c, standing: standing, opened: now, closes: now.Add(CloseAfter), ends: now.Add(EndAfter), dirty: true,
		byID: make(map[job.SlotID]*slot), spreads: make(map[int][]*Spread), bidders: make(map[wire.PeerID]*bidder),
	}
	for _, id := range c.Asked {
		if s.bidders[id] == nil && len(s.bidders) < MaxBidders {
			s.admit(id).asked = true
			s.asked = append(s.asked, id)
		}
	}
	s.cfg.Asked = nil
	s.takeLots(s.callBudget())
	s.cfg.Lots = nil
	s.nextID = c.ID + uint64(len(s.calls))
	for _, b := range s.ranked {
		b.answers, b.owes = make([]*answer, len(s.calls)), len(s.calls)
	}
	if len(s.calls) > 0 {
		s.unanswered = len(s.asked)
	}
	s.shortLots, s.open = len(s.lots), len(s.slots)
	return s
}

// admit makes the bidder of a peer, keeping ranked in order.
func (s *Sale) admit(id wire.PeerID) *bidder {
	b := &bidder{id: id, own: s.cfg.Own != nil && s.cfg.Own(id), order: wire.Order(s.cfg.Cell, id), blame: s.cfg.blameOf(id), given: make(map[int]int),
		answers: make([]*answer, len(s.calls)), owes: len(s.calls)}
	s.bidders[id] = b
	at, _ := slices.BinarySearchFunc(s.ranked, b, func(x, y *bidder) int {
		return cmp.Or(cmp.Compare(x.order, y.order), x.id.Compare(y.id))
	})
	s.ranked = slices.Insert(s.ranked, at, b)
	return b
}

// Slots returns the slots that the sale is of.
func (s *Sale) Slots() []job.SlotID {
	out := make([]job.SlotID, 0, len(s.slots)+len(s.excess))
	for _, sl := range s.slots {
		out = append(out, sl.want.Slot)
	}
	for i := range s.excess {
		out = append(out, s.excess[i].Slot)
	}
	return out
}

// Owns reports whether a call ID is of this sale.
func (s *Sale) Owns(call uint64) bool { return call-s.cfg.ID < uint64(len(s.calls)) }

// Bid hears a bid. The latest of a peer counts, until it is awarded something:
// from then on only its replies say what it has free. A bid after closes counts for
// the slots still open, so that a steward or bidder that was held up for a moment
// does not leave work waiting; a bid after a Tick saw the sale end, on the call of
// another sale, or of a doubted peer is dropped. The caller has made sure that
// from is ready.
func (s *Sale) Bid(_ clock.Instant, from wire.PeerID, b *wire.Bid) {
	if b == nil || !s.Owns(b.Call) || s.phase == ended {
		return
	}
	p := s.bidders[from]
	if p == nil {
		if len(s.bidders) >= MaxBidders {
			return
		}
		p = s.admit(from)
	}
	call := int(b.Call - s.cfg.ID)
	if p.gone || p.awarded && p.answers[call] != nil {
		return
	}
	if !p.awarded {
		p.has(b)
	}
	s.count(p, call, -1)
	if p.answers[call] == nil {
		if p.owes == len(s.calls) {
			s.answered++
		}
		if p.owes--; p.owes == 0 && p.asked {
			s.unanswered--
		}
	}
	p.answers[call] = read(b, s.calls[call])
	p.slow = slices.ContainsFunc(p.answers[call].offers, isMetered)
	s.count(p, call, +1)
	s.dirty = true
}

// has notes what b says to have and to have free.
func (b *bidder) has(bid *wire.Bid) {
	b.total = clampTo(bid.Total, mostReported)
	b.free = clampTo(bid.Free, b.total)
	b.gpus = clampGPUs(bid.GPUs, b.total)
	b.countGPUs()
}

func isMetered(o wire.Offer) bool { return len(o.Terms) > TermLink && o.Terms[TermLink] > 0 }

// mostReported is the greatest amount of anything that a peer is believed to have.
var mostReported = job.Resources{CPUMilli: 1 << 55, MemBytes: 1 << 55, DiskBytes: 1 << 55, GPUMilli: job.MaxGPUs * job.WholeGPU}

// read checks a bid on a call's lots and cuts its texts and lists to size.
func read(b *wire.Bid, lots []*lot) *answer {
	switch {
	case b.No != "":
		return &answer{no: clip(b.No)}
	case len(b.Offers) != len(lots):
		return &answer{no: Malformed}
	case b.Total.CPUMilli <= 0 || b.Total.MemBytes <= 0:
		return &answer{no: MissingMetric}
	}
	a := &answer{offers: slices.Clone(b.Offers)}
	for i := range a.offers {
		o := &a.offers[i]
		o.No, o.Terms = clip(o.No), o.Terms[:min(len(o.Terms), wire.MaxSummaryTerms)]
		if len(o.Volumes) > len(lots[i].slots) {
			*o = wire.Offer{No: Malformed}
		}
		if len(o.Volumes) > 0 {
			o.Volumes = slices.Sorted(slices.Values(o.Volumes))
			lots[i].bound = true
		}
	}
	return a
}

// count adds by to the passing bids of each lot of a call that p bids on.
func (s *Sale) count(p *bidder, call, by int) {
	a := p.answers[call]
	if a == nil || a.no != "" {
		return
	}
	for i, l := range s.calls[call] {
		if a.offers[i].No != "" {
			continue
		}
		was := l.passing < EnoughBids
		l.passing += by
		if is := l.passing < EnoughBids; was && !is {
			s.shortLots--
		} else if !was && is {
			s.shortLots++
		}
	}
}

// clampTo keeps amounts that a peer reported within zero and most.
func clampTo(r, most job.Resources) job.Resources {
	return job.Resources{
		CPUMilli:  min(max(r.CPUMilli, 0), most.CPUMilli),
		MemBytes:  min(max(r.MemBytes, 0), most.MemBytes),
		DiskBytes: min(max(r.DiskBytes, 0), most.DiskBytes),
		GPUMilli:  min(max(r.GPUMilli, 0), most.GPUMilli),
	}
}

// clampGPUs keeps what a peer reported of its devices within what there can be.
func clampGPUs(free []uint16, total job.Resources) []uint16 {
	out := slices.Clone(free[:min(len(free), int(total.GPUMilli/job.WholeGPU))])
	for i := range out {
		out[i] = min(out[i], job.WholeGPU)
	}
	return out
}

// Over reports whether nothing remains to be done: every slot is sold, taken or
// unsold, and no reply is awaited.
func (s *Sale) Over() bool { return s.open == 0 && s.flying == 0 }

// WakeAt is when the next Tick is due, an instant long past if at once; 0 when
// the sale is over. It changes with every input.
func (s *Sale) WakeAt() clock.Instant {
	switch {
	case s.Over():
		return 0
	case s.open > 0 && s.dirty && s.mayDecide():
		return max(s.opened, 1)
	}
	var at clock.Instant
	if s.open > 0 && s.phase == gathering {
		at = s.closes
	} else if s.open > 0 && s.phase == closing {
		at = s.ends
	}
	if len(s.awards) > 0 {
		at = clock.Earliest(at, s.awards[0].deadline)
	}
	return at
}
