package reach

import (
	"context"
	"time"

	"shoal/job"
)

// Collection of the networks of jobs that are gone. A job must be gone for a whole
// period, since a container that is just being created does not hold its network
// yet; one that a container holds the engine keeps, and it is tried again.
const (
	collectEvery = 10 * time.Second
	collectAfter = 30 * time.Second // deadline of one collection
	maxCollect   = 32               // networks removed in one
)

// collect removes networks of jobs that are gone, also those that an earlier daemon
// left. While there are none, the engine is not asked.
func (r *Reach) collect(every time.Duration) {
	defer r.done.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	gone := map[job.ID]bool{} // at the period before
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
		if r.vanished.Swap(false) {
			var clean bool
			if gone, clean = r.collectOnce(gone); !clean {
				r.vanished.Store(true)
			}
		}
	}
}

// collectOnce removes the networks of jobs that were gone before, and returns those
// that are gone now. It is clean if nothing is left to do.
func (r *Reach) collectOnce(before map[job.ID]bool) (gone map[job.ID]bool, clean bool) {
	ctx, cancel := context.WithTimeout(r.ctx, collectAfter)
	defer cancel()
	gone = map[job.ID]bool{}
	infos, err := r.cfg.Networks.Networks(ctx)
	if err != nil {
		r.cfg.Log.Debug("networks not listed", "err", err)
		return before, false
	}
	removed := 0
	for _, info := range infos {
		if info.Job == "" || r.knows(info.Job) {
			continue
		}
		if !before[info.Job] || removed == maxCollect {
			gone[info.Job] = true
			continue
		}
		removed++
		if err := r.cfg.Networks.RemoveNetwork(ctx, info.Job); err != nil {
			r.cfg.Log.Debug("network not removed yet", "job", info.Job, "err", err)
			gone[info.Job] = true
		}
	}
	return gone, len(gone) == 0
}

// knows reports whether any task of a job is still wanted anywhere.
func (r *Reach) knows(id job.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.services {
		if k.job == id {
			return true
		}
	}
	return false
}
