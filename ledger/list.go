package ledger

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"shoal/job"
	"shoal/wire"
)

// Snapshot returns everything held, by number, as Records does, without sorting it
// anew: it is for looking at a large ledger between two steps. Records are
// immutable; the list is the caller's.
func (s *State) Snapshot() []*wire.Record {
	out := make([]*wire.Record, 0, s.count)
	for _, l := range s.sums.logs {
		out = append(out, l.recs...)
	}
	return out
}

// RemovedLives returns what is remembered of removed jobs, by job.
func (s *State) RemovedLives() []Removed {
	out := make([]Removed, 0, len(s.removed))
	for _, id := range slices.Sorted(maps.Keys(s.removed)) {
		out = append(out, Removed{id, s.removed[id]})
	}
	return out
}

// KeyText is a record's key as people read and type it: its kind, and what tells it
// from others of that kind, such as "head/shop" or "claim/shop/web.0/1/3/Xk9…" (slot,
// life, token, end of the holder's ID). The record must have been opened.
func KeyText(r *wire.Record) string { return r.Kind.String() + "/" + keyDetail(r) }

func keyDetail(r *wire.Record) string {
	switch v := r.Value.(type) {
	case *job.Spec:
		return wire.HashOf(r.Body).String()
	case *Head:
		return v.Job.String()
	case *Claim:
		return claimText(v.Slot, v.Life, v.Token, v.Peer)
	case *Verdict:
		return claimText(v.Slot, v.Life, v.Token, v.Peer)
	case *BadSpec:
		return fmt.Sprintf("%s/%d/%s", v.Slot, v.Life, v.Spec)
	case *VolumePlace:
		return fmt.Sprintf("%s/%s/%d/%s", v.Job, v.Volume, v.Slot, v.Peer.Short())
	case *Card:
		return v.Peer.Short()
	case *Member:
		return v.Peer.Short()
	}
	return hex.EncodeToString(r.Key)
}

func claimText(slot job.SlotID, life uint64, t wire.Token, p wire.PeerID) string {
	return slot.String() + "/" + strconv.FormatUint(life, 10) + "/" + strconv.FormatUint(uint64(t), 10) + "/" + p.Short()
}

// JobOf is the job that a record is about; empty for cards, memberships and kinds
// that this version does not know.
func JobOf(r *wire.Record) job.ID {
	switch v := r.Value.(type) {
	case *job.Spec:
		return v.ID()
	case *VolumePlace:
		return v.Job
	}
	id, _, _ := lifeOf(r)
	return id
}

// PeerOf is the peer that a record is about: a claim's or volume's holder, a card's
// or membership's own; zero where it is about none.
func PeerOf(r *wire.Record) wire.PeerID {
	switch v := r.Value.(type) {
	case *Claim:
		return v.Peer
	case *Verdict:
		return v.Peer
	case *VolumePlace:
		return v.Peer
	case *Card:
		return v.Peer
	case *Member:
		return v.Peer
	}
	return wire.PeerID{}
}

// A Standing is what a record counts for in this ledger.
type Standing uint8

// The standings.
const (
	Live    Standing = iota // it counts
	Ended                   // over, or beaten by a later one, and still kept
	Lost                    // a claim under a verdict that stands
	Deleted                 // it says that something is gone: a removed job, a volume given up, a peer removed
	Unknown                 // of a kind that this version does not know
)

func (s Standing) String() string {
	return [...]string{"live", "ended", "lost", "deleted", "unknown kind"}[min(s, Unknown)]
}

// StandingOf tells what a record that is held counts for.
func (s *State) StandingOf(r *wire.Record) Standing {
	switch v := r.Value.(type) {
	case *job.Spec:
		return liveIf(s.IsNamed(r))
	case *Head:
		if s.HeadRecord(v.Job) == r && v.Deleted {
			return Deleted
		}
		return liveIf(s.HeadRecord(v.Job) == r)
	case *Claim:
		if !v.Phase.Ended() && s.IsLost(v) {
			return Lost
		}
		return liveIf(s.IsLive(v))
	case *Verdict:
		c := s.ClaimRecord(v.Slot, v.Life, v.Token, v.Peer)
		return liveIf(c != nil && s.IsLost(c.Value.(*Claim)))
	case *BadSpec:
		return liveIf(s.isBad(v.Job, v.Life, v.Spec))
	case *VolumePlace:
		if v.Gone {
			return Deleted
		}
		return liveIf(!s.IsReleased(v) && !s.IsRevoked(v.Peer))
	case *Card:
		return liveIf(s.IsMember(v.Peer))
	case *Member:
		counts := s.MemberRecord(v.Peer) == r
		if counts && (v.Revoked || v.Left) {
			return Deleted
		}
		return liveIf(counts)
	}
	return Unknown
}

func liveIf(counts bool) Standing {
	if counts {
		return Live
	}
	return Ended
}

// KeyID is the whole of a record's key, of which KeyText may show a part: records
// with one KeyID compete in one join. It is opaque, and keeps nothing in the record.
func KeyID(r *wire.Record) string {
	if c, ok := r.Value.(*Claim); ok {
		return fmt.Sprintf("%s\x00%d\x00%d\x00%s", slotText(c.Slot), c.Life, c.Token, c.Peer[:])
	}
	if _, ok := r.Value.(*job.Spec); ok {
		h := wire.HashOf(r.Body)
		return string(h[:])
	}
	return makeKey(r)
}
