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
	Frags  uint32        // for pack: class of the fragments that the slot leaves, 0 to fragClasses
	Order  uint64        // wire.Order(cell, bidder)
}

// Score ranks a bid: fewest copies, cheapest bucket, then most room left for
// spread or least for pack, then the hash of cell and peer. All integers, so that
// every machine ranks alike. The tie-break by fullness is worth more than any
// refinement before it: on a real trace random ties cost five percent of what
// could be placed.
func Score(t Terms) wire.Score {
	if t.Policy == PolicyPack {
		return wire.Score{Bucket: min(t.Bucket, maxCost)*(fragClasses+1) + t.Frags, Room: room(t), Order: t.Order}
	}
	return wire.Score{Copies: uint32(min(max(t.Copies, 0), maxCopies)), Bucket: t.Bucket, Room: -room(t), Order: t.Order}
}

// maxCost is where costs stop counting beside fragments, above what Bucket returns.
const maxCost = 1 << 20

// maxCopies is where copies stop counting, far beyond what a peer can hold.
const maxCopies = 1 << 30

// Compare orders scores, term by term; lower is better.
func Compare(a, b wire.Score) int {
	return cmp.Or(cmp.Compare(a.Copies, b.Copies), cmp.Compare(a.Bucket, b.Bucket),
		cmp.Compare(a.Room, b.Room), cmp.Compare(a.Order, b.Order))
}

// room is how empty a peer is, in millionths of what it has: for spread the share that its
// scarcest resource has left once the slot is there; for pack the one it has before, as
// how large the slot is tells nothing of how full the peer is. Disk counts only for who
// needs some: a disk full of the owner's files does not make a peer full. So do GPUs for
// spread; for pack they count as much as all else wherever there are any, as what needs
// none is to go where they are taken.
func room(t Terms) int64 {
	needs := t.Needs
	if t.Policy == PolicyPack {
		needs = job.Resources{}
	}
	left := min(
		share(t.Free.CPUMilli, needs.CPUMilli, t.Total.CPUMilli),
		share(t.Free.MemBytes, needs.MemBytes, t.Total.MemBytes))
	if t.Needs.DiskBytes > 0 {
		left = min(left, share(t.Free.DiskBytes, needs.DiskBytes, t.Total.DiskBytes))
	}
	gpu := share(t.Free.GPUMilli, needs.GPUMilli, t.Total.GPUMilli)
	switch {
	case t.Policy == PolicyPack && t.Total.GPUMilli > 0:
		return (left + gpu) / 2
	case t.Policy != PolicyPack && t.Needs.GPUMilli > 0:
		return min(left, gpu)
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
	Affinities   int   // that are not required, and not met
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
	costAffinity    = 16 // for each that is not met: more than fetching anything over a paid link
	costVolumeAway  = 32 // data is left behind
	costFail        = 64 // for each of at most maxFails

	maxAffinities = 15 // that count

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
	TermFragments        // for pack: class of what of the peer's GPUs becomes useless to others; 50: no more than now
	TermAffinity         // not met

	// TermSpread and those after it, one for each label that the task is spread over, are no
	// part of the cost: one more than the copies in the bidder's place, at most 255.
	TermSpread
	numTerms = TermSpread + job.MaxSpread
)

// lasting is what of the costs counts for policy pack, where they come before fragments
// and fullness. What passes does not: an image is fetched once, and a peer is loaded because
// it is full, which is what pack seeks. Fetching counts where each byte is paid for.
func (c Costs) lasting() Costs {
	c.ImagePresent = c.ImagePresent || !c.Metered
	c.LoadMilli = 0
	return c
}

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
	t[TermAffinity] = byte(costAffinity * min(max(c.Affinities, 0), maxAffinities))
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
