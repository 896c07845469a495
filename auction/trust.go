package auction

import (
	"math"

	"shoal/wire"
)

// costMark is what each mark against a peer adds to the bucket of its bids: more than all
// else together, so that of peers with equally many copies a marked one comes last.
const costMark = 1 << 10

const maxMarks = 16

// marksOf is what is added to the bucket of a peer's bids.
func (c *Config) marksOf(p wire.PeerID) uint32 { return costMark * min(c.Marks[p], maxMarks) }

// bucket is the cost class of an offer with the marks against its peer.
func (b *bidder) bucket(o *wire.Offer) uint32 { return b.marks + min(o.Bucket, math.MaxUint32-b.marks) }
