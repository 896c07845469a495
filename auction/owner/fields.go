package owner

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"shoal/auction"
	"shoal/job"
	"shoal/wire"
)

// Greatest amounts that a file may name: those of a task, so that sums stay small.
const (
	maxCPUs      = 1 << 20
	maxSizeBytes = 1 << 50
	maxSlots     = 1 << 20
	maxTempC     = 150
)

func (r *reader) reserve(path string, n *yaml.Node) {
	to := &r.config.Reserve
	r.mapping(path, n, map[string]field{
		"cpus": r.one(cpus(&to.CPUMilli, 0)), "memory": r.one(size(&to.MemBytes, 0)), "disk": r.one(size(&to.DiskBytes, 0)),
	})
}

func (r *reader) accept(path string, n *yaml.Node) {
	most, p := &r.config.Most, &r.config.Policy
	r.mapping(path, n, map[string]field{
		"namespaces": r.words(func(s string) string { p.Namespaces = append(p.Namespaces, s); return errText(job.CheckName(s)) }),
		"jobs":       r.words(r.job),
		"signers":    r.words(r.signer),
		"hours":      r.words(r.hours),
		"battery":    r.one(r.battery),
		"temperature": r.one(func(s string) string {
			return number(&p.MaxTempC, s, 1, maxTempC, "°C")
		}),
		"metered": func(path string, n *yaml.Node) {
			r.mapping(path, n, map[string]field{"fetch": r.one(func(s string) string {
				p.LimitsFetch = true
				return size(&p.MaxFetch, 0)(s)
			})})
		},
		"cpus": r.one(cpus(&most.CPUMilli, 1)), "memory": r.one(size(&most.MemBytes, 1)), "disk": r.one(size(&most.DiskBytes, 1)),
		"gpus": r.one(func(s string) string {
			var gpus int
			wrong := number(&gpus, s, 0, job.MaxGPUs, "GPUs")
			most.GPUMilli, r.config.NoGPUs = int64(gpus)*job.WholeGPU, gpus == 0
			return wrong
		}),
		"slots":   r.one(func(s string) string { return number(&p.MaxSlots, s, 1, maxSlots, "slots") }),
		"devices": r.words(func(s string) string { p.Devices = append(p.Devices, s); return job.CheckGrant(s) }),
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (r *reader) job(s string) string {
	c, err := job.ParseConstraint(s)
	r.config.Policy.Jobs = append(r.config.Policy.Jobs, c)
	return errText(err)
}

// signer takes a peer's name, or its whole ID: the end of one could be had by trying.
func (r *reader) signer(s string) string {
	_, err := wire.ParsePeerID(s)
	if err != nil && job.CheckName(s) != nil {
		return fmt.Sprintf("%q is neither a peer's name nor its whole ID, as `shoal peers -o wide` shows them", clip(s))
	}
	r.config.Policy.Signers = append(r.config.Policy.Signers, s)
	return ""
}

func (r *reader) battery(s string) string {
	switch strings.ToLower(s) {
	case "true", "yes", "on":
	case "false", "no", "off":
		r.config.Policy.OnMains = true
	default:
		return fmt.Sprintf("%q is neither yes nor no: whether slots are taken while on battery", clip(s))
	}
	return ""
}

// hours reads "22:00-06:00".
func (r *reader) hours(s string) string {
	from, to, ok := strings.Cut(strings.ReplaceAll(s, " ", ""), "-")
	begin, okBegin := minute(from)
	end, okEnd := minute(to)
	if !ok || !okBegin || !okEnd {
		return fmt.Sprintf("%q is no span of the day; write one such as 22:00-06:00, in local time", clip(s))
	}
	if begin == end {
		return fmt.Sprintf("%q begins and ends at the same time; write 00:00-24:00 for the whole day, or leave hours out", clip(s))
	}
	r.config.Policy.Hours = append(r.config.Policy.Hours, auction.Span{From: begin, To: end})
	return ""
}

// minute reads "06:30"; 24:00 is the end of the day.
func minute(s string) (int, bool) {
	hour, past, ok := strings.Cut(s, ":")
	h, err := strconv.ParseUint(hour, 10, 8)
	m, merr := strconv.ParseUint(past, 10, 8)
	if !ok || err != nil || merr != nil || len(past) != 2 || len(hour) > 2 || m > 59 || h*60+m > 24*60 {
		return 0, false
	}
	return int(h*60 + m), true
}

// cpus reads "1.5" into thousandths.
func cpus(to *int64, least int64) func(string) string {
	return func(s string) string {
		f, err := strconv.ParseFloat(s, 64)
		milli := math.Round(f * 1000)
		if err != nil || !(milli >= float64(least) && milli <= maxCPUs*1000) {
			return fmt.Sprintf("%q is no number of CPUs; write one such as 1.5", clip(s))
		}
		*to = int64(milli)
		return ""
	}
}

// size reads "4GiB", or bytes.
func size(to *int64, least int64) func(string) string {
	return func(s string) string {
		n, ok := job.ParseSize(s)
		if !ok {
			var err error
			n, err = strconv.ParseInt(s, 10, 64)
			ok = err == nil
		}
		if !ok || n < least || n > maxSizeBytes {
			return fmt.Sprintf("%q is no size; write one such as 4GiB", clip(s))
		}
		*to = n
		return ""
	}
}

func number(to *int, s string, least, most int, what string) string {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return fmt.Sprintf("%q is not between %d and %d %s", clip(s), least, most, what)
	}
	*to = n
	return ""
}
