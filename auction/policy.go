package auction

import (
	"fmt"
	"path"
	"slices"

	"shoal/job"
)

// A Policy is what a peer's owner lets others use it for. It decides what the peer
// takes, not what it already holds; the zero value, and nil, take everything but
// devices.
type Policy struct {
	Namespaces []string         // whose jobs; empty: all
	Jobs       []job.Constraint // what a task must say of itself, see jobFact; all of them
	Signers    []string         // peers at which jobs are accepted, by name or whole ID; empty: all

	Hours    []Span // of the day, local time; empty: all
	OnMains  bool   // not while it runs on its battery
	MaxTempC int    // not while it is hotter, in °C; 0: never too hot
	MaxSlots int    // that it holds at once; 0: any number

	LimitsFetch bool  // on a metered link no image above MaxFetch is fetched
	MaxFetch    int64 // bytes; 0: none is

	Devices []string // that tasks may have: "/dev/ttyUSB*", "usb=1a86:7523", "usb=1a86:*"
}

// A Span is a part of each day, in minutes since midnight; one that ends at or before
// it begins goes on over midnight.
type Span struct{ From, To int }

// Has reports whether a minute of the day is within the span.
func (s Span) Has(minute int) bool {
	if s.From < s.To {
		return s.From <= minute && minute < s.To
	}
	return minute >= s.From || minute < s.To
}

func (s Span) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, s.To/60%24, s.To%60)
}

// dayMinutes is the length of a day.
const dayMinutes = 24 * 60

// IsPrivate reports whether what the peer takes depends on more of a task than others
// can judge for it, so that it is to be asked each time.
func (p *Policy) IsPrivate() bool {
	return p != nil && (len(p.Namespaces) > 0 || len(p.Jobs) > 0 || len(p.Signers) > 0 || p.LimitsFetch || p.MaxSlots > 0)
}

// A Condition is what of a peer's state its owner's policy may depend on.
type Condition struct {
	Minute  int  // of the day, local time
	Battery bool // it runs on its battery
	TempC   int  // of its hottest part; 0: not known
}

// Closed says why a peer in that condition takes nothing at all, or "".
func (p *Policy) Closed(c Condition) string {
	switch {
	case p == nil:
	case len(p.Hours) > 0 && !slices.ContainsFunc(p.Hours, func(s Span) bool { return s.Has(c.Minute) }):
		return fmt.Sprintf("%s: closed until %s", OwnerRefuses, p.opens(c.Minute))
	case p.OnMains && c.Battery:
		return OwnerRefuses + ": nothing while on battery"
	case p.MaxTempC > 0 && c.TempC > p.MaxTempC:
		return fmt.Sprintf("%s: nothing while hotter than %d °C", OwnerRefuses, p.MaxTempC)
	}
	return ""
}

// opens is the next time of the day at which a span begins.
func (p *Policy) opens(minute int) string {
	next := slices.MinFunc(p.Hours, func(a, b Span) int {
		return (a.From-minute+dayMinutes)%dayMinutes - (b.From-minute+dayMinutes)%dayMinutes
	})
	return fmt.Sprintf("%02d:%02d", next.From/60%24, next.From%60)
}

// refuses says why the owner does not want a task, or "".
func (p *Policy) refuses(self *Self, spec *job.Spec, task *job.Task) string {
	if p == nil {
		return ""
	}
	if ns := spec.ID().Namespace(); len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, ns) {
		return fmt.Sprintf("%s: namespace %s", OwnerRefuses, ns)
	}
	for _, c := range p.Jobs {
		if !c.MatchFunc(func(name string) (string, bool) { return jobFact(spec, task, name) }) {
			return fmt.Sprintf("%s: wants of jobs %s", OwnerRefuses, c)
		}
	}
	if who, ok := p.signs(self, spec.ID()); !ok {
		return fmt.Sprintf("%s: accepted at %s", OwnerRefuses, who)
	}
	return p.fetches(self, task)
}

// jobFact is what a task says of itself: its labels, its job's, and namespace, job,
// task, image and type.
func jobFact(spec *job.Spec, task *job.Task, name string) (string, bool) {
	for _, labels := range []map[string]string{task.Labels, spec.Labels} {
		if v, ok := labels[name]; ok {
			return v, true
		}
	}
	switch name {
	case "namespace":
		return spec.Namespace, true
	case "job":
		return spec.Name, true
	case "task":
		return task.Name, true
	case "image":
		return task.Image, true
	case "type":
		return task.Type.String(), true
	}
	return "", false
}

// signs reports whether a job was accepted where the owner trusts, and where it was.
func (p *Policy) signs(self *Self, id job.ID) (who string, ok bool) {
	if len(p.Signers) == 0 {
		return "", true
	}
	if self.SignerOf == nil {
		return "an unknown peer", false
	}
	signer, name := self.SignerOf(id)
	for _, s := range p.Signers {
		if s == name || s == signer.String() {
			return "", true
		}
	}
	if name == "" {
		name = signer.Short()
	}
	return name, false
}

// fetches says why a task's image is not fetched over a link that is paid by volume.
func (p *Policy) fetches(self *Self, task *job.Task) string {
	if !p.LimitsFetch || !self.Metered {
		return ""
	}
	present, bytes := hasImage(self, task.Image)
	switch {
	case present && task.Pull != "always":
	case p.MaxFetch == 0:
		return fmt.Sprintf("%s: fetches no image on a metered link", OwnerRefuses)
	case bytes > p.MaxFetch: // one whose size is not known is left to the driver, which hears of it first
		return fmt.Sprintf("%s: image of %s, at most %s on a metered link", OwnerRefuses, amountUp(bytes), amount(p.MaxFetch))
	}
	return ""
}

// Grants reports whether tasks may have a device, "/dev/ttyUSB0" or "usb=1a86:7523".
func (p *Policy) Grants(device string) bool {
	return p != nil && slices.ContainsFunc(p.Devices, func(pattern string) bool {
		ok, err := path.Match(pattern, device)
		return err == nil && ok
	})
}
