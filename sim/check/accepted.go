package check

import (
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Accepted is S1: an accepted job is on as many stores as its answer named, less
// those destroyed since. A store is named by its key: where two machines have used
// one, the answer does not say on whose disk the job is.
type Accepted struct {
	jobs    []*accepted
	version []uint64 // by host: of its disk, when it was last read
	again   map[wire.PeerID]bool
	lost    map[wire.PeerID]time.Duration // when a store was destroyed last
	now     time.Duration
	looks   uint64
	removed map[job.ID]uint64 // the greatest life that anybody has removed

	headless map[headless]time.Duration // heads whose spec is missing, since when
}

type headless struct {
	host int
	job  job.ID
}

type accepted struct {
	job      job.ID
	life     uint64
	revision uint64
	stores   []wire.PeerID
	by       Host // who accepted it
}

// NewAccepted returns the checker.
func NewAccepted() *Accepted {
	return &Accepted{
		again: map[wire.PeerID]bool{}, lost: map[wire.PeerID]time.Duration{},
		removed: map[job.ID]uint64{}, headless: map[headless]time.Duration{},
	}
}

// Rule implements Checker.
func (*Accepted) Rule() string { return "S1" }

// Compared implements Counter: jobs looked for on a disk.
func (a *Accepted) Compared() uint64 { return a.looks }

// Replied implements ReplyWatcher.
func (a *Accepted) Replied(h Host, asked *node.Request, r *node.Reply) error {
	if r.Err != "" || r.Job == "" || len(r.Stores) == 0 || asked == nil {
		return nil
	}
	a.jobs = slices.DeleteFunc(a.jobs, func(x *accepted) bool {
		return x.job == r.Job && len(x.stores) == 0
	})
	stores := slices.DeleteFunc(slices.Clone(r.Stores), a.lostMeanwhile)
	a.jobs = append(a.jobs, &accepted{r.Job, r.Life, r.Revision, stores, h})
	for _, p := range r.Stores {
		a.again[p] = true
	}
	return nil
}

// lostMeanwhile reports whether a store may have been destroyed after it had taken
// the job and before the answer: the accepting peer waits 10 s for its stores, and
// may sleep meanwhile.
func (a *Accepted) lostMeanwhile(p wire.PeerID) bool {
	at, ok := a.lost[p]
	return ok && a.now-at < 2*time.Minute
}

// Wrote implements WriteWatcher: a removal may have been accepted without its
// answer reaching anybody.
func (a *Accepted) Wrote(_ Host, writes []node.Write) error {
	for i := range writes {
		if r := writes[i].Put; r != nil && r.Kind == wire.KindHead && ledger.Open(r) == nil {
			if h, ok := r.Value.(*ledger.Head); ok && h.Deleted {
				a.removed[h.Job] = max(a.removed[h.Job], h.Life)
			}
		}
	}
	return nil
}

// Tick implements Ticker. It reads the disks that have changed since.
func (a *Accepted) Tick(w World) error {
	a.now = w.Now()
	if len(a.jobs) == 0 {
		return nil
	}
	for _, h := range w.Hosts() {
		for len(a.version) <= h.Index() {
			a.version = append(a.version, ^uint64(0))
		}
		if a.version[h.Index()] == h.DiskVersion() && !a.again[h.Peer()] {
			continue
		}
		delete(a.again, h.Peer())
		a.version[h.Index()] = h.DiskVersion()
		if err := a.look(w.Now(), h); err != nil {
			return err
		}
	}
	return nil
}

// specBound is how long a later head may wait for its spec: the two may come by
// different messages.
const specBound = 15 * time.Second

func (a *Accepted) headlessFor(now time.Duration, h Host, id job.ID) time.Duration {
	k := headless{h.Index(), id}
	if _, ok := a.headless[k]; !ok {
		a.headless[k] = now
	}
	a.again[h.Peer()] = true
	return now - a.headless[k]
}

func (a *Accepted) look(now time.Duration, h Host) error {
	promised := map[job.ID]*accepted{}
	for _, x := range a.jobs {
		if slices.Contains(x.stores, h.Peer()) && !h.Shared() {
			promised[x.job] = x
		}
	}
	if len(promised) == 0 {
		return nil
	}
	best := map[job.ID]*ledger.Head{}
	specs := map[wire.Hash]bool{}
	h.DiskJobs(func(r *wire.Record) {
		if r.Kind == wire.KindSpec {
			specs[r.BodyHash()] = true
		}
		if r.Kind != wire.KindHead || ledger.Open(r) != nil {
			return
		}
		head, ok := r.Value.(*ledger.Head)
		if !ok || promised[head.Job] == nil {
			return
		}
		if b := best[head.Job]; b == nil || ledger.CompareHeads(head, b) > 0 {
			best[head.Job] = head
		}
	})
	for _, x := range a.jobs {
		if promised[x.job] == nil || !slices.Contains(x.stores, h.Peer()) || x.by.Shared() {
			continue // of two logs under one name each drops what the other has
		}
		a.looks++
		switch b := best[x.job]; {
		case b == nil && a.removed[x.job] >= x.life: // remembered whole for the horizon only
		case b == nil:
			return violation("S1", "%s of life %d, revision %d was accepted with %s among its stores, and is not on its disk",
				x.job, x.life, x.revision, h.Name())
		case b.Life > x.life, b.Life == x.life && b.Deleted:
		case b.Life < x.life || b.Revision < x.revision:
			return violation("S1", "%s of life %d, revision %d was accepted with %s among its stores, whose disk has life %d, revision %d",
				x.job, x.life, x.revision, h.Name(), b.Life, b.Revision)
		case specs[b.Spec]:
			delete(a.headless, headless{h.Index(), x.job})
		case a.headlessFor(now, h, x.job) > specBound:
			return violation("S1", "%s holds the head of %s, revision %d, and not its spec", h.Name(), x.job, b.Revision)
		}
	}
	return nil
}

// Booted implements LifeWatcher.
func (*Accepted) Booted(Host) {}

// DiskLost implements LifeWatcher.
func (a *Accepted) DiskLost(h Host) {
	a.lost[h.Peer()] = a.now
	for _, x := range a.jobs {
		x.stores = slices.DeleteFunc(x.stores, func(p wire.PeerID) bool { return p == h.Peer() })
	}
}
