package node

import (
	"time"

	"shoal/auction"
	"shoal/wire"
)

// A Config is what a Core is made with. It does not change while it runs.
type Config struct {
	Self   wire.PeerID
	Swarm  wire.Hash     // names the swarm; every signature is bound to it
	Key    wire.Signer   // signs as Self
	Verify wire.Verifier // checks signatures; a pure function
	Seed   uint64        // of this core's own chance: jitter and choice of partners
	Nonce  uint64        // drawn afresh at each start, tells a cloned disk apart

	Name       string // for people; unique by habit only
	Datacenter string // empty: "default"
	Labels     map[string]string
	Profile    string // "lan" (default), "metered", "small"
	Version    string
	Addrs      []string
	Cert       []byte // membership certificate, carried in the card

	// Accept is what the owner lets others use this peer for; nil: everything but devices.
	Accept *auction.Policy

	// Entitled judges whether a peer with that certificate may submit jobs and
	// remove peers. It must be a pure function; nil: every peer may.
	Entitled func(p wire.PeerID, cert []byte) bool

	// Extend adds to the bodies of this peer's own records what a later version would
	// write; nil: nothing. It is for simulated swarms of two versions: a peer with one
	// knows every field.
	Extend func(wire.RecordKind, []byte) []byte

	Founder    bool // this run creates the swarm: ready at once
	Damaged    bool // the store opened shortened or altered: not ready before it is refilled
	AcceptLoss bool // be ready all the same, even if what was lost is that it ever was, and its incarnation

	Horizon time.Duration // running time for which removed jobs are remembered whole; 0: 30 days
}

// Stored is what a peer's disk held when it started.
type Stored struct {
	Records []*wire.Record
	Locals  map[string][]byte
}

// A Profile is how often a peer speaks.
type Profile struct {
	BeatEvery    time.Duration
	PartnerEvery time.Duration // between two exchanges
	Metered      bool
}

// ProfileOf returns the profile of that name; an unknown or empty name is "lan".
func ProfileOf(name string) Profile {
	if name == "metered" {
		return Profile{BeatEvery: 8 * time.Second, PartnerEvery: 60 * time.Second, Metered: true}
	}
	return Profile{BeatEvery: time.Second, PartnerEvery: time.Second}
}
