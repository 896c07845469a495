// Package wire has what travels between peers: identities, records, messages,
// their encoding and signatures. It decides nothing but whether bytes are well
// formed and whether a signature is good.
//
// Encoding is CBOR in its deterministic form, with integer keys; fields a peer
// does not know are passed over in messages and kept, as bytes, in records.
package wire

import (
	"time"

	"shoal/job"
)

// A MessageKind is a message's number on the wire.
type MessageKind uint8

// A Message is one of the types below, always handled by pointer and never
// changed after it was sent.
type Message interface{ Kind() MessageKind }

// An Envelope is a message with its destination: one peer on a stream, or, when
// To is zero, everybody on a topic.
type Envelope struct {
	To    PeerID
	Topic Topic
	Msg   Message
}

// A Topic is one of the swarm's gossip topics; each cell has its own of each.
type Topic uint8

// The topics.
const (
	TopicJobs    Topic = iota + 1 // new job heads and verdicts
	TopicCalls                    // calls of a sale
	TopicMembers                  // votes on the dead
)

func (t Topic) String() string {
	return [...]string{"", "jobs", "calls", "members"}[min(t, TopicMembers)]
}

// Numbers of the messages.
const (
	MsgBeat    MessageKind = 1
	MsgObserve MessageKind = 2
	MsgVotes   MessageKind = 3
	MsgProbe   MessageKind = 4

	MsgDigest MessageKind = 10
	MsgVector MessageKind = 11
	MsgLists  MessageKind = 12
	MsgDelta  MessageKind = 13
	MsgPush   MessageKind = 14
	MsgStore  MessageKind = 15
	MsgStored MessageKind = 16
	MsgSketch MessageKind = 17
	MsgTrade  MessageKind = 18
	MsgSettle MessageKind = 19

	MsgCall     MessageKind = 20
	MsgBid      MessageKind = 21
	MsgAward    MessageKind = 22
	MsgReply    MessageKind = 23
	MsgStanding MessageKind = 24
)

var messages = map[MessageKind]Message{
	MsgBeat: (*Beat)(nil), MsgObserve: (*Observe)(nil), MsgVotes: (*Votes)(nil), MsgProbe: (*Probe)(nil),
	MsgDigest: (*Digest)(nil), MsgVector: (*Vector)(nil), MsgLists: (*Lists)(nil), MsgDelta: (*Delta)(nil),
	MsgPush: (*Push)(nil), MsgStore: (*Store)(nil), MsgStored: (*Stored)(nil),
	MsgSketch: (*Sketch)(nil), MsgTrade: (*Trade)(nil), MsgSettle: (*Settle)(nil),
	MsgCall: (*Call)(nil), MsgBid: (*Bid)(nil), MsgAward: (*Award)(nil), MsgReply: (*Reply)(nil),
	MsgStanding: (*Standing)(nil),
}

// A Beat says "I am here", once each Every, to those who observe the sender.
type Beat struct {
	Inc   uint32        `cbor:"1,keyasint"`
	Nonce uint64        `cbor:"2,keyasint"`
	Beat  uint64        `cbor:"3,keyasint"` // counts from 1 within one start
	Every time.Duration `cbor:"4,keyasint"` // the sender's interval, by its profile
	Ready bool          `cbor:"5,keyasint,omitempty"`
}

// An Observe asks the receiver to send its beats for the next For, or, with For
// zero, to stop. Repeated while wanted.
type Observe struct {
	For time.Duration `cbor:"1,keyasint"`
}

// A Probe asks "do you hear this peer?"; it is how a peer that met its own card
// learns whether its key runs elsewhere. The answer is a Probe with Answer set.
type Probe struct {
	Of     PeerID `cbor:"1,keyasint"`
	Inc    uint32 `cbor:"2,keyasint"` // of the other start
	Nonce  uint64 `cbor:"3,keyasint"`
	Answer bool   `cbor:"4,keyasint,omitempty"`
	Heard  bool   `cbor:"5,keyasint,omitempty"` // beats of that very start came within the last 10 s
	AgoMs  uint32 `cbor:"6,keyasint,omitempty"` // with Heard: how long ago the last one came, in milliseconds
	AtMs   uint32 `cbor:"7,keyasint,omitempty"` // for how long the asker has known that card when it asked; the answer repeats it
}

// A Vote is an observer's signed word that it has missed DeadBeats beats of a
// peer. Any later beat voids it.
type Vote struct {
	Of   PeerID `cbor:"1,keyasint"`
	Inc  uint32 `cbor:"2,keyasint"`
	Last uint64 `cbor:"3,keyasint"` // the last beat heard
	By   PeerID `cbor:"4,keyasint"`
	Sig  []byte `cbor:"5,keyasint"`
}

const voteDomain = "shoal/vote/1"

// SignedBytes returns what the voter signs.
func (v *Vote) SignedBytes(swarm Hash) []byte {
	return MustMarshal([]any{voteDomain, swarm, v.Of, v.Inc, v.Last, v.By})
}

// Votes carries votes to co-observers and stewards, and, on TopicMembers, to
// everybody once a death is believed. At most MaxVotes.
type Votes struct {
	Votes  []Vote `cbor:"1,keyasint"`
	Public bool   `cbor:"2,keyasint,omitempty"` // published: no need to publish the same again
	Heard  []Sign `cbor:"3,keyasint,omitempty"` // at most MaxVotes; not passed on
}

// A Sign is a beat that the sender itself has heard: it withdraws its own votes that
// knew of less.
type Sign struct {
	_    struct{} `cbor:",toarray"`
	Of   PeerID
	Inc  uint32
	Beat uint64
}

// MaxVotes is how many votes, and how many signs, one message may carry.
const MaxVotes = 64

// A Digest opens an exchange: one hash over everything the sender holds.
type Digest struct {
	ID     uint64 `cbor:"1,keyasint"`          // of the exchange, chosen by the one who opens it
	Hash   Hash   `cbor:"2,keyasint,omitzero"` // left out of an answer
	Ready  bool   `cbor:"3,keyasint,omitempty"`
	Equal  bool   `cbor:"4,keyasint,omitempty"` // in an answer: mine is the same, we are done
	Parity []byte `cbor:"5,keyasint,omitempty"` // tells about how much differs; answer with a Sketch if that is little. Empty: answer with a Vector
}

// A Mark is what a peer holds of one issuer: the number up to which it has had
// all that was live, and a sum over the hashes of all it has of that issuer.
type Mark struct {
	_     struct{} `cbor:",toarray"`
	UpTo  Number   // Issuer is always set; the rest may be zero
	Sum   [16]byte
	Count uint32 // records held of this issuer, above the mark too
}

// A Vector answers a Digest that differs.
type Vector struct {
	ID    uint64 `cbor:"1,keyasint"`
	Marks []Mark `cbor:"2,keyasint"`
	Ready bool   `cbor:"3,keyasint,omitempty"`
}

// An IssuerList is all the numbers held of one issuer.
type IssuerList struct {
	_       struct{} `cbor:",toarray"`
	Mark    Mark
	Numbers []Version
}

// Lists names what the sender holds of each issuer on which the two differ.
type Lists struct {
	ID      uint64       `cbor:"1,keyasint"`
	Issuers []IssuerList `cbor:"2,keyasint"`
	Ready   bool         `cbor:"3,keyasint,omitempty"`
	More    bool         `cbor:"4,keyasint,omitempty"` // not all differing issuers fitted
}

// A Delta carries what the other lacks, names what the sender wants and what the
// other is to drop. The one who answers Lists sends the first, the other closes
// the exchange with the second.
type Delta struct {
	ID      uint64    `cbor:"1,keyasint"`
	Records []*Record `cbor:"2,keyasint,omitempty"`
	Marks   []Mark    `cbor:"3,keyasint,omitempty"` // the sender's at the time, for the issuers of Lists
	Want    []Number  `cbor:"4,keyasint,omitempty"`
	Drop    []Number  `cbor:"5,keyasint,omitempty"`
	Close   bool      `cbor:"6,keyasint,omitempty"`
	More    bool      `cbor:"7,keyasint,omitempty"` // not everything fitted: marks must not rise
	Ready   bool      `cbor:"8,keyasint,omitempty"`
}

// A Sketch answers a Digest that differs a little. From Symbols and what it holds
// itself the receiver makes out which records only one of the two has; Sums tell of
// which issuers the marks or records differ.
type Sketch struct {
	ID      uint64 `cbor:"1,keyasint"`
	Sums    []byte `cbor:"2,keyasint"`           // two bytes a bucket; issuers are spread over 16, 32 … 256
	Symbols []byte `cbor:"3,keyasint,omitempty"` // 9 bytes each
	Ready   bool   `cbor:"4,keyasint,omitempty"`
}

// A Trade answers a Sketch: what the other has not, and what it is to give.
type Trade struct {
	ID      uint64    `cbor:"1,keyasint"`
	Records []*Record `cbor:"2,keyasint,omitempty"` // that only the sender has; the other lacks them, or has dropped them
	Buckets []byte    `cbor:"3,keyasint"`           // one bit for each bucket of Sums: it differs
	Marks   []byte    `cbor:"4,keyasint,omitempty"` // the sender's, of all issuers in these buckets: issuer's tag, incarnation, nonce, sequence
	Want    []byte    `cbor:"5,keyasint,omitempty"` // records that only the receiver has, by the first 6 bytes of their hashes
	More    bool      `cbor:"6,keyasint,omitempty"` // not all records fitted: marks must not rise
	Ready   bool      `cbor:"7,keyasint,omitempty"`
	Sum     [16]byte  `cbor:"8,keyasint"` // over the hashes of all records that the sender holds: shows that the sketch was read right
}

// A Settle answers a Trade and closes the exchange.
type Settle struct {
	ID      uint64    `cbor:"1,keyasint"`
	Records []*Record `cbor:"2,keyasint,omitempty"` // that were wanted
	Marks   []byte    `cbor:"3,keyasint,omitempty"` // an answer to each mark of the Trade: 0 unknown issuer, 1 nothing said, n+2: mine is n
	Others  []Number  `cbor:"4,keyasint,omitempty"` // the sender's marks that are of other starts, or of issuers not in the Trade
	Gone    []byte    `cbor:"5,keyasint,omitempty"` // one bit for each record of the Trade: dropped here, drop it too
	More    bool      `cbor:"6,keyasint,omitempty"` // something wanted is missing: marks must not rise
	Ready   bool      `cbor:"7,keyasint,omitempty"`
	Over    []byte    `cbor:"8,keyasint,omitempty"` // for each bit set in Gone the greatest removed life of the record's job, 0 without one
}

// A Push carries new records to ring neighbours, who forward what was new to
// them once more while Hops is not zero.
type Push struct {
	Records []*Record `cbor:"1,keyasint"`
	Hops    uint8     `cbor:"2,keyasint,omitempty"`
}

// A Store asks the receiver to sync a submission's records before it answers.
type Store struct {
	ID      uint64    `cbor:"1,keyasint"`
	Records []*Record `cbor:"2,keyasint"`
	Sell    bool      `cbor:"3,keyasint,omitempty"` // the steward does not answer: sell the job's slots in its stead
}

// A Stored answers a Store once its records are synced. Conflict holds a head of
// the same job that is greater than, or no ancestor of, the one stored.
type Stored struct {
	ID       uint64  `cbor:"1,keyasint"`
	Conflict *Record `cbor:"2,keyasint,omitempty"`
	Refused  string  `cbor:"3,keyasint,omitempty"` // why nothing was stored; empty: it was

	// Over is the greatest life of the job that was removed and forgotten here, if that is
	// why its head was refused: the sender, which does not know, opens the next one.
	Over uint64 `cbor:"4,keyasint,omitempty"`
}

// A Lot is what a call offers of one task: some of its slots.
type Lot struct {
	Job   job.ID        `cbor:"1,keyasint"`
	Life  uint64        `cbor:"2,keyasint"`
	Task  string        `cbor:"3,keyasint"`
	Spec  Hash          `cbor:"4,keyasint"` // of the task
	Needs job.Resources `cbor:"5,keyasint"`
	Slots []int         `cbor:"6,keyasint,omitempty"` // numbers wanted
}

// A Call asks the cell for bids on slots. Records holds the heads and specs the
// lots are of, so that a bidder which has not heard of the job can judge.
type Call struct {
	ID      uint64        `cbor:"1,keyasint"`
	Steward PeerID        `cbor:"2,keyasint"`
	Lane    uint8         `cbor:"3,keyasint"`
	Lots    []Lot         `cbor:"4,keyasint"`
	Closes  time.Duration `cbor:"5,keyasint"` // from receipt
	Records []*Record     `cbor:"6,keyasint,omitempty"`

	// Threshold is the greatest score wanted: only who bids on some lot within it
	// answers. Nil: all answer, if only why not.
	Threshold *Score `cbor:"7,keyasint,omitempty"`
}

// MaxLots and MaxSlotsPerCall bound one call.
const (
	MaxLots         = 64
	MaxSlotsPerCall = 512
)

// An Offer is a bidder's answer on one lot: how good, or why not.
type Offer struct {
	No      string `cbor:"1,keyasint,omitempty"` // the constraint that fails, in words; empty: I bid
	Copies  uint32 `cbor:"2,keyasint,omitempty"` // of this task already here
	Bucket  uint32 `cbor:"3,keyasint,omitempty"` // cost class, lower is better
	Volumes []int  `cbor:"4,keyasint,omitempty"` // slots of the lot I may take, where volumes that live elsewhere bind others; empty: all
	Terms   []byte `cbor:"5,keyasint,omitempty"` // what the bucket is made of, one byte each, for people: auction.TermFetch and so on
}

// A Bid answers a call, lot by lot, with the resources still free at the bidder,
// so that the steward can award several slots from one bid.
type Bid struct {
	Call   uint64        `cbor:"1,keyasint"`
	Free   job.Resources `cbor:"2,keyasint"`
	Total  job.Resources `cbor:"3,keyasint"`
	Offers []Offer       `cbor:"4,keyasint"`           // one per lot, in order
	No     string        `cbor:"5,keyasint,omitempty"` // I bid on nothing, and why
	GPUs   []uint16      `cbor:"6,keyasint,omitempty"` // free thousandths of each device, by its index; at most MaxGPUs
}

// An AwardedSlot is one slot of an award.
type AwardedSlot struct {
	Slot    job.SlotID `cbor:"1,keyasint"`
	Life    uint64     `cbor:"2,keyasint"`
	Token   Token      `cbor:"3,keyasint"`
	Spec    Hash       `cbor:"4,keyasint"`
	Fails   uint32     `cbor:"5,keyasint,omitempty"` // failed tokens since the spec changed
	Summary Summary    `cbor:"6,keyasint"`
	Starts  uint32     `cbor:"7,keyasint,omitempty"` // of a batch: starts in vain since the spec changed; the claim keeps it
}

// A Summary is what a claim keeps of its sale, for `why`; at most 1 KB. What a field of
// another number said in earlier versions is passed over.
type Summary struct {
	Asked    uint32        `cbor:"3,keyasint"`           // called, or known by their standing bids
	Passed   uint32        `cbor:"4,keyasint"`           // could take the slot
	Noes     []Reason      `cbor:"5,keyasint,omitempty"` // most frequent first, at most MaxSummaryNoes
	Took     time.Duration `cbor:"6,keyasint"`           // from call to award; 0 where nobody was called
	Waited   time.Duration `cbor:"7,keyasint,omitempty"` // from first seen missing to call
	Bids     []ScoredBid   `cbor:"8,keyasint,omitempty"` // best first, at most MaxSummaryBids
	Steward  PeerTag       `cbor:"9,keyasint"`
	Standing bool          `cbor:"10,keyasint,omitempty"` // on standing bids: nobody was called
}

// Bounds of a Summary.
const (
	MaxSummaryBids  = 5
	MaxSummaryNoes  = 8
	MaxSummaryTerms = 16
)

// A PeerTag stands for a peer where its identity is for display alone: its first bytes.
type PeerTag [8]byte

// Tag returns the first bytes of a peer's identity.
func (p PeerID) Tag() PeerTag { return PeerTag(p[:len(PeerTag{})]) }

// A ScoredBid is one bid as the steward ranked it; lower is better, term by term. Between
// equal ones Order(cell, peer) decides, which anybody can work out.
type ScoredBid struct {
	_      struct{} `cbor:",toarray"`
	Peer   PeerTag
	Copies uint32 // see Score
	Bucket uint32
	Room   int64
	Terms  []byte // what the bucket is made of, see Offer
}

// A Score is a bid's integer tuple, compared field by field; lower is better.
type Score struct {
	Copies uint32 `cbor:"1,keyasint,omitempty"` // copies of this task already there; 0 for policy pack
	Bucket uint32 `cbor:"2,keyasint,omitempty"` // cost class
	Room   int64  `cbor:"3,keyasint,omitempty"` // resources left, negated for spread
	Order  uint64 `cbor:"4,keyasint,omitempty"` // Order(cell, peer)
}

// A Reason counts how many peers refused for one reason.
type Reason struct {
	Text  string `cbor:"1,keyasint,omitempty"`
	Count uint32 `cbor:"2,keyasint,omitempty"`
}

// An Award names one peer the winner of slots. Rests holds the verdicts (and
// heads) it rests on, which the winner merges before it judges.
type Award struct {
	ID    uint64        `cbor:"1,keyasint"`
	Slots []AwardedSlot `cbor:"2,keyasint"`
	Rests []*Record     `cbor:"3,keyasint,omitempty"`
}

// A Decision is the winner's word on one awarded slot.
type Decision struct {
	Slot    job.SlotID `cbor:"1,keyasint,omitempty"`
	Token   Token      `cbor:"2,keyasint,omitempty"`
	Decline string     `cbor:"3,keyasint,omitempty"` // why not; empty: accepted, the claim is durable
	Known   []*Record  `cbor:"4,keyasint,omitempty"` // what the decline rests on: claims the steward may not know
}

// A Reply answers an award; what it accepts is durable at the sender.
type Reply struct {
	Award     uint64     `cbor:"1,keyasint"`
	Decisions []Decision `cbor:"2,keyasint"`
	Records   []*Record  `cbor:"4,keyasint,omitempty"` // the new claims
	Bid       Standing   `cbor:"5,keyasint"`           // the sender's standing bid afterwards
}

// A Standing is the bid that a peer leaves with stewards, so that they can award
// without asking first. What the peer's card and the ledger say is not in it: capacity,
// labels, platform, driver, datacenter; copies, failures, places of volumes.
type Standing struct {
	Inc    uint32        `cbor:"1,keyasint"`           // of the sender's start
	Seq    uint64        `cbor:"2,keyasint"`           // grows with each change within a start
	Still  bool          `cbor:"3,keyasint,omitempty"` // all is as it was said under Seq, and left out
	Free   job.Resources `cbor:"4,keyasint,omitzero"`
	GPUs   []uint16      `cbor:"5,keyasint,omitempty"` // free thousandths of each device, by its index; at most MaxGPUs
	Load   uint8         `cbor:"6,keyasint,omitempty"` // class of the machine's load; auction.LoadClass
	Flags  StandingFlags `cbor:"7,keyasint,omitempty"`
	No     string        `cbor:"8,keyasint,omitempty"` // I take nothing, and why; at most MaxStandingNo bytes
	Images []byte        `cbor:"9,keyasint,omitempty"` // images present, ImageMark after ImageMark; at most MaxImages
}

// StandingFlags are what of a peer makes its bids dearer, or unknown without asking.
type StandingFlags uint8

// The flags.
const (
	OnMetered StandingFlags = 1 << iota // the link is paid by volume
	OnBattery                           // it runs on its battery
	AskMe                               // its owner keeps a policy that a standing bid does not tell
)

// Bounds of a Standing.
const (
	MaxGPUs       = 64
	MaxImages     = 64
	MaxStandingNo = 128
)

// ImageMark stands for an image in a Standing: the first bytes of the hash of its name.
func ImageMark(image string) (m [4]byte) {
	h := HashOf([]byte(image))
	return [4]byte(h[:len(m)])
}

// HasImage reports whether the images present are said to include one.
func (m *Standing) HasImage(image string) bool {
	mark := ImageMark(image)
	for at := 0; at+len(mark) <= len(m.Images); at += len(mark) {
		if [4]byte(m.Images[at:]) == mark {
			return true
		}
	}
	return false
}

// Kind implements Message for each type.
func (*Beat) Kind() MessageKind     { return MsgBeat }
func (*Observe) Kind() MessageKind  { return MsgObserve }
func (*Votes) Kind() MessageKind    { return MsgVotes }
func (*Probe) Kind() MessageKind    { return MsgProbe }
func (*Digest) Kind() MessageKind   { return MsgDigest }
func (*Vector) Kind() MessageKind   { return MsgVector }
func (*Lists) Kind() MessageKind    { return MsgLists }
func (*Delta) Kind() MessageKind    { return MsgDelta }
func (*Push) Kind() MessageKind     { return MsgPush }
func (*Store) Kind() MessageKind    { return MsgStore }
func (*Stored) Kind() MessageKind   { return MsgStored }
func (*Sketch) Kind() MessageKind   { return MsgSketch }
func (*Trade) Kind() MessageKind    { return MsgTrade }
func (*Settle) Kind() MessageKind   { return MsgSettle }
func (*Call) Kind() MessageKind     { return MsgCall }
func (*Bid) Kind() MessageKind      { return MsgBid }
func (*Award) Kind() MessageKind    { return MsgAward }
func (*Reply) Kind() MessageKind    { return MsgReply }
func (*Standing) Kind() MessageKind { return MsgStanding }
