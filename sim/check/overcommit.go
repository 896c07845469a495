package check

import (
	"shoal/job"
	"shoal/node"
)

// Overcommit is S4: the needs of a peer's claims that have not ended never exceed
// what it has, and those of each GPU no more than one.
type Overcommit struct{ own own }

// NewOvercommit returns the checker.
func NewOvercommit() *Overcommit { return &Overcommit{} }

// Rule implements Checker.
func (*Overcommit) Rule() string { return "S4" }

// Wrote implements WriteWatcher.
func (o *Overcommit) Wrote(h Host, writes []node.Write) error {
	changed := false
	for i := range writes {
		if o.own.wrote(h, &writes[i]) != nil {
			changed = true
		}
	}
	if !changed || h.Shared() {
		return nil
	}
	var sum job.Resources
	open, spoilt := o.own.of(h).open(), o.own.of(h).spoilt
	var devices [job.MaxGPUs]int64 // bound of each GPU, in thousandths
	for _, c := range open {
		if spoilt[keyOf(c)] { // those of a lost disk end soon, if their end is what it forgot
			continue
		}
		sum = sum.Plus(c.Needs)
		for _, d := range c.GPUs {
			if d < 0 || d >= len(devices) {
				return violation("S4", "%s has bound GPU %d by %s, and none has that index", h.Name(), d, c.Slot)
			}
			devices[d] += min(c.Needs.GPUMilli, job.WholeGPU)
		}
	}
	for d, milli := range devices {
		if milli > job.WholeGPU {
			return violation("S4", "%s has bound %d thousandths of its GPU %d", h.Name(), milli, d)
		}
	}
	if have := h.Capacity(); !sum.Fits(have) {
		return violation("S4", "%s has bound %+v by %d claims, and has only %+v", h.Name(), sum, len(open), have)
	}
	return nil
}

// Booted implements LifeWatcher.
func (o *Overcommit) Booted(h Host) { o.own.reload(h) }

// DiskLost implements LifeWatcher.
func (o *Overcommit) DiskLost(h Host) { o.own.lose(h) }
