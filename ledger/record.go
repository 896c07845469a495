// Package ledger is who runs what, by merging: records, the join that merges
// them, what two peers must say to each other to hold the same (exchange.go), and
// the values derived from merged state (derive.go). All of it is pure; what goes
// to disk is left in a list of changes that the caller takes.
//
// A record is kept until it is beaten in its key's join or dropped by a rule.
// The join keeps, of all records with one key, the greatest by a total order
// (for job heads the five greatest), so order, grouping and repetition of what
// arrives cannot matter.
package ledger

import (
	"fmt"
	"strings"

	"shoal/internal/mutant"
	"shoal/job"
	"shoal/wire"
)

// A Head says which spec of a job is wanted, since when its name means this job
// (Life), and which heads it wrote over.
type Head struct {
	Job      job.ID      `cbor:"1,keyasint"`
	Life     uint64      `cbor:"2,keyasint"`
	Deleted  bool        `cbor:"3,keyasint,omitempty"`
	Volumes  bool        `cbor:"4,keyasint,omitempty"` // with Deleted: its volumes go too
	Revision uint64      `cbor:"5,keyasint"`
	Spec     wire.Hash   `cbor:"6,keyasint"`           // of the KindSpec record's body
	Previous wire.Hash   `cbor:"7,keyasint,omitzero"`  // wanted instead while a bad spec stands and the task says rollback
	Over     []wire.Hash `cbor:"8,keyasint,omitempty"` // the last MaxOver heads it wrote over, newest first
	Author   wire.PeerID `cbor:"9,keyasint"`           // who submitted it
}

// MaxOver is how many ancestors a head names; MaxHeads how many heads of one job
// are kept: the wanted one, and others that lost to it or that it wrote over.
const (
	MaxOver  = 8
	MaxHeads = 5
)

// A Phase is how far a claim's container is. Within one run it only moves
// forward; from Terminal on it is never left.
type Phase uint8

// The phases of a claim.
const (
	Accepted Phase = iota + 1 // durable, nothing started yet
	Starting
	Running // started; not yet known to serve
	Serving // its health check passes, or it has run long enough
	Backoff // has exited; its holder will start it again
	Completed
	Failed     // restarts used up, or it cannot run there
	Stopped    // no longer wanted: removed, scaled down, drained
	Superseded // another claim on the slot won

	Terminal = Completed
)

func (p Phase) String() string {
	names := [...]string{"?", "accepted", "starting", "running", "serving", "backoff", "completed", "failed", "stopped", "superseded"}
	return names[min(int(p), len(names)-1)]
}

// Ended reports whether the phase is terminal.
func (p Phase) Ended() bool { return p >= Terminal }

// A Claim is the record "this peer took this slot with this token". Only its
// peer writes it.
type Claim struct {
	Slot       job.SlotID    `cbor:"1,keyasint"`
	Life       uint64        `cbor:"2,keyasint"`
	Token      wire.Token    `cbor:"3,keyasint"`
	Peer       wire.PeerID   `cbor:"4,keyasint"`
	Spec       wire.Hash     `cbor:"5,keyasint"` // TaskHash of what it runs
	JobSpec    wire.Hash     `cbor:"6,keyasint"` // the job spec that holds that task
	Needs      job.Resources `cbor:"7,keyasint"` // bound at its peer until it ends
	Phase      Phase         `cbor:"8,keyasint"`
	Run        uint32        `cbor:"9,keyasint,omitempty"` // starts of its container so far
	Exit       int           `cbor:"10,keyasint,omitempty"`
	Detail     string        `cbor:"11,keyasint,omitempty"` // the last error, or why it ended; at most MaxDetail bytes
	Leaving    bool          `cbor:"12,keyasint,omitempty"` // to end once another serves (drain, needs that no longer fit)
	Refuted    uint32        `cbor:"13,keyasint,omitempty"` // verdicts refuted; a verdict on a lower count is void
	Beat       uint64        `cbor:"14,keyasint,omitempty"` // the holder's beat at its last refutation
	Fails      uint32        `cbor:"15,keyasint,omitempty"` // failed tokens of the slot before this one, since its spec changed
	Summary    wire.Summary  `cbor:"16,keyasint"`           // of the sale, for `why`
	NotServing bool          `cbor:"17,keyasint,omitempty"` // missed its time to serve on this spec
	GPUs       []int         `cbor:"18,keyasint,omitempty"` // indices of the devices that its needs are met by, ascending
	Starts     uint32        `cbor:"19,keyasint,omitempty"` // of a batch: starts in vain of the slot before this token, since its spec changed
}

// MaxDetail bounds Claim.Detail, in bytes.
const MaxDetail = 200

// A Verdict says that a claim is lost. It holds while its Refuted is at least the
// claim's own; the holder may refute by raising that.
type Verdict struct {
	Slot    job.SlotID  `cbor:"1,keyasint"`
	Life    uint64      `cbor:"2,keyasint"`
	Token   wire.Token  `cbor:"3,keyasint"`
	Peer    wire.PeerID `cbor:"4,keyasint"` // the holder
	Run     uint32      `cbor:"5,keyasint,omitempty"`
	Refuted uint32      `cbor:"6,keyasint"`
	By      wire.PeerID `cbor:"7,keyasint"`
	Why     string      `cbor:"8,keyasint,omitempty"`

	// Unstarted says that the holder has not begun to run it. Only a claim that has begun
	// refutes that, see State.IsLost.
	Unstarted bool `cbor:"9,keyasint,omitempty"`
}

// A BadSpec says that a slot could not serve on a task's spec. While the head it
// was written under stands, nobody moves to that spec.
type BadSpec struct {
	Job      job.ID     `cbor:"1,keyasint"`
	Life     uint64     `cbor:"2,keyasint"`
	Revision uint64     `cbor:"3,keyasint"` // of the head; a greater head voids it
	Spec     wire.Hash  `cbor:"4,keyasint"`
	Slot     job.SlotID `cbor:"5,keyasint"`
	Reason   string     `cbor:"6,keyasint"`
}

// A VolumePlace says which peer has a slot's named volume. It outlives claims
// and lives.
type VolumePlace struct {
	Job    job.ID      `cbor:"1,keyasint"`
	Volume string      `cbor:"2,keyasint"`
	Slot   int         `cbor:"3,keyasint"`
	Peer   wire.PeerID `cbor:"4,keyasint"`
	Gone   bool        `cbor:"5,keyasint,omitempty"` // removed; the place is free again
	Life   uint64      `cbor:"6,keyasint"`           // of the job when the volume was made
}

// A Card is what a peer says of itself. Publishing it under a new incarnation is
// becoming ready.
type Card struct {
	Peer       wire.PeerID       `cbor:"1,keyasint"`
	Name       string            `cbor:"2,keyasint"`
	Datacenter string            `cbor:"3,keyasint,omitempty"`
	Labels     map[string]string `cbor:"4,keyasint,omitempty"`
	Profile    string            `cbor:"5,keyasint,omitempty"`
	Version    string            `cbor:"6,keyasint,omitempty"`
	Driver     string            `cbor:"7,keyasint,omitempty"`
	Platform   string            `cbor:"8,keyasint,omitempty"` // "linux/arm64"
	Capacity   job.Resources     `cbor:"9,keyasint"`
	Addrs      []string          `cbor:"10,keyasint,omitempty"`
	Draining   bool              `cbor:"11,keyasint,omitempty"`
	WaitSec    uint32            `cbor:"12,keyasint,omitempty"` // `down --for`: wait this long, from the last beat
	Cert       []byte            `cbor:"13,keyasint,omitempty"`
	Battery    bool              `cbor:"14,keyasint,omitempty"` // it runs on its battery
	No         string            `cbor:"15,keyasint,omitempty"` // it takes nothing for the time being, and why; for people
}

// Facts are what constraints ask of the card's peer.
func (c *Card) Facts() *job.Facts {
	os, arch, _ := strings.Cut(c.Platform, "/")
	return &job.Facts{
		ID: c.Peer.String(), Name: c.Name, Datacenter: c.Datacenter, OS: os, Arch: arch, Driver: c.Driver,
		Capacity: c.Capacity, Metered: c.Profile == "metered", Battery: c.Battery, Labels: c.Labels,
	}
}

// A Member says whether a peer belongs to the swarm. Revoked wins for ever.
type Member struct {
	Peer    wire.PeerID `cbor:"1,keyasint"`
	Revoked bool        `cbor:"2,keyasint,omitempty"`
	Left    bool        `cbor:"3,keyasint,omitempty"` // it went by itself; a new ticket takes it in again
	Seq     uint64      `cbor:"4,keyasint"`
	Why     string      `cbor:"5,keyasint,omitempty"`
}

// Open decodes a record's body into its Value and checks what can be checked
// without other records. A kind this version does not know is left undecoded.
func Open(r *wire.Record) error {
	if r == nil {
		return fmt.Errorf("record: %w: empty", wire.FaultMalformed)
	}
	if r.Value != nil {
		return nil
	}
	if len(r.Body) > wire.MaxRecordBytes || len(r.Key) > 1024 || len(r.Rank) > 256 {
		return fmt.Errorf("record %v: %w: %d bytes", r.Num, wire.FaultOversized, len(r.Body))
	}
	if r.Num.Issuer.IsZero() || r.Num.Seq == 0 {
		return fmt.Errorf("record: %w: no number", wire.FaultMalformed)
	}
	v, err := decodeBody(r)
	if err != nil {
		return fmt.Errorf("record %v, %v: %w", r.Num, r.Kind, err)
	}
	r.Value = v
	return nil
}

func decodeBody(r *wire.Record) (any, error) {
	switch r.Kind {
	case wire.KindSpec:
		return decode[job.Spec](r, func(s *job.Spec) bool { return len(s.Tasks) <= job.MaxTasks })
	case wire.KindHead:
		return decode[Head](r, func(h *Head) bool {
			return h.Life > 0 && h.Revision > 0 && h.Author == r.Num.Issuer && len(h.Over) <= MaxOver && validID(h.Job)
		})
	case wire.KindClaim:
		return decode[Claim](r, func(c *Claim) bool {
			return c.Peer == r.Num.Issuer && c.Token > 0 && c.Life > 0 && c.Phase > 0 && c.Phase <= Superseded &&
				len(c.Detail) <= MaxDetail && validSlot(c.Slot) && job.AreGPUsFor(c.GPUs, c.Needs.GPUMilli)
		})
	case wire.KindVerdict:
		return decode[Verdict](r, func(v *Verdict) bool { return v.By == r.Num.Issuer && v.Token > 0 && validSlot(v.Slot) })
	case wire.KindBadSpec:
		return decode[BadSpec](r, func(b *BadSpec) bool { return validID(b.Job) && validSlot(b.Slot) })
	case wire.KindVolumePlace:
		return decode[VolumePlace](r, func(p *VolumePlace) bool { return p.Peer == r.Num.Issuer && validID(p.Job) && p.Volume != "" })
	case wire.KindCard:
		return decode[Card](r, func(c *Card) bool { return c.Peer == r.Num.Issuer && len(c.Labels) <= 256 })
	case wire.KindMember:
		return decode[Member](r, func(m *Member) bool { return !m.Peer.IsZero() && (!m.Left || m.Peer == r.Num.Issuer || m.Revoked) })
	default:
		if r.Kind < wire.FirstOpenKind || len(r.Key) == 0 || mutant.Is(mutant.DropUnknown) {
			return nil, fmt.Errorf("%w: a kind below %d must be known, one above carries its key", wire.FaultMalformed, wire.FirstOpenKind)
		}
		return unknown{}, nil
	}
}

// unknown is the Value of a record of a later version's kind.
type unknown struct{}

// shapes are those of the bodies.
var shapes = map[wire.RecordKind]*wire.Shape{
	wire.KindSpec: wire.ShapeOf((*job.Spec)(nil)), wire.KindHead: wire.ShapeOf((*Head)(nil)), wire.KindClaim: wire.ShapeOf((*Claim)(nil)),
	wire.KindVerdict: wire.ShapeOf((*Verdict)(nil)), wire.KindBadSpec: wire.ShapeOf((*BadSpec)(nil)),
	wire.KindVolumePlace: wire.ShapeOf((*VolumePlace)(nil)), wire.KindCard: wire.ShapeOf((*Card)(nil)), wire.KindMember: wire.ShapeOf((*Member)(nil)),
}

func decode[T any](r *wire.Record, ok func(*T) bool) (any, error) {
	v := new(T)
	if err := shapes[r.Kind].Unmarshal(r.Body, v); err != nil {
		return nil, err
	}
	if !ok(v) {
		return nil, fmt.Errorf("%w: fields contradict one another", wire.FaultMalformed)
	}
	return v, nil
}

func validID(id job.ID) bool {
	return job.CheckName(id.Namespace()) == nil && job.CheckName(id.Name()) == nil
}

func validSlot(s job.SlotID) bool {
	return validID(s.Job) && job.CheckName(s.Task) == nil && s.Index >= 0 && s.Index < job.MaxCount && len(s.At) <= 128
}
