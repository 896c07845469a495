package auction

import (
	"math"

	"shoal/wire"
)

// costBlame is what each task that a peer is blamed for adds to the bucket of its bids: more than all
// else together, so that of peers with equally many copies a blamed one comes last.
const costBlame = 1 << 10

const maxBlame = 16

// blameOf is what is added to the bucket of a peer's bids.
func (c *Config) blameOf(p wire.PeerID) uint32 { return costBlame * min(c.Blame[p], maxBlame) }

// bucket is the cost class of an offer with what its peer is blamed for.
func (b *bidder) bucket(o *wire.Offer) uint32 { return b.blame + min(o.Bucket, math.MaxUint32-b.blame) }
