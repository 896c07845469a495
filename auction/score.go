package auction

import (
	"cmp"
	"math/bits"

	"shoal/job"
	"shoal/wire"
)

// The policies of a task. Any other word means PolicySpread.
const (
	PolicySpread = "spread" // copies apart, emptiest peer first
	PolicyPack   = "pack"   // fullest peer first, so that large needs still find room
)

// FullRoom is the room of an empty peer: rooms are millionths of what it has.
const FullRoom = 1_000_000

// Terms are what one bid is scored by, the same for a standing and a called bid.
type Terms struct {
	Copies int           // of this task already at the bidder, those of this sale included
	Free   job.Resources // there before this slot
	Total  job.Resources // there in all
	Needs  job.Resources // of the slot
	Policy string        // PolicySpread (or ""), PolicyPack
	Bucket uint32        // cost class, see Bucket
	Order  uint64        // wire.Order(cell, bidder)
}

// Score ranks a bid: fewest copies, cheapest bucket, then most room left for
// spread or least for pack, then the hash of cell and peer. All integers, so that
// every machine ranks alike. The tie-break by fullness is worth more than any
// refinement before it: on a real trace random ties cost five percent of what
// could be placed.
func Score(t Terms) wire.Score {
	s := wire.Score{Bucket: t.Bucket, Room: room(t), Order: t.Order}
	if t.Policy != PolicyPack {
		s.Copies = uint32(min(max(t.Copies, 0), maxCopies))
		s.Room = -s.Room
	}
	return s
}

// maxCopies is where copies stop counting, far beyond what a peer can hold.
const maxCopies = 1 << 30

// Compare orders scores, term by term; lower is better.
func Compare(a, b wire.Score) int {
	return cmp.Or(cmp.Compare(a.Copies, b.Copies), cmp.Compare(a.Bucket, b.Bucket),
		cmp.Compare(a.Room, b.Room), cmp.Compare(a.Order, b.Order))
}

// room is what the scarcest resource has left once the slot is there, in
// millionths of the total. Disk counts only for who needs some: a disk full of
// the owner's files does not make a peer full.
func room(t Terms) int64 {
	left := min(
		share(t.Free.CPUMilli, t.Needs.CPUMilli, t.Total.CPUMilli),
		share(t.Free.MemBytes, t.Needs.MemBytes, t.Total.MemBytes))
	if t.Needs.DiskBytes > 0 {
		left = min(left, share(t.Free.DiskBytes, t.Needs.DiskBytes, t.Total.DiskBytes))
	}
	return left
}

// share returns (free-needs)/total in millionths, within 0 and FullRoom whatever
// the amounts: they come from peers.
func share(free, needs, total int64) int64 {
	needs = max(needs, 0)
	if total <= 0 || free <= needs {
		return 0
	}
	left := free - needs
	if left >= total {
		return FullRoom
	}
	hi, lo := bits.Mul64(uint64(left), FullRoom)
	q, _ := bits.Div64(hi, lo, uint64(total)) // left < total, so the quotient fits
	return int64(q)
}

// Costs is what makes a slot dearer at one bidder than at another with as many
// copies and as much room.
type Costs struct {
	ImagePresent bool
	ImageKnown   bool  // FetchBytes is known; without it the dearest class is taken
	FetchBytes   int64 // image bytes to fetch
	Metered      bool  // the link is paid by volume
	Battery      bool  // the peer runs on its battery
	VolumeAway   bool  // a volume of the task lives elsewhere and a fresh one is allowed
	Fails        int   // recent failures of this task and spec here
	LoadMilli    int64 // threads running on the machine, in thousandths of its cores
}

// The integer table behind Bucket. A failure here weighs more than any cost of
// getting there: the peer where a spec just failed is the last to try it again.
const (
	costFetchSmall  = 1  // up to 64 MiB
	costFetchMedium = 2  // up to 512 MiB
	costFetchLarge  = 3  // more, or unknown
	costLoaded      = 1  // above 80 % of the cores busy
	costOverloaded  = 2  // more threads running than cores
	costBattery     = 4  // less than a metered link
	costMetered     = 6  // a paid link, image present
	costVolumeAway  = 32 // data is left behind
	costFail        = 64 // for each of at most maxFails

	maxFails    = 8
	smallFetch  = 64 << 20
	mediumFetch = 512 << 20

	highLoad = 800 // thousandths of the cores
	overLoad = 1000
)

// The terms of a bucket, by their place in wire.Offer.Terms.
const (
	TermFetch     = iota // image to be fetched
	TermLink             // paid by volume
	TermBattery          //
	TermLoad             //
	TermVolume           // left behind elsewhere
	TermFails            // how many failures, not what they cost
	TermFragments        // what of the peer's room becomes useless to others
	numTerms
)

// Bucket returns the cost class of a bid, lower is better: the sum of a small
// table over what the slot would cost this bidder and its owner. 0 is a peer on
// mains power and an unmetered link with the image present.
func Bucket(c Costs) uint32 {
	terms := c.terms()
	cost := uint32(0)
	for term, n := range terms {
		if term == TermFails {
			cost += costFail * uint32(n)
		} else {
			cost += uint32(n)
		}
	}
	return cost
}

// terms are the parts of the bucket.
func (c Costs) terms() (t [numTerms]byte) {
	switch {
	case c.ImagePresent:
	case !c.ImageKnown || c.FetchBytes > mediumFetch:
		t[TermFetch] = costFetchLarge
	case c.FetchBytes > smallFetch:
		t[TermFetch] = costFetchMedium
	default:
		t[TermFetch] = costFetchSmall
	}
	if c.Metered {
		t[TermLink] = costMetered + 2*t[TermFetch] // each byte is paid for
	}
	if c.Battery {
		t[TermBattery] = costBattery
	}
	if c.VolumeAway {
		t[TermVolume] = costVolumeAway
	}
	switch {
	case c.LoadMilli > overLoad:
		t[TermLoad] = costOverloaded
	case c.LoadMilli > highLoad:
		t[TermLoad] = costLoaded
	}
	t[TermFails] = byte(min(max(c.Fails, 0), maxFails))
	return t
}

// termsOf are the parts of the bucket as they travel: without the zeros at their end.
func termsOf(c Costs) []byte {
	t := c.terms()
	n := len(t)
	for n > 0 && t[n-1] == 0 {
		n--
	}
	if n == 0 {
		return nil
	}
	return t[:n]
}
