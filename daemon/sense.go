package daemon

import (
	"context"
	"slices"
	"strings"
	"time"

	"shoal/node"
	"shoal/runtime"
)

// Periods of what this peer looks at by itself.
const (
	factsEvery   = 5 * time.Second
	factsLimit   = 10 * time.Second
	diskEvery    = 10 * time.Second
	diskLook     = time.Second // a disk that fills or empties fast is told sooner
	addrsEvery   = 5 * time.Second
	collectEvery = 10 * time.Minute
	imagesEvery  = 30 * time.Second // and after each container that was made
	imagesLimit  = time.Minute      // of many images, each is looked at once
)

// every calls f at once and then again and again until it returns false or ctx ends.
func every(ctx context.Context, period time.Duration, f func() bool) {
	for f() && pause(ctx, period) {
	}
}

func (d *Daemon) readFacts(ctx context.Context) {
	every(ctx, factsEvery, func() bool {
		limited, cancel := context.WithTimeout(ctx, factsLimit)
		defer cancel()
		facts := d.cfg.Facts(limited)
		for i := range facts.Missing {
			facts.Missing[i] = strings.ToValidUTF8(facts.Missing[i], "?")
		}
		return ctx.Err() == nil && d.input(node.Input{Facts: &facts})
	})
}

// readDisk also mends the store once the core, whose ledger was refilled, is ready.
func (d *Daemon) readDisk(ctx context.Context) {
	var told int64
	due := time.Now()
	every(ctx, diskLook, func() bool {
		d.mend(ctx)
		free, total, err := d.cfg.Disk()
		if time.Now().Before(due) && (err != nil || max(free-told, told-free) <= told/4) {
			return true
		}
		told, due = free, time.Now().Add(diskEvery)
		if err != nil {
			d.log.Warn("free space is not known", "err", err)
			return true
		}
		return d.input(node.Input{Disk: &node.Disk{FreeBytes: free, TotalBytes: total}})
	})
}

func (d *Daemon) mend(ctx context.Context) {
	if !d.damaged.Load() {
		return
	}
	ready := false
	if d.View(ctx, func(c *node.Core) { ready = c.Status().State == "ready" }) != nil || !ready {
		return
	}
	if err := d.cfg.Store.Mend(); err != nil {
		d.log.Warn("the store counts as damaged still", "err", err)
		return
	}
	d.damaged.Store(false)
	d.log.Info("the store is whole again")
}

// An imageLister is a driver whose engine keeps images.
type imageLister interface {
	Images(context.Context) ([]runtime.Image, error)
}

// readImages tells which images are here. While the engine does not say, what it said
// last stands: a container that is made finds out.
func (d *Daemon) readImages(ctx context.Context) {
	lister, ok := d.cfg.Driver.(imageLister)
	if !ok {
		return
	}
	var told []runtime.Image
	known := false
	for {
		limited, cancel := context.WithTimeout(ctx, imagesLimit)
		list, err := lister.Images(limited)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.log.Debug("the images are not known", "err", err)
		case !known || !slices.Equal(list, told):
			known, told = true, list
			if !d.input(node.Input{Images: &node.Images{List: slices.Clone(list)}}) {
				return
			}
		}
		again := time.NewTimer(imagesEvery)
		select {
		case <-d.created:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (d *Daemon) readAddrs(ctx context.Context) {
	told := slices.Clone(d.cfg.Core.Addrs)
	every(ctx, addrsEvery, func() bool {
		addrs := d.cfg.Transport.Addrs()
		if len(addrs) == 0 || slices.Equal(addrs, told) {
			return true
		}
		told = slices.Clone(addrs)
		return d.input(node.Input{Addrs: told})
	})
}

func (d *Daemon) collect(ctx context.Context) {
	for pause(ctx, collectEvery) {
		if err := d.cfg.Store.Collect(); err != nil {
			d.log.Warn("the store's room was not collected", "err", err)
		}
	}
}
