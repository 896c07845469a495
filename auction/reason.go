package auction

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"shoal/job"
	"shoal/wire"
)

// The classes of refusal. A reason reads "class: figures"; reasons are counted
// by class, and the figures of one of them are kept as the example.
const (
	NotReady        = "not ready"
	EngineSilent    = "engine silent"
	MissingMetric   = "missing metric"
	DiskFull        = "disk full" // the one that the ledger is kept on
	Draining        = "draining"
	UnknownJob      = "unknown job"
	OwnerRefuses    = "owner refuses"
	LaterVersion    = "later version" // the task has a field that the bidder does not know
	Datacenter      = "datacenter"
	Platform        = "platform"
	NoEngine        = "no container engine"
	Device          = "device" // one is not granted, or not there
	Label           = "label"
	Near            = "near"  // what the copy is to run near to is elsewhere, or nowhere
	Apart           = "apart" // what it is to run apart from is there
	CPU             = "cpu"
	Memory          = "memory"
	Disk            = "disk"
	GPU             = "gpu"
	MoreUrgent      = "more urgent"      // a slot of greater priority waits for the same room
	VolumeElsewhere = "volume elsewhere" // the bid leaves out this slot of its lot
	Malformed       = "malformed answer" // the bidder's fault
	NoReply         = "no reply"         // an award was not answered in time
	NoAnswer        = "no answer"        // the call was not answered in time
	Doubted         = "doubted"          // the bidder became suspect during the sale
	TokensUsedUp    = "tokens used up"   // the slot's counter is at its end
	NotTried        = "not tried"        // it could take the slot, but enough others declined before it
	FilledUp        = "filled up"        // it bid, and this sale's awards took the room
	SaleFull        = "sale is full"     // more slots than one sale takes; the next one has them
)

// MaxReasonBytes is the greatest length of a reason as it is kept and sent on.
const MaxReasonBytes = 96

// Class returns the part of a reason by which it is counted.
func Class(reason string) string {
	class, _, _ := strings.Cut(reason, ":")
	return strings.TrimSpace(class)
}

// Refusals prints counted reasons as `why` shows them, by class, most frequent
// first: "9 platform, 3 memory, 2 label".
func Refusals(reasons []wire.Reason) string {
	var t tally
	for _, r := range reasons {
		t.count(Class(r.Text), r.Count)
	}
	var parts []string
	for _, r := range t.sorted() {
		parts = append(parts, fmt.Sprintf("%d %s", r.Count, r.Text))
	}
	return strings.Join(parts, ", ")
}

// clip makes a text from a peer fit to keep and to print: at most MaxReasonBytes
// of UTF-8 without control characters, which could steer a reader's terminal.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s[:min(len(s), 4*MaxReasonBytes)])
	return strings.ToValidUTF8(s[:min(len(s), MaxReasonBytes)], "")
}

// A tally counts reasons by class and keeps the first text of each; labels it counts one
// by one.
type tally struct {
	reasons []wire.Reason
	index   map[string]int // class to place in reasons
}

func (t *tally) add(reason string) {
	class := Class(reason)
	if class == Label {
		class = reason // which label a peer lacks is what a person can mend
	}
	t.of(class, reason).Count++
}

// count adds n peers to a reason that is its own class.
func (t *tally) count(class string, n uint32) { t.of(class, class).Count += n }

// of is where a class is counted, under the first reason of it.
func (t *tally) of(class, reason string) *wire.Reason {
	if t.index == nil {
		t.index = make(map[string]int)
	}
	i, ok := t.index[class]
	if !ok {
		i = len(t.reasons)
		t.index[class] = i
		t.reasons = append(t.reasons, wire.Reason{Text: reason})
	}
	return &t.reasons[i]
}

// sorted returns the reasons, most frequent first, then by text.
func (t *tally) sorted() []wire.Reason {
	out := slices.Clone(t.reasons)
	slices.SortFunc(out, func(a, b wire.Reason) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	return out
}

// lacks says which resource does not suffice, with figures, or "" if all do. Of
// several the one that is shortest in proportion to the needs is named.
func lacks(needs job.Resources, s space) string {
	text, _ := shortage(needs, s)
	return text
}

// shortage is lacks with the size of the gap, in millionths of the needs.
func shortage(needs job.Resources, s space) (text string, gap int64) {
	free, total := s.free, s.total
	worse := func(class string, need, free, total int64, up, down func(int64) string) {
		free = max(free, 0)
		if need <= free {
			return
		}
		if g := max(share(need, free, need), 1); g > gap {
			gap = g
			text = fmt.Sprintf("%s: needs %s, %s free of %s", class, up(need), down(free), down(max(total, 0)))
		}
	}
	worse(CPU, needs.CPUMilli, free.CPUMilli, total.CPUMilli, cores, cores)
	worse(Memory, needs.MemBytes, free.MemBytes, total.MemBytes, amountUp, amount)
	worse(Disk, needs.DiskBytes, free.DiskBytes, total.DiskBytes, amountUp, amount)
	if g, what := lacksGPUs(needs.GPUMilli, s); g > gap {
		text, gap = what, g
	}
	return text, gap
}

// lacksGPUs is shortage of the devices alone: a share needs one device with as much free,
// whole ones must be free of anything, and what lies about on others helps neither.
func lacksGPUs(milli int64, s space) (gap int64, text string) {
	if milli <= 0 || s.free.GPUMilli >= milli && job.FitsGPUs(s.gpus, milli) {
		return 0, ""
	}
	devices := s.total.GPUMilli / job.WholeGPU
	if milli < job.WholeGPU {
		most := int64(slices.Max(append([]uint16{0}, s.gpus...)))
		return max(share(milli, most, milli), 1), fmt.Sprintf("%s: needs %s of one device, at most %s free on any of %d", GPU, cores(milli), cores(most), devices)
	}
	whole := int64(0)
	for _, f := range s.gpus {
		if f >= job.WholeGPU {
			whole++
		}
	}
	return max(share(milli, whole*job.WholeGPU, milli), 1), fmt.Sprintf("%s: needs %s whole, %d free of %d", GPU, cores(milli), whole, devices)
}

// cores prints milli-CPU: "0.5".
func cores(milli int64) string {
	s := fmt.Sprintf("%d.%03d", milli/1000, milli%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// amount prints bytes with one decimal, "0.7 GiB", rounded down; amountUp rounds
// up. Needs are rounded up and what is free down, so that a refusal never reads
// as if it had fitted.
func amount(bytes int64) string { return tenths(bytes, 0) }

func amountUp(bytes int64) string { return tenths(bytes, 1) }

func tenths(bytes, roundUp int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= u.size/2 || u.size == 1<<10 {
			n := bytes/u.size*10 + (bytes%u.size*10+roundUp*(u.size-1))/u.size
			return fmt.Sprintf("%d.%d %s", n/10, n%10, u.name)
		}
	}
	return ""
}
