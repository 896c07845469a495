package auction

import (
	"fmt"
	"slices"
	"strings"

	"shoal/internal/mutant"
	"shoal/job"
	"shoal/wire"
)

// Self is what a bidder knows of itself when it answers a call or judges an
// award: its true state, which nobody else has. A nil function knows nothing.
type Self struct {
	ID         wire.PeerID
	Name       string
	Free       job.Resources // Total less the needs of every non-terminal claim
	Total      job.Resources
	GPUs       []uint16 // free of each GPU, in thousandths, by its index
	Labels     map[string]string
	Datacenter string
	OS, Arch   string // "linux", "arm64"
	Driver     string // "docker", "process"
	LoadMilli  int64  // threads running on the machine, in thousandths of its cores

	No       string // what its standing bid says against any; a peer has none against itself
	Ready    bool
	Silent   bool     // the engine has not answered for too long
	Missing  []string // metrics that cannot be read: no guess, no bid
	FullDisk string   // figures of a disk with no room for what a claim brings with it; empty: there is room
	Draining bool
	Metered  bool
	Battery  bool
	Accept   *Policy // what the owner lets others use the peer for; nil: everything but devices
	Closed   string  // why the owner's policy takes nothing at all now; empty: it does
	Held     int     // non-terminal claims

	// SignerOf says at which peer a job was accepted, and that peer's name; no name
	// where it is not the only one of that name.
	SignerOf func(id job.ID) (wire.PeerID, string)
	// HasDevice reports whether a device that the owner grants is there.
	HasDevice func(host string) bool

	// CopiesOf counts the non-terminal claims here on slots of a task.
	CopiesOf func(id job.ID, task string) int
	// Beside finds the copies that an affinity of a job's task is of.
	Beside func(id job.ID, a job.Affinity) Found
	// HasImage says whether an image is here, and if not, how many bytes there
	// are to fetch (0: unknown).
	HasImage func(image string) (present bool, fetchBytes int64)
	// ForeignImage says for which platform the task's image is here, where it is here
	// for another than this peer's and would be taken all the same; else "".
	ForeignImage func(task *job.Task) string
	// CanRun says why the driver cannot run the task, or "". Without it, a
	// process driver runs the images that HasImage reports present.
	CanRun func(task *job.Task) string
	// Later names what of the task or its job only a later version knows, such as
	// "field 13.4" or "type 99", or "".
	Later func(spec *job.Spec, task *job.Task) string
	// FailsOf counts recent failures here of a task at a spec.
	FailsOf func(id job.ID, task string, spec wire.Hash) int
	// VolumePlace says who holds the volume of a slot, and that peer's name.
	VolumePlace func(id job.ID, volume string, slot int) (holder wire.PeerID, name string, known bool)
}

// A Lookup finds the job and task that a call or award names; false when the job
// is not known here, its life has passed, or the spec is not the head's.
type Lookup func(id job.ID, life uint64, task string, spec wire.Hash) (*job.Spec, *job.Task, bool)

// Answer makes the bid with which a peer in state self answers a call. Every
// lot gets an offer or the first reason against it, hard filters in a fixed
// order with resources last: a refusal for want of memory says that everything
// else would fit. The answer always exists, so that the steward need not wait.
func Answer(self *Self, call *wire.Call, find Lookup) *wire.Bid {
	bid := &wire.Bid{Call: call.ID, Free: self.Free, Total: self.Total, GPUs: self.GPUs}
	if bid.No = refusesAll(self); bid.No != "" {
		return bid
	}
	if len(call.Lots) > wire.MaxLots {
		bid.No = fmt.Sprintf("malformed call: %d lots, at most %d are allowed", len(call.Lots), wire.MaxLots)
		return bid
	}
	bid.Offers = make([]wire.Offer, len(call.Lots))
	for i := range call.Lots {
		bid.Offers[i] = offer(self, &call.Lots[i], find)
	}
	return bid
}

// CheckAward says why self declines one awarded slot, or "" if it takes it, and on
// which GPUs, by their indices. It then deducts its needs from self.Free and self.GPUs,
// so that the slots of one award are checked one after the other against what is truly
// left. Whether the slot has a live claim or a higher token is for the ledger to say,
// before this.
func CheckAward(self *Self, slot *wire.AwardedSlot, find Lookup) (gpus []int, no string) {
	if no := refusesAll(self); no != "" {
		return nil, no
	}
	spec, task, known := find(slot.Slot.Job, slot.Life, slot.Slot.Task, slot.Spec)
	if !known {
		return nil, unknown(slot.Slot.Job, slot.Life)
	}
	if no := refuses(self, spec, task); no != "" {
		return nil, no
	}
	if _, no := volumes(self, spec.ID(), task, []int{slot.Slot.Index}); no != "" {
		return nil, no
	}
	if no := lacks(task.Needs, self.room()); no != "" && !mutant.Is(mutant.Overcommit) {
		return nil, no
	}
	gpus, _ = job.PickGPUs(self.GPUs, task.Needs.GPUMilli)
	self.GPUs = slices.Clone(self.GPUs)
	job.TakeGPUs(self.GPUs, gpus, task.Needs.GPUMilli)
	self.Free = self.Free.Minus(task.Needs)
	self.Held++
	return gpus, ""
}

// A space is what a peer has free, of how much.
type space struct {
	free, total job.Resources
	gpus        []uint16 // free of each
}

func (s *Self) room() space { return space{s.Free, s.Total, s.GPUs} }

// holds reports whether there is room for needs.
func (s space) holds(needs job.Resources) bool {
	return needs.Fits(s.free) && (needs.GPUMilli == 0 || job.FitsGPUs(s.gpus, needs.GPUMilli))
}

func offer(self *Self, lot *wire.Lot, find Lookup) wire.Offer {
	no := func(reason string) wire.Offer { return wire.Offer{No: clip(reason)} }
	if len(lot.Slots) == 0 || len(lot.Slots) > wire.MaxSlotsPerCall {
		return no(fmt.Sprintf("malformed call: a lot of %d slots, 1 to %d are allowed", len(lot.Slots), wire.MaxSlotsPerCall))
	}
	spec, task, known := find(lot.Job, lot.Life, lot.Task, lot.Spec)
	if !known {
		return no(unknown(lot.Job, lot.Life))
	}
	if reason := refuses(self, spec, task); reason != "" {
		return no(reason)
	}
	places, reason := volumes(self, spec.ID(), task, lot.Slots)
	if reason != "" {
		return no(reason)
	}
	// The needs are the signed spec's: what the steward says of them binds nobody.
	if reason := lacks(task.Needs, self.room()); reason != "" {
		return no(reason)
	}
	costs := costsHere(self, lot, task, places)
	o := wire.Offer{Bucket: Bucket(costs), Terms: termsOf(costs), Volumes: places.only}
	if self.CopiesOf != nil {
		o.Copies = uint32(max(self.CopiesOf(lot.Job, lot.Task), 0))
	}
	return o
}

func unknown(id job.ID, life uint64) string {
	return fmt.Sprintf("%s: %s of life %d and this spec is not known here", UnknownJob, id, life)
}

// RefusesAll is the reason for which a peer takes nothing at all, "" if there is none.
func RefusesAll(self *Self) string { return refusesAll(self) }

// refusesAll is the reason for which a peer bids on nothing at all.
func refusesAll(self *Self) string {
	switch {
	case self.No != "":
		return clip(self.No)
	case !self.Ready:
		return NotReady
	case self.Silent:
		return EngineSilent
	case self.FullDisk != "":
		return clip(DiskFull + ": " + self.FullDisk)
	case len(self.Missing) > 0:
		return clip(MissingMetric + ": " + self.Missing[0])
	case self.Total.CPUMilli <= 0:
		return MissingMetric + ": cpu"
	case self.Total.MemBytes <= 0:
		return MissingMetric + ": memory"
	case self.Draining:
		return Draining
	case self.Closed != "":
		return clip(self.Closed)
	case self.Accept != nil && self.Accept.MaxSlots > 0 && self.Held >= self.Accept.MaxSlots:
		return fmt.Sprintf("%s: holds %d slots, at most %d", OwnerRefuses, self.Held, self.Accept.MaxSlots)
	}
	return ""
}

// refuses is the reason for which a peer cannot run a task, whatever is free.
func refuses(self *Self, spec *job.Spec, task *job.Task) string {
	if no := self.Accept.refuses(self, spec, task); no != "" {
		return clip(no)
	}
	if self.Later != nil {
		if what := self.Later(spec, task); what != "" {
			return clip(fmt.Sprintf("%s: the task has %s, which this peer does not know", LaterVersion, what))
		}
	}
	if len(spec.Datacenters) > 0 && !slices.Contains(spec.Datacenters, self.Datacenter) {
		return fmt.Sprintf("%s: wants %s, peer is in %q", Datacenter, strings.Join(spec.Datacenters, " or "), self.Datacenter)
	}
	if !job.SamePlatform(task.Platform, self.OS, self.Arch) {
		return fmt.Sprintf("%s: wants %s, peer is %s/%s", Platform, task.Platform, self.OS, self.Arch)
	}
	if reason := cannotRun(self, task); reason != "" {
		return reason
	}
	if self.ForeignImage != nil {
		if is := self.ForeignImage(task); is != "" {
			return clip(fmt.Sprintf("%s: peer is %s/%s, image %s is here for %s", Platform, self.OS, self.Arch, task.Image, is))
		}
	}
	if no := devices(self, task); no != "" {
		return clip(no)
	}
	if len(task.Constraints) > 0 {
		if unmet := self.Facts().Meets(task.Constraints); unmet != "" {
			return clip(fmt.Sprintf("%s: wants %s", Label, unmet))
		}
	}
	no, _ := unmetAffinity(self, spec.ID(), task)
	return clip(no)
}

// devices says which device of a task is not granted or not there, or "".
func devices(self *Self, task *job.Task) string {
	for _, text := range task.Devices {
		d, err := job.ParseDevice(text)
		switch {
		case err != nil:
			return fmt.Sprintf("%s: %s cannot be read", Device, text)
		case !self.Accept.Grants(d.Host):
			return fmt.Sprintf("%s: its owner does not grant %s", Device, d.Host)
		case self.HasDevice == nil || !self.HasDevice(d.Host):
			return fmt.Sprintf("%s: %s is not there", Device, d.Host)
		}
	}
	return ""
}

// Facts are what constraints ask of self.
func (s *Self) Facts() *job.Facts {
	return &job.Facts{
		ID: s.ID.String(), Name: s.Name, Datacenter: s.Datacenter, OS: s.OS, Arch: s.Arch, Driver: s.Driver,
		Capacity: s.Total, Metered: s.Metered, Battery: s.Battery, Labels: s.Labels,
	}
}

func cannotRun(self *Self, task *job.Task) string {
	if self.CanRun != nil {
		return self.CanRun(task)
	}
	if self.Driver == "process" {
		if present, _ := hasImage(self, task.Image); !present {
			return NoEngine
		}
	}
	return ""
}

func hasImage(self *Self, image string) (present bool, fetchBytes int64) {
	if self.HasImage == nil {
		return false, 0
	}
	return self.HasImage(image)
}

// places is where the volumes of a lot bind its slots.
type places struct {
	only []int // slots that self may take; nil: all of them
	away bool  // a volume lives elsewhere, and the task allows a fresh one
}

// volumes finds the slots whose volumes do not live elsewhere; a reason if there
// is none. A volume that lives nowhere yet binds nothing.
func volumes(self *Self, id job.ID, task *job.Task, slots []int) (places, string) {
	var p places
	names := task.Volumes()
	if self.VolumePlace == nil || len(names) == 0 {
		return p, ""
	}
	var reason string
	var free []int
	for _, slot := range slots {
		elsewhere := volumeElsewhere(self, id, names, slot)
		if elsewhere != "" && task.Failover.Volume == "empty" {
			p.away, elsewhere = true, ""
		}
		switch {
		case elsewhere == "":
			free = append(free, slot)
		case reason == "":
			reason = elsewhere
		}
	}
	switch len(free) {
	case 0:
		return p, reason
	case len(slots):
		return p, ""
	}
	p.only = free
	return p, ""
}

func volumeElsewhere(self *Self, id job.ID, names []string, slot int) string {
	for _, name := range names {
		holder, where, known := self.VolumePlace(id, name, slot)
		if known && holder != self.ID {
			if where == "" {
				where = holder.Short()
			}
			return clip(fmt.Sprintf("volume %s/%s is on %s", id, name, where))
		}
	}
	return ""
}

func costsHere(self *Self, lot *wire.Lot, task *job.Task, p places) Costs {
	c := Costs{Metered: self.Metered, Battery: self.Battery, LoadMilli: self.LoadMilli, VolumeAway: p.away}
	c.ImagePresent, c.FetchBytes = hasImage(self, task.Image)
	c.ImageKnown = c.FetchBytes > 0
	if self.FailsOf != nil {
		c.Fails = self.FailsOf(lot.Job, lot.Task, lot.Spec)
	}
	_, c.Affinities = unmetAffinity(self, lot.Job, task)
	if task.Policy == PolicyPack {
		c = c.lasting()
	}
	return c
}
