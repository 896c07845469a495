package node

import (
	"slices"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/ledger"
)

// mixEvery is how long a steward measures fragments by one mix: what is usually wanted
// changes slowly, and to read it costs a look at every job.
const mixEvery = 10 * time.Second

// A mixed is the mix that this peer, as a steward, measures fragments by.
type mixed struct {
	mix  *auction.Mix // nil: none was asked for yet
	made clock.Instant
	jobs uint64 // version of the jobs that it was made of
}

// mixFor returns the mix for a sale of lots; nil if none of them is packed.
func (c *Core) mixFor(lots []auction.Lot) *auction.Mix {
	if !slices.ContainsFunc(lots, func(l auction.Lot) bool { return l.Policy == auction.PolicyPack }) {
		return nil
	}
	if c.mixed.mix != nil && c.now.Sub(c.mixed.made) < mixEvery {
		return c.mixed.mix
	}
	if v := c.led.JobsVersion(); c.mixed.mix == nil || c.mixed.jobs != v {
		c.mixed.mix, c.mixed.jobs = auction.NewMix(shapesOf(c.led)), v
	}
	c.mixed.made = c.now
	return c.mixed.mix
}

// shapesOf are the shapes that the jobs of a ledger want, whether their slots are placed,
// wait, or have ended: what no peer has room for is what fragments matter to most.
func shapesOf(led *ledger.State) []auction.Shape {
	var shapes []auction.Shape
	for _, id := range led.Jobs() {
		for _, w := range led.Wanted(id) {
			n := w.Task.Needs
			shapes = append(shapes, auction.Shape{CPUMilli: n.CPUMilli, GPUMilli: n.GPUMilli, Weight: int64(w.Count)})
		}
	}
	return shapes
}
