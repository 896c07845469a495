package check

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Accepted is S1: an accepted job is on as many stores as its answer named, less
// those destroyed since. A store is named by its key: where two machines have used
// one, the answer does not say on whose disk the job is. It looks at the answer, and
// from then on at a store's disk whenever that gets or loses a head of the job, or
// changes by itself.
type Accepted struct {
	hosts    []Host // those that have ever started
	promises map[wire.PeerID]map[job.ID]promise
	heads    heads // on the disks of those that have promised something
	lost     map[wire.PeerID]time.Duration
	now      time.Duration // as of the last second
	looks    uint64
	removed  map[job.ID]uint64          // the greatest life that anybody has removed
	headless map[headless]time.Duration // heads whose spec is missing, since when
}

// A promise is the latest change of a job that an answer said a store holds. A later
// one contains the earlier, since a store may hold a later head.
type promise struct {
	life, revision uint64
	by             Host // who accepted it
}

type headless struct {
	host int
	job  job.ID
}

// NewAccepted returns the checker.
func NewAccepted() *Accepted {
	return &Accepted{
		promises: map[wire.PeerID]map[job.ID]promise{}, lost: map[wire.PeerID]time.Duration{},
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
	for _, p := range r.Stores {
		if at, ok := a.lost[p]; ok && a.now-at < lostMeanwhile {
			continue
		}
		jobs := a.promises[p]
		if jobs == nil {
			jobs = map[job.ID]promise{}
			a.promises[p] = jobs
		}
		if x := jobs[r.Job]; x.by == nil || cmp.Or(cmp.Compare(r.Life, x.life), cmp.Compare(r.Revision, x.revision)) >= 0 {
			jobs[r.Job] = promise{r.Life, r.Revision, h}
		}
	}
	for _, store := range a.hosts {
		if !slices.Contains(r.Stores, store.Peer()) {
			continue
		}
		a.heads.reload(store)
		if err := a.look(store, r.Job); err != nil {
			return err
		}
	}
	return nil
}

// lostMeanwhile is how long before an answer a store may have been destroyed after
// it had taken the job: the accepting peer waits 10 s for its stores, and may sleep
// meanwhile.
const lostMeanwhile = 2 * time.Minute

// Wrote implements WriteWatcher. A removal may have been accepted without its answer
// reaching anybody.
func (a *Accepted) Wrote(h Host, writes []node.Write) error {
	for i := range writes {
		if writes[i].Put == nil {
			continue
		}
		if head := headOf(writes[i].Put); head != nil && head.Deleted {
			a.removed[head.Job] = max(a.removed[head.Job], head.Life)
		}
	}
	return a.look(h, a.heads.wrote(h, writes)...)
}

// DiskChanged implements DiskWatcher.
func (a *Accepted) DiskChanged(h Host) error {
	jobs := a.promises[h.Peer()]
	if len(jobs) == 0 {
		return nil
	}
	a.heads.reload(h)
	return a.look(h, slices.Sorted(maps.Keys(jobs))...)
}

// Tick implements Ticker: it looks again for specs that were missing.
func (a *Accepted) Tick(w World) error {
	a.now = w.Now()
	if len(a.headless) == 0 {
		return nil
	}
	missing := slices.SortedFunc(maps.Keys(a.headless), func(x, y headless) int {
		return cmp.Or(cmp.Compare(x.host, y.host), cmp.Compare(x.job, y.job))
	})
	for _, k := range missing {
		if err := a.look(w.Hosts()[k.host], k.job); err != nil {
			return err
		}
	}
	return nil
}

// look searches what was promised of some jobs on a host's disk.
func (a *Accepted) look(h Host, ids ...job.ID) error {
	ids = slices.DeleteFunc(ids, func(id job.ID) bool {
		x, ok := a.promises[h.Peer()][id]
		if !ok {
			delete(a.headless, headless{h.Index(), id})
		}
		return !ok || h.Shared() || x.by.Shared() // of two logs under one name each drops what the other has
	})
	if len(ids) == 0 {
		return nil
	}
	best, specs := kept(h, ids)
	for i, id := range ids {
		a.looks++
		if err := a.judge(h, id, best[i], specs); err != nil {
			return err
		}
	}
	return nil
}

// kept returns the greatest head that a disk has of each of some jobs, or nil, and all
// its specs.
func kept(h Host, ids []job.ID) (best []*ledger.Head, specs []*wire.Record) {
	best = make([]*ledger.Head, len(ids))
	h.DiskJobs(func(r *wire.Record) {
		if r.Kind == wire.KindSpec {
			specs = append(specs, r)
		}
		head := headOf(r)
		if head == nil {
			return
		}
		if i := slices.Index(ids, head.Job); i >= 0 && (best[i] == nil || ledger.CompareHeads(head, best[i]) > 0) {
			best[i] = head
		}
	})
	return best, specs
}

// specBound is how long a later head may wait for its spec: the two may come by
// different messages.
const specBound = 15 * time.Second

// judge compares the head found of a job with what was promised.
func (a *Accepted) judge(h Host, id job.ID, b *ledger.Head, specs []*wire.Record) error {
	x, without := a.promises[h.Peer()][id], headless{h.Index(), id}
	since, waits := a.headless[without]
	delete(a.headless, without)
	switch {
	case b == nil && a.removed[id] >= x.life: // remembered whole for the horizon only
	case b == nil:
		return violation("S1", "%s of life %d, revision %d was accepted with %s among its stores, and is not on its disk",
			id, x.life, x.revision, h.Name())
	case b.Life > x.life, b.Life == x.life && b.Deleted:
	case a.removed[id] >= x.life && h.Tainted(): // a removal that only a cloned key has may be lost again, with what it ended
	case b.Life < x.life || b.Revision < x.revision:
		return violation("S1", "%s of life %d, revision %d was accepted with %s among its stores, whose disk has life %d, revision %d",
			id, x.life, x.revision, h.Name(), b.Life, b.Revision)
	case slices.ContainsFunc(specs, func(r *wire.Record) bool { return r.BodyHash() == b.Spec }):
	case waits && a.now-since > specBound:
		return violation("S1", "%s holds the head of %s, revision %d, and not its spec", h.Name(), id, b.Revision)
	case waits:
		a.headless[without] = since
	default:
		a.headless[without] = a.now
	}
	return nil
}

// Booted implements LifeWatcher.
func (a *Accepted) Booted(h Host) {
	if !slices.ContainsFunc(a.hosts, func(o Host) bool { return o.Index() == h.Index() }) {
		a.hosts = append(a.hosts, h)
	}
}

// DiskLost implements LifeWatcher.
func (a *Accepted) DiskLost(h Host) {
	a.lost[h.Peer()] = a.now
	delete(a.promises, h.Peer())
}
