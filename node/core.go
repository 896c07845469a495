// Package node composes the pure parts of a peer — auction, ledger, gossip,
// runtime — into one Step: inputs in, effects out. It has no goroutine, clock,
// chance or IO of its own; the daemon and the simulator drive the same Core, and
// equal inputs give equal outputs, byte for byte, on any machine.
package node

// A Core is one peer. It is owned by one goroutine and has no locks.
type Core struct {
	cfg Config
}

// New makes the core of a peer that starts now with what its disk holds. It
// returns an error only for a Config that lacks a part.
func New(cfg Config, stored Stored) (*Core, error) { return &Core{cfg: cfg}, nil }

// Step takes one input and returns what must be done because of it. An error
// means that the input was refused and the core is unchanged.
func (c *Core) Step(in Input) (Ready, error) { return Ready{}, nil }

// Status tells how this peer is.
func (c *Core) Status() StatusView { return StatusView{} }

// Peers lists the members this peer knows, itself among them, by name.
func (c *Core) Peers() []PeerView { return nil }

// Jobs lists jobs, by ID; removed ones only when asked for.
func (c *Core) Jobs(removed bool) []JobView { return nil }

// Slots lists the wanted slots of a job, and claims on it that lose; an empty
// job means all.
func (c *Core) Slots(job string) []SlotView { return nil }

// Why explains a slot, as far as this peer knows; if it is not a steward of the
// slot's lane, WhyView.Stewards says whom to ask what it waits for.
func (c *Core) Why(slot string) (WhyView, error) { return WhyView{}, nil }

// Waiting is what this peer, as steward, remembers of slots it could not sell.
func (c *Core) Waiting() []WaitingView { return nil }

// Services lists who answers for each task of each job, for reach.
func (c *Core) Services() []Service { return nil }
