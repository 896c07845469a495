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
	Draining        = "draining"
	UnknownJob      = "unknown job"
	OwnerRefuses    = "owner refuses"
	Datacenter      = "datacenter"
	Platform        = "platform"
	NoEngine        = "no container engine"
	Label           = "label"
	CPU             = "cpu"
	Memory          = "memory"
	Disk            = "disk"
	VolumeElsewhere = "volume elsewhere" // the bid leaves out this slot of its lot
	Malformed       = "malformed answer" // the bidder's fault
	NoReply         = "no reply"         // an award was not answered in time
	NoAnswer        = "no answer"        // the call was not answered in time
	Doubted         = "doubted"          // the bidder became suspect during the sale
	TokensUsedUp    = "tokens used up"   // the slot's counter is at its end
	NotTried        = "not tried"        // it could take the slot, but enough others declined before it
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
	parts := make([]string, len(reasons))
	for i, r := range reasons {
		parts[i] = fmt.Sprintf("%d %s", r.Count, Class(r.Text))
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

// A tally counts reasons by class and keeps the first text of each.
type tally struct {
	reasons []wire.Reason
	index   map[string]int // class to place in reasons
}

func (t *tally) add(reason string) {
	if t.index == nil {
		t.index = make(map[string]int)
	}
	class := Class(reason)
	i, ok := t.index[class]
	if !ok {
		i = len(t.reasons)
		t.index[class] = i
		t.reasons = append(t.reasons, wire.Reason{Text: reason})
	}
	t.reasons[i].Count++
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
func lacks(needs, free, total job.Resources) string {
	text, _ := shortage(needs, free, total)
	return text
}

// shortage is lacks with the size of the gap, in millionths of the needs.
func shortage(needs, free, total job.Resources) (string, int64) {
	var text string
	var worst int64
	for _, r := range []struct {
		class             string
		need, free, total int64
		print             func(int64) string
	}{
		{CPU, needs.CPUMilli, free.CPUMilli, total.CPUMilli, cores},
		{Memory, needs.MemBytes, free.MemBytes, total.MemBytes, amount},
		{Disk, needs.DiskBytes, free.DiskBytes, total.DiskBytes, amount},
	} {
		if r.need <= 0 || r.need <= r.free {
			continue
		}
		if gap := share(r.need, max(r.free, 0), r.need); text == "" || gap > worst {
			worst = gap
			text = fmt.Sprintf("%s: needs %s, %s free of %s", r.class, r.print(r.need), r.print(max(r.free, 0)), r.print(max(r.total, 0)))
		}
	}
	return text, worst
}

// cores prints milli-CPU: "0.5".
func cores(milli int64) string {
	s := fmt.Sprintf("%d.%03d", milli/1000, milli%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// amount prints bytes with one decimal, "0.7 GiB"; it rounds down, so that what
// is free is never made to look enough.
func amount(bytes int64) string {
	units := []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}}
	for _, u := range units {
		if bytes >= u.size/2 {
			whole, tenth := bytes/u.size, bytes%u.size*10/u.size
			return fmt.Sprintf("%d.%d %s", whole, tenth, u.name)
		}
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
